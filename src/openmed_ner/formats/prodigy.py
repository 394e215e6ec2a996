"""Prodigy: JSON lines of examples with ``spans``, to import as a source and as exported by ``db-out``.

Only examples with the answer ``accept``, or without an answer yet, are read; the number of the others is
logged. ``meta`` shows the id of the document in the corner of the annotation card.

Format: https://prodi.gy/docs/api-interfaces#ner_manual.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from typing import TextIO

from openmed_ner.formats.annotation_tools import (
    DOCUMENT_ID,
    document_name,
    iter_writable,
    structure_entry,
    with_structure,
)
from openmed_ner.formats.json_shapes import read_span
from openmed_ner.formats.json_values import (
    Record,
    read_records,
    require_list,
    require_object,
    require_string,
)
from openmed_ner.formats.tolerance import OnBad, fail
from openmed_ner.text import Document

_logger = logging.getLogger(__name__)


def read_prodigy(file: TextIO, *, source: str, on_bad: OnBad = fail) -> Iterator[Document]:
    """Yield one document per accepted example; a bad example or span goes to ``on_bad``.

    Raises:
        CorpusFormatError: the file is not JSON, or an example has no text.
        AnnotationError: a span has the wrong shape or does not fit the text.
    """
    n_others = 0

    def read(record: Record) -> Document | None:
        nonlocal n_others
        if record.fields.get("answer", "accept") == "accept":
            return _read_example(record)
        n_others += 1
        return None

    yield from read_records(file, source, on_bad, name="example", read=read)
    if n_others:
        _logger.warning("%s: %d examples that were rejected or ignored are left out", source, n_others)


def write_prodigy(
    documents: Iterable[Document], file: TextIO, *, exact: bool = True, on_bad: OnBad = fail
) -> None:
    """Write one example per line.

    Args:
        documents: the documents.
        file: target.
        exact: refuse spans with corpora, attributes or evidence; otherwise these are dropped.
        on_bad: called with the error of each refused document.

    Raises:
        UnrepresentableError: a document has a discontinuous span or half of a surrogate pair; if ``exact``,
            also a span with one of the values above.
    """
    for document in iter_writable(documents, "Prodigy", exact=exact, scored=True, on_bad=on_bad):
        spans = [
            {
                "start": span.start,
                "end": span.end,
                "label": span.label,
                **({} if span.score is None else {"score": span.score}),
            }
            for span in document.spans
        ]
        meta = {DOCUMENT_ID: document.id}
        record = {"text": document.text, "spans": spans, "meta": meta, **structure_entry(document)}
        file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _read_example(record: Record) -> Document:
    fields = record.fields
    text = require_string(fields.get("text"), "text")
    meta = require_object(fields.get("meta") or {}, "meta")
    spans = record.read_each(
        require_list(fields.get("spans"), "spans"), lambda entry: [read_span(entry, text)]
    )
    name = document_name(meta, "id", default="") or document_name(fields, "id", default=record.default_id)
    return with_structure(Document(name, text, tuple(spans)), fields)
