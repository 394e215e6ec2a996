"""Pack a study: everything that its run needs on a machine without a network, as parts of a limited size.

The folder holds the parts and ``packed.pyz``, a program of a few kilobytes for the other machine
(:mod:`openmed_ner.training.transport.remote`). Files that become smaller by it are compressed.
"""

from __future__ import annotations

import io
import json
import lzma
import sys
import tarfile
import zipapp
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from openmed_ner.bundle.record import source_commit, version
from openmed_ner.errors import InputError
from openmed_ner.model.backbones import WEIGHTS
from openmed_ner.model.rounding import WeightFormat
from openmed_ner.training.study.plan import Study
from openmed_ner.training.transport.contents import copy_contents, iter_source
from openmed_ner.training.transport.packages import download_wheels, missing_packages, needed_packages
from openmed_ner.training.transport.parts import SUFFIX, write_parts
from openmed_ner.training.transport.remote import COMPRESSED, PROGRAM, SETTINGS

ARCHIVE = "packed"
_PACKAGE = Path(__file__).resolve().parents[2]
_PROGRAM_MODULES = ("errors.py", "storage.py", "training/transport/parts.py", "training/transport/remote.py")
_SAMPLE = 1 << 20
_WORTHWHILE = 0.9
"""Ratio of sizes below which a file is compressed."""


@dataclass(frozen=True, slots=True)
class PackSettings:
    """Settings of a packing.

    Attributes:
        part_size: largest size of a part, and of all results that are copied back at once, in bytes.
        file_size: largest size of a file of results, in bytes.
        files: most files of results that are copied back at once.
        weights: format of the weights of encoders, on the way there.
        device: device of the run: ``auto``, ``cpu`` or ``cuda``.
        python: version of Python on the other machine.
        wheels: if true, download the wheels of the packages that the other machine lacks.
    """

    part_size: int = 60_000_000
    file_size: int = 16_000_000
    files: int = 8
    weights: WeightFormat = "bf16"
    device: str = "auto"
    python: str = "3.12"
    wheels: bool = True


@dataclass(frozen=True, slots=True)
class Packing:
    """Result of a packing.

    Attributes:
        parts: files of the parts.
        program: the program for the other machine.
        missing: names and versions of the packages that the other machine lacks.
        errors: relative error of the weights of each backbone.
    """

    parts: list[Path]
    program: Path
    missing: Mapping[str, str]
    errors: Mapping[str, float]


def pack_study(
    study: Study,
    target: Path,
    settings: PackSettings,
    *,
    passages: Path | None = None,
    texts: Path | None = None,
    present: set[str] | None = None,
) -> Packing:
    """Write the parts of a study, and the program that unpacks and runs them.

    Args:
        study: the study.
        target: new or empty folder, or one with parts of an earlier packing, which are replaced.
        settings: settings of the packing.
        passages: prepared set for adaptations, or a folder with one per backbone.
        texts: texts that teachers read.
        present: names of the packages of the other machine; by default, those of a usual one for training.

    Raises:
        InputError: a file is missing, or the folder holds other files.
    """
    target.mkdir(parents=True, exist_ok=True)
    if foreign := [path for path in target.iterdir() if path.suffix not in (SUFFIX, ".pyz")]:
        raise InputError(f"{target} holds {foreign[0].name}: choose a new folder")
    for path in target.iterdir():
        path.unlink()

    needed = needed_packages(study)
    missing = missing_packages(present, needed)
    with TemporaryDirectory(dir=target, prefix=".") as temporary:
        contents, archive = Path(temporary, "contents"), Path(temporary, "archive")
        contents.mkdir()
        errors = copy_contents(study, contents, form=settings.weights, passages=passages, texts=texts)
        if settings.wheels:
            download_wheels(missing, contents / "wheels", python=settings.python)
        record = {
            "title": study.title,
            "version": version(),
            "commit": source_commit(),
            "needed": needed,
            "missing": missing,
            "device": settings.device,
            "file_size": settings.file_size,
            "result_size": settings.part_size,
            "result_files": settings.files,
        }
        with tarfile.open(archive, "w") as tar:
            for path in sorted(path for path in contents.rglob("*") if path.is_file()):
                name = path.relative_to(contents).as_posix()
                # Weights shrink little, and take long.
                if path.name == WEIGHTS:
                    tar.add(path, name)
                else:
                    _add(tar, name, path.read_bytes())
            _add_source(tar)
            _add(tar, SETTINGS, json.dumps(record).encode())
        parts = write_parts(archive, target, archive=ARCHIVE, size=settings.part_size)
    return Packing(parts, _write_program(target), missing, errors)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file, compressed if a sample of it becomes smaller."""
    sample = content[:_SAMPLE]
    if len(content) > 4096 and len(lzma.compress(sample, preset=0)) < _WORTHWHILE * len(sample):
        name, content = name + COMPRESSED, lzma.compress(content, preset=4)
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _add_source(tar: tarfile.TarFile) -> None:
    """Add this package as a checkout, so that records name its commit, with the metadata of its version."""
    for path, name in iter_source():
        _add(tar, f"source/src/{name}", path.read_bytes())
    metadata = f"Metadata-Version: 2.1\nName: openmed-ner\nVersion: {version()}\n"
    _add(tar, f"source/src/openmed_ner-{version()}.dist-info/METADATA", metadata.encode())
    _add(tar, "source/pyproject.toml", b"")
    # Records name the commit that they read from here, without a repository or git on the other machine.
    _add(tar, "source/.git/HEAD", (source_commit() or "").encode())


def _write_program(folder: Path) -> Path:
    """Write the program: the modules that run without our package, and nothing else."""
    with TemporaryDirectory() as temporary:
        root = Path(temporary, "openmed_ner")
        for name in _PROGRAM_MODULES:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((_PACKAGE / name).read_bytes())
            for parent in (path.parent, *path.parent.parents):
                if parent == root.parent:
                    break
                (parent / "__init__.py").touch()
        target = folder / PROGRAM
        zipapp.create_archive(temporary, target, main="openmed_ner.training.transport.remote:main")
    return target


def parse_size(text: str) -> int:
    """Parse a size such as ``60MB``, in bytes.

    Raises:
        InputError: it is not a size.
    """
    units = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "": 1}
    number = text.strip().upper()
    unit = next(unit for unit in units if number.endswith(unit))
    try:
        size = int(float(number.removesuffix(unit)) * units[unit])
    except ValueError:
        size = 0
    if size <= 0 or size > sys.maxsize:
        raise InputError(f"size {text!r}: expected a number with KB, MB or GB, such as 60MB")
    return size
