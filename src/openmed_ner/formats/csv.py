"""CSV: one row per span, under a header line.

Columns are ``id, text, start, end, label, mention, score, corpus, fragments``, in any order. Only ``text`` is
required, and columns of other names are ignored. A document is a run of rows with one id. The first row has
its text, the others repeat it or leave it empty. A document without spans is one row without ``start``.
Fragments are written ``0-3;5-9``. Scores and texts are exact; ``Document.meta`` is not written.

On request, two last columns follow: ``attributes`` holds a JSON object, and ``evidence`` is ``document`` or
empty. They are not automatic, because the header is written before the spans are known. Without the columns,
evidence is left out.
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
from openmed_ner.formats.attributes import (
    parse_evidence,
    read_attributes,
    write_attributes,
    write_evidence,
)
from openmed_ner.formats.tolerance import OnBad, excerpt, fail
from openmed_ner.text import Document, Span

COLUMNS = ("id", "text", "start", "end", "label", "mention", "score", "corpus", "fragments")
DELIMITERS = ",\t;"

_ALL_COLUMNS = (*COLUMNS, "attributes", "evidence")
_SPAN_COLUMNS = _ALL_COLUMNS[2:]
_OFFSET = re.compile("[0-9]{1,18}")
_SCORE = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_FRAGMENTS = re.compile("[0-9]{1,18}-[0-9]{1,18}(;[0-9]{1,18}-[0-9]{1,18})*")
_FIELD_LIMIT = 2**31 - 1
_field_limit_lock = Lock()

logger = getLogger(__name__)


class _Row(NamedTuple):
    """A row that is not empty.

    Attributes:
        document: id of its document.
        number: number of its first line.
        cells: content by column; empty if the file lacks the column.
    """

    document: str
    number: int
    cells: Mapping[str, str]


def read_csv(file: TextIO, *, source: str, on_bad: OnBad = fail) -> Iterator[Document]:
    """Yield one document per run of rows with one id.

    The header shows if commas, tabs or semicolons separate the cells. A row without an id opens a document
    named after its source and line if it has a text, and belongs to the document before if it has none. Empty
    rows are skipped. A document whose rows contradict each other is handed to ``on_bad``; an error of the
    table itself ends the reading.

    Raises:
        CorpusFormatError: the header lacks ``text``; a row does not parse, has another number of cells,
            another text than the first row of its document, or a span that does not fit; or the rows of an
            id are not consecutive.
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
        documents: the documents.
        file: target.
        attributes: if true, add the columns of attributes and evidence.
        on_bad: called with the error of each refused document.

    Raises:
        UnrepresentableError: a document has no id or a duplicate one, or a span has an empty corpus, or
            attributes without a column for them.
    """
    writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    columns = _ALL_COLUMNS if attributes else COLUMNS
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
    """Yield the rows that are not empty, with the id of their document."""
    seen: set[str] = set()
    identifier = ""
    for number, cells in _iter_cells(file, source):
        before = identifier
        identifier = cells["id"] or (f"{source}:{number}" if cells["text"] else before)
        place = f"{source}, line {number}"
        if not identifier:
            raise CorpusFormatError(f"{place}: expected an id or a text in the first row")
        if identifier != before and identifier in seen:
            raise CorpusFormatError(
                f"{place}: document {excerpt(identifier)} has rows further up; keep its rows together"
            )

        seen.add(identifier)
        yield _Row(identifier, number, cells)


def _iter_cells(file: TextIO, source: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the first line of each row that is not empty, and its cells by column."""
    first = file.readline().removeprefix("\ufeff")
    # With a single column any delimiter fits; the first, a comma, then wins.
    delimiter = max(DELIMITERS, key=lambda delimiter: _count_columns(first.split(delimiter)))
    records = _iter_records(chain([first], file), delimiter, source)
    _, header = next(records, (1, []))
    indices = _index_columns(header, source)
    for number, record in records:
        if not any(record):
            continue

        # Spreadsheets pad rows with empty cells, so more cells than the header has are fine if empty.
        if len(record) < len(header) or any(record[len(header) :]):
            raise CorpusFormatError(
                f"{source}, line {number}: expected {len(header)} cells as in the header, found "
                f"{len(record)}. Quote a cell that holds the delimiter {delimiter!r}"
            )
        yield number, {name: record[indices[name]] if name in indices else "" for name in _ALL_COLUMNS}


def _iter_records(lines: Iterable[str], delimiter: str, source: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each record and its first line.

    ``csv`` has one limit on the length of a cell for the whole process, so it is raised for one record at a
    time, under a lock, and restored for other code.
    """
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
    # To find the delimiter, the header is split before it is parsed, so cells may still be quoted.
    return cell.strip().strip('"').strip().lower()


def _count_columns(header: Iterable[str]) -> int:
    return sum(_to_name(cell) in _ALL_COLUMNS for cell in header)


def _index_columns(header: Sequence[str], source: str) -> dict[str, int]:
    """Find the indices of our columns in a header."""
    names = [_to_name(cell) for cell in header]
    for column in _ALL_COLUMNS:
        if names.count(column) > 1 or (column == "text" and column not in names):
            raise CorpusFormatError(
                f"{source}, line 1: expected one column {column!r}, found {names.count(column)} "
                f"in the header {excerpt(', '.join(names))}"
            )

    if ignored := [name for name in names if name not in _ALL_COLUMNS]:
        logger.info("%s: ignored columns: %s", source, ", ".join(ignored))
    return {name: index for index, name in enumerate(names) if name in _ALL_COLUMNS}


def _to_document(identifier: str, rows: Sequence[_Row], source: str) -> Document:
    text = rows[0].cells["text"]
    spans: list[Span] = []
    for row in rows:
        try:
            if row.cells["text"] not in ("", text):
                raise ValueError(f"document {excerpt(identifier)} has another text in its first row")
            if any(row.cells[column] for column in _SPAN_COLUMNS):
                spans.append(_to_span(row.cells, text))
        except ValueError as error:
            raise CorpusFormatError(f"{source}, line {row.number}: {error}") from error
    return Document(identifier, text, tuple(spans))


def _to_span(cells: Mapping[str, str], text: str) -> Span:
    """Build a span from its cells; the inverse of :func:`_from_span`.

    Raises:
        ValueError: a cell is missing or malformed, or the span does not fit the text.
    """
    start, end, label, mention, score, corpus, fragments, attributes, evidence = (
        cells[column] for column in _SPAN_COLUMNS
    )
    if not _OFFSET.fullmatch(start) or not _OFFSET.fullmatch(end) or not label:
        raise ValueError(
            f"a span needs whole numbers as start and end, and a label; found {excerpt(start)}, "
            f"{excerpt(end)} and {excerpt(label)}"
        )
    if score and not _SCORE.fullmatch(score):
        raise ValueError(f"expected a number like 0.5 as score, found {excerpt(score)}")
    if fragments and not _FRAGMENTS.fullmatch(fragments):
        raise ValueError(f"expected fragments like 0-3;5-9, found {excerpt(fragments)}")

    span = Span(
        int(start),
        int(end),
        label,
        float(score) if score else None,
        corpus or None,
        tuple(_to_pair(fragment) for fragment in fragments.split(";") if fragment),
        read_attributes(attributes),
        parse_evidence(evidence or None),
    )

    if span.end > len(text):
        raise ValueError(f"span {start}..{end} ends beyond the text of {len(text)} characters")
    if mention and mention != (covered := Document("", text).mention(span)):
        raise ValueError(
            f"characters {start}..{end} are {excerpt(covered)}, but the row has {excerpt(mention)}"
        )
    return span


def _to_pair(fragment: str) -> tuple[int, int]:
    start, end = fragment.split("-")
    return int(start), int(end)


# --- writing


def _refusal(document: Document, seen: set[str], *, attributes: bool) -> str | None:
    """Return the reason why a document cannot be written; ``None`` if it can."""
    if not document.id or document.id in seen:
        return "its id is empty or duplicate, and ids separate the rows of documents"
    if any(span.corpus == "" for span in document.spans):
        return "a span has an empty corpus, which would read back as None"
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
        write_evidence(span.evidence).get("evidence", ""),
    ]
