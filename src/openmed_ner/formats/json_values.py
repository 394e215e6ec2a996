"""JSON that holds records: a list of them, a single one, or one after the other, as on the lines of a file.

Annotation tools and BioC use all three shapes for the same records. A file is read as a whole, since a value
may go over any number of lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TextIO, TypeVar

from openmed_ner.errors import AnnotationError, CorpusFormatError
from openmed_ner.formats.tolerance import OnBad, require_characters
from openmed_ner.text import Document

_Value = TypeVar("_Value")
_BLANKS = re.compile("[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Record:
    """A text with its annotations, as a tool exports it.

    Attributes:
        fields: the JSON object.
        default_id: id of a document without one.
        place: file and line or number, for messages.
        on_bad: called with the error of each bad annotation, which is then left out.
    """

    fields: Mapping[str, Any]
    default_id: str
    place: str
    on_bad: OnBad

    def read_each(
        self,
        entries: Iterable[object],
        read: Callable[[Any], Iterable[_Value]],
        *,
        name: str = "annotation",
    ) -> list[_Value]:
        """Read the values of each annotation; those of a bad one are left out.

        Args:
            entries: the annotations.
            read: reader of an annotation.
            name: name of an entry in messages.
        """
        values: list[_Value] = []
        for number, entry in enumerate(entries, start=1):
            try:
                values += read(entry)
            except (ValueError, RecursionError) as error:
                self.on_bad(AnnotationError(f"{self.place}, {name} {number}: {error}"))
        return values


def iter_values(
    file: TextIO, source: str, on_bad: OnBad, *, may_be_empty: bool = True
) -> Iterator[tuple[int, Any]]:
    """Yield the line and the value of each JSON value of a file; a byte order mark is dropped.

    Invalid JSON goes to ``on_bad``, and the next line is then read. If it comes first, the next line has to
    be a whole JSON object. Otherwise the file is not one of lines, and reading ends.

    Args:
        file: open file.
        source: name of the file, for messages.
        on_bad: called with the error of each line that is not JSON.
        may_be_empty: if false, a file without a value is an error.

    Raises:
        CorpusFormatError: the first value is not JSON, and no object on the line after it is.
    """
    text = file.read().removeprefix("\ufeff")
    decoder = json.JSONDecoder()
    line, counted, end = 1, 0, 0
    is_first = True
    while (is_first and not may_be_empty) or end < len(text):
        blanks = _BLANKS.match(text, end)
        begin = blanks.end() if blanks else end
        if begin == len(text) and (may_be_empty or not is_first):
            return
        if begin == len(text):
            raise CorpusFormatError(f"{source}, line 1: expected JSON, found nothing: the file is empty")
        line, counted = line + text.count("\n", counted, begin), begin
        try:
            value, end = decoder.raw_decode(text, begin)
        except (ValueError, RecursionError) as error:
            end = text.find("\n", begin) % (len(text) + 1)
            next_line = text[end + 1 : text.find("\n", end + 1) % (len(text) + 1)]
            if is_first and not _is_object(next_line):
                number = error.lineno if isinstance(error, json.JSONDecodeError) else line
                raise CorpusFormatError(f"{source}, line {number}: {explain_json(error, number)}") from error
            # The parser may have read on into the lines after a bad one.
            on_bad(CorpusFormatError(f"{source}, line {line}: {explain_json(error, line)}"))
        else:
            yield line, value
        is_first = False


def explain_json(error: Exception, line: int | None = None) -> str:
    """The parser's message with the character alone, as the line is named before it.

    Args:
        error: error of the parser or of what reads its values.
        line: the line that is named; only another one is named in the message, none if ``None``.
    """
    if not isinstance(error, json.JSONDecodeError):
        return str(error)
    other = f" in line {error.lineno}" if line not in (None, error.lineno) else ""
    return f"{error.msg} at character {error.colno}{other}"


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def iter_records(file: TextIO, source: str, on_bad: OnBad) -> Iterator[tuple[str, Any]]:
    """Yield the place and the value of each record: an element of a list, or a value that is no list.

    Raises:
        CorpusFormatError: as for :func:`iter_values`.
    """
    for line, value in iter_values(file, source, on_bad):
        if not isinstance(value, list):
            yield f"{source}, line {line}", value
            continue
        for number, record in enumerate(value, start=1):
            yield f"{source}, record {number}", record


def read_records(
    file: TextIO,
    source: str,
    on_bad: OnBad,
    *,
    name: str,
    read: Callable[[Record], Document | None],
    records: Callable[[TextIO, str, OnBad], Iterator[tuple[str, Any]]] | None = None,
) -> Iterator[Document]:
    """Yield the document of each record; bad records and annotations go to ``on_bad``.

    Args:
        file: open file.
        source: name of the file, for messages.
        on_bad: called with the error of each bad record.
        name: name of a record in the tool, for messages.
        read: reader of a record; ``None`` leaves it out.
        records: finder of the records and their places; :func:`iter_records` by default.

    Raises:
        CorpusFormatError: as for :func:`iter_values`.
    """
    entries = (records or iter_records)(file, source, on_bad)
    for number, (place, value) in enumerate(entries, start=1):
        try:
            document = read(Record(require_object(value, name), f"{source}:{number}", place, on_bad))
        except (ValueError, RecursionError) as error:
            on_bad(CorpusFormatError(f"{place}: {error}"))
        else:
            if document is not None:
                yield document


def require_object(value: object, name: str) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        ValueError: the value is not an object; the message calls it ``name``.
    """
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object as {name}, found {value!r:.60}")
    return value


def require_list(value: object, name: str) -> list[Any]:
    """Return a JSON list; ``null`` is an empty one.

    Raises:
        ValueError: the value is not a list; the message calls it ``name``.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"expected a list as {name}, found {value!r:.60}")
    return value


def require_string(value: object, name: str) -> str:
    """Return a string that UTF-8 can hold.

    Raises:
        ValueError: the value is not such a string; the message calls it ``name``.
    """
    if not isinstance(value, str):
        raise ValueError(f"expected a string as {name}, found {value!r:.60}")
    require_characters(value, name)
    return value


def require_offset(value: object, name: str) -> int:
    """Return an offset.

    Raises:
        ValueError: the value is not a whole number from 0; the message calls it ``name``.
    """
    if type(value) is not int or value < 0:
        raise ValueError(f"expected a number of characters as {name}, found {value!r:.60}")
    return value


def require_name(value: object, name: str) -> str:
    """Return a name, which may be written as a whole number.

    Raises:
        ValueError: the value is neither a string nor a whole number; the message calls it ``name``.
    """
    return str(value) if type(value) is int else require_string(value, name)


def require_score(value: object) -> float | None:
    """Return a score, or ``None`` for ``null``.

    Raises:
        ValueError: the value is not a number.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected a number as score, found {value!r:.60}")
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(f"expected a number as score, found {value!r:.60}") from error
