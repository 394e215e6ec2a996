"""Mentions, identifiers and concepts of one document, and the year that it is from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple

from openmed_ner.linking.attributes import list_ids, list_names
from openmed_ner.text import Document, Span

MAX_SHOWN = 200
"""Characters by which a mention, a name or a type counts; longer ones are cut."""
_YEARS = range(1500, 2200)


class Concept(NamedTuple):
    """An identifier, whose type is empty, or a mention in lower case with its type."""

    type: str
    name: str


@dataclass(slots=True)
class Occurrences:
    """The mentions of a concept in one document.

    Attributes:
        shown: form that people read, of the first mention.
        n_mentions: number of mentions.
        texts: distinct texts of the mentions, in lower case.
    """

    shown: str
    n_mentions: int = 0
    texts: set[str] = field(default_factory=set)


@dataclass(slots=True)
class DocumentConcepts:
    """The mentions and concepts of a document.

    Attributes:
        mentions: by text and type.
        concepts: by identifier, or by text and type where there is none.
    """

    mentions: dict[Concept, Occurrences] = field(default_factory=dict)
    concepts: dict[Concept, Occurrences] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Document) -> DocumentConcepts:
        """Collect the mentions of a document."""
        found = cls()
        for span in document.spans:
            shown = cut(" ".join(document.mention(span).split()))
            mention = Concept(cut(span.label), shown.casefold())
            _note(found.mentions, mention, shown, mention.name)
            for concept, name in _list_concepts(span) or [(mention, shown)]:
                _note(found.concepts, concept, name, mention.name)
        return found

    def list_pairs(self, limit: int) -> Iterator[tuple[Concept, Concept]]:
        """Yield each pair of concepts once, in the order of their names.

        Two readings of one mention, such as the types of two layers, are no pair, and neither are a name and
        a part of it, such as "breast cancer" and "cancer".

        Args:
            limit: number of concepts that form pairs, those with most mentions.
        """
        ranked = sorted(self.concepts.items(), key=lambda item: (-item[1].n_mentions, item[0]))
        for (first, left), (second, right) in combinations(sorted(ranked[:limit], key=_key), 2):
            if not _overlap(left.texts, right.texts):
                yield first, second


def find_year(document: Document) -> int | None:
    """The year of publication: ``year`` of the document or of its structure; ``None`` if it is not known."""
    values = [document.meta.get("year")]
    structure = document.meta.get("structure")
    if isinstance(structure, dict):
        passages = structure.get("passages")
        for record in (structure, *(passages if isinstance(passages, list) else ())):
            infons = record.get("infons") if isinstance(record, dict) else None
            values.append(infons.get("year") if isinstance(infons, dict) else None)
    for value in values:
        text = str(value)
        if text.isascii() and text.isdecimal() and len(text) == 4 and int(text) in _YEARS:
            return int(text)
    return None


def cut(text: str) -> str:
    """Shorten a text to the characters by which it counts."""
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"


def _list_concepts(span: Span) -> list[tuple[Concept, str]]:
    named = zip(list_ids(span), list_names(span), strict=True)
    return [(Concept("", cut(identifier)), cut(name)) for identifier, name in dict(named).items()]


def _overlap(first: set[str], second: set[str]) -> bool:
    """True if a text of one set is made of whole words of a text of the other."""
    return any(
        f" {short} " in f" {long} "
        for left in first
        for right in second
        for short, long in (sorted((left, right), key=len),)
    )


def _note(table: dict[Concept, Occurrences], concept: Concept, shown: str, text: str) -> None:
    occurrences = table.setdefault(concept, Occurrences(shown))
    occurrences.n_mentions += 1
    occurrences.texts.add(text)


def _key(item: tuple[Concept, Occurrences]) -> Concept:
    return item[0]
