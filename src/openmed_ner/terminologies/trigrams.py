"""Names that resemble a mention: cosine similarity of their sets of three letters, rare ones weighing more.

A mention looks through the names of its rarest trigrams only, since these decide. The names that share most
with it are then compared in full.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from openmed_ner.terminologies.gaps import decode_gaps, encode_gaps
from openmed_ner.terminologies.strings import Strings

MAX_KEY = 60
"""Characters of the longest key that is compared."""
MAX_POSTINGS = 30_000
"""Names looked through for one mention."""
_LETTER = (1 << 21) - 1
N_COMPARED = 48
"""Names compared in full for one mention."""
TYPES_OF_ARRAYS = {
    "key_content": "U8",
    "key_ends": "U32",
    "norms": "F32",
    "trigrams": "U64",
    "trigram_counts": "U32",
    "trigram_ends": "U32",
    "postings": "U8",
}


def encode_trigrams(key: str) -> NDArray[np.uint64]:
    """Distinct trigrams of a key as numbers; its edges count as blanks."""
    codes = np.array([32, *map(ord, key), 32], dtype=np.uint64)
    packed = codes[:-2] << np.uint64(42) | codes[1:-1] << np.uint64(21) | codes[2:]
    return np.unique(packed)


def _decode_trigram(code: int) -> str:
    return "".join(chr(code >> shift & _LETTER) for shift in (42, 21, 0))


@dataclass(frozen=True, slots=True)
class TrigramIndex:
    """The keys of names, and in which of them each trigram appears.

    Attributes:
        keys: normalised names.
        norms: length of the vector of each key, ``(n_keys,)``.
        trigrams: all trigrams, ascending, ``(n_trigrams,)``.
        counts: number of keys that have each trigram, ``(n_trigrams,)``.
        ends: one past the last byte of each trigram's postings, ``(n_trigrams,)``.
        postings: numbers of the keys of each trigram, one trigram after the other, as gaps
            (:mod:`openmed_ner.terminologies.gaps`).
    """

    keys: Strings
    norms: NDArray[np.float32]
    trigrams: NDArray[np.uint64]
    counts: NDArray[np.uint32]
    ends: NDArray[np.uint32]
    postings: NDArray[np.uint8]

    @classmethod
    def compile(cls, keys: Sequence[str]) -> Self:
        """Index some keys."""
        codes, owners = _encode_all(keys)
        trigrams, inverse = np.unique(codes, return_inverse=True)
        # Distinct pairs of trigram and key, in the order of the postings.
        pairs = np.unique(inverse.astype(np.uint64) * np.uint64(max(len(keys), 1)) + owners)
        places, postings = np.divmod(pairs, np.uint64(max(len(keys), 1)))
        counts = np.bincount(places.astype(np.int64), minlength=len(trigrams))

        squares = np.repeat(_weigh(counts, len(keys)) ** 2, counts)
        norms = np.sqrt(np.bincount(postings.astype(np.int64), weights=squares, minlength=len(keys)))
        content, ends = encode_gaps(postings.astype(np.uint32), counts)
        return cls(
            Strings.encode(keys), norms.astype(np.float32), trigrams, counts.astype(np.uint32), ends, content
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays of a file."""
        return {
            "key_content": self.keys.content,
            "key_ends": self.keys.ends,
            "norms": self.norms,
            "trigrams": self.trigrams,
            "trigram_counts": self.counts,
            "trigram_ends": self.ends,
            "postings": self.postings,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of :meth:`to_arrays`.

        Raises:
            ValueError: the arrays do not fit together.
        """
        keys = Strings(arrays["key_content"], arrays["key_ends"])
        keys.check()
        tables = (arrays[name] for name in ("trigrams", "trigram_counts", "trigram_ends", "postings"))
        index = cls(keys, arrays["norms"], *tables)
        n_postings = int(index.ends[-1]) if len(index.ends) else 0
        fits = (
            len(index.norms) == len(keys)
            and len(index.ends) == len(index.counts) == len(index.trigrams)
            and n_postings == len(index.postings)
            and not np.any(index.ends[1:] <= index.ends[:-1])
        )
        if not fits:
            raise ValueError("its trigrams do not fit its names")
        return index

    def find(self, key: str, *, limit: int) -> list[tuple[str, float]]:
        """Find the keys that are most similar to a key, the most similar first.

        Args:
            key: a normalised mention.
            limit: number of keys to return at most.

        Returns:
            Keys with their cosine similarities, above 0 and up to 1.
        """
        codes = encode_trigrams(key)
        if not len(self.trigrams):
            return []
        places = np.searchsorted(self.trigrams, codes)
        # The place of a trigram that no name has is that of the next one, or the end.
        places = places[self.trigrams.take(places, mode="clip") == codes]
        if not len(places):
            return []
        counts = self.counts[places].astype(np.int64)
        weights = _weigh(counts, len(self.keys))
        # A trigram that no name has weighs as much as one that a single name has.
        unknown = (len(codes) - len(places)) * float(_weigh(np.ones(1), len(self.keys))[0]) ** 2
        norm = math.sqrt(float(np.sum(weights**2)) + unknown)

        # Frequent trigrams decide little, and reading all their names would take most of the time.
        order = np.argsort(counts, kind="stable")
        used = order[: max(int(np.searchsorted(np.cumsum(counts[order]), MAX_POSTINGS)), 2)]
        postings = [self._read_postings(int(place)) for place in places[used]]
        owners = np.concatenate(postings)
        shares = np.repeat(weights[used] ** 2, [len(numbers) for numbers in postings])
        sums = np.bincount(owners, weights=shares)
        candidates = np.flatnonzero(sums)
        partial = sums[candidates] / self.norms[candidates]
        if len(partial) > N_COMPARED:
            lowest = np.partition(partial, -N_COMPARED)[-N_COMPARED]
            candidates, partial = candidates[partial >= lowest], partial[partial >= lowest]
        best = candidates[np.argsort(-partial, kind="stable")[:N_COMPARED]]

        # The trigrams of short names as strings: some fifty of them are faster than as arrays.
        codes_of_names = self.trigrams[places].tolist()
        squares = dict(zip(map(_decode_trigram, codes_of_names), (weights**2).tolist(), strict=True))
        scored = []
        for number, length in zip(best.tolist(), self.norms[best].tolist(), strict=True):
            name = self.keys[number]
            padded = f" {name} "
            trigrams = {padded[start : start + 3] for start in range(len(name))}
            shared = sum(squares[trigram] for trigram in sorted(trigrams & squares.keys()))
            scored.append((name, min(shared / (norm * length), 1.0)))
        return sorted(scored, key=lambda item: (-item[1], item[0]))[:limit]

    def _read_postings(self, place: int) -> NDArray[np.int64]:
        start = int(self.ends[place - 1]) if place else 0
        return decode_gaps(self.postings[start : int(self.ends[place])])


def _encode_all(keys: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Trigrams of all keys, repeated ones included, and the number of the key of each."""
    # A line end between the keys is part of no trigram of a key.
    joined = "\n".join(f" {key} " for key in keys)
    codes = np.frombuffer(joined.encode("utf-32-le"), dtype="<u4").astype(np.uint64)
    separators = codes == ord("\n")
    owners = np.cumsum(separators, dtype=np.uint64)
    inner = ~(separators[:-2] | separators[1:-1] | separators[2:])
    packed = codes[:-2] << np.uint64(42) | codes[1:-1] << np.uint64(21) | codes[2:]
    return packed[inner], owners[:-2][inner]


def _weigh(counts: NDArray[Any], n_keys: int) -> NDArray[np.float64]:
    """Weights of trigrams by the number of names that have them."""
    weights: NDArray[np.float64] = np.log1p(n_keys / counts)
    return weights
