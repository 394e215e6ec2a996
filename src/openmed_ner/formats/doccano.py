"""doccano: JSON lines with spans as ``[start, end, label]``, and the shapes of its other exports.

The spans are under ``label`` or ``labels`` as triples, or under ``entities`` or ``annotations`` as objects
with ``start_offset`` and ``end_offset``. spaCy's training examples are read too: ``entities`` as triples or
as objects with ``start`` and ``end``, also in the old form ``["text", {"entities": […]}]``. Relations and
comments are ignored. Scores are not written: doccano has no place for them.

Format: https://doccano.github.io/doccano/tutorial/ and https://spacy.io/api/data-formats.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from openmed_ner.formats.annotation_tools import (
    DOCUMENT_ID,
    document_name,
    iter_writable,
    structure_entry,
    with_structure,
)
from openmed_ner.formats.json_shapes import read_spans
from openmed_ner.formats.json_values import Record, iter_values, read_records, require_string
from openmed_ner.formats.tolerance import OnBad, fail
from openmed_ner.text import Document

_LISTS = ("label", "labels", "entities", "annotations")
"""Keys of the list of spans."""


def read_doccano(file: TextIO, *, source: str, on_bad: OnBad = fail) -> Iterator[Document]:
    """Yield one document per record; a bad record or span goes to ``on_bad``.

    Raises:
        CorpusFormatError: the file is not JSON, or a record has no text or no list of spans.
        AnnotationError: a span has the wrong shape or does not fit the text.
    """
    return read_records(file, source, on_bad, name="record", read=_read_record, records=_iter_examples)


def write_doccano(
    documents: Iterable[Document], file: TextIO, *, exact: bool = True, on_bad: OnBad = fail
) -> None:
    """Write one line per document, to import as JSONL for sequence labelling.

    Args:
        documents: the documents.
        file: target.
        exact: refuse spans with scores, corpora, attributes or evidence; otherwise these are dropped.
        on_bad: called with the error of each refused document.

    Raises:
        UnrepresentableError: a document has a discontinuous span or half of a surrogate pair; if ``exact``,
            also a span with one of the values above.
    """
    for document in iter_writable(documents, "doccano", exact=exact, scored=False, on_bad=on_bad):
        record = {
            "text": document.text,
            "label": [[span.start, span.end, span.label] for span in document.spans],
            DOCUMENT_ID: document.id,
            **structure_entry(document),
        }
        file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _iter_examples(file: TextIO, source: str, on_bad: OnBad) -> Iterator[tuple[str, Any]]:
    """Yield the place and the value of each example; spaCy's old form, a list itself, becomes an object."""
    for line, value in iter_values(file, source, on_bad):
        if not isinstance(value, list) or _is_pair(value):
            yield f"{source}, line {line}", _to_object(value)
        else:
            for number, record in enumerate(value, start=1):
                yield f"{source}, record {number}", _to_object(record)


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and [type(entry) for entry in value] == [str, dict]


def _to_object(value: Any) -> Any:
    return {**value[1], "text": value[0]} if _is_pair(value) else value


def _read_record(record: Record) -> Document:
    fields = record.fields
    text = require_string(fields.get("text", fields.get("data")), "text")
    lists = [key for key in _LISTS if isinstance(fields.get(key), list)]
    # An export with relations has an empty "label" beside "entities".
    full = [key for key in lists if fields[key]] or lists[:1]
    if len(full) != 1:
        raise ValueError(f"expected the spans in one list under {', '.join(_LISTS)}, found {full or 'none'}")

    spans = record.read_each(fields[full[0]], lambda entry: read_spans(entry, text))
    name = document_name(fields, "id", default=record.default_id)
    return with_structure(Document(name, text, tuple(spans)), fields)
