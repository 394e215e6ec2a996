"""Find documents that appear in another split or corpus, whole or in part.

Two documents are compared by their sentences, without case, white space and punctuation, so that another
tokenisation, another line break or a lost bracket hides nothing. For this comparison, a sentence ends at
every full stop but the one in "0.05", whatever follows: "i.v. injection" ends two. Sentences of fewer than
``SHORTEST`` letters and digits, and those of more than ``COMMON`` texts, do not count: they are headings and
phrases ("The authors declare that they have no competing interests").
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from openmed_ner.text import Document

SHORTEST = 40
COMMON = 4
SHARE = 0.5
"""Share of the shorter document's sentences that makes it appear in the other."""

_BREAK = re.compile(r"[.!?]\s+|\s*\n\s*")
_NOISE = re.compile(r"[^\w.!?]|_")
_STOP = re.compile(r"(?<!\d)[.!?]|[.!?](?!\d)")
_MARK = re.compile("[.!?]")
Key = bytes


@dataclass(frozen=True, slots=True)
class Overlap:
    """Documents and sentences that two sets share.

    Attributes:
        first: name of the first set.
        second: name of the second; equal to ``first`` for repetitions within a set.
        documents: number of documents of ``first`` that appear in ``second``.
        sentences: number of distinct sentences of ``first`` that appear in ``second``.
    """

    first: str
    second: str
    documents: int
    sentences: int


def sentence_keys(text: str) -> frozenset[Key]:
    """Hash the letters and digits of every long sentence of a text."""
    return frozenset(_iter_keys(text))


def count_sentences(text: str) -> int:
    """Count sentences, which end at the end of a line, or with a stop before white space."""
    return sum(bool(sentence.strip()) for sentence in _BREAK.split(text))


def _iter_keys(text: str) -> Iterator[Key]:
    for sentence in _STOP.split(_NOISE.sub("", text.casefold())):
        letters = _MARK.sub("", sentence)
        if len(letters) >= SHORTEST:
            # 12 bytes: a chance collision among a million sentences is below 1e-16.
            yield blake2b(letters.encode("utf-8", "surrogatepass"), digest_size=12).digest()


_remembered_keys = lru_cache(maxsize=1 << 17)(sentence_keys)
"""Twenty corpora are compared with the same held-out documents, one after the other, and all of them for each
model of a study. An abstract takes about a kilobyte."""


def common_keys(texts: Mapping[str, frozenset[Key]]) -> frozenset[Key]:
    """Return the sentences of so many texts that sharing them means nothing.

    Texts with equal sentences count once, so a repeated document does not make its sentences common.
    """
    uses = Counter(key for keys in set(texts.values()) for key in keys)
    return frozenset(key for key, count in uses.items() if count > COMMON)


class SentenceIndex:
    """Index of documents by their sentences."""

    def __init__(self, keys: Iterable[frozenset[Key]]) -> None:
        self.keys = list(keys)
        self._documents: defaultdict[Key, list[int]] = defaultdict(list)
        for index, document_keys in enumerate(self.keys):
            for key in document_keys:
                self._documents[key].append(index)

    def __contains__(self, key: Key) -> bool:
        return key in self._documents

    def copies(self, keys: frozenset[Key]) -> list[int]:
        """Return the indices of the documents that contain these sentences, or are contained in them."""
        shared = Counter(index for key in keys for index in self._documents.get(key, ()))
        return [
            index for index, count in shared.items() if count >= SHARE * min(len(keys), len(self.keys[index]))
        ]


def _index(sets: Iterable[Sequence[Document]]) -> list[SentenceIndex]:
    """Index sets of documents, without the sentences that are common among them all."""
    groups = list(sets)
    texts = {document.text for documents in groups for document in documents}
    keys = {text: _remembered_keys(text) for text in texts}
    # Over all sets together: a phrase may be rare in each of them.
    ignored = common_keys(keys)
    return [SentenceIndex(keys[document.text] - ignored for document in group) for group in groups]


def exclude_overlap(
    train: Sequence[Document], held_out: Sequence[Document]
) -> tuple[list[Document], list[Document]]:
    """Split training documents by whether they appear in a held-out document.

    Returns:
        The remaining and the excluded documents, both in order.
    """
    first, second = _index([train, held_out])
    remaining: list[Document] = []
    excluded: list[Document] = []
    for document, keys in zip(train, first.keys, strict=True):
        (excluded if second.copies(keys) else remaining).append(document)
    return remaining, excluded


def find_overlaps(sets: Mapping[str, Sequence[Document]]) -> list[Overlap]:
    """Compare every set with every other and with itself.

    Returns:
        The pairs that share at least one sentence, in the order of the sets.
    """
    indexes = dict(zip(sets, _index(sets.values()), strict=True))
    overlaps = []
    for first, one in indexes.items():
        for second, other in indexes.items():
            n_self = 1 if first == second else 0  # within a set, every document appears in itself
            documents = sum(len(other.copies(keys)) > n_self for keys in one.keys)
            uses = Counter(key for keys in one.keys for key in keys)
            sentences = sum(key in other and count > n_self for key, count in uses.items())
            if sentences:
                overlaps.append(Overlap(first, second, documents, sentences))
    return overlaps
