"""Read the files of a corpus out of its archive, and check that they are the release we know.

Archives are never unpacked: members are read by name, so a hostile archive has no path to write to,
and no more of them is taken than the limits below. The hash is of a file's content (or of all files a
pattern names), not of the archive, so it holds however the release was packed or downloaded.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import tarfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from openmed_ner.errors import CorpusError

ENVIRONMENT = "OPENMED_NER_CORPORA"
SUFFIX = ".tar.xz"
MAX_FILE = 256 << 20
MAX_TOTAL = 1 << 30

TextFiles = Mapping[str, str]
"""The text files of one member: name within its folder to content."""


@dataclass(frozen=True, slots=True)
class ArchiveMember:
    """A file of a release, or all files of one folder with some ending.

    Attributes:
        path: ``archive/folder/file.txt``, or ``archive/folder/*.txt``; the first step names the archive.
        sha256: of the file's bytes; for a pattern, of a line ``<sha256>  <name>`` per file, by name.
    """

    path: str
    sha256: str

    @property
    def archive(self) -> str:
        """File name of the archive that holds it."""
        return self.path.split("/", 1)[0] + SUFFIX

    def holds(self, path: str) -> bool:
        """Whether a file of the archive belongs to this member."""
        folder, star, suffix = self.path.partition("*")
        if not star:
            return path == self.path
        return path.startswith(folder) and path.endswith(suffix) and "/" not in path[len(folder) :]


def corpora_folder() -> Path:
    """The folder of the corpus archives.

    Raises:
        CorpusError: ``OPENMED_NER_CORPORA`` is unset or no folder.
    """
    value = os.environ.get(ENVIRONMENT, "")
    if not value:
        raise CorpusError(f"{ENVIRONMENT} is not set; let it name the folder that holds the corpus archives")
    folder = Path(value)
    if not folder.is_dir():
        raise CorpusError(f"{ENVIRONMENT} names {folder}, which is not a folder")
    return folder


def read_members(folder: Path, members: Sequence[ArchiveMember]) -> list[TextFiles]:
    """Read members as UTF-8 text, each archive once, and check every hash.

    Raises:
        CorpusError: an archive or a member is missing, damaged or too large, or is not the known release.
    """
    contents = extract(folder, members)
    for member in members:
        check(folder / member.archive, member, contents[member.path])
    return [decode(member, contents[member.path]) for member in members]


def extract(folder: Path, members: Iterable[ArchiveMember]) -> dict[str, dict[str, bytes]]:
    """Take the files of members out of their archives, unchecked: member path to name to bytes."""
    found: dict[str, dict[str, bytes]] = {member.path: {} for member in members}
    for archive in dict.fromkeys(member.archive for member in members):
        wanted = [member for member in members if member.archive == archive]
        for path, content in _iter_files(folder / archive, wanted):
            for member in wanted:
                if member.holds(path):
                    found[member.path][path.rpartition("/")[2]] = content
    return found


def _iter_files(archive: Path, wanted: Sequence[ArchiveMember]) -> Iterable[tuple[str, bytes]]:
    if not archive.is_file():
        raise CorpusError(
            f"{archive} is missing; place the corpus archive there, or see: corpora fetch --help"
        )
    total = 0
    try:
        with tarfile.open(archive) as tar:
            for entry in tar:
                if not entry.isfile() or not any(member.holds(entry.name) for member in wanted):
                    continue
                total += entry.size
                if entry.size > MAX_FILE or total > MAX_TOTAL:
                    raise CorpusError(f"{archive}, {entry.name}: larger than any corpus file we know")
                file = tar.extractfile(entry)
                yield entry.name, file.read() if file else b""
    except (tarfile.TarError, lzma.LZMAError, zlib.error, OSError, EOFError, ValueError) as error:
        raise CorpusError(f"{archive} cannot be read: {error}") from error


def check(archive: Path, member: ArchiveMember, files: Mapping[str, bytes]) -> None:
    """Compare the hash of what was read with the known one.

    Raises:
        CorpusError: nothing was found, or something else.
    """
    if not files:
        raise CorpusError(f"{archive} has no member {member.path}")
    found = digest(member, files)
    if found != member.sha256:
        raise CorpusError(
            f"{archive}, {member.path}: SHA-256 is {found}, expected {member.sha256}: not the known release"
        )


def digest(member: ArchiveMember, files: Mapping[str, bytes]) -> str:
    """SHA-256 of a member, as :class:`ArchiveMember` describes it."""
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    if "*" not in member.path:
        return next(iter(hashes.values()))
    lines = "".join(f"{value}  {name}\n" for name, value in hashes.items())
    return hashlib.sha256(lines.encode()).hexdigest()


def decode(member: ArchiveMember, files: Mapping[str, bytes]) -> TextFiles:
    """Read the bytes of a member as UTF-8.

    Raises:
        CorpusError: a file is not UTF-8.
    """
    try:
        return {name: content.decode("utf-8") for name, content in sorted(files.items())}
    except UnicodeDecodeError as error:
        raise CorpusError(f"{member.path}: not UTF-8: {error}") from error
