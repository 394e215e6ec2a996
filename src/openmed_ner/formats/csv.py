"""CSV: one row per span, under a header line.

Columns are ``id, text, start, end, label, mention, score, corpus, fragments``, in any order; only
``text`` must be there, and columns of other names are passed over. A document is a run of rows of
one id: its text stands in the first (again in the others, or nowhere), and a document without spans
is one row without ``start``. Fragments are written ``0-3;5-9``. Scores are exact, and so is every
character of a text; ``Document.meta`` is not written. Where asked for, a last column ``attributes``
holds a JSON object: a header is written before it can be known whether any span will need the column.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from logging import getLogger
from threading import Lock
from typing import Any, NamedTuple, TextIO

from openmed_ner.errors import CorpusFormatError, UnrepresentableError
from openmed_ner.formats.attributes import read_attributes, write_attributes
from openmed_ner.formats.tolerance import OnBad, fail
from openmed_ner.text import Document, Span

COLUMNS = ("id", "text", "start", "end", "label", "mention", "score", "corpus", "fragments")
DELIMITERS = ",\t;"

_KNOWN = (*COLUMNS, "attributes")
_OF_SPANS = _KNOWN[2:]
_OFFSET = re.compile("[0-9]{1,18}")
_SCORE = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_FRAGMENTS = re.compile("[0-9]{1,18}-[0-9]{1,18}(;[0-9]{1,18}-[0-9]{1,18})*")
_FIELD_LIMIT = 2**31 - 1
_field_limit_lock = Lock()

logger = getLogger(__name__)


class _Row(NamedTuple):
    """A row: the document it belongs to, its first line, and its cells, empty where there is none."""

    document: str
    number: int
    cells: Mapping[str, str]


def read_csv(file: TextIO, *, source: str, on_bad: OnBad = fail) -> Iterator[Document]:
    """Yield one document per run of rows of one id.

    Whether commas, tabs or semicolons part the cells is told from the header. A row without an id
    opens a document named after its source and line if it has a text, and belongs to the document
    before if it has none. Rows of empty cells are passed over. A document whose rows contradict each other
    is handed to ``on_bad``; what breaks the table itself ends the reading.

    Raises:
        CorpusFormatError: the header lacks ``text``; a row does not parse, has another number of cells,
            gives its document another text, or a span that does not fit; or an id returns later.
    """
    for identifier, rows in groupby(_iter_rows(file, source), key=lambda row: row.document):
        try:
            document = _to_document(identifier, list(rows), source)
        except CorpusFormatError as error:
            on_bad(error)
        else:
            yield document


def write_csv(
    documents: Iterable[Document], file: TextIO, *, attributes: bool = False, on_bad: OnBad = fail
) -> None:
    """Write a header, and one row per span; texts are quoted, offsets and scores are not.

    Args:
        documents: what to write.
        file: where to.
        attributes: whether there is a column of attributes.
        on_bad: told of each document that is refused.

    Raises:
        UnrepresentableError: a document has no id, or that of one before, or a span has an empty corpus,
            or attributes without a column for them.
    """
    writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    columns = _KNOWN if attributes else COLUMNS
    writer.writerow(columns)
    n_cells = len(columns) - 2
    seen: set[str] = set()
    for document in documents:
        if reason := _refusal(document, seen, attributes=attributes):
            on_bad(UnrepresentableError(f"document {document.id!r} does not fit CSV: {reason}"))
            continue
        seen.add(document.id)
        rows = [_from_span(document, span)[:n_cells] for span in document.spans]
        first, *rest = rows or [[None] * n_cells]
        writer.writerow([document.id, document.text, *first])
        writer.writerows([document.id, "", *cells] for cells in rest)


# --- reading


def _iter_rows(file: TextIO, source: str) -> Iterator[_Row]:
    """Yield the rows that are not empty, each with the document it belongs to."""
    seen: set[str] = set()
    identifier = ""
    for number, cells in _iter_cells(file, source):
        before = identifier
        identifier = cells["id"] or (f"{source}:{number}" if cells["text"] else before)
        where = f"{source}, line {number}"
        if not identifier:
            raise CorpusFormatError(f"{where}: expected an id or a text in the first row")
        if identifier != before and identifier in seen:
            raise CorpusFormatError(
                f"{where}: document {_show(identifier)} has rows further up; keep its rows together"
            )
        seen.add(identifier)
        yield _Row(identifier, number, cells)


def _iter_cells(file: TextIO, source: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the first line of each row that is not empty, and its cells by column."""
    first = file.readline().removeprefix("\ufeff")
    delimiter = max(DELIMITERS, key=lambda delimiter: _n_known(first.split(delimiter)))
    records = _iter_records(chain([first], file), delimiter, source)
    _, header = next(records, (1, []))
    places = _to_places(header, source)
    for number, record in records:
        if not any(record):
            continue
        if len(record) < len(header) or any(record[len(header) :]):
            raise CorpusFormatError(
                f"{source}, line {number}: expected {len(header)} cells as in the header, found "
                f"{len(record)}. Quote a cell that holds the delimiter {delimiter!r}"
            )
        yield number, {column: record[places[column]] if column in places else "" for column in _KNOWN}


def _iter_records(lines: Iterable[str], delimiter: str, source: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each record and its first line; ``csv`` limits the length of a cell for the whole process."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        number = reader.line_num + 1
        with _field_limit_lock:
            limit = csv.field_size_limit(_FIELD_LIMIT)
            try:
                record = next(reader, None)
            except csv.Error as error:
                raise CorpusFormatError(
                    f"{source}, line {number}: not CSV: {error}. "
                    f'Quote a cell that holds quotes or line ends, and double its quotes: "5"" long"'
                ) from error
            finally:
                csv.field_size_limit(limit)
        if record is None:
            return
        yield number, record


def _to_name(cell: str) -> str:
    return cell.strip().strip('"').strip().lower()


def _n_known(header: Iterable[str]) -> int:
    return sum(_to_name(cell) in _KNOWN for cell in header)


def _to_places(header: Sequence[str], source: str) -> dict[str, int]:
    """Find our columns in a header."""
    names = [_to_name(cell) for cell in header]
    for column in _KNOWN:
        if names.count(column) > 1 or (column == "text" and column not in names):
            raise CorpusFormatError(
                f"{source}, line 1: expected one column {column!r}, found {names.count(column)} "
                f"in the header {_show(', '.join(names))}"
            )
    if others := [name for name in names if name not in _KNOWN]:
        logger.info("%s: columns passed over: %s", source, ", ".join(others))
    return {name: place for place, name in enumerate(names) if name in _KNOWN}


def _to_document(identifier: str, rows: Sequence[_Row], source: str) -> Document:
    text = rows[0].cells["text"]
    spans: list[Span] = []
    for row in rows:
        try:
            if row.cells["text"] not in ("", text):
                raise ValueError(f"document {_show(identifier)} has another text in its first row")
            if any(row.cells[column] for column in _OF_SPANS):
                spans.append(_to_span(row.cells, text))
        except ValueError as error:
            raise CorpusFormatError(f"{source}, line {row.number}: {error}") from error
    return Document(identifier, text, tuple(spans))


def _to_span(cells: Mapping[str, str], text: str) -> Span:
    """Build a span from its cells; the inverse of :func:`_from_span`.

    Raises:
        ValueError: a cell is missing or malformed, or the span does not fit the text.
    """
    start, end, label, mention, score, corpus, fragments, attributes = (cells[column] for column in _OF_SPANS)
    if not _OFFSET.fullmatch(start) or not _OFFSET.fullmatch(end) or not label:
        raise ValueError(
            f"a span needs whole numbers as start and end, and a label; found {_show(start)}, {_show(end)} "
            f"and {_show(label)}"
        )
    if score and not _SCORE.fullmatch(score):
        raise ValueError(f"expected a number like 0.5 as score, found {_show(score)}")
    if fragments and not _FRAGMENTS.fullmatch(fragments):
        raise ValueError(f"expected fragments like 0-3;5-9, found {_show(fragments)}")
    span = Span(
        int(start),
        int(end),
        label,
        float(score) if score else None,
        corpus or None,
        tuple(_to_pair(fragment) for fragment in fragments.split(";") if fragment),
        read_attributes(attributes),
    )
    if span.end > len(text):
        raise ValueError(f"span {start}..{end} ends beyond the text of {len(text)} characters")
    if mention and mention != (found := Document("", text).mention(span)):
        raise ValueError(f"characters {start}..{end} are {_show(found)}, but the row says {_show(mention)}")
    return span


def _to_pair(fragment: str) -> tuple[int, int]:
    start, end = fragment.split("-")
    return int(start), int(end)


def _show(cell: str) -> str:
    return repr(cell[:60])


# --- writing


def _refusal(document: Document, seen: set[str], *, attributes: bool) -> str | None:
    """Why a document cannot be written, if so."""
    if not document.id or document.id in seen:
        return "its id is empty or that of a document before, and rows are told apart by their ids"
    if any(span.corpus == "" for span in document.spans):
        return "a span has an empty corpus, which would read back as none"
    if not attributes and any(span.attributes for span in document.spans):
        return "a span has attributes, for which there is no column; write with attributes=True"
    return None


def _from_span(document: Document, span: Span) -> list[Any]:
    return [
        span.start,
        span.end,
        span.label,
        document.mention(span),
        None if span.score is None else float(span.score),
        span.corpus,
        ";".join(f"{start}-{end}" for start, end in span.fragments),
        write_attributes(span.attributes),
    ]
