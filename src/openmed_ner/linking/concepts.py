"""What a mention is linked to: concepts, and how they were found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from openmed_ner.terminologies.name_index import NameIndex, split_ids

Method = Literal["learnt", "exact", "long form", "parts", "variant", "near"]
METHODS: tuple[Method, ...] = get_args(Method)
"""Ways of finding an identifier, the most certain first."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """A concept that a mention may mean.

    Attributes:
        id: identifier with its prefix: ``MESH:D003920``.
        name: preferred name.
        xrefs: identifiers of the same concept in other terminologies.
    """

    id: str
    name: str
    xrefs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """The concepts of a mention.

    Attributes:
        identifiers: the concept, or the several concepts of an enumeration.
        method: way of finding them.
        score: similarity of mention and name, from 0 to 1.
        candidates: up to five concepts that the mention may mean, the best first.
    """

    identifiers: tuple[Identifier, ...]
    method: Method
    score: float = 1.0
    candidates: tuple[Identifier, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """The identifiers of the concepts."""
        return tuple(identifier.id for identifier in self.identifiers)


@dataclass(frozen=True, slots=True)
class ConceptEntry:
    """A concept of a terminology, as it is looked up.

    Attributes:
        concept: the concept.
        type: its type.
        parents: concepts directly above it.
    """

    concept: Identifier
    type: str
    parents: tuple[Identifier, ...] = ()


def describe_concept(index: NameIndex, number: int) -> Identifier:
    """The concept with a number in an index."""
    return Identifier(index.ids[number], index.names[number], split_ids(index.xrefs[number]))
