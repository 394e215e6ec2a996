"""Tag files of any size into a folder of parts, so that a run can be stopped, killed and gone on with.

A part holds what became of a chunk of the input, in order. Its receipt, written after it, says what it
holds, what went wrong, and where the input goes on; a part without a receipt does not exist. Both are on
the disk before they appear under their names, so a run that is killed loses the part it was at and nothing
else, and a resumed one repeats nothing. The plan says what a run was begun with; another run cannot be
mixed in. The price: the part that was at work is tagged again, and files of a half-done chunk are read
again up to where it goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from itertools import chain, islice
from pathlib import Path
from time import monotonic
from typing import Any, Self, TextIO

from openmed_ner.errors import InputError, RunError
from openmed_ner.inference.jobs.inputs import Input, Item, Problem, iter_items
from openmed_ner.inference.jobs.receipt import Chunk, JobCounts, JobProgress, TagFunction, make_receipt
from openmed_ner.storage import folder_lock

PLAN = "plan.json"
RECEIPT = "receipt.json"
ERRORS = "errors.jsonl"
LOCK = ".lock"
ItemReader = Callable[..., Iterator[Item]]
"""Gives the items of inputs, called like :func:`openmed_ner.inference.jobs.inputs.iter_items`."""


@dataclass(frozen=True, slots=True)
class OutputPart:
    """What its receipt says of a part.

    Attributes:
        part: the name of its file.
        sha256: of that file.
        bytes: of that file.
        counts: what is in it.
        problems: what should be and is not.
        file: number of the input that goes on after it.
        items: of that input, those that are done.
    """

    part: str
    sha256: str
    bytes: int
    counts: JobCounts
    problems: tuple[Problem, ...]
    file: int
    items: int

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a receipt.

        Raises:
            InputError: it is none, or its part is not there with the size it says.
        """
        record = _read_json(path)
        try:
            counts = JobCounts.from_json(record.pop("counts"))
            problems = tuple(Problem(**problem) for problem in record.pop("problems"))
            part = cls(counts=counts, problems=problems, **record)
        except (KeyError, TypeError) as error:
            raise InputError(f"{path} is not the receipt of a part: {error}; {_WAY_OUT}") from error
        held = path.with_name(part.part)
        if not held.is_file() or held.stat().st_size != part.bytes:
            raise InputError(f"{held}: expected {part.bytes} bytes, as {path.name} says; {_WAY_OUT}")
        return part

    def to_json(self) -> dict[str, Any]:
        """The receipt."""
        return {**asdict(self), "counts": self.counts.to_json()}


_WAY_OUT = "delete this receipt and resume to have it and all later parts made again"


@dataclass(frozen=True, slots=True)
class Job:
    """A run over files into a folder.

    Attributes:
        inputs: the files, in order.
        folder: where parts and receipts go.
        suffix: of the parts' names.
        tag: the tagger.
        write: a writer of :mod:`openmed_ner.formats`.
        size: items of the input to a part.
        identity: what else decides the output, ready for JSON: version, bundle, options.
        read: gives the items; an engine that works elsewhere has tagged their documents by then.
    """

    inputs: Sequence[Input]
    folder: Path
    suffix: str
    tag: TagFunction
    write: Callable[..., None]
    size: int
    identity: Mapping[str, Any] = field(default_factory=dict)
    read: ItemReader = iter_items

    def run(self, *, resume: bool = False, progress: JobProgress | None = None) -> JobCounts:
        """Tag what is not yet tagged, and write the receipt of the whole.

        Args:
            resume: go on with a run that was begun in this folder, if there is one.
            progress: told how it goes on.

        Raises:
            InputError: the folder holds something else, or a run with other files or options, or one that is
                to be resumed and was not asked to be, or another process works in it.
            RunError: the folder cannot be written to; what was done is kept.
        """
        start = monotonic()
        with self._writing(), _alone(self.folder):
            plan = self._plan()
            self._begin(plan, resume=resume)
            parts = self._find_parts()
            self._remove_leftovers(parts)
            total = sum((part.counts for part in parts), JobCounts())
            for part in self._write_parts(
                len(parts), parts[-1] if parts else None, progress or JobProgress()
            ):
                parts.append(part)
                total += part.counts
            if not (self.folder / RECEIPT).exists():
                self._finish(parts, total, seconds=monotonic() - start)
        return total

    # --- beginning

    def _plan(self) -> dict[str, Any]:
        inputs = [[each.name, each.format, each.fingerprint()] for each in self.inputs]
        return {**self.identity, "format": self.suffix, "shard": self.size, "inputs": inputs}

    def _begin(self, plan: dict[str, Any], *, resume: bool) -> None:
        """Write the plan, or compare it with the one that is there."""
        path = self.folder / PLAN
        if not path.exists():
            if others := [each.name for each in self.folder.iterdir() if not each.name.startswith(".")]:
                raise InputError(f"{self.folder} holds {min(others)!r}, and no run; name a new folder")
            with open_durable(path) as file:
                _write_json(plan, file)
            return
        if not resume:
            raise InputError(f"{self.folder} already holds a run; go on with --resume, or name a new folder")
        before = _read_json(path)
        for key in sorted(before.keys() | plan.keys()):
            if (old := before.get(key)) != (new := plan.get(key)):
                raise InputError(
                    f"{self.folder} holds a run with {_describe_difference(key, old, new)}; "
                    "resume it with what it was begun with, or name a new folder"
                )

    def _find_parts(self) -> list[OutputPart]:
        """The parts that are done."""
        parts: list[OutputPart] = []
        while (path := self._receipt(len(parts))).exists():
            parts.append(OutputPart.read(path))
        return parts

    def _remove_leftovers(self, parts: Sequence[OutputPart]) -> None:
        """Remove what a killed run has left, and parts behind a missing one."""
        kept = {
            name for number in range(len(parts)) for name in (self._name(number), self._receipt(number).name)
        }
        for path in self.folder.iterdir():
            partial = path.name.startswith(".") and path.name.endswith(".partial")
            if partial or (path.name.startswith("part-") and path.name not in kept):
                path.unlink()
                (self.folder / RECEIPT).unlink(missing_ok=True)

    # --- parts

    def _name(self, number: int) -> str:
        return f"part-{number:05}.{self.suffix}"

    def _receipt(self, number: int) -> Path:
        return self.folder / f"part-{number:05}.receipt.json"

    def _write_parts(
        self, number: int, before: OutputPart | None, progress: JobProgress
    ) -> Iterator[OutputPart]:
        """Write the parts that are missing, from a number on."""
        file, done = (before.file, before.items) if before else (0, 0)
        items = self.read(self.inputs, file=file, done=done, on_open=progress.open)
        for first in items:
            yield self._write_part(number, chain([first], islice(items, self.size - 1)), progress)
            number += 1

    def _write_part(self, number: int, items: Iterator[Item], progress: JobProgress) -> OutputPart:
        path = self.folder / self._name(number)
        chunk = Chunk(items, self.tag, progress)
        with open_durable(path) as file:
            chunk.write(self.write, file)
        with path.open("rb") as written:
            sha256 = hashlib.file_digest(written, "sha256").hexdigest()
        last = chunk.last
        place = (last.file, last.number) if last else (0, 0)
        part = OutputPart(path.name, sha256, path.stat().st_size, chunk.counts, tuple(chunk.problems), *place)
        with open_durable(self._receipt(number)) as file:
            _write_json(part.to_json(), file)
        return part

    # --- ending

    def _finish(self, parts: Sequence[OutputPart], total: JobCounts, *, seconds: float) -> None:
        with open_durable(self.folder / ERRORS) as file:
            for part in parts:
                file.writelines(
                    json.dumps(asdict(problem), ensure_ascii=False) + "\n" for problem in part.problems
                )
        listed = [{"part": part.part, "sha256": part.sha256, "bytes": part.bytes} for part in parts]
        record = {**make_receipt(self.identity, self.inputs, total, seconds=seconds), "parts": listed}
        with open_durable(self.folder / RECEIPT) as file:
            _write_json(record, file)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Say what a full disk or a vanished folder means for the run."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            yield
        except OSError as error:
            raise RunError(
                f"{error.filename or self.folder}: {error.strerror or error}. "
                "The parts that are finished are kept; mend this, and go on with --resume"
            ) from error


@contextmanager
def open_durable(path: Path) -> Iterator[TextIO]:
    """Open a file that appears under its name once it is complete and on the disk."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync(path.parent)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def _sync(folder: Path) -> None:
    """Put the names of a folder's files on the disk, where the system lets one."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep a second process out."""
    with folder_lock(folder, LOCK) as ours:
        if not ours:
            raise InputError(f"{folder}: another process is at work here; wait until it has ended")
        yield


def _describe_difference(key: str, old: Any, new: Any) -> str:
    if key == "inputs" and isinstance(old, list):
        if len(old) != len(new):
            return f"{len(old)} input files, not {len(new)}"
        name = next(each[0] for each, other in zip(new, old, strict=True) if each != other)
        return f"another {name!r}, or other content in it"
    if isinstance(old, dict) and isinstance(new, dict):
        key, old, new = next((name, old.get(name), new[name]) for name in new if old.get(name) != new[name])
    return f"{key} {old!r}, not {new!r}"


def _write_json(record: object, file: TextIO) -> None:
    file.write(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON: {error}") from error
    if not isinstance(record, dict):
        raise InputError(f"{path} holds a {type(record).__name__} where an object is expected")
    return record
