"""The input of a run over files: which files, and what stands in them, item by item.

An item is a document, or a problem where a document was expected, or an article of a dump without a text to
tag. A bad record is one item and the next one follows, where the format lets its reader go on; otherwise the
rest of the file is lost, and that is the item. The same files give the same items in the same order, so a
number of items says where a run has got to. The price of a tolerant reader: whoever counts documents has
to count problems too.
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
        path: where it is.
        name: what it is called in document ids and messages.
        format: one of ``FORMATS``.
    """

    path: Path
    name: str
    format: str

    @property
    def size(self) -> int:
        """Bytes of the file; 0 for what is none."""
        try:
            return self.path.stat().st_size if self.path.is_file() else 0
        except OSError:
            return 0

    def fingerprint(self) -> str:
        """A digest of the size and of both ends of the file, or of the files of a folder.

        A file changed in its middle alone, to the same size, is not noticed; reading all of it twice would
        cost more than that is worth. A file that cannot be read has a fingerprint too.
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
        item: its number in there, from 1.
        reason: what was wrong; it may quote some characters of the text, never all of it.
        id: of the document, if it is known.
    """

    file: str
    item: int
    reason: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """An article of a dump that has no text to tag, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Item:
    """What stands at a place of the input.

    Attributes:
        file: number of the input, from 0.
        number: of the item in that, from 1.
        name: of the input.
        content: a document, why there is none to tag, or why it cannot be read.
    """

    file: int
    number: int
    name: str
    content: Document | Skipped | Exception

    def problem(self, reason: object) -> Problem:
        """What to say of it if it cannot be read, tagged or written."""
        name = self.content.id if isinstance(self.content, Document) else None
        return Problem(self.name, self.number, _writable(str(reason))[:_MAX_REASON], name)


def find_inputs(paths: Sequence[Path], *, format: str | None = None) -> list[Input]:
    """Find the files to tag, in the order given; those of folders and patterns in the order of their names.

    A folder is searched for files of known suffixes, ``.gz`` included, unless its format reads it as a whole.
    A pattern such as ``notes/**/*.txt`` is one if there is no file of that name.

    Raises:
        InputError: the format is unknown; or a path does not exist, or holds nothing to read.
    """
    if format is not None and format not in FORMATS:
        raise InputError(f"unknown input format {format!r}; known: auto, {', '.join(FORMATS)}")
    return [found for path in paths for found in _find(path, format)]


def _find(path: Path, format: str | None) -> Iterator[Input]:
    whole = format in PATH_READERS
    if path == STDIN:
        if whole or format in set(FORMATS) - READERS.keys():
            raise InputError(f"format {format} is more than one file, and cannot be read from standard input")
        yield Input(path, "stdin", format or "text")
    elif path.is_file() or (whole and path.is_dir()):
        yield Input(path, _writable(str(path)), format or infer_format(path) or "text")
    elif path.is_dir():
        files = ((each, infer_format(each)) for each in sorted(path.rglob("*")) if each.is_file())
        found = [(each, kind) for each, kind in files if kind]
        if not found:
            raise InputError(f"{path}: no file ends in {', '.join(SUFFIXES)}")
        for each, kind in found:
            yield Input(each, _writable(each.relative_to(path).as_posix()), format or kind)
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
    """Yield the items of files, one by one. No error ends the iteration, for each is an item.

    Args:
        inputs: the files.
        file: number of the file to begin with.
        done: items of that file to pass over.
        on_open: given the number of each file begun, and the file itself once it is open.
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
    """Yield documents, and in their places the errors instead of those that cannot be read."""
    found: deque[Skipped | Exception] = deque()
    documents = _iter_documents(input, found.append, lambda reason: found.append(Skipped(reason)), on_open)
    document: Document | None = None
    while True:
        try:
            document = next(documents, None)
        except (InputError, OSError) as error:
            found.append(error)
            document = None
        yield from found
        found.clear()
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
    errors = "surrogateescape" if input.format in LINEWISE else "strict"
    sys.stdin.reconfigure(encoding="utf-8", errors=errors, newline="\n")  # type: ignore[union-attr]
    try:
        yield from READERS[input.format](sys.stdin, source=input.name, on_bad=on_bad)
    except UnicodeDecodeError as error:
        raise CorpusFormatError(f"stdin: not UTF-8: byte 0x{error.object[error.start]:02x}") from error


def _writable(name: str) -> str:
    """A name that UTF-8 can hold; those of files may be any bytes."""
    return os.fsencode(name).decode("utf-8", errors="replace")


def _ends(path: Path) -> bytes:
    """The size of a file, and its first and last bytes."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(_BLOCK)
            file.seek(max(0, size - _BLOCK))
            return b"%d:%b%b" % (size, head, file.read(_BLOCK))
    except OSError as error:
        return f"unreadable: {error.errno}".encode()
