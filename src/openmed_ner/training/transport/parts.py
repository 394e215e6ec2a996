"""Parts: an archive cut into files of a limited size, each of which says what it belongs to.

A part begins with a line that names the format and a line of JSON with its place, its size and two digests:
of its own content and of the whole archive. So every part can be checked as it arrives, in any order. This
module needs nothing but Python, since it also runs where our package is not yet installed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from openmed_ner.errors import InputError
from openmed_ner.storage import atomic_path

FORMAT = b"openmed-ner part 1\n"
SUFFIX = ".part"
MAX_HEADER = 4096
"""Most bytes of a header."""
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class PartHeader:
    """Place and digests of a part.

    Attributes:
        archive: name of the archive.
        number: number of the part, from 1.
        of: number of parts of the archive.
        size: bytes of its content.
        sha256: digest of its content.
        whole: digest of the archive.
    """

    archive: str
    number: int
    of: int
    size: int
    sha256: str
    whole: str

    @property
    def file_name(self) -> str:
        """Name of the part's file."""
        return f"{self.archive}-{self.number}-of-{self.of}{SUFFIX}"


def write_parts(source: Path, folder: Path, *, archive: str, size: int) -> list[Path]:
    """Cut an archive into parts.

    Args:
        source: file of the archive.
        folder: folder of the parts.
        archive: name of the archive.
        size: largest size of a part's file, in bytes.
    """
    room = size - MAX_HEADER
    if room <= 0:
        raise InputError(f"parts of {size} bytes have no room for content; choose at least 1MB")
    total = source.stat().st_size
    of = max(1, -(-total // room))
    with source.open("rb") as file:
        whole = hashlib.file_digest(file, "sha256").hexdigest()

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with source.open("rb") as file:
        for number in range(1, of + 1):
            content = file.read(room)
            digest = hashlib.sha256(content).hexdigest()
            header = PartHeader(archive, number, of, len(content), digest, whole)
            path = folder / header.file_name
            with atomic_path(path) as partial:
                partial.write_bytes(FORMAT + json.dumps(asdict(header)).encode() + b"\n" + content)
            paths.append(path)
    return paths


def read_header(path: Path) -> PartHeader:
    """Read the header of a part.

    Raises:
        InputError: the file is missing, or is not a part.
    """
    try:
        with path.open("rb") as file:
            first, line = file.readline(len(FORMAT)), file.readline(MAX_HEADER)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    try:
        if first != FORMAT:
            raise ValueError("another first line")
        return PartHeader(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path} is not a part: expected a file that begins with {FORMAT.decode().strip()!r}, whole and "
            "unchanged; copy it again, in binary"
        ) from error


def check_part(path: Path) -> PartHeader:
    """Check the content of a part against its header.

    Raises:
        InputError: it is not a part, was cut off, or is damaged.
    """
    header = read_header(path)
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        _skip_header(file)
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    if size != header.size:
        raise InputError(f"{path} has {size} bytes of content, expected {header.size}: copy it again")
    if digest.hexdigest() != header.sha256:
        raise InputError(f"{path} is damaged: its content has another SHA-256 than its header; copy it again")
    return header


def join_parts(paths: Iterable[Path], target: Path) -> None:
    """Join all parts of one archive, in any order, and check the whole.

    Raises:
        InputError: a part is damaged or missing, or they belong to several archives.
    """
    parts = {check_part(path): path for path in paths}
    if len({(header.archive, header.whole) for header in parts}) != 1:
        raise InputError(f"expected the parts of one archive, found {sorted({h.archive for h in parts})}")
    if missing := missing_parts(list(parts)):
        raise InputError(f"{next(iter(parts)).archive}: parts are missing: {', '.join(missing)}")

    digest = hashlib.sha256()
    with atomic_path(target) as partial, partial.open("wb") as output:
        for header in sorted(parts, key=lambda header: header.number):
            with parts[header].open("rb") as file:
                _skip_header(file)
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
                    output.write(chunk)
    whole = next(iter(parts)).whole
    if digest.hexdigest() != whole:
        target.unlink()
        raise InputError(f"the parts of {target.name} do not add up to what was packed: pack it again")


def missing_parts(headers: Sequence[PartHeader]) -> list[str]:
    """Names of the files that are missing of an archive of which some parts are there."""
    present = {header.number for header in headers}
    first = headers[0]
    return [
        PartHeader(first.archive, number, first.of, 0, "", "").file_name
        for number in range(1, first.of + 1)
        if number not in present
    ]


def group_parts(paths: Iterable[Path]) -> dict[tuple[str, str], list[Path]]:
    """Group files by the archive they are a part of: its name and digest."""
    groups: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for path in paths:
        header = read_header(path)
        groups[header.archive, header.whole].append(path)
    return groups


def receive_part(path: Path, folder: Path) -> list[str]:
    """Check a part and keep a copy of it.

    Args:
        path: the part that arrived.
        folder: folder of the parts received so far.

    Returns:
        Names of the files that are still missing.

    Raises:
        InputError: the part is damaged, or belongs to another archive than those received so far.
    """
    header = check_part(path)
    folder.mkdir(parents=True, exist_ok=True)
    received = [read_header(other) for other in sorted(folder.glob(f"*{SUFFIX}"))]
    if foreign := [other for other in received if other.whole != header.whole]:
        raise InputError(
            f"{path} belongs to another packing than {foreign[0].file_name}, which was received before; "
            f"copy the right one, or remove {folder.parent} to begin anew"
        )
    with atomic_path(folder / header.file_name) as partial:
        shutil.copyfile(path, partial)
    return missing_parts([*received, header])


def _skip_header(file: BinaryIO) -> None:
    file.readline()
    file.readline()
