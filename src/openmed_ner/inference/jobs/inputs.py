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
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence, Set
from dataclasses import asdict, dataclass, replace
from functools import partial
from glob import escape, glob
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO, cast

from openmed_ner.errors import AnnotationError, CorpusFormatError, InputError, UnreadFormatError
from openmed_ner.formats import (
    LINEWISE,
    PASSAGE_FORMATS,
    PATH_READERS,
    READERS,
    REGISTRY,
    infer_format,
    read_documents,
)
from openmed_ner.formats.detection import judge
from openmed_ner.formats.discovery import read_passages
from openmed_ner.formats.files import check_kind, describe_byte, list_files, read_head
from openmed_ner.formats.recognition import HEAD
from openmed_ner.formats.tolerance import CONVERT, OnBad
from openmed_ner.inference.jobs.failures import is_temporary
from openmed_ner.inference.jobs.live import LiveText, is_live
from openmed_ner.inference.jobs.reading import EVERYTHING, ReadingOptions
from openmed_ner.text import Document

STDIN = Path("-")
FORMATS = PASSAGE_FORMATS
"""Every format that can be tagged."""
BAD_ANNOTATION = "annotation that does not fit its text"
"""Reason why an annotation is passed over."""
_BLOCK = 1 << 16
_MAX_REASON = 500


@dataclass(frozen=True, slots=True)
class Input:
    """A file to tag, or a folder if its format is one of folders.

    Attributes:
        path: location of the file or folder.
        name: its name in document ids and messages.
        format: one of ``FORMATS``; ``auto`` for standard input whose first bytes will tell.
        scope: prefix of the ids of its documents, which tells folders with the same names apart.
        refusal: reason why the file cannot be read; ``None`` if it can.
        finding: kind of a file that a search found and that is not read; it is passed over.
        options: options of the readers of some formats.
    """

    path: Path
    name: str
    format: str
    scope: str = ""
    refusal: str | None = None
    finding: str | None = None
    options: ReadingOptions = EVERYTHING

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
        temporary: true if the reason may pass, such as a file that is away; ``--resume`` tries again.
    """

    file: str
    item: int
    reason: str
    id: str | None = None
    temporary: bool = False

    def to_json(self) -> dict[str, Any]:
        """The problem, ready for JSON; ``temporary`` is left out where it is false."""
        record = asdict(self)
        if not self.temporary:
            del record["temporary"]
        return record


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was passed over: an article without a text, a file that is not read, or an annotation.

    Attributes:
        reason: the reason, the same for all of a kind, so that they can be counted.
        detail: message with the place; ``None`` if the reason is enough.
    """

    reason: str
    detail: str | None = None


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
        temporary = is_temporary(reason) if isinstance(reason, Exception) else False
        return Problem(self.name, self.number, _writable(str(reason))[:_MAX_REASON], name, temporary)


def find_inputs(
    paths: Sequence[Path],
    *,
    format: str | None = None,
    outputs: Collection[Path] = (),
    options: ReadingOptions = EVERYTHING,
) -> list[Input]:
    """Find the files to tag, in the order of the paths; files of a folder or pattern are sorted by name.

    A folder is searched for files of known formats, ``.gz`` included, or for all files if a format is named,
    unless this format reads it as a whole. A path such as ``notes/**/*.txt`` is a pattern if there is no file
    of that name. Hidden files and folders in a folder are left out. A file that is found twice is read once.

    Args:
        paths: files, folders and patterns.
        format: format of all files; chosen for each if ``None``.
        outputs: files and folders that the run writes, which no folder and no pattern finds.
        options: options of the readers of some formats.

    Raises:
        InputError: the format is unknown; or a path does not exist, or holds no readable file; or standard
            input is to be read and closed.
    """
    if format is not None and format not in FORMATS:
        raise InputError(f"unknown input format {format!r}; known: auto, {', '.join(FORMATS)}")
    written = {path.resolve() for path in outputs}
    # Folders may hold files of the same names, so the names of several folders begin with the folder.
    several = sum(path != STDIN and path.is_dir() for path in paths) > 1
    entries = (entry for path in paths for entry in _find(path, format, written, several))
    seen, inputs = set[str](), []
    for entry in entries:
        if (place := os.path.abspath(entry.path)) in seen:  # noqa: PTH100 (a link is another file)
            refusal = f"{entry.name}: is named twice, and read once"
            entry = replace(entry, refusal=refusal, finding="named twice")
        seen.add(place)
        inputs.append(replace(entry, options=options))
    return inputs


def _find(path: Path, format: str | None, written: Set[Path], several: bool) -> Iterator[Input]:
    whole = format in PATH_READERS
    name = _writable(str(path))

    if path == STDIN:
        if whole or format in set(FORMATS) - READERS.keys():
            raise InputError(f"format {format} needs several files, and cannot be read from standard input")
        if sys.stdin is None:
            raise InputError("standard input is closed; name a file or a folder")
        yield Input(path, "stdin", format or "auto")
    elif whole and path.exists():
        assert format is not None
        yield Input(path, name, format, scope=name if several else "")
    elif path.is_file():
        yield replace(_to_input(path, name, format), finding=None)
    elif path.is_dir():
        files = [
            file for file in list_files(path) if written.isdisjoint((file.resolve(), *file.resolve().parents))
        ]
        folder = f"{name}/" if several else ""
        inputs = [
            _to_input(file, folder + _writable(file.relative_to(path).as_posix()), format) for file in files
        ]
        if all(entry.refusal for entry in inputs):
            raise InputError(f"{path}: {_describe_unread(inputs)}")
        yield from map(_expect, inputs)
    elif path.exists():
        raise InputError(f"{path} is a pipe or a device; read it through standard input: tag - < {path}")
    elif matches := sorted(glob(_escape_existing(path), recursive=True)):  # noqa: PTH207 (Path.glob takes no whole path)
        files = [match for match in map(Path, matches) if whole or match.is_file()]
        if not files:
            raise InputError(f"{path}: none of the {len(matches)} paths that match is a file")
        for match in files:
            if whole:
                yield Input(match, _writable(str(match)), format or "", scope=_writable(str(match)))
            elif match.resolve() not in written:
                yield _expect(_to_input(match, _writable(str(match)), format))
    else:
        raise InputError(f"{path}: no such file or folder")


def _to_input(path: Path, name: str, format: str | None) -> Input:
    try:
        head = read_head(path, HEAD)
    except InputError:  # reading it will name the reason
        return Input(path, name, format or infer_format(path) or "text")
    try:
        return Input(path, name, judge(head, path.name, format=format, source=name))
    except UnreadFormatError as error:
        return Input(path, name, "none", refusal=str(error), finding=error.finding)


def _expect(entry: Input) -> Input:
    """Make the refusal of a file an error if its name promised a known format."""
    return replace(entry, finding=None) if entry.refusal and infer_format(entry.path) else entry


def _escape_existing(path: Path) -> str:
    """Return a pattern in which names that exist, such as ``w[2]``, stand for themselves."""
    pattern = existing = Path(path.anchor)
    for part in path.parts[len(existing.parts) :]:
        existing /= part
        pattern /= escape(part) if existing.exists() else part
    return str(pattern)


def _describe_unread(inputs: Sequence[Input]) -> str:
    if not inputs:
        return "no file to tag"
    counts = Counter(entry.finding for entry in inputs).most_common()
    kinds = ", ".join(f"{count} {finding}" for finding, count in counts)
    return f"no file of a known format, found {kinds}. Name the format, for plain text with: --from text"


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
    if input.refusal is not None:
        passed_over = input.finding is not None
        yield Skipped(f"file: {input.finding}", input.refusal) if passed_over else InputError(input.refusal)
        return
    pending: deque[Skipped | Exception] = deque()

    def note(error: InputError) -> None:
        # What is tagged is the text, so a bad annotation leaves nothing of it out.
        is_annotation = isinstance(error, AnnotationError)
        pending.append(Skipped(BAD_ANNOTATION, str(error)) if is_annotation else error)

    documents = _iter_documents(input, note, lambda reason: pending.append(Skipped(reason)), on_open)
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
        yield from _read_stdin(input, on_bad, on_open)
        return
    check_kind(input.path, folders=input.format not in READERS)
    options = input.options.for_format(input.format)
    if read_dump := REGISTRY[input.format].document_reader:
        yield from read_dump(input.path, on_skip=on_skip, on_bad=on_bad, **options)
    elif input.format in READERS or input.format in PATH_READERS:
        documents = read_documents(
            input.path,
            format=input.format,
            source=input.name,
            on_bad=on_bad,
            on_open=on_open,
            options=options,
        )
        for document in documents:
            yield replace(document, id=f"{input.scope}/{document.id}") if input.scope else document
    else:
        for passage in read_passages(input.path, input.format, on_skip=on_skip, on_bad=on_bad):
            yield Document(passage.id, passage.text)


def _read_stdin(input: Input, on_bad: OnBad, on_open: Callable[[TextIO], None]) -> Iterator[Document]:
    stream = cast(TextIOWrapper, sys.stdin)
    named = None if input.format == "auto" else input.format
    name = judge(_peek(stream), "", format=named, source=input.name)
    if name not in READERS:
        raise InputError(f"stdin: is {name}, which is not read from standard input; name a file")
    # In formats of lines, a line that is not UTF-8 is one error, and the next line follows.
    errors = "surrogateescape" if name in LINEWISE else "strict"
    stream.reconfigure(encoding="utf-8", errors=errors, newline="\n")
    file: TextIO = stream
    if name in LINEWISE and is_live(stream):
        buffer: Any = stream.buffer
        file = cast(TextIO, LiveText(stream.fileno(), buffer.read1(len(buffer.peek(1))), errors=errors))
        on_open(file)
    try:
        options = input.options.for_format(name)
        yield from READERS[name](file, source=input.name, on_bad=on_bad, **options)
    except UnicodeDecodeError as error:
        raise CorpusFormatError(f"stdin: not UTF-8: {describe_byte(error)}. Convert it, {CONVERT}") from error


def _peek(stream: TextIOWrapper) -> bytes:
    """Return the first bytes of a stream without reading it on; fewer if they are not there yet."""
    buffer: Any = stream.buffer
    if hasattr(buffer, "peek"):
        return bytes(buffer.peek(HEAD)[:HEAD])
    begin = buffer.tell()
    head = bytes(buffer.read(HEAD))
    buffer.seek(begin)
    return head


def _writable(name: str) -> str:
    """Replace the bytes of a file name that are not UTF-8."""
    return os.fsencode(name).decode("utf-8", errors="replace")


def _ends(path: Path) -> bytes:
    """Return the size of a file, and its first and last bytes."""
    try:
        check_kind(path)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(_BLOCK)
            file.seek(max(0, size - _BLOCK))
            return b"%d:%b%b" % (size, head, file.read(_BLOCK))
    except (OSError, InputError) as error:
        return f"unreadable: {getattr(error, 'errno', 'no file')}".encode()
