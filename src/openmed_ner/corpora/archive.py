"""Read the files of a corpus from its archive, and verify that they are the known release.

Archives are never unpacked: members are read by name, so a hostile archive has no path to write to, and the
limits below bound the bytes that are read. Hashes are of a file's content (or of all files that a pattern
names), not of the archive, so they hold however the release was packed or downloaded.
"""

from __future__ import annotations

import os
import tarfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from openmed_ner.errors import CorpusError
from openmed_ner.storage import sha256

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
        sha256: digest of the file; for a pattern, digest of a line ``<sha256>  <name>`` per file, by name.
    """

    path: str
    sha256: str

    @property
    def archive(self) -> str:
        """File name of the archive."""
        return self.path.split("/", 1)[0] + SUFFIX

    def matches(self, path: str) -> bool:
        """Return whether a file of the archive belongs to this member."""
        folder, star, suffix = self.path.partition("*")
        if not star:
            return path == self.path
        return path.startswith(folder) and path.endswith(suffix) and "/" not in path[len(folder) :]


def corpora_folder() -> Path:
    """Return the folder of the corpus archives.

    Raises:
        CorpusError: ``OPENMED_NER_CORPORA`` is not set, or is not a folder.
    """
    value = os.environ.get(ENVIRONMENT, "")
    if not value:
        raise CorpusError(f"{ENVIRONMENT} is not set; set it to the folder of the corpus archives")
    folder = Path(value)
    if not folder.is_dir():
        raise CorpusError(f"{ENVIRONMENT} names {folder}, which is not a folder")
    return folder


def read_members(folder: Path, members: Sequence[ArchiveMember]) -> list[TextFiles]:
    """Read members as UTF-8 text, each archive once, and verify every hash.

    Raises:
        CorpusError: an archive or a member is missing, damaged or too large, or is not the known release.
    """
    contents = extract(folder, members)
    for member in members:
        verify(folder / member.archive, member, contents[member.path])
    return [decode(member, contents[member.path]) for member in members]


def extract(folder: Path, members: Iterable[ArchiveMember]) -> dict[str, dict[str, bytes]]:
    """Read the files of members from their archives, without verifying them.

    Returns:
        Member path to file name to content.
    """
    contents: dict[str, dict[str, bytes]] = {member.path: {} for member in members}
    for archive in dict.fromkeys(member.archive for member in members):
        selected = [member for member in members if member.archive == archive]
        for path, content in _iter_files(folder / archive, selected):
            for member in selected:
                if member.matches(path):
                    contents[member.path][path.rpartition("/")[2]] = content
    return contents


def _iter_files(archive: Path, members: Sequence[ArchiveMember]) -> Iterable[tuple[str, bytes]]:
    if not archive.is_file():
        raise CorpusError(
            f"{archive} is missing; place the corpus archive there, or see: corpora fetch --help"
        )

    import lzma  # here, since Python in a browser is built without it

    total = 0
    try:
        with tarfile.open(archive) as tar:
            for entry in tar:
                if not entry.isfile() or not any(member.matches(entry.name) for member in members):
                    continue
                # The header gives the size before anything is decompressed: a bomb is refused unread.
                total += entry.size
                if entry.size > MAX_FILE or total > MAX_TOTAL:
                    raise CorpusError(f"{archive}, {entry.name}: larger than any known corpus file")
                file = tar.extractfile(entry)
                yield entry.name, file.read() if file else b""
    except (tarfile.TarError, lzma.LZMAError, zlib.error, OSError, EOFError, ValueError) as error:
        raise CorpusError(f"{archive} cannot be read: {error}") from error


def verify(archive: Path, member: ArchiveMember, files: Mapping[str, bytes]) -> None:
    """Compare the hash of the files of a member with the known one.

    Raises:
        CorpusError: there are no files, or their hash differs.
    """
    if not files:
        raise CorpusError(f"{archive} has no member {member.path}")
    actual = digest(member, files)
    if actual != member.sha256:
        raise CorpusError(
            f"{archive}, {member.path}: SHA-256 is {actual}, expected {member.sha256}: not the known release"
        )


def digest(member: ArchiveMember, files: Mapping[str, bytes]) -> str:
    """SHA-256 of a member, as :class:`ArchiveMember` defines it."""
    hashes = {name: sha256(content) for name, content in sorted(files.items())}
    if "*" not in member.path:
        return next(iter(hashes.values()))
    lines = "".join(f"{value}  {name}\n" for name, value in hashes.items())
    return sha256(lines.encode())


def decode(member: ArchiveMember, files: Mapping[str, bytes]) -> TextFiles:
    """Decode the files of a member as UTF-8.

    Raises:
        CorpusError: a file is not UTF-8.
    """
    try:
        return {name: content.decode("utf-8") for name, content in sorted(files.items())}
    except UnicodeDecodeError as error:
        raise CorpusError(f"{member.path}: not UTF-8: {error}") from error
