"""Find passages that were there before, exactly or nearly.

Exactly: the same letters and digits, whatever their case, spacing and punctuation. Nearly: sets of
five-word shingles, without numbers, with a Jaccard similarity of about the threshold or more, by
MinHash with 128 values in 16 bands (``rensa``). Measured on made-up pairs at threshold 0.8: of pairs at
0.75 similarity 3 % are called near duplicates, at 0.80 half, at 0.85 97 %, from 0.90 all. The first
stays. The price is memory: about 3 KB per passage kept; ``datasketch`` took 30 times as long.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from openmed_ner.errors import MissingExtraError

SHINGLE = 5
VALUES = 128
BANDS = 16
REMEMBERED = 1 << 19

_NOT_LETTERS = re.compile(r"[\W\d_]+")
_NOISE = re.compile(r"[\W_]+")
_POWERS = np.array([pow(0x9E3779B97F4A7C15, n, 1 << 64) for n in range(SHINGLE)], dtype=np.uint64)


def text_digest(text: str) -> bytes:
    """A hash of a text's letters and digits that does not depend on case, spacing and punctuation."""
    letters = _NOISE.sub("", text.casefold())
    return blake2b(letters.encode("utf-8"), digest_size=16).digest()


class ExactDuplicates:
    """Which texts were there before, by their digests."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def add(self, digest: bytes) -> bool:
        """Note a text; whether it was there before."""
        before = len(self._seen)
        self._seen.add(digest)
        return len(self._seen) == before


class _WordHashes(dict[str, int]):
    """Words to hashes of their letters; 0 for a word without."""

    def __missing__(self, word: str) -> int:
        letters = _NOT_LETTERS.sub("", word.casefold())
        self[word] = found = crc32(letters.encode("utf-8")) if letters else 0
        return found


Hashes = NDArray[np.uint64]


class WordHasher:
    """Texts as hashes of the letters of their words; words without letters are passed over."""

    def __init__(self) -> None:
        self._known = _WordHashes()

    def __call__(self, text: str) -> Hashes:
        """The hashes of a cleaned text's words, ``(n_words_with_letters,)``."""
        if len(self._known) > REMEMBERED:
            self._known.clear()
        words = text.split(" ")
        hashes = np.fromiter(map(self._known.__getitem__, words), dtype=np.uint64, count=len(words))
        lettered: Hashes = hashes[hashes != 0]
        return lettered


class NearDuplicates:
    """Which texts, as sequences of numbers, resemble one that was there before."""

    def __init__(self, threshold: float, *, seed: int = 0) -> None:
        """Start with no texts.

        Raises:
            MissingExtraError: the MinHash library is not installed.
        """
        try:
            from rensa import RMinHashDeduplicator
        except ModuleNotFoundError as error:
            raise MissingExtraError("rensa", "train") from error
        self._index = RMinHashDeduplicator(
            threshold=threshold, num_perm=VALUES, use_lsh=True, num_bands=BANDS, seed=seed
        )
        self._count = 0

    def add(self, numbers: Hashes) -> bool:
        """Note a text unless it resembles an earlier one; whether it does."""
        self._count += 1
        (added,) = self._index.add_pairs([(str(self._count), _shingles(numbers))])
        return not added

    def __contains__(self, numbers: Hashes) -> bool:
        """Whether a text resembles one that was noted."""
        (found,) = self._index.is_duplicate_pairs([("", _shingles(numbers))])
        return bool(found)


def _shingles(numbers: Hashes) -> list[bytes]:
    """Every run of ``SHINGLE`` numbers as one; of fewer, the whole."""
    n_shingles = max(1, len(numbers) - SHINGLE + 1)
    mixed = np.zeros(n_shingles, dtype=np.uint64)
    for offset, power in enumerate(_POWERS[: len(numbers)]):
        mixed += numbers[offset : offset + n_shingles] * power
    return list(mixed.view("V8").tolist())
