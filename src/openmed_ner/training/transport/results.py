"""Results of a packed study: written as parts on the other machine, joined and checked at home.

There are three kinds of archives, in order of importance: the records (progress, logs, scores, reports); the
weights of models in training, in 16 bits or, if these are too many, in 8; the bundles of finished models, the
latest first. A bundle is written once. Encoders that were adapted go last, since the models that were trained
from them hold their weights.

    python -m openmed_ner.training.transport.results FOLDER      on the other machine
"""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from openmed_ner.bundle.files import MANIFEST
from openmed_ner.errors import InputError
from openmed_ner.model.devices import CPU
from openmed_ner.model.rounding import WeightFormat, restore_tensors, round_tensors
from openmed_ner.storage import write_json
from openmed_ner.training.engine.history import CHECKPOINT, HEAD, read_tensors, write_tensors
from openmed_ner.training.transport.parts import (
    SUFFIX,
    group_parts,
    join_parts,
    missing_parts,
    read_header,
    write_parts,
)
from openmed_ner.training.transport.remote import read_settings

RECORDS, WEIGHTS = "records", "weights"
ENCODERS = "encoders"
ORDER = "order.json"
_RECORD_SUFFIXES = (".json", ".md", ".toml")
_LOG = "log.jsonl"


@dataclass(frozen=True, slots=True)
class Joined:
    """Archives that arrived at home.

    Attributes:
        archives: names of the archives that were unpacked.
        incomplete: names of the missing files of archives of which only some parts arrived.
    """

    archives: list[str]
    incomplete: list[str]


def write_results(folder: Path) -> None:
    """Write the results of a study so far as parts, and their order.

    Args:
        folder: folder of the unpacked study.
    """
    results, outgoing = folder / "results", folder / "outgoing"
    settings = read_settings(folder)
    size = settings["file_size"]
    outgoing.mkdir(exist_ok=True)

    records = [path for path in _files(results) if path.suffix in _RECORD_SUFFIXES or path.name == _LOG]
    _write_archive(outgoing, RECORDS, size, results, records)
    _write_weights(outgoing, size, results, room=settings["result_size"])
    bundles = sorted(
        (path.parent for path in _files(results) if path.name == MANIFEST),
        key=lambda path: (ENCODERS in path.relative_to(results).parts, -(path / MANIFEST).stat().st_mtime),
    )
    names = []
    for bundle in bundles:
        name = "-".join(bundle.relative_to(results).parts).replace("+", "-")
        names.append(name)
        # A bundle is complete once its model is scored, and does not change afterwards.
        is_scored = (bundle.parent / "scores.json").exists() or ENCODERS in bundle.relative_to(results).parts
        if is_scored and not list(outgoing.glob(f"{name}-*{SUFFIX}")):
            _write_archive(outgoing, name, size, results, _files(bundle))

    archives = [
        sorted(outgoing.glob(f"{name}-*-of-*{SUFFIX}"), key=lambda path: read_header(path).number)
        for name in (RECORDS, WEIGHTS, *names)
    ]
    # Large archives go last, since a part of one is of no use.
    archives.sort(
        key=lambda paths: sum(path.stat().st_size for path in paths) > 0.9 * settings["result_size"]
    )
    write_json(outgoing / ORDER, {"files": [path.name for paths in archives for path in paths]})


def _write_weights(outgoing: Path, size: int, results: Path, *, room: int) -> None:
    """Write the weights of models in training: their average if there is one, without moments.

    Args:
        outgoing: folder of the parts.
        size: largest size of a part, in bytes.
        results: folder of the study.
        room: bytes that are copied at once; weights of 16 bits that need more of them are written in 8.
    """
    # The head of a language model has no bundle of its own, and none is made of it at home.
    checkpoints = [
        path
        for path in _files(results)
        if path.name == CHECKPOINT
        and path.parent.name != HEAD
        and not any(path.parent.glob(f"bundle/{MANIFEST}"))
    ]
    if not checkpoints:
        _remove_archive(outgoing, WEIGHTS)
        return
    with TemporaryDirectory(dir=outgoing) as temporary:
        for path in checkpoints:
            tensors, metadata = read_tensors(path, CPU)
            names = [name for name in tensors if name.startswith("weight/")]
            weights = {}
            for name in names:
                average = f"average/{name.removeprefix('weight/')}"
                weights[name] = tensors.get(average, tensors[name])
            n_weights = sum(value.numel() for value in weights.values())
            form: WeightFormat = "bf16" if 2 * n_weights < room else "int8"
            rounded, _ = round_tensors(weights, form)
            target = Path(temporary, path.relative_to(results))
            write_tensors(target, rounded, metadata)
        _write_archive(outgoing, WEIGHTS, size, Path(temporary), _files(Path(temporary)))


def _write_archive(outgoing: Path, name: str, size: int, root: Path, paths: Iterable[Path]) -> None:
    """Write files as the parts of an archive, in the place of its earlier ones."""
    with TemporaryDirectory(dir=outgoing) as temporary:
        archive = Path(temporary, "archive")
        with tarfile.open(archive, "w:xz", preset=0) as tar:
            for path in paths:
                content = path.read_bytes()
                entry = tarfile.TarInfo(path.relative_to(root).as_posix())
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        # The earlier parts stay until the new ones are complete.
        parts = write_parts(archive, Path(temporary, "parts"), archive=name, size=size)
        _remove_archive(outgoing, name)
        for part in parts:
            part.rename(outgoing / part.name)


def _remove_archive(outgoing: Path, name: str) -> None:
    for path in outgoing.glob(f"{name}-*-of-*{SUFFIX}"):
        path.unlink()


def join_results(paths: Iterable[Path], target: Path) -> Joined:
    """Join the files of results that were carried home, check them, and unpack the complete archives.

    Args:
        paths: files, and folders of files.
        target: folder of the study.

    Raises:
        InputError: there are no parts, one is damaged, or an archive cannot be read.
    """
    files = [
        file for path in paths for file in (sorted(path.rglob(f"*{SUFFIX}")) if path.is_dir() else [path])
    ]
    if not files:
        raise InputError(f"no files of results: expected files that end in {SUFFIX}")

    archives, incomplete = [], []
    target.mkdir(parents=True, exist_ok=True)
    for (name, _), group in group_parts(files).items():
        if missing := missing_parts([read_header(path) for path in group]):
            incomplete += missing
            continue

        # Beside the target, so that an archive of gigabytes does not fill a small /tmp.
        with TemporaryDirectory(dir=target) as temporary:
            archive = Path(temporary, "archive")
            join_parts(group, archive)
            try:
                with tarfile.open(archive) as tar:
                    members = tar.getnames()
                    tar.extractall(target, filter="data")
            except (tarfile.TarError, EOFError) as error:
                raise InputError(f"{name} cannot be unpacked: {error}") from error

        for member in members:
            if Path(member).name == CHECKPOINT:
                tensors, metadata = read_tensors(target / member, CPU)
                write_tensors(target / member, restore_tensors(tensors), metadata)
        archives.append(name)
    return Joined(archives, incomplete)


def _files(folder: Path) -> list[Path]:
    """List the complete files in a folder, in order: what a running study is writing is hidden."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


if __name__ == "__main__":
    write_results(Path(sys.argv[1]))
