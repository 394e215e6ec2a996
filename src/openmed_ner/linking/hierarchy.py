"""Concepts above those of mentions: mentions of all neoplasms, of all penicillins, and their numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from openmed_ner.errors import UnknownConceptError
from openmed_ner.linking.attributes import list_ids
from openmed_ner.linking.linker import Linker
from openmed_ner.text import Document


@dataclass(frozen=True, slots=True)
class ConceptPlace:
    """The place of a concept in the hierarchies of terminologies.

    Attributes:
        name: preferred name.
        parents: identifiers of the concepts directly above it.
    """

    name: str
    parents: tuple[str, ...]


def list_concepts(documents: Iterable[Document], linkers: Sequence[Linker]) -> dict[str, ConceptPlace]:
    """List the concepts of mentions, and all concepts above them, by identifier.

    An identifier that no terminology has is left out.

    Args:
        documents: documents whose spans have identifiers.
        linkers: terminologies that know which concept is below which.
    """
    waiting = [name for document in documents for span in document.spans for name in list_ids(span)]
    places: dict[str, ConceptPlace] = {}
    while waiting:
        identifier = waiting.pop()
        if identifier in places:
            continue
        entries = [entry for linker in linkers for entry in linker.look_up(identifier)]
        if entries:
            # A terminology may name a parent that it does not hold.
            parents = dict.fromkeys(other.id for entry in entries for other in entry.parents if other.name)
            places[identifier] = ConceptPlace(entries[0].concept.name, tuple(parents))
            waiting += parents
    return places


def keep_under(
    documents: Iterable[Document], linkers: Sequence[Linker], ancestors: Sequence[str]
) -> Iterator[Document]:
    """Keep the mentions of some concepts and of the concepts below them.

    A mention of several concepts stays if one of them is below.

    Args:
        documents: documents whose spans have identifiers.
        linkers: terminologies that know which concept is below which.
        ancestors: identifiers or cross-references of the concepts.

    Raises:
        UnknownConceptError: none of the terminologies has one of the concepts.
    """
    for ancestor in ancestors:
        if not any(ancestor in linker for linker in linkers):
            raise UnknownConceptError(
                f"no terminology has the concept {ancestor!r}; an identifier has a prefix, as in MESH:D009369"
            )

    @cache
    def is_below(identifier: str) -> bool:
        return any(linker.is_under(identifier, ancestor) for linker in linkers for ancestor in ancestors)

    def keep(document: Document) -> Document:
        return document.with_spans(span for span in document.spans if any(map(is_below, list_ids(span))))

    return map(keep, documents)
