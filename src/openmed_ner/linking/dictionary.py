"""The names of a vocabulary as mentions of their own, found without a model.

A name is found in any case, in the plural, with other hyphens and in British spelling, as it is linked. A
short name in capitals keeps its case, so "CAT" is not "cat". Ordinary words are no names. Of the names of one
type, the leftmost longest count. Names of several types may overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Self

from openmed_ner.linking.attributes import to_attributes
from openmed_ner.linking.concepts import Link, describe_concept
from openmed_ner.linking.linker import MAX_CANDIDATES
from openmed_ner.terminologies import TYPES, Lexicon, Matcher, name_key, normalise, open_lexicon, read_words
from openmed_ner.terminologies.name_index import NameIndex
from openmed_ner.terminologies.store import Store
from openmed_ner.text import Document, Span
from openmed_ner.text.hyphenation import read_text


class Dictionary:
    """Finds the names of a folder of compiled terminologies. Several threads may use it.

    Attributes:
        name: name of its layer.
    """

    def __init__(self, name: str, lexicon: Lexicon, indices: dict[str, NameIndex]) -> None:
        """Prepare the tables.

        Args:
            name: name of its layer.
            lexicon: the names of all types.
            indices: names of each type, with their concepts.
        """
        self.name = name
        self._matcher = Matcher(lexicon)
        self._indices = indices

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a folder of compiled terminologies; its name without suffix is the name of the layer.

        Raises:
            InputError: there is none, or it is damaged.
        """
        lexicon, _ = open_lexicon(folder)
        return cls(folder.resolve().stem, lexicon, Store.open(folder).open_indices())

    def find(self, text: str, *, nested: bool = False) -> list[Span]:
        """Find the names in a text.

        Args:
            text: the text.
            nested: if true, names that lie within a longer one of their type, or overlap one, count, too.

        Returns:
            Spans with the name of the layer as corpus and the attributes of a link, by position.
        """
        reading = read_text(text, lambda _: False)
        text = reading.text
        tokens, words, spaced = read_words(text)
        ends: dict[str, int] = {}
        spans: dict[tuple[int, int, str], Span] = {}
        for first, last, senses in self._matcher.find(words, spaced):
            start, end = tokens[first].start, tokens[last - 1].end
            for column, label in enumerate(TYPES):
                if not senses >> 2 * column & 3 or (not nested and start < ends.get(label, 0)):
                    continue
                if (start, end, label) not in spans and (link := self._link(text[start:end], label)):
                    spans[start, end, label] = Span(
                        start,
                        end,
                        label,
                        corpus=self.name,
                        attributes=tuple(sorted(to_attributes(link).items())),
                    )
                    ends[label] = end
        return reading.restore(spans.values())

    def _link(self, name: str, label: str) -> Link | None:
        """Link a name; ``None`` if another name has the same number in the lexicon."""
        index = self._indices[label]
        keys = dict.fromkeys((name_key(name), normalise(name)))
        senses = next(filter(None, map(index.find, keys)), [])
        numbers = list(dict.fromkeys(number for number, _ in senses))[:MAX_CANDIDATES]
        candidates = tuple(describe_concept(index, number) for number in numbers)
        return Link(candidates[:1], "exact", 1.0, candidates) if candidates else None


def add_names(
    documents: Iterable[Document], dictionary: Dictionary, *, nested: bool = False
) -> Iterator[Document]:
    """Add the names of a vocabulary to documents, behind their spans, as a layer of their own.

    Args:
        documents: documents, tagged or not.
        dictionary: the vocabulary.
        nested: if true, names within longer ones count, too.
    """
    return map(partial(_add, dictionary=dictionary, nested=nested), documents)


def _add(document: Document, dictionary: Dictionary, *, nested: bool) -> Document:
    return document.with_spans((*document.spans, *dictionary.find(document.text, nested=nested)))
