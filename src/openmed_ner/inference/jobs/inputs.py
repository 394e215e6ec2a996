"""The input of a run over files: the files, and their content, item by item.

An item is a document, or the error in the place of a document, or an article of a dump without a text to tag.
If the format lets its reader continue, a bad record is one item and the next one follows. Otherwise the rest
of the file is one item. The same files give the same items in the same order, so a number of items marks the
progress of a run. Code that counts documents has to count errors too.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from glob import glob
from pathlib import Path
from typing import TextIO

from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.formats import (
    LINEWISE,
    PASSAGE_FORMATS,
    PATH_READERS,
    READERS,
    SUFFIXES,
    infer_format,
    read_documents,
)
from openmed_ner.formats.discovery import read_passages
from openmed_ner.formats.tolerance import OnBad
from openmed_ner.text import Document

STDIN = Path("-")
FORMATS = PASSAGE_FORMATS
"""Every format that can be tagged."""
_BLOCK = 1 << 16
_MAX_REASON = 500


@dataclass(frozen=True, slots=True)
class Input:
    """A file to tag, or a folder if its format is one of folders.

    Attributes:
        path: location of the file or folder.
        name: its name in document ids and messages.
        format: one of ``FORMATS``.
    """

    path: Path
    name: str
    format: str

    @property
    def size(self) -> int:
        """Size of the file in bytes; 0 for a folder or standard input."""
        try:
            return self.path.stat().st_size if self.path.is_file() else 0
        except OSError:
            return 0

    def fingerprint(self) -> str:
        """Digest of the size and of both ends of the file, or of the files of a folder.

        A change in the middle that keeps the size goes unnoticed: reading all of a file twice would cost
        more than that is worth. A file that cannot be read has a fingerprint too.
        """
        digest = hashlib.sha256()
        for file in sorted(self.path.rglob("*")) if self.path.is_dir() else [self.path]:
            if not file.is_dir():
                digest.update(os.fsencode(file.relative_to(self.path)) + b"\0" + _ends(file))
        return digest.hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Problem:
    """A document that could not be read, tagged or written.

    Attributes:
        file: the name of its input.
        item: number of the item in the input, from 1.
        reason: description of the error; it may quote some characters of the text, never all of it.
        id: document id, if known.
    """

    file: str
    item: int
    reason: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """An article of a dump that has no text to tag, and the reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of the input.

    Attributes:
        file: number of the input, from 0.
        number: number of the item in the input, from 1.
        name: name of the input.
        content: a document, a skipped article, or the error that prevents reading.
    """

    file: int
    number: int
    name: str
    content: Document | Skipped | Exception

    def problem(self, reason: object) -> Problem:
        """Describe the item, which could not be read, tagged or written."""
        name = self.content.id if isinstance(self.content, Document) else None
        return Problem(self.name, self.number, _writable(str(reason))[:_MAX_REASON], name)


def find_inputs(paths: Sequence[Path], *, format: str | None = None) -> list[Input]:
    """Find the files to tag, in the order of the paths; files of a folder or pattern are sorted by name.

    A folder is searched for files of known suffixes, ``.gz`` included, unless its format reads it as a whole.
    A path such as ``notes/**/*.txt`` is a pattern if there is no file of that name.

    Raises:
        InputError: the format is unknown; or a path does not exist, or holds no readable file.
    """
    if format is not None and format not in FORMATS:
        raise InputError(f"unknown input format {format!r}; known: auto, {', '.join(FORMATS)}")
    return [entry for path in paths for entry in _find(path, format)]


def _find(path: Path, format: str | None) -> Iterator[Input]:
    whole = format in PATH_READERS
    if path == STDIN:
        if whole or format in set(FORMATS) - READERS.keys():
            raise InputError(f"format {format} needs several files, and cannot be read from standard input")
        yield Input(path, "stdin", format or "text")
    elif path.is_file() or (whole and path.is_dir()):
        yield Input(path, _writable(str(path)), format or infer_format(path) or "text")
    elif path.is_dir():
        files = ((file, infer_format(file)) for file in sorted(path.rglob("*")) if file.is_file())
        readable = [(file, kind) for file, kind in files if kind]
        if not readable:
            raise InputError(f"{path}: no file ends in {', '.join(SUFFIXES)}")

        for file, kind in readable:
            yield Input(file, _writable(file.relative_to(path).as_posix()), format or kind)
    elif matches := sorted(glob(str(path), recursive=True)):  # noqa: PTH207 (Path.glob takes no whole path)
        for match in map(Path, matches):
            if match.is_file() or whole:
                yield Input(match, _writable(str(match)), format or infer_format(match) or "text")
    else:
        raise InputError(f"{path}: no such file or folder")


def iter_items(
    inputs: Sequence[Input],
    *,
    file: int = 0,
    done: int = 0,
    on_open: Callable[[int, TextIO | None], None] = lambda number, file: None,
) -> Iterator[Item]:
    """Yield the items of files, one by one. No error ends the iteration: an error is an item.

    Args:
        inputs: the files.
        file: number of the file to begin with.
        done: number of items of that file to skip.
        on_open: called with the number of each file when it begins, and again with the open file.
    """
    for number in range(file, len(inputs)):
        on_open(number, None)
        contents = _iter_contents(inputs[number], partial(on_open, number))
        for index, content in enumerate(contents, start=1):
            if number > file or index > done:
                yield Item(number, index, inputs[number].name, content)


def _iter_contents(
    input: Input, on_open: Callable[[TextIO], None]
) -> Iterator[Document | Skipped | Exception]:
    """Yield documents, and errors in the places of documents that cannot be read."""
    pending: deque[Skipped | Exception] = deque()
    documents = _iter_documents(
        input, pending.append, lambda reason: pending.append(Skipped(reason)), on_open
    )
    document: Document | None = None
    while True:
        try:
            document = next(documents, None)
        except (InputError, OSError) as error:
            pending.append(error)
            document = None
        yield from pending
        pending.clear()
        if document is None:
            return
        yield document


def _iter_documents(
    input: Input, on_bad: OnBad, on_skip: Callable[[str], None], on_open: Callable[[TextIO], None]
) -> Iterator[Document]:
    if input.path == STDIN:
        yield from _read_stdin(input, on_bad)
    elif input.format in READERS or input.format in PATH_READERS:
        yield from read_documents(
            input.path, format=input.format, source=input.name, on_bad=on_bad, on_open=on_open
        )
    else:
        for passage in read_passages(input.path, input.format, on_skip=on_skip):
            yield Document(passage.id, passage.text)


def _read_stdin(input: Input, on_bad: OnBad) -> Iterator[Document]:
    # In formats of lines, a line that is not UTF-8 is one error, and the next line follows.
    errors = "surrogateescape" if input.format in LINEWISE else "strict"
    sys.stdin.reconfigure(encoding="utf-8", errors=errors, newline="\n")  # type: ignore[union-attr]
    try:
        yield from READERS[input.format](sys.stdin, source=input.name, on_bad=on_bad)
    except UnicodeDecodeError as error:
        raise CorpusFormatError(f"stdin: not UTF-8: byte 0x{error.object[error.start]:02x}") from error


def _writable(name: str) -> str:
    """Replace the bytes of a file name that are not UTF-8."""
    return os.fsencode(name).decode("utf-8", errors="replace")


def _ends(path: Path) -> bytes:
    """Return the size of a file, and its first and last bytes."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(_BLOCK)
            file.seek(max(0, size - _BLOCK))
            return b"%d:%b%b" % (size, head, file.read(_BLOCK))
    except OSError as error:
        return f"unreadable: {error.errno}".encode()
