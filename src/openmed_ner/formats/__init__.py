"""File formats: one module each, reader beside writer.

A reader takes an open text file and yields documents one by one; a writer takes documents and an
open text file. Files are UTF-8 without newline translation, so that offsets stay true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.formats.html import write_html
from openmed_ner.formats.jsonl import read_jsonl, write_jsonl
from openmed_ner.formats.plain import read_plain
from openmed_ner.formats.pubtator import read_pubtator
from openmed_ner.text import Document

__all__ = ["READERS", "SUFFIXES", "WRITERS", "detect_format", "open_text", "read_documents"]

READERS: dict[str, Callable[..., Iterator[Document]]] = {
    "text": read_plain,
    "jsonl": read_jsonl,
    "pubtator": read_pubtator,
}
WRITERS: dict[str, Callable[[Iterable[Document], TextIO], None]] = {
    "jsonl": write_jsonl,
    "html": write_html,
}
SUFFIXES = {".txt": "text", ".jsonl": "jsonl", ".pubtator": "pubtator"}


def detect_format(path: Path) -> str:
    """Tell a file's format from its name; whatever is unknown counts as plain text."""
    return SUFFIXES.get(path.suffix.lower(), "text")


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a UTF-8 file as it is, line ends included.

    Raises:
        InputError: the file cannot be opened.
        CorpusFormatError: while reading, it turns out not to be UTF-8.
    """
    try:
        file = path.open(encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    with file:
        try:
            yield file
        except UnicodeDecodeError as error:
            raise CorpusFormatError(
                f"{path}: not UTF-8: {_locate(path)}. Convert it, for example: iconv -f latin1 -t utf-8"
            ) from error


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


def read_documents(path: Path, *, format: str | None = None, source: str | None = None) -> Iterator[Document]:
    """Yield the documents of a file.

    Args:
        path: the file.
        format: a key of ``READERS``; told from the file's name if ``None``.
        source: what to call the file in messages and document ids; its path if ``None``.

    Raises:
        InputError: the file cannot be opened, or the format is unknown.
        CorpusFormatError: the file does not follow the format.
    """
    name = format or detect_format(path)
    if name not in READERS:
        raise InputError(f"unknown input format {name!r}; known: {', '.join(READERS)}")
    with open_text(path) as file:
        yield from READERS[name](file, source=source or str(path))
