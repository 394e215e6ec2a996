r"""JSON lines: one document per line, offsets in characters of ``text``.

``{"id": …, "text": …, "spans": [{"start", "end", "text", "label", "score", "corpus"}], …}``; every
further key is kept as the document's ``meta``, so reading what was written loses nothing. ``fragments``
and ``attributes`` are keys of a span only where it has some.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TextIO

from openmed_ner.errors import CorpusFormatError, UnrepresentableError
from openmed_ner.formats.attributes import parse_attributes
from openmed_ner.formats.tolerance import OnBad, fail, require_utf8
from openmed_ner.text import Document, Span


def read_jsonl(file: TextIO, *, source: str, on_bad: OnBad = fail) -> Iterator[Document]:
    """Yield one document per line; blank lines are passed over.

    A line without ``id`` is named after its source and line number. A bad line is handed to ``on_bad``.

    Raises:
        CorpusFormatError: a line is not a JSON object, lacks ``text``, or has spans that do not fit it.
    """
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            require_utf8(line)
            document = from_json(json.loads(line), default_id=f"{source}:{number}")
        except (ValueError, RecursionError) as error:
            on_bad(CorpusFormatError(f"{source}, line {number}: {error}"))
        else:
            yield document


def write_jsonl(documents: Iterable[Document], file: TextIO, *, on_bad: OnBad = fail) -> None:
    """Write one line per document, in UTF-8 text without escapes; one it cannot hold goes to ``on_bad``."""
    for document in documents:
        try:
            record = to_json(document)
        except UnrepresentableError as error:
            on_bad(error)
        else:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def from_json(record: object, *, default_id: str) -> Document:
    """Build a document from a decoded JSON object.

    Raises:
        ValueError: a key is missing or has the wrong type, or a span does not fit the text.
    """
    if not isinstance(record, dict):
        raise ValueError(f"expected a JSON object, found {type(record).__name__}")
    _require_writable(record)
    rest = dict(record)
    text = rest.pop("text", None)
    if not isinstance(text, str):
        raise ValueError('expected a string under "text"')
    spans = rest.pop("spans", None)
    if not isinstance(spans, list | None):
        raise ValueError('expected a list under "spans"')
    identifier = rest.pop("id", None)
    if isinstance(identifier, bool) or not isinstance(identifier, str | int | None):
        raise ValueError(f'expected a string or a whole number under "id", found {identifier!r}')
    name = default_id if identifier is None else str(identifier)
    return Document(name, text, tuple(_span_from_json(span, text) for span in spans or ()), rest)


def to_json(document: Document) -> dict[str, Any]:
    """The JSON object of a document; the inverse of :func:`from_json`.

    Raises:
        UnrepresentableError: ``meta`` has a key that the document itself needs.
    """
    if taken := {"id", "text", "spans"} & document.meta.keys():
        raise UnrepresentableError(
            f"document {document.id!r}: meta has the key {min(taken)!r}, which is taken in JSON lines"
        )
    spans = [_span_to_json(document, span) for span in document.spans]
    return {"id": document.id, "text": document.text, "spans": spans, **document.meta}


def _require_writable(record: dict[str, Any]) -> None:
    """Refuse what Python reads but neither JSON nor UTF-8 can hold: NaN, infinity, half a surrogate pair."""
    try:
        json.dumps(record, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError("a string holds half of a surrogate pair, which is not a character") from error


def _span_from_json(record: object, text: str) -> Span:
    if not isinstance(record, Mapping):
        raise ValueError(f"expected a JSON object as span, found {type(record).__name__}")
    start, end, label = record.get("start"), record.get("end"), record.get("label")
    score, corpus = record.get("score"), record.get("corpus")
    if type(start) is not int or type(end) is not int:
        raise ValueError(f'a span needs whole numbers as "start" and "end", found {start!r} and {end!r}')
    if not isinstance(label, str) or not isinstance(corpus, str | None):
        raise ValueError(f'a span needs strings as "label" and "corpus", found {label!r} and {corpus!r}')
    if score is not None and (isinstance(score, bool) or not isinstance(score, int | float)):
        raise ValueError(f'a span needs a number as "score", found {score!r}')
    fragments = record.get("fragments", [])
    pairs = isinstance(fragments, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(type(edge) is int for edge in pair)
        for pair in fragments
    )
    if not pairs:
        raise ValueError(f'a span needs a list of [start, end] pairs as "fragments", found {fragments!r}')
    ranges = tuple((first, last) for first, last in fragments)
    attributes = parse_attributes(record.get("attributes", {}))
    span = Span(start, end, label, score, corpus, ranges, attributes)
    mention = record.get("text")
    if mention is not None and mention != (found := Document("", text, (span,)).mention(span)):
        raise ValueError(f"characters {start}..{end} are {found!r}, but the span says {mention!r}")
    return span


def _span_to_json(document: Document, span: Span) -> dict[str, Any]:
    fragments = {"fragments": [list(fragment) for fragment in span.fragments]} if span.fragments else {}
    attributes = {"attributes": dict(span.attributes)} if span.attributes else {}
    return {
        "start": span.start,
        "end": span.end,
        "text": document.mention(span),
        "label": span.label,
        "score": None if span.score is None else round(span.score, 4),
        "corpus": span.corpus,
        **fragments,
        **attributes,
    }
