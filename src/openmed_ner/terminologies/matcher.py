"""Find the names of a lexicon in the words of a text, all types in one pass.

Every sequence of up to ``MAX_WORDS`` words has a number (see :mod:`openmed_ner.terminologies.hashing`), and
the numbers of a text are looked up in the lexicon together. Per type, the leftmost longest names count, so
names of one type do not overlap.

Punctuation inside a name is ignored, so that "IL-2" is "IL 2". A sign with a blank beside it ends a name,
except for a hyphen, an apostrophe, and the full stop of an initial ("E. coli"). No name begins with a
function word.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from sys import getsizeof
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from openmed_ner.terminologies.concept import TYPES
from openmed_ner.terminologies.hashing import BASE, HashArray, combine, digest, mix
from openmed_ner.terminologies.lexicon import Lexicon, split_hashes
from openmed_ner.terminologies.normalisation import (
    APOSTROPHES,
    cased_form,
    is_case_sensitive,
    split_word,
)
from openmed_ner.text import Token, iter_tokens

TAGS = ("O", "B-ambiguous", "I-ambiguous", "B-certain", "I-certain")
"""Tags of a word for one type."""
PLACES = len(TAGS) ** np.arange(len(TYPES), dtype=np.int32)
"""Value of a tag of each type in the number for the tags of all types, ``(n_types,)``."""
MAX_WORDS = 6
"""Words of the longest name that is found, punctuation not counted."""
REMEMBERED = 1 << 15
"""Words whose hashes are kept; beyond that number, all are forgotten."""
_FUNCTION_WORDS = """
a about after all although among an and any are as at be because been before between both but by can could
did do does during each for from had has have he her his however if in into is it its may more most no nor
not of on only or other our she should since so some such than that the their then there these they this
those through to under until was we were when where which while who will with within without would
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
_HYPHENS = "-‐‑–—/+"
_OPENER, _INITIAL, _WORD, _POSSESSIVE, _HYPHEN, _APOSTROPHE, _STOP, _SIGN = range(8)
_END_OF_NAME = 0x5851F42D4C957F2D
"""Polynomial of a sign that no name contains."""


def read_words(text: str) -> tuple[list[Token], list[str], NDArray[np.bool_]]:
    """Cut a text into words.

    Returns:
        Tokens, their texts, and whether a blank stands before each; the last two are input of a matcher.
    """
    tokens = list(iter_tokens(text))
    words = [text[token.start : token.end] for token in tokens]
    spaced = [token.start == 0 or text[token.start - 1].isspace() for token in tokens]
    return tokens, words, np.array(spaced, dtype=bool)


class _Words(dict[str, int]):
    """Numbers of words, in the order of their first occurrence, with their hashes and kinds."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.folded = np.zeros(1024, dtype=np.uint64)
        self.powers = np.zeros(1024, dtype=np.uint64)
        self.cased = np.zeros(1024, dtype=np.uint64)
        self.kinds = np.zeros(1024, dtype=np.uint8)

    def __reduce__(self) -> tuple[type[_Words], tuple[()]]:
        """Pickle no words: another process hashes its own."""
        return _Words, ()

    @property
    def n_bytes(self) -> int:
        """Size of the tables, the dictionary and its words, in bytes."""
        tables = (self.folded, self.powers, self.cased, self.kinds)
        return sum(table.nbytes for table in tables) + getsizeof(self) + sum(map(getsizeof, self))

    def __missing__(self, word: str) -> int:
        with self._lock:
            if word in self:  # another thread was first
                return self[word]
            number = len(self)
            if number == len(self.folded):
                for name in ("folded", "powers", "cased", "kinds"):
                    table = getattr(self, name)
                    setattr(self, name, np.concatenate([table, np.zeros_like(table)]))
            self.folded[number], self.powers[number] = combine(map(digest, split_word(word)))
            if is_case_sensitive(form := cased_form(word)):
                self.cased[number] = digest(form, cased=True)
            self.kinds[number] = _kind(word, has_pieces=self.powers[number] != 1)
            self[word] = number  # last, since other threads then use its hashes
            return number


def _kind(word: str, *, has_pieces: bool) -> int:
    if has_pieces:
        if word in ("s", "S"):
            return _POSSESSIVE
        if len(word) == 1 and word.isupper():
            return _INITIAL
        return _WORD if word.lower() in FUNCTION_WORDS and not word.isupper() else _OPENER
    if word[0] in _HYPHENS:
        return _HYPHEN
    if word[0] in APOSTROPHES:
        return _APOSTROPHE
    return _STOP if word == "." else _SIGN


class Matcher:
    """Finds the names of a lexicon. Several threads may use it."""

    def __init__(self, lexicon: Lexicon) -> None:
        """Prepare the tables of a lexicon."""
        self._bits = lexicon.bits
        self._counts = lexicon.counts
        self._offsets = np.cumsum(lexicon.counts, dtype=np.uint32)
        self._offsets -= lexicon.counts
        self._residuals = lexicon.residuals
        self._senses = lexicon.senses
        self._words = _Words()

    @property
    def n_bytes(self) -> int:
        """Size of the tables, and of the words that are remembered, in bytes."""
        tables = (self._counts, self._offsets, self._residuals, self._senses)
        return sum(table.nbytes for table in tables) + self._words.n_bytes

    def tag(self, words: Sequence[str], spaced: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Tag words.

        Args:
            words: words of a text, as :func:`openmed_ner.text.iter_tokens` cuts them.
            spaced: true for a word with a blank before it, ``(n_words,)``.

        Returns:
            Index in ``TAGS`` of each word for each type, ``(n_words, n_types)``.
        """
        n_types = len(TYPES)
        tags = bytearray(len(words) * n_types)
        free = [0] * n_types
        for start, end, senses in self.find(words, spaced):
            for column, begin, inside in _list_tags(senses):
                if free[column] <= start:
                    free[column] = end
                    tags[start * n_types + column] = begin
                    for word in range(start + 1, end):
                        tags[word * n_types + column] = inside
        return np.frombuffer(tags, dtype=np.uint8).reshape(len(words), n_types)

    def encode(self, text: str, starts: NDArray[np.int32], ends: NDArray[np.int32]) -> NDArray[np.int32]:
        """Tag consecutive words of a text, with one number for the tags of all types.

        Args:
            text: the text.
            starts: first character of each word, ``(n_words,)``.
            ends: one past the last character of each word, ``(n_words,)``.

        Returns:
            Numbers whose digits to the base of ``len(TAGS)`` are the tags of the types, the first type's
            last, ``(n_words,)``; 0 is outside for all types.
        """
        edges = list(zip(starts.tolist(), ends.tolist(), strict=True))
        words = [text[start:end] for start, end in edges]
        spaced = np.ones(len(words), dtype=bool)
        spaced[1:] = starts[1:] > ends[:-1]
        if edges and edges[0][0]:
            spaced[0] = text[edges[0][0] - 1].isspace()
        packed: NDArray[np.int32] = self.tag(words, spaced) @ PLACES
        return packed

    def find(self, words: Sequence[str], spaced: NDArray[np.bool_]) -> list[tuple[int, int, int]]:
        """Find all names, overlapping ones included.

        Args:
            words: words of a text.
            spaced: true for a word with a blank before it, ``(n_words,)``.

        Returns:
            First word, one past the last word, and senses (see :class:`Lexicon`) of each name, by first word,
            the longest first.
        """
        if not len(words) or not len(self._senses):
            return []
        memory = self._words
        if len(memory) > REMEMBERED:
            memory = self._words = _Words()
        ids = np.fromiter(map(memory.__getitem__, words), dtype=np.int64, count=len(words))
        kinds, folded, powers = memory.kinds[ids], memory.folded[ids], memory.powers[ids]

        kept = _fold_signs(kinds, folded, powers, spaced)
        (openers,) = (kinds[kept] < _WORD).nonzero()
        grams = _hash_ngrams(folded[kept], powers[kept])
        grams[0] = memory.cased[ids[kept]]
        # By first word, the longest first; row 0 is of one word, too.
        hashes = np.ascontiguousarray(grams[::-1, openers].T).ravel()

        places, names = self._look_up(mix(hashes))
        firsts, sizes = openers[places // (MAX_WORDS + 1)], MAX_WORDS - places % (MAX_WORDS + 1)
        lasts = kept[firsts + np.maximum(sizes, 1) - 1]
        return list(
            zip(kept[firsts].tolist(), (lasts + 1).tolist(), self._senses[names].tolist(), strict=True)
        )

    def _look_up(self, hashes: HashArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places of the numbers that are names, and the places of these among the names."""
        buckets, residuals = split_hashes(hashes, self._bits)
        # All names of all buckets, one bucket after the other.
        counts = self._counts[buckets].astype(np.int64)
        places = np.repeat(np.arange(len(buckets)), counts)
        before = counts.cumsum() - counts
        rows = (self._offsets[buckets] - before)[places] + np.arange(len(places))
        (hits,) = (self._residuals[rows] == residuals[places]).nonzero()
        return places[hits], rows[hits]


@cache
def _list_tags(senses: int) -> tuple[tuple[int, int, int], ...]:
    """Columns that a name has a sense in, each with its first tag and the tag of further words."""
    strengths = enumerate(senses >> 2 * column & 3 for column in range(len(TYPES)))
    return tuple((column, 2 * strength - 1, 2 * strength) for column, strength in strengths if strength)


def _fold_signs(
    kinds: NDArray[np.uint8], folded: HashArray, powers: HashArray, spaced: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Mark the signs that end a name, in place; return the indices of words and of these signs."""
    before = np.zeros_like(kinds)
    before[1:] = kinds[:-1]
    beside_blank = spaced.copy()
    beside_blank[:-1] |= spaced[1:]
    beside_blank[-1] = True

    ends_name = beside_blank & ((kinds == _SIGN) | ((kinds == _STOP) & (before != _INITIAL)))
    folded[ends_name], powers[ends_name] = _END_OF_NAME, BASE
    possessive = (kinds == _POSSESSIVE) & (before == _APOSTROPHE)
    result: NDArray[np.int64] = (ends_name | ((kinds < _HYPHEN) & ~possessive)).nonzero()[0]
    return result


def _hash_ngrams(folded: HashArray, powers: HashArray) -> HashArray:
    """Polynomials of the sequences that begin at each word, by their number of words, ``(MAX_WORDS + 1,
    n_words)``.

    Row 0 is not set. A sequence beyond the end of the text is the end of a name.
    """
    n = len(folded)
    grams = np.full((MAX_WORDS + 1, n), _END_OF_NAME, dtype=np.uint64)
    grams[1] = folded
    for size in range(2, min(MAX_WORDS, n) + 1):
        row = grams[size, : n - size + 1]
        np.multiply(grams[size - 1, : n - size + 1], powers[size - 1 :], out=row)
        row += folded[size - 1 :]
    return grams
