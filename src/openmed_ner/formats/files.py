"""Open files byte for byte, through gzip where they are compressed, and name the place of damage.

A compressed file is untrusted. It is read as a stream, and refused once it has unpacked to ``MAX_PENDING``
characters without a complete document, so a larger document has to be unpacked first.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.formats.recognition import HEAD, guess_encoding
from openmed_ner.formats.tolerance import CONVERT

MAX_PENDING = 256 << 20
"""Characters that a compressed file may unpack to without a complete document."""
_RAW_HEAD = 1 << 16
_GZIP = b"\x1f\x8b"


@contextmanager
def open_bytes(path: Path, *, sniff: bool = False) -> Iterator[BinaryIO]:
    """Open a binary file, through gzip if its name ends in ``.gz``.

    Args:
        path: the file.
        sniff: if true, judge by the first two bytes instead of the name.

    Raises:
        InputError: the file cannot be opened.
        CorpusFormatError: while reading, its compression turns out to be damaged.
    """
    try:
        is_packed = _starts_as_gzip(path) if sniff else has_gz(path.name)
        file = cast(BinaryIO, gzip.open(path) if is_packed else path.open("rb"))  # noqa: SIM115
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    with file:
        try:
            if is_packed and path.is_file() and not path.stat().st_size:
                raise EOFError("the file is empty, and even nothing takes some bytes of gzip")
            yield file
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise CorpusFormatError(f"{path}: damaged: {error}. Get the file again") from error


@contextmanager
def open_text(path: Path, *, errors: str = "strict") -> Iterator[TextIO]:
    """Open a UTF-8 file byte for byte, line ends included.

    Args:
        path: the file.
        errors: treatment of bytes that are not UTF-8, as for :func:`open`.

    Raises:
        InputError: the file cannot be opened.
        CorpusFormatError: while reading, it turns out not to be UTF-8, or its compression is damaged.
    """
    is_packed = has_gz(path.name)
    with open_bytes(path) as binary:
        file: TextIO = (
            _PackedText(binary, path, errors)
            if is_packed
            else io.TextIOWrapper(binary, encoding="utf-8", newline="\n", errors=errors)
        )
        with file:
            try:
                yield file
            except UnicodeDecodeError as error:
                place = describe_byte(error) if is_packed else _locate(path)
                way_out = advise_encoding(read_head(path, HEAD))
                raise CorpusFormatError(f"{path}: not UTF-8: {place}. {way_out}") from error


def iter_lines(path: Path, *, limit: int, sniff: bool = False) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the bytes of each line; memory is bounded by the limit.

    Args:
        path: the file, compressed or not.
        limit: greatest length of a line, in bytes.
        sniff: if true, judge the compression by the first two bytes instead of the name.

    Raises:
        InputError, CorpusFormatError: as for :func:`open_bytes`; or a line exceeds the limit.
    """
    number = 0
    with open_bytes(path, sniff=sniff) as file:
        while line := file.readline(limit + 1):
            number += 1
            if len(line) > limit:
                raise CorpusFormatError(f"{path}, line {number}: longer than {limit} bytes")
            yield number, line


def read_head(path: Path, size: int) -> bytes:
    """Return the first bytes of a file, unpacked if its name ends in ``.gz``; damage is left to its reader.

    A pipe has none: what is read from it is gone.

    Raises:
        InputError: the file cannot be opened.
    """
    if path.exists() and not path.is_file():
        return b""
    try:
        with path.open("rb") as file:
            head = file.read(_RAW_HEAD if has_gz(path.name) else size)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if not has_gz(path.name):
        return head
    try:
        return zlib.decompressobj(wbits=31).decompress(head, size)
    except zlib.error:
        return b""


def list_files(folder: Path, pattern: str = "*") -> list[Path]:
    """List the files of a folder and its subfolders by name, but hidden ones and those of hidden folders."""
    files = (path for path in folder.rglob(pattern) if not is_hidden(path, folder) and path.is_file())
    return sorted(files)


def is_hidden(path: Path, folder: Path) -> bool:
    """Return whether a path within a folder is hidden, or lies in a hidden folder such as ``.git``."""
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def check_kind(path: Path, *, folders: bool = True) -> None:
    """Refuse what has taken the place of a file, such as a pipe, which might never end.

    Args:
        path: the file. A path that does not exist is left to its reader.
        folders: if true, a folder is left to its reader, too.

    Raises:
        InputError: it is no file; its cause is an ``OSError``, for the file may come back.
    """
    if not path.exists() or path.is_file() or (folders and path.is_dir()):
        return
    kind = "a folder" if path.is_dir() else "a pipe or a device"
    message = f"{path}: was a file, and is {kind} now. Put the file back"
    raise InputError(message) from OSError(message)


def note_document(file: TextIO) -> None:
    """Tell an open file that a document is complete, so that it may unpack the next."""
    if isinstance(file, _PackedText):
        file.pending = 0


def tell_bytes(file: TextIO) -> int:
    """Number of bytes read so far from a file on disk, counted before unpacking."""
    buffer: Any = file.buffer
    return int((buffer.fileobj if isinstance(file, _PackedText) else buffer.raw).tell())


def advise_encoding(head: bytes) -> str:
    """Return the way out for a text that is not UTF-8, by its first bytes.

    Files that are no text are refused before they are read. A text that is UTF-8 in other places must not be
    converted as a whole: its letters would become two.
    """
    if encoding := guess_encoding(head):
        return f"Convert it, for example: iconv -f {encoding} -t utf-8 FILE"
    if not head.decode("utf-8", errors="ignore").isascii():
        return "Other letters are UTF-8, so it mixes two encodings: save it in UTF-8 where it comes from"
    return f"Convert it, {CONVERT}"


def has_gz(name: str) -> bool:
    """Return whether a file name ends in ``.gz``."""
    return name.lower().endswith(".gz")


def strip_gz(name: str) -> str:
    """Return a file name without ``.gz``."""
    return name[:-3] if has_gz(name) else name


def describe_byte(error: UnicodeDecodeError) -> str:
    """Name the byte that is not UTF-8."""
    return f"byte 0x{error.object[error.start]:02x}"


def locate_byte(error: UnicodeDecodeError, number: int) -> str:
    """Name the byte that is not UTF-8, with its place in line ``number``, which the error is about."""
    return f"{describe_byte(error)} in line {number}, at byte {error.start + 1} of the line"


class _PackedText(io.TextIOWrapper):
    """A compressed text that counts what it unpacks; iterating it calls :meth:`readline`."""

    def __init__(self, binary: BinaryIO, path: Path, errors: str) -> None:
        self.pending = 0
        self._path = path
        super().__init__(binary, encoding="utf-8", errors=errors, newline="\n")

    def readline(self, size: int = -1) -> str:  # type: ignore[override]
        return self._count(super().readline(self._limit(size)))

    def read(self, size: int | None = -1) -> str:
        return self._count(super().read(self._limit(size)))

    def _limit(self, size: int | None) -> int:
        # One more than allowed, so that _count can tell a full file from one that goes on.
        rest = MAX_PENDING + 1 - self.pending
        return rest if size is None or size < 0 else min(size, rest)

    def _count(self, content: str) -> str:
        self.pending += len(content)
        if self.pending > MAX_PENDING:
            raise CorpusFormatError(
                f"{self._path}: unpacks to more than {MAX_PENDING >> 20} MB without a complete document; "
                "unpack it yourself"
            )
        return content


def _starts_as_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_GZIP)) == _GZIP


def _locate(path: Path) -> str:
    """Find the first byte that is not UTF-8; the decoder itself only knows its place in a buffer."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return locate_byte(error, number)
    return "an invalid byte"


def make_folder(folder: Path) -> None:
    """Create the folder of a format of several files, unless it is there.

    Raises:
        InputError: it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot create the folder: {error.strerror}") from error
