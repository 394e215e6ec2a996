"""Link the mentions of documents, and write the identifiers into attributes of their spans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from openmed_ner.linking.linker import Identifier, Link, Linker
from openmed_ner.linking.short_forms import list_long_forms
from openmed_ner.text import Document

SEPARATOR = "|"
"""Sign between the values of several concepts in one attribute."""


def link_document(document: Document, linker: Linker) -> list[Link | None]:
    """Link the spans of a document, in order; ``None`` for a span without an identifier."""
    long_forms = list_long_forms(document.text) if document.spans else {}
    return [linker.link(document.mention(span), span.label, long_forms) for span in document.spans]


def add_links(documents: Iterable[Document], linker: Linker) -> Iterator[Document]:
    """Add the identifiers of mentions to their spans.

    A linked span has the attributes ``identifier``, ``preferred_name``, ``linked_by`` and ``link_score``, and
    ``candidates`` if the mention may mean further concepts. The values of several concepts are joined by
    ``|``.
    """
    return map(partial(_add, linker=linker), documents)


def to_attributes(link: Link) -> dict[str, str | bool]:
    """Attributes of a linked span."""
    attributes: dict[str, str | bool] = {
        "identifier": SEPARATOR.join(link.ids),
        "preferred_name": _join_names(link.identifiers),
        "linked_by": link.method,
        "link_score": f"{link.score:.2f}",
    }
    if len(link.candidates) > len(link.identifiers):
        attributes["candidates"] = SEPARATOR.join(candidate.id for candidate in link.candidates)
    return attributes


def _add(document: Document, linker: Linker) -> Document:
    spans = [
        span if link is None else span.with_attributes(to_attributes(link))
        for span, link in zip(document.spans, link_document(document, linker), strict=True)
    ]
    return document.with_spans(spans)


def _join_names(identifiers: Sequence[Identifier]) -> str:
    return SEPARATOR.join(identifier.name.replace(SEPARATOR, "/") for identifier in identifiers)
