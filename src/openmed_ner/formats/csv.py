"""CSV: one row per span, under a header line.

Columns are ``id, text, start, end, label, mention, score, corpus, fragments``, in any order. Only ``text`` is
required, and columns of other names are ignored. So are those of spans if ``start``, ``end`` or ``label`` is
missing, since they then mean something else. A caller may name the columns of text, id and label.

A document is a run of rows with one id. The first row has its text, the others repeat it or leave it empty. A
row with another text is another document, so ids may return, as those of patients do. A document without
spans is one row without ``start``. Fragments are written ``0-3;5-9``. ``Document.meta`` is not written. Texts
and scores are exact, unless the writer is told that nobody reads the table back.

On request, two last columns follow: ``attributes`` holds a JSON object, and ``evidence`` is ``document`` or
empty. They are not automatic, because the header is written before the spans are known. Without the columns,
evidence is left out.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from io import StringIO
from itertools import chain, islice, repeat
from threading import Lock
from typing import NamedTuple, TextIO

from openmed_ner.errors import AnnotationError, CorpusFormatError, UnrepresentableError
from openmed_ner.formats.csv_cells import SPAN_COLUMNS, clear_missing, from_span, to_span
from openmed_ner.formats.csv_header import ALL_COLUMNS, COLUMNS, count_columns, index_columns
from openmed_ner.formats.tolerance import OnBad, excerpt, fail, require_utf8
from openmed_ner.text import Document, Span

DELIMITERS = ",\t;|"
_SEPARATOR = re.compile(r'"?sep=([^\w"\s]|\t)"?[,;]*\r?\n?', re.IGNORECASE)
"""A first line by which Excel is told the delimiter."""
_MAX_RETRIES = 10
"""Rows with a quote that is not closed, after which the rest of a table is one error."""
_FIELD_LIMIT = 2**31 - 1
_field_limit_lock = Lock()


class _Row(NamedTuple):
    """A row that is not empty.

    Attributes:
        number: number of its first line.
        cells: content by column; empty if the file lacks the column.
    """

    number: int
    cells: Mapping[str, str]


def read_csv(
    file: TextIO, *, source: str, on_bad: OnBad = fail, columns: Mapping[str, str] | None = None
) -> Iterator[Document]:
    """Yield one document per run of rows with one id and one text.

    The header shows if commas, tabs, semicolons or bars separate the cells, unless a line ``sep=;`` before it
    says so. A row without an id opens a document
    named after its source and line if it has a text, and belongs to the document before if it has none. Empty
    rows are skipped. A bad row or span is handed to ``on_bad``, and the next row follows.

    Args:
        file: the table.
        source: name of the file in messages and ids.
        on_bad: called with the error of each bad row or span.
        columns: names of columns in the file, by our names; a column is called as ours if it is not listed.

    Raises:
        CorpusFormatError: the header lacks ``text`` or a column that is listed; or a row does not parse, is
            not UTF-8, has another number of cells, or does not belong to the document before it.
        AnnotationError: a row has a span that does not fit the text.
    """
    for group in _iter_groups(file, source, on_bad, columns or {}):
        yield Document(group.id, group.text, tuple(group.spans))


def write_csv(
    documents: Iterable[Document],
    file: TextIO,
    *,
    attributes: bool = False,
    exact: bool = True,
    with_text: bool = True,
    delimiter: str = ",",
    on_bad: OnBad = fail,
) -> None:
    """Write a header, and one row per span; texts are quoted, offsets and scores are not.

    Args:
        documents: the documents.
        file: target.
        attributes: if true, add the columns of attributes and evidence.
        exact: if false, scores have four digits.
        with_text: if false, leave out the column of texts. Such a table cannot be read back.
        delimiter: character between the cells: a comma, a tab or a semicolon.
        on_bad: called with the error of each refused document.

    Raises:
        UnrepresentableError: a document has no id, or the id and the text of another one, or a span has an
            empty corpus, or attributes without a column for them.
    """
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    columns = ALL_COLUMNS if attributes else COLUMNS
    writer.writerow(column for column in columns if with_text or column != "text")
    n_cells = len(columns) - 2

    seen: dict[str, set[int]] = {}
    empty = ""  # id of the document just before, if it has no text
    for document in documents:
        if reason := _refusal(document, seen, empty, attributes=attributes):
            on_bad(UnrepresentableError(f"document {document.id!r} does not fit CSV: {reason}"))
            continue

        seen.setdefault(document.id, set()).add(hash(document.text))
        empty = "" if document.text else document.id
        rows = [from_span(document, span, exact=exact)[:n_cells] for span in document.spans]
        texts = chain([document.text], repeat(""))
        for text, cells in zip(texts, rows or [[None] * n_cells], strict=False):
            writer.writerow([document.id, *([text] if with_text else []), *cells])


# --- reading


@dataclass(slots=True)
class _Group:
    """The rows of one document. Only spans are held, since an id may be repeated any number of times."""

    id: str
    text: str
    spans: list[Span] = field(default_factory=list)

    def takes(self, row: _Row) -> bool:
        """True if a row belongs to this document."""
        name, text = row.cells["id"], row.cells["text"]
        return name in ("", self.id) and text in (("", self.text) if name else ("",))

    def add(self, row: _Row, source: str, on_bad: OnBad) -> None:
        """Add the span of a row, if it has one."""
        if not any(map(row.cells.__getitem__, SPAN_COLUMNS)):
            return
        cells = clear_missing(row.cells)
        if any(cells[column] for column in SPAN_COLUMNS):
            try:
                self.spans.append(to_span(cells, self.text))
            except ValueError as error:
                on_bad(AnnotationError(f"{source}, line {row.number}: {error}"))


def _iter_groups(file: TextIO, source: str, on_bad: OnBad, columns: Mapping[str, str]) -> Iterator[_Group]:
    """Yield the rows of each document."""
    texts: dict[str, set[int]] = {}
    group: _Group | None = None
    is_after_bad = False
    for row in _iter_rows(file, source, on_bad, columns):
        if row is None:  # it may have been the first one of its document
            if group:
                yield group
            group, is_after_bad = None, True
            continue

        if group and group.takes(row):
            group.add(row, source, on_bad)
            continue
        if group:
            yield group
        name, text = row.cells["id"], row.cells["text"]
        identifier = name or (f"{source}:{row.number}" if text else "")
        is_after_bad = is_after_bad and not text
        if is_after_bad:
            reason: str | None = "no text, and the row before it, which may have it, could not be read"
        elif group and group.id == name and not group.text:
            reason = f"document {excerpt(identifier)} has another text in its first row"
        else:
            reason = _refuse_row(identifier, text, texts)
        group = None
        if reason:
            on_bad(CorpusFormatError(f"{source}, line {row.number}: {reason}"))
        else:
            group = _Group(identifier, text)
            group.add(row, source, on_bad)
            texts.setdefault(identifier, set()).add(hash(text))

    if group:
        yield group


def _refuse_row(identifier: str, text: str, texts: Mapping[str, Set[int]]) -> str | None:
    """Return the reason why a row cannot open a document; ``None`` if it can."""
    if not identifier:
        return "expected an id or a text, or the row that it belongs to directly before it"
    if identifier in texts and (not text or hash(text) in texts[identifier]):
        return f"document {excerpt(identifier)} has rows further up; keep its rows together"
    return None


def _iter_rows(file: TextIO, source: str, on_bad: OnBad, columns: Mapping[str, str]) -> Iterator[_Row | None]:
    """Yield the rows that are not empty, and ``None`` in the places of bad ones."""
    first, n_blank = file.readline().removeprefix("\ufeff"), 0
    while first and not first.strip(f"{DELIMITERS} \r\n"):
        first, n_blank = file.readline(), n_blank + 1
    if reason := _find_bad_byte(first, n_blank + 1):
        raise CorpusFormatError(f"{source}, {reason}")
    given = _SEPARATOR.fullmatch(first)
    delimiter = given[1] if given else _choose_delimiter(first, columns)
    records = _iter_records(chain(repeat("\n", n_blank), [first], file), delimiter, source, on_bad)
    # What stands before the header is read for the numbers of the lines.
    number, header = next(islice(records, n_blank + bool(given), None), (1, None))
    indices = index_columns(header or [], source, columns, line=number)
    for number, record in records:
        if record is None:
            yield None
            continue
        if not any(record):
            continue

        # Spreadsheets pad rows with empty cells, so more cells than the header has are fine if empty.
        width = len(header or [])
        if len(record) < width or any(record[width:]):
            held = "a line end" if len(record) < width else f"the delimiter {delimiter!r}"
            cells = f"{width} {'cell' if width == 1 else 'cells'}"
            reason = f"expected {cells} as in the header, found {len(record)}. Quote a cell that holds {held}"
            on_bad(CorpusFormatError(f"{source}, line {number}: {reason}"))
            yield None
            continue
        yield _Row(number, {name: record[indices[name]] if name in indices else "" for name in ALL_COLUMNS})


def _choose_delimiter(header: str, columns: Mapping[str, str]) -> str:
    """Choose the delimiter that gives the most columns of ours, then the most of any, or else a comma."""
    cells = {delimiter: header.split(delimiter) for delimiter in DELIMITERS}
    return max(DELIMITERS, key=lambda choice: (count_columns(cells[choice], columns), len(cells[choice])))


def _iter_records(
    lines: Iterable[str], delimiter: str, source: str, on_bad: OnBad
) -> Iterator[tuple[int, list[str] | None]]:
    """Yield each record and its first line; ``None`` in place of a record that does not parse.

    ``csv`` has one limit on the length of a cell for the whole process, so it is raised for one record at a
    time, under a lock, and restored for other code. A quote that is not closed takes in the rest of the file;
    the lines after its own are then read again.
    """
    waiting = iter(lines)
    buffer = StringIO(newline="\n")  # a list of short lines would take many times their size

    def take() -> Iterator[str]:
        for line in waiting:
            buffer.write(line)
            yield line

    reader = csv.reader(take(), delimiter=delimiter, strict=True)
    n_before = n_retries = 0
    while True:
        number = n_before + reader.line_num + 1
        buffer = StringIO(newline="\n")
        record: list[str] | None = None
        problem: csv.Error | None = None
        with _field_limit_lock:
            limit = csv.field_size_limit(_FIELD_LIMIT)
            try:
                record = next(reader, None)
            except csv.Error as error:
                problem = error
            finally:
                csv.field_size_limit(limit)

        if problem is not None:
            text = buffer.getvalue()
            on_bad(
                _to_error(problem, f"{source}, line {number}", n_lines=text.count("\n") + (text[-1:] != "\n"))
            )
            rest = text.partition("\n")[2]
            if rest and n_retries < _MAX_RETRIES and str(problem).startswith("unexpected end"):
                n_retries += 1
                waiting = iter(StringIO(rest, newline="\n"))
                n_before = number
                reader = csv.reader(take(), delimiter=delimiter, strict=True)
        elif record is None:
            return
        elif reason := _find_bad_byte(buffer.getvalue(), number):
            on_bad(CorpusFormatError(f"{source}, {reason}"))
            record = None
        yield number, record


def _find_bad_byte(text: str, number: int) -> str | None:
    """Return the place of the first byte that is not UTF-8, in lines from ``number`` on."""
    for place, line in enumerate(() if text.isascii() else text.split("\n"), start=number):
        try:
            require_utf8(line)
        except ValueError as error:
            return f"line {place}: {error}"
    return None


def _to_error(problem: csv.Error, place: str, *, n_lines: int) -> CorpusFormatError:
    extent = f" (up to {n_lines} lines are left out)" if n_lines > 1 else ""
    return CorpusFormatError(
        f"{place}: not CSV: {problem}{extent}. "
        f'Quote a cell that holds quotes or line ends, and double its quotes: "5"" long"'
    )


# --- writing


def _refusal(document: Document, seen: Mapping[str, Set[int]], empty: str, *, attributes: bool) -> str | None:
    """Return the reason why a document cannot be written; ``None`` if it can."""
    texts = seen.get(document.id, ())
    if (
        document.id in ("", empty)
        or hash(document.text) in texts
        or (document.id in seen and not document.text)
    ):
        return "its id is empty, or duplicate with the same or no text; both separate the rows of documents"
    if any(span.corpus == "" for span in document.spans):
        return "a span has an empty corpus, which would read back as None"
    if not attributes and any(span.attributes for span in document.spans):
        return "a span has attributes, for which there is no column; write with attributes=True"
    return None
