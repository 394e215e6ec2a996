"""Common parts of the formats of annotation tools (Label Studio, doccano, Prodigy).

They hold contiguous spans with a label. Fragments are refused. The corpus, the attributes and the evidence of
a span are refused too, or dropped with ``exact=False``. The id of a document goes into the field
``document_id`` of its own data, since each tool numbers its tasks anew; the tools return it on export.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from openmed_ner.errors import UnrepresentableError
from openmed_ner.formats.json_values import require_name
from openmed_ner.formats.structure import KEY, check_infons
from openmed_ner.formats.tolerance import LONE_SURROGATE, OnBad
from openmed_ner.text import Document, Span

DOCUMENT_ID = "document_id"
"""Field of the id of a document in the data of a task."""


def iter_writable(
    documents: Iterable[Document], tool: str, *, exact: bool, scored: bool, on_bad: OnBad
) -> Iterator[Document]:
    """Yield the documents that a tool can hold; others go to ``on_bad``.

    Args:
        documents: the documents.
        tool: name of the tool in messages.
        exact: refuse spans with values that the tool has no place for; otherwise these values are dropped.
        scored: if true, the tool holds scores.
        on_bad: called with the error of each refused document.
    """
    for document in documents:
        simple = document.with_spans(
            Span(span.start, span.end, span.label, span.score if scored else None, fragments=span.fragments)
            for span in document.spans
        )
        if reason := _refusal(document, simple, exact=exact):
            on_bad(UnrepresentableError(f"document {document.id!r}: {tool} cannot hold {reason}"))
        else:
            yield simple


def _refusal(document: Document, simple: Document, *, exact: bool) -> str | None:
    strings = [document.id, document.text, *(span.label for span in document.spans)]
    if any(LONE_SURROGATE.search(string) for string in strings):
        return "half of a surrogate pair"
    for span, simplified in zip(document.spans, simple.spans, strict=True):
        subject = f"the span {span.start}..{span.end} ({span.label!r})"
        if span.fragments:
            return f"{subject}, which is discontinuous"
        if exact and span != simplified:
            lost = "score, corpus" if span.score != simplified.score else "corpus"
            return f"{subject}, which has a {lost}, attributes or evidence"
    return None


def document_name(data: Mapping[str, Any], *keys: str, default: str) -> str:
    """Return the id of a document: its ``document_id``, or the first of other fields, or a default.

    Raises:
        ValueError: the field is neither a string nor a whole number.
    """
    for key in (DOCUMENT_ID, *keys):
        if data.get(key) is not None:
            return require_name(data[key], key)
    return default


def structure_entry(document: Document) -> dict[str, Any]:
    """The structure of the source under its key, if the document has one, for the data of a task."""
    return {KEY: document.meta[KEY]} if KEY in document.meta else {}


def with_structure(document: Document, record: object) -> Document:
    """Return the document with the structure that its task carries.

    Raises:
        ValueError: the structure holds what JSON or UTF-8 cannot.
    """
    if isinstance(record, Mapping) and isinstance(structure := record.get(KEY), dict):
        return replace(document, meta={KEY: check_infons(structure)})
    return document
