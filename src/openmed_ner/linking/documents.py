"""Link the mentions of documents, and write the identifiers into attributes of their spans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from openmed_ner.linking.attributes import list_ids, to_attributes
from openmed_ner.linking.concepts import Link
from openmed_ner.linking.linker import GENE, LINKED_TYPES, SPECIES, Linker
from openmed_ner.linking.organisms import list_genera
from openmed_ner.linking.short_forms import list_long_forms
from openmed_ner.linking.species import SpeciesWords
from openmed_ner.text import Document


def link_document(document: Document, linker: Linker) -> list[Link | None]:
    """Link the spans of a document, in order; ``None`` for a span without an identifier."""
    long_forms = list_long_forms(document.text) if document.spans else {}
    kinds = {LINKED_TYPES.get(span.label) for span in document.spans}
    if SPECIES in kinds:
        long_forms = {**list_genera(document.text), **long_forms}
    words = SpeciesWords.of(document.text if GENE in kinds else "")
    mentions = map(document.mention, document.spans)
    return [
        linker.link(mention, span.label, long_forms, words.choose(span.start))
        for mention, span in zip(mentions, document.spans, strict=True)
    ]


def add_links(documents: Iterable[Document], linker: Linker) -> Iterator[Document]:
    """Add the identifiers of mentions to their spans; a span that has one keeps it.

    A linked span has the attributes ``identifier``, ``preferred_name``, ``linked_by`` and ``link_score``, and
    ``candidates`` if the mention may mean further concepts. The values of several concepts are joined by
    ``|``.
    """
    return map(partial(_add, linker=linker), documents)


def _add(document: Document, linker: Linker) -> Document:
    open_spans = [span for span in document.spans if not list_ids(span)]
    links = iter(link_document(document.with_spans(open_spans), linker))
    spans = []
    for span in document.spans:
        link = None if list_ids(span) else next(links)
        spans.append(span if link is None else span.with_attributes(to_attributes(link)))
    return document.with_spans(spans)
