"""Open text files as they are, through gzip where the name ends in ``.gz``, and say where one is not UTF-8.

A compressed file is never trusted: it is read as a stream, and refused once it has unpacked to
``MAX_PENDING`` characters without a complete document. The price: a compressed file of one larger document
has to be unpacked first.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from openmed_ner.errors import CorpusFormatError, InputError

MAX_PENDING = 256 << 20
"""Characters that a compressed file may unpack to without a complete document."""


@contextmanager
def open_text(path: Path, *, errors: str = "strict") -> Iterator[TextIO]:
    """Open a UTF-8 file as it is, line ends included.

    Args:
        path: the file.
        errors: what becomes of bytes that are no UTF-8, as ``open`` has it.

    Raises:
        InputError: the file cannot be opened.
        CorpusFormatError: while reading, it turns out not to be UTF-8, or its compression is damaged.
    """
    packed = path.suffix.lower() == ".gz"
    try:
        file: TextIO = (
            _Packed(path, errors) if packed else path.open(encoding="utf-8", newline="\n", errors=errors)
        )
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    with file:
        try:
            yield file
        except UnicodeDecodeError as error:
            found = f"byte 0x{error.object[error.start]:02x}" if packed else _locate(path)
            raise CorpusFormatError(
                f"{path}: not UTF-8: {found}. Convert it, for example: iconv -f latin1 -t utf-8"
            ) from error
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise CorpusFormatError(f"{path}: damaged: {error}. Get the file again") from error


def note_document(file: TextIO) -> None:
    """Tell an open file that a document is complete, so that it may unpack the next."""
    if isinstance(file, _Packed):
        file.pending = 0


def tell_bytes(file: TextIO) -> int:
    """How many bytes of a file on disk have been read, compressed ones if it is compressed."""
    buffer: Any = file.buffer
    return int((buffer.fileobj if isinstance(file, _Packed) else buffer.raw).tell())


class _Packed(io.TextIOWrapper):
    """A compressed text that counts what it unpacks; iterating it calls :meth:`readline`."""

    def __init__(self, path: Path, errors: str) -> None:
        self.pending = 0
        self._path = path
        unpacked = gzip.open(path)  # noqa: SIM115 (closed with this file)
        super().__init__(unpacked, encoding="utf-8", errors=errors, newline="\n")

    def readline(self, size: int = -1) -> str:  # type: ignore[override]
        return self._count(super().readline(self._allowed(size)))

    def read(self, size: int | None = -1) -> str:
        return self._count(super().read(self._allowed(size)))

    def _allowed(self, size: int | None) -> int:
        rest = MAX_PENDING + 1 - self.pending
        return rest if size is None or size < 0 else min(size, rest)

    def _count(self, found: str) -> str:
        self.pending += len(found)
        if self.pending > MAX_PENDING:
            raise CorpusFormatError(
                f"{self._path}: unpacks to more than {MAX_PENDING >> 20} MB without a complete document; "
                "unpack it yourself"
            )
        return found


def _locate(path: Path) -> str:
    """Say where a file stops being UTF-8; the decoder itself only knows the place in its buffer."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return (
                    f"byte 0x{line[error.start]:02x} in line {number}, at byte {error.start + 1} of the line"
                )
    return "an invalid byte"
