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

from openmed_ner.errors import CorpusFormatError
from openmed_ner.formats.annotation_tools import (
    DOCUMENT_ID,
    document_name,
    iter_writable,
    structure_entry,
    with_structure,
)
from openmed_ner.formats.json_values import (
    iter_values,
    require_list,
    require_name,
    require_object,
    require_offset,
    require_string,
)
from openmed_ner.formats.tolerance import OnBad, fail
from openmed_ner.text import Document, Span

_LISTS = ("label", "labels", "entities", "annotations")
"""Keys of the list of spans."""


def read_doccano(file: TextIO, *, source: str, on_bad: OnBad = fail) -> Iterator[Document]:
    """Yield one document per record; a bad record goes to ``on_bad``.

    Raises:
        CorpusFormatError: the file is not JSON, a record has no text or no list of spans, or a span does not
            fit the text.
    """
    for place, record in _iter_examples(file, source, on_bad):
        try:
            document = _read_record(record, place.replace(", line ", ":").replace(", record ", ":"))
        except (ValueError, RecursionError) as error:
            on_bad(CorpusFormatError(f"{place}: {error}"))
        else:
            yield document


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
    """Yield the place and the value of each example; spaCy's old form is a list itself."""
    for line, value in iter_values(file, source, on_bad):
        if not isinstance(value, list) or _is_pair(value):
            yield f"{source}, line {line}", value
        else:
            for number, record in enumerate(value, start=1):
                yield f"{source}, record {number}", record


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and [type(entry) for entry in value] == [str, dict]


def _read_record(record: object, default_id: str) -> Document:
    if isinstance(record, list) and _is_pair(record):
        record = {**record[1], "text": record[0]}
    fields = require_object(record, "record")
    text = require_string(fields.get("text", fields.get("data")), "text")
    lists = [key for key in _LISTS if isinstance(fields.get(key), list)]
    # An export with relations has an empty "label" beside "entities".
    full = [key for key in lists if fields[key]] or lists[:1]
    if len(full) != 1:
        raise ValueError(f"expected the spans in one list under {', '.join(_LISTS)}, found {full or 'none'}")

    spans = tuple(_read_span(entry) for entry in require_list(fields[full[0]], full[0]))
    return with_structure(Document(document_name(fields, "id", default=default_id), text, spans), fields)


def _read_span(entry: object) -> Span:
    if isinstance(entry, list):
        if len(entry) != 3:
            raise ValueError(f"expected a span as [start, end, label], found {entry!r:.60}")
        start, end, label = entry
    else:
        fields = require_object(entry, "span")
        start = fields.get("start_offset", fields.get("start"))
        end = fields.get("end_offset", fields.get("end"))
        label = fields.get("label")
    return Span(require_offset(start, "start"), require_offset(end, "end"), require_name(label, "label"))
