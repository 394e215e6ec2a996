r"""JSON lines: one document per line, offsets in characters of ``text``.

``{"id": …, "text": …, "spans": [{"start", "end", "text", "label", "score", "corpus"}], …}``. Every other key
is kept as ``Document.meta``, so reading what was written loses nothing. A span has ``fragments`` and
``attributes`` only if they are not empty, and ``evidence`` only if it is not ``sentence``. Without ``spans``,
the annotations of other tools are read (:mod:`openmed_ner.formats.json_shapes`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from logging import getLogger
from typing import Any, NoReturn, TextIO

from openmed_ner.errors import AnnotationError, CorpusFormatError, UnrepresentableError
from openmed_ner.formats.attributes import write_evidence
from openmed_ner.formats.json_shapes import find_annotations, find_unread, read_span, read_spans
from openmed_ner.formats.json_values import explain_json
from openmed_ner.formats.tolerance import OnBad, excerpt, fail, require_utf8
from openmed_ner.text import Document, Span

logger = getLogger(__name__)

_RESERVED = {"id", "text", "spans"}


def read_jsonl(file: TextIO, *, source: str, on_bad: OnBad = fail) -> Iterator[Document]:
    """Yield one document per line; blank lines are skipped.

    A line without ``id`` is named after its source and line number. Bad lines and spans go to ``on_bad``.
    Lists under other keys that look like mentions are not read, and a warning counts them.

    Raises:
        CorpusFormatError: a line is not a JSON object, or lacks ``text``.
        AnnotationError: its spans do not fit the text.
    """
    unread: Counter[str] = Counter()
    for number, line in enumerate(file, start=1):
        # json.loads refuses a byte order mark.
        content = line.removeprefix("\ufeff") if number == 1 else line
        if not content.strip():
            continue
        place = f"{source}, line {number}"
        report = partial(_report, place=place, on_bad=on_bad)
        try:
            require_utf8(content)
            document = from_json(
                json.loads(content.rstrip("\r\n")), default_id=f"{source}:{number}", on_bad_span=report
            )
        except (ValueError, RecursionError) as error:
            prefix = "expected one JSON object per line: " if isinstance(error, json.JSONDecodeError) else ""
            on_bad(CorpusFormatError(f"{place}: {prefix}{explain_json(error)}"))
        else:
            if not document.spans:
                unread.update(find_unread(document.meta))
            yield document

    for key, n_lines in unread.items():
        logger.warning(
            "%s: %s without mentions with what looks like mentions under %r, which is not read; "
            "put them under 'spans'",
            source,
            f"{n_lines} {'line' if n_lines == 1 else 'lines'}",
            key,
        )


def _report(error: ValueError, *, place: str, on_bad: OnBad) -> None:
    on_bad(AnnotationError(f"{place}: {error}"))


def write_jsonl(
    documents: Iterable[Document], file: TextIO, *, with_text: bool = True, on_bad: OnBad = fail
) -> None:
    """Write one line per document, in UTF-8 without escapes; refused documents go to ``on_bad``.

    Without their texts, the lines have the mentions alone, and cannot be read back.
    """
    for document in documents:
        try:
            record = to_json(document)
        except UnrepresentableError as error:
            on_bad(error)
        else:
            if not with_text:
                del record["text"]
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _refuse(error: ValueError) -> NoReturn:
    raise error


def from_json(
    record: object, *, default_id: str, on_bad_span: Callable[[ValueError], None] = _refuse
) -> Document:
    """Build a document from a decoded JSON object.

    Args:
        record: the decoded object.
        default_id: id of a document without one.
        on_bad_span: called with the error of each span that is left out.

    Raises:
        ValueError: a key is missing or has the wrong type, or a span does not fit the text.
    """
    fields, identifier, text = check_record(record)
    # Refused here, where the line is known, and not when a run writes it back hours later.
    _require_writable(fields)

    spans: list[Span] = []
    key = "spans"
    try:
        key, entries = _find_entries(fields)
    except ValueError as error:
        on_bad_span(error)
        entries = []
    for entry in entries:
        try:
            spans += [read_span(entry, text)] if key == "spans" else read_spans(entry, text)
        except ValueError as error:
            on_bad_span(error)

    used = _RESERVED | {key}
    return Document(
        default_id if identifier is None else identifier,
        text,
        tuple(spans),
        {name: value for name, value in fields.items() if name not in used},
    )


def _find_entries(fields: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Return the annotations of a line, and their key."""
    spans = fields.get("spans")
    if spans is None and (key := find_annotations(fields)):
        return key, fields[key]
    if not isinstance(spans, list | None):
        raise ValueError('expected a list under "spans"')
    return "spans", spans or []


def to_json(document: Document) -> dict[str, Any]:
    """Build the JSON object of a document; the inverse of :func:`from_json`.

    Raises:
        UnrepresentableError: ``meta`` has a key that the document itself needs.
    """
    if conflicts := _RESERVED & document.meta.keys():
        raise UnrepresentableError(
            f"document {document.id!r}: meta has the key {min(conflicts)!r}, which is reserved in JSON lines"
        )
    spans = [_span_to_json(document, span) for span in document.spans]
    return {"id": document.id, "text": document.text, "spans": spans, **document.meta}


def check_record(record: object) -> tuple[dict[str, Any], str | None, str]:
    """Check a decoded JSON object that describes a text.

    Returns:
        The object, its ``id`` if it has one, and its ``text``.

    Raises:
        ValueError: the value is not an object, or one of these keys has the wrong type.
    """
    if not isinstance(record, dict):
        raise ValueError(f"expected a JSON object, found {type(record).__name__}")
    text = record.get("text")
    if not isinstance(text, str):
        keys = ", ".join(map(excerpt, list(record)[:6]))
        found = "" if "text" in record or not record else f", found the keys {keys}"
        raise ValueError(f'expected a string under "text"{found}')

    # bool is a subclass of int in Python, but true is not a name.
    identifier = record.get("id")
    if isinstance(identifier, bool) or not isinstance(identifier, str | int | None):
        raise ValueError(f'expected a string or a whole number under "id", found {identifier!r}')
    return record, None if identifier is None else str(identifier), text


def _require_writable(record: dict[str, Any]) -> None:
    """Refuse values that neither JSON nor UTF-8 can hold: NaN, infinity, half of a surrogate pair."""
    try:
        json.dumps(record, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError("a string holds half of a surrogate pair, which is not a character") from error


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
        **write_evidence(span.evidence),
    }
