"""Find documents that stand in another split or corpus, whole or in part.

Two documents are compared by their sentences, without case, white space and punctuation, so that
another tokenisation, another line break or a lost bracket hides nothing. For that, a sentence ends at
every full stop but the one in "0.05", whatever follows: "i.v. injection" ends two. Sentences of fewer than
``SHORTEST`` letters and digits, and those that more than ``COMMON`` texts have, are headings and
phrases ("The authors declare that they have no competing interests"); they do not count.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from openmed_ner.text import Document

SHORTEST = 40
COMMON = 4
SHARE = 0.5
"""A document stands in another if the two share this part of the shorter one's sentences."""

_BREAK = re.compile(r"[.!?]\s+|\s*\n\s*")
_NOISE = re.compile(r"[^\w.!?]|_")
_STOP = re.compile(r"(?<!\d)[.!?]|[.!?](?!\d)")
_MARK = re.compile("[.!?]")
Key = bytes


@dataclass(frozen=True, slots=True)
class Overlap:
    """What two sets of documents share.

    Attributes:
        first: name of the one set.
        second: name of the other; the same for repetitions within a set.
        documents: how many documents of ``first`` stand in ``second``.
        sentences: how many different sentences of ``first`` stand in ``second``.
    """

    first: str
    second: str
    documents: int
    sentences: int


def sentence_keys(text: str) -> frozenset[Key]:
    """The long sentences of a text, each as a hash of its letters and digits."""
    return frozenset(_iter_keys(text))


def count_sentences(text: str) -> int:
    """How many sentences a text has: they end at the end of a line, or with a stop before white space."""
    return sum(bool(sentence.strip()) for sentence in _BREAK.split(text))


def _iter_keys(text: str) -> Iterator[Key]:
    for sentence in _STOP.split(_NOISE.sub("", text.casefold())):
        letters = _MARK.sub("", sentence)
        if len(letters) >= SHORTEST:
            yield blake2b(letters.encode("utf-8", "surrogatepass"), digest_size=12).digest()


def common_keys(texts: Mapping[str, frozenset[Key]]) -> frozenset[Key]:
    """The sentences that too many different texts have for them to tell anything.

    Texts of the same sentences are one: a document does not become common by being there often.
    """
    uses = Counter(key for keys in set(texts.values()) for key in keys)
    return frozenset(key for key, count in uses.items() if count > COMMON)


class SentenceIndex:
    """The sentences of some documents, for looking up which of them share any with another."""

    def __init__(self, keys: Iterable[frozenset[Key]]) -> None:
        self.keys = list(keys)
        self._places: defaultdict[Key, list[int]] = defaultdict(list)
        for index, own in enumerate(self.keys):
            for key in own:
                self._places[key].append(index)

    def __contains__(self, key: Key) -> bool:
        return key in self._places

    def copies(self, keys: frozenset[Key]) -> list[int]:
        """The documents in which one with these sentences stands, or that stand in it, by index."""
        shared = Counter(index for key in keys for index in self._places.get(key, ()))
        return [
            index for index, count in shared.items() if count >= SHARE * min(len(keys), len(self.keys[index]))
        ]


def _index(sets: Iterable[Sequence[Document]]) -> list[SentenceIndex]:
    """Index sets of documents, without the sentences that are common among them all."""
    groups = list(sets)
    texts = {document.text for documents in groups for document in documents}
    keys = {text: sentence_keys(text) for text in texts}
    ignored = common_keys(keys)
    return [SentenceIndex(keys[document.text] - ignored for document in group) for group in groups]


def exclude_overlap(
    train: Sequence[Document], held_out: Sequence[Document]
) -> tuple[list[Document], list[Document]]:
    """TextFiles training documents into those to keep and those that stand in a held-out document.

    Returns:
        Kept and left out, both in order.
    """
    first, second = _index([train, held_out])
    kept: list[Document] = []
    left: list[Document] = []
    for document, keys in zip(train, first.keys, strict=True):
        (left if second.copies(keys) else kept).append(document)
    return kept, left


def find_overlaps(sets: Mapping[str, Sequence[Document]]) -> list[Overlap]:
    """Compare every set with every other and with itself.

    Returns:
        The pairs that share at least one sentence, in the order of the sets.
    """
    indexes = dict(zip(sets, _index(sets.values()), strict=True))
    overlaps = []
    for first, one in indexes.items():
        for second, other in indexes.items():
            own = 1 if first == second else 0  # within a set, every document stands in itself
            documents = sum(len(other.copies(keys)) > own for keys in one.keys)
            uses = Counter(key for keys in one.keys for key in keys)
            sentences = sum(key in other and count > own for key, count in uses.items())
            if sentences:
                overlaps.append(Overlap(first, second, documents, sentences))
    return overlaps
