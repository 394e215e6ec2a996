"""Find duplicate passages, exact and near.

Exact duplicates have the same letters and digits, whatever their case, spacing and punctuation. Near
duplicates have sets of five-word shingles, without numbers, with a Jaccard similarity of about the threshold
or more, by MinHash with 128 values in 16 bands (``rensa``). On artificial pairs at threshold 0.8, 3 % of the
pairs with similarity 0.75 count as near duplicates, half at 0.80, 97 % at 0.85, all from 0.90. The
first passage is kept. Memory grows by about 3 KB per passage; ``datasketch`` took 30 times as long.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from openmed_ner.errors import require_extra

SHINGLE = 5
VALUES = 128
BANDS = 16
REMEMBERED = 1 << 19

_NOT_LETTERS = re.compile(r"[\W\d_]+")
_NOISE = re.compile(r"[\W_]+")
_POWERS = np.array([pow(0x9E3779B97F4A7C15, n, 1 << 64) for n in range(SHINGLE)], dtype=np.uint64)


def text_digest(text: str) -> bytes:
    """Hash the letters and digits of a text, without case, spacing and punctuation."""
    letters = _NOISE.sub("", text.casefold())
    return blake2b(letters.encode("utf-8"), digest_size=16).digest()


class ExactDuplicates:
    """Set of the digests of earlier texts."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def add(self, digest: bytes) -> bool:
        """Add a text; return true if it is a duplicate."""
        before = len(self._seen)
        self._seen.add(digest)
        return len(self._seen) == before


class _WordHashes(dict[str, int]):
    """Cache of the hashes of words' letters; 0 for a word without letters."""

    def __missing__(self, word: str) -> int:
        letters = _NOT_LETTERS.sub("", word.casefold())
        self[word] = value = crc32(letters.encode("utf-8")) if letters else 0
        return value


Hashes = NDArray[np.uint64]


class WordHasher:
    """Converts texts to hashes of the letters of their words; words without letters are skipped."""

    def __init__(self) -> None:
        self._cache = _WordHashes()

    def __call__(self, text: str) -> Hashes:
        """Hash the words of a cleaned text, ``(n_words_with_letters,)``."""
        # Frequent words are back after a few passages, so clearing costs little.
        if len(self._cache) > REMEMBERED:
            self._cache.clear()
        words = text.split(" ")
        hashes = np.fromiter(map(self._cache.__getitem__, words), dtype=np.uint64, count=len(words))
        lettered: Hashes = hashes[hashes != 0]
        return lettered


class NearDuplicates:
    """Index of earlier texts, as sequences of numbers, that finds similar ones."""

    def __init__(self, threshold: float, *, seed: int = 0) -> None:
        """Start with no texts.

        Raises:
            MissingExtraError: the MinHash library is not installed.
        """
        self._index = require_extra("rensa", "train").RMinHashDeduplicator(
            threshold=threshold, num_perm=VALUES, use_lsh=True, num_bands=BANDS, seed=seed
        )
        self._count = 0

    def add(self, numbers: Hashes) -> bool:
        """Add a text unless it is similar to an earlier one; return true if it is."""
        self._count += 1
        (added,) = self._index.add_pairs([(str(self._count), _shingles(numbers))])
        return not added

    def __contains__(self, numbers: Hashes) -> bool:
        """Return whether a text is similar to an earlier one."""
        (is_duplicate,) = self._index.is_duplicate_pairs([("", _shingles(numbers))])
        return bool(is_duplicate)


def _shingles(numbers: Hashes) -> list[bytes]:
    """Combine every ``SHINGLE`` neighbouring numbers to one; a shorter text is one shingle."""
    n_shingles = max(1, len(numbers) - SHINGLE + 1)
    # A polynomial hash modulo 2**64, vectorised over the shingles.
    mixed = np.zeros(n_shingles, dtype=np.uint64)
    for offset, power in enumerate(_POWERS[: len(numbers)]):
        mixed += numbers[offset : offset + n_shingles] * power
    return list(mixed.view("V8").tolist())
