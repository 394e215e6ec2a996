"""Tag files of any size into a folder of parts, in a run that can be stopped, killed and resumed.

A part holds the results for a chunk of the input, in order. Its receipt, written after it, records its
content, its problems, and the place where the input continues. A part without a receipt does not count. Both
are on the disk before they appear under their names, so a killed run loses only the part it was working on,
and a resumed run repeats nothing. The plan records the files and options of the run; a run with others is
refused. Resuming tags the unfinished part again, and reads its files again up to that place. Finished parts
are believed only as far as their digests go. A part with an error that may have passed, such as a file that
was away, is made again with all that follow it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import chain, islice
from pathlib import Path
from time import monotonic
from typing import Any, Self

from openmed_ner.errors import InputError, RunError
from openmed_ner.inference.jobs.inputs import Input, Item, Problem, iter_items
from openmed_ner.inference.jobs.receipt import (
    ERRORS,
    Chunk,
    JobCounts,
    JobProgress,
    TagFunction,
    make_receipt,
    require_count,
)
from openmed_ner.storage import PARTIAL, atomic_file, folder_lock, read_json, sha256_file

PLAN = "plan.json"
RECEIPT = "receipt.json"
LOCK = ".lock"
ItemReader = Callable[..., Iterator[Item]]
"""Yields the items of inputs, called like :func:`openmed_ner.inference.jobs.inputs.iter_items`."""


@dataclass(frozen=True, slots=True)
class OutputPart:
    """The record of a part, as its receipt holds it.

    Attributes:
        part: name of the file.
        sha256: digest of the file.
        bytes: size of the file.
        counts: counts of its documents.
        problems: items that should be in it and are not.
        file: number of the input that continues after it, from 0.
        items: number of items of that input that are done.
    """

    part: str
    sha256: str
    bytes: int
    counts: JobCounts
    problems: tuple[Problem, ...]
    file: int
    items: int

    @classmethod
    def read(cls, path: Path, name: str, *, begin: tuple[int, int], n_inputs: int) -> Self:
        """Read a receipt.

        Args:
            path: the receipt.
            name: name of its part.
            begin: input and number of its items that are done before the part.
            n_inputs: number of inputs of the run.

        Raises:
            InputError: the file is not a receipt, or its part is missing or another one.
        """
        try:
            part = cls._from_json(read_json(path))
            if part.part != name:
                raise ValueError(f"part is {part.part!r}, expected {name!r}")
            if not begin <= (part.file, part.items) or part.file >= max(n_inputs, 1):
                raise ValueError(f"it ends with item {part.items} of input {part.file}")
        except (InputError, KeyError, TypeError, ValueError, AttributeError) as error:
            reason = error if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            raise InputError(f"{path} is not the receipt of a part: {reason}; {_WAY_OUT}") from error

        content = path.with_name(name)
        size = content.stat().st_size if content.is_file() else None
        if size != part.bytes:
            raise InputError(f"{content}: expected {part.bytes} bytes, as {path.name} says; {_WAY_OUT}")
        if sha256_file(content) != part.sha256:
            raise InputError(f"{content} was changed or damaged: {path.name} has another SHA-256; {_WAY_OUT}")
        return part

    @classmethod
    def _from_json(cls, record: dict[str, Any]) -> Self:
        counts = JobCounts.from_json(record.pop("counts"))
        problems = tuple(Problem(**problem) for problem in record.pop("problems"))
        part = cls(counts=counts, problems=problems, **record)
        for name in ("part", "sha256"):
            if not isinstance(getattr(part, name), str):
                raise TypeError(f"{name} is not a text")
        for name in ("bytes", "file", "items"):
            require_count(getattr(part, name), name)
        return part

    def to_json(self) -> dict[str, Any]:
        """The receipt, ready for JSON."""
        problems = [problem.to_json() for problem in self.problems]
        return {**asdict(self), "counts": self.counts.to_json(), "problems": problems}


_WAY_OUT = "delete this receipt and resume, to make this part and all later ones again"


@dataclass(frozen=True, slots=True)
class Job:
    """A run over files into a folder.

    Attributes:
        inputs: the files, in order.
        folder: folder for parts and receipts.
        suffix: suffix of the parts' names.
        tag: the tagger.
        write: a writer of :mod:`openmed_ner.formats`.
        size: number of items of the input in a part.
        identity: everything else that decides the output, ready for JSON: version, bundle, options.
        read: yields the items; an engine on other machines returns their documents already tagged.
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
        """Tag all items that are not yet tagged, and write the receipt of the run.

        Args:
            resume: continue an existing run in this folder, if there is one.
            progress: callbacks for progress.

        Raises:
            InputError: the folder holds other files, or a run with other files or options, or a run while
                ``resume`` is false, or another process is working in it.
            RunError: the folder cannot be written to; finished parts are kept.
        """
        start = monotonic()
        with self._writing(), _exclusive(self.folder):
            plan = self._plan()
            self._begin(plan, resume=resume)
            parts = self._read_parts()
            self._remove_leftovers(parts)

            total = sum((part.counts for part in parts), JobCounts())
            previous = parts[-1] if parts else None
            for part in self._write_parts(len(parts), previous, progress or JobProgress()):
                parts.append(part)
                total += part.counts

            if not all((self.folder / name).exists() for name in (RECEIPT, ERRORS)):
                self._finish(parts, total, seconds=monotonic() - start)
        return total

    # --- beginning

    def _plan(self) -> dict[str, Any]:
        inputs = [[file.name, file.format, file.fingerprint()] for file in self.inputs]
        return {**self.identity, "format": self.suffix, "shard": self.size, "inputs": inputs}

    def _begin(self, plan: dict[str, Any], *, resume: bool) -> None:
        """Write the plan, or compare it with the existing one."""
        path = self.folder / PLAN
        if not path.exists():
            # The lock and partial files of a killed run are hidden.
            names = [file.name for file in self.folder.iterdir() if not file.name.startswith(".")]
            if names:
                raise InputError(f"{self.folder} holds {min(names)!r}, and no run; name a new folder")
            _write_json(path, plan)
            return

        if not resume:
            raise InputError(f"{self.folder} already holds a run; add --resume, or name a new folder")
        existing = read_json(path)
        for key in sorted(existing.keys() | plan.keys()):
            if (old := existing.get(key)) != (new := plan.get(key)):
                raise InputError(
                    f"{self.folder} holds a run with {_describe_difference(key, old, new)}; "
                    "resume it with the files and options it began with, or name a new folder"
                )

    def _read_parts(self) -> list[OutputPart]:
        """Read the receipts of the finished parts, up to one with an error that may have passed."""
        parts: list[OutputPart] = []
        begin = (0, 0)
        while (path := self._receipt(len(parts))).exists():
            name = self._name(len(parts))
            part = OutputPart.read(path, name, begin=begin, n_inputs=len(self.inputs))
            if any(problem.temporary for problem in part.problems):
                break
            parts.append(part)
            begin = part.file, part.items
        return parts

    def _remove_leftovers(self, parts: Sequence[OutputPart]) -> None:
        """Remove partial files of killed runs, and parts behind a missing one."""
        finished = {
            name for number in range(len(parts)) for name in (self._name(number), self._receipt(number).name)
        }
        part_name = re.compile(rf"part-\d{{5,}}\.(?:{re.escape(self.suffix)}|receipt\.json)")
        for path in self.folder.iterdir():
            partial = path.name.startswith(".") and path.name.endswith(PARTIAL)
            if partial or (part_name.fullmatch(path.name) and path.name not in finished):
                path.unlink()
                # The receipt of the run would list a part that no longer exists.
                (self.folder / RECEIPT).unlink(missing_ok=True)

    # --- parts

    def _name(self, number: int) -> str:
        return f"part-{number:05}.{self.suffix}"

    def _receipt(self, number: int) -> Path:
        return self.folder / f"part-{number:05}.receipt.json"

    def _write_parts(
        self, number: int, previous: OutputPart | None, progress: JobProgress
    ) -> Iterator[OutputPart]:
        """Write the missing parts, beginning with a number."""
        file, done = (previous.file, previous.items) if previous else (0, 0)
        items = self.read(self.inputs, file=file, done=done, on_open=progress.open)
        for first in items:
            yield self._write_part(number, chain([first], islice(items, self.size - 1)), progress)
            number += 1

    def _write_part(self, number: int, items: Iterator[Item], progress: JobProgress) -> OutputPart:
        path = self.folder / self._name(number)
        chunk = Chunk(items, self.tag, progress)
        with atomic_file(path, durable=True) as file:
            chunk.write(self.write, file)

        last = chunk.last
        part = OutputPart(
            part=path.name,
            sha256=sha256_file(path),
            bytes=path.stat().st_size,
            counts=chunk.counts,
            problems=tuple(chunk.problems),
            file=last.file if last else 0,
            items=last.number if last else 0,
        )
        # The receipt comes last: a part without one does not count.
        _write_json(self._receipt(number), part.to_json())
        return part

    # --- ending

    def _finish(self, parts: Sequence[OutputPart], total: JobCounts, *, seconds: float) -> None:
        with atomic_file(self.folder / ERRORS, durable=True) as file:
            for part in parts:
                file.writelines(
                    json.dumps(problem.to_json(), ensure_ascii=False) + "\n" for problem in part.problems
                )
        rows = [{"part": part.part, "sha256": part.sha256, "bytes": part.bytes} for part in parts]
        receipt = make_receipt(self.identity, self.inputs, total, seconds=seconds)
        _write_json(self.folder / RECEIPT, {**receipt, "parts": rows})

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn a full disk or a vanished folder into a ``RunError`` with the way out."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            yield
        except OSError as error:
            raise RunError(
                f"{error.filename or self.folder}: {error.strerror or error}. "
                "The finished parts are kept; fix this, then continue with --resume"
            ) from error


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Lock a folder for this process.

    Raises:
        InputError: another process has locked it.
    """
    with folder_lock(folder, LOCK) as locked:
        if not locked:
            raise InputError(f"{folder}: another process is working here; wait until it has ended")
        yield


def _describe_difference(key: str, old: Any, new: Any) -> str:
    if key == "inputs" and isinstance(old, list):
        if len(old) != len(new):
            return f"{len(old)} input files, not {len(new)}"
        name = next(new_file[0] for new_file, old_file in zip(new, old, strict=True) if new_file != old_file)
        return f"another {name!r}, or other content in it"
    if isinstance(old, dict) and isinstance(new, dict):
        # Either may lack an option that the other one has.
        key = next(name for name in {**old, **new} if old.get(name) != new.get(name))
        old, new = old.get(key), new.get(key)
    return f"{key} {old!r}, not {new!r}"


def _write_json(path: Path, record: object) -> None:
    """Write a JSON file that is on the disk when this returns."""
    with atomic_file(path, durable=True) as file:
        file.write(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
