"""Read passages out of whatever holds text: files, compressed files, folders, public dumps.

JSON lines and plain text (a passage per paragraph) are read here line by line, PubMed and
ClinicalTrials.gov dumps by modules of their own, and everything else by the readers of annotated
documents, whose annotations are left behind. A compressed file is read as a stream and never
trusted: lines, passages and unpacked documents have a size beyond which they are refused. In a folder,
files of unknown kinds are passed over and reported.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.formats import PASSAGE_FORMATS, PATH_READERS, REGISTRY, infer_format, read_documents
from openmed_ner.formats.passage import Passage
from openmed_ner.formats.registry import strip_gz

MAX_LINE = 16 << 20
"""Bytes of a line, and of a paragraph."""
_SURROGATE = re.compile("[\ud800-\udfff]")

OnSkip = Callable[[str], None]


def iter_files(paths: list[Path], *, format: str | None = None) -> Iterator[tuple[Path, str, str | None]]:
    """Find the files to read, folders recursively and in the order of their names.

    Yields:
        The file (or folder, for formats that are one), its name below what was given, and its format;
        ``None`` if a file of a folder is of no known kind.

    Raises:
        InputError: a path does not exist, or the format is unknown.
    """
    if format is not None and format not in PASSAGE_FORMATS:
        raise InputError(f"unknown input format {format!r}; known: {', '.join(PASSAGE_FORMATS)}")
    for path in paths:
        if path.is_dir() and (format in PATH_READERS):
            yield path, path.resolve().name, format
        elif path.is_dir():
            for file in sorted(each for each in path.rglob("*") if each.is_file()):
                yield file, file.relative_to(path).as_posix(), _choose_format(file, format)
        elif path.is_file():
            yield path, path.name, _choose_format(path, format) or "text"
        else:
            raise InputError(f"{path}: no such file or folder")


def _choose_format(path: Path, format: str | None) -> str | None:
    """Return the requested format, or the inferred one; ``None`` for a hidden file."""
    return infer_format(path) if format is None or path.name.startswith(".") else format


def read_passages(path: Path, format: str, *, on_skip: OnSkip = lambda reason: None) -> Iterator[Passage]:
    """Yield the passages of a file.

    Args:
        path: the file, or a folder for formats that are one.
        format: one of ``PASSAGE_FORMATS``.
        on_skip: told why, for each article of a dump that has no text to offer.

    Raises:
        InputError: the file cannot be opened.
        CorpusFormatError: the file is damaged or does not follow the format; it is named with the line.
    """
    source = Path(strip_gz(path.name)).stem
    if reader := REGISTRY[format].passage_reader:
        yield from reader(path, on_skip=on_skip)
    elif format == "jsonl":
        yield from _read_jsonl(path, source)
    elif format == "text":
        yield from _read_text(path, source)
    else:
        for document in read_documents(path, format=format):
            yield Passage(document.id, source, document.text)


def _read_jsonl(path: Path, source: str) -> Iterator[Passage]:
    for number, line in _iter_lines(path):
        if not line.strip():
            continue
        try:
            yield _from_json(json.loads(line), f"{path.name}:{number}", source)
        except (ValueError, RecursionError) as error:
            raise CorpusFormatError(f"{path}, line {number}: {error}") from error


def _from_json(record: object, identifier: str, source: str) -> Passage:
    if not isinstance(record, Mapping):
        raise ValueError(f"expected a JSON object, found {type(record).__name__}")
    text = record.get("text")
    found_id, found_source = record.get("id"), record.get("source")
    if not isinstance(text, str):
        raise ValueError('expected a string under "text"')
    if isinstance(found_id, bool) or not isinstance(found_id, str | int | None):
        raise ValueError(f'expected a string or a whole number under "id", found {found_id!r}')
    if not isinstance(found_source, str | None) or found_source == "":
        raise ValueError(f'expected a name under "source", found {found_source!r}')
    if _SURROGATE.search(text) or _SURROGATE.search(found_source or ""):
        raise ValueError("a string holds half of a surrogate pair, which is not a character")
    return Passage(identifier if found_id is None else str(found_id), found_source or source, text)


def _read_text(path: Path, source: str) -> Iterator[Passage]:
    """Yield the paragraphs of a text, which blank lines part."""
    lines: list[str] = []
    start = size = 0
    for number, line in _iter_lines(path):
        if line.strip():
            start = start if lines else number
            size += len(line)
            if size > MAX_LINE:
                raise CorpusFormatError(
                    f"{path}, line {start}: a paragraph of more than {MAX_LINE} characters"
                )
            lines.append(line)
        elif lines:
            yield Passage(f"{path.name}:{start}", source, "".join(lines))
            lines, size = [], 0
    if lines:
        yield Passage(f"{path.name}:{start}", source, "".join(lines))


def _iter_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield a file's lines with their numbers, unpacking it on the way."""
    number = 0
    with _open(path) as file:
        while line := file.readline(MAX_LINE + 1):
            number += 1
            if len(line) > MAX_LINE:
                raise CorpusFormatError(f"{path}, line {number}: longer than {MAX_LINE} bytes")
            try:
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise CorpusFormatError(
                    f"{path}: not UTF-8: byte 0x{line[error.start]:02x} in line {number}, at byte "
                    f"{error.start + 1} of the line. Convert it, for example: iconv -f latin1 -t utf-8"
                ) from error


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    """Open a file, compressed or not, and name it if it turns out to be damaged."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    with file:
        try:
            yield io.BufferedReader(gzip.GzipFile(fileobj=file)) if path.suffix.lower() == ".gz" else file
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise CorpusFormatError(f"{path}: damaged: {error}. Get the file again") from error
