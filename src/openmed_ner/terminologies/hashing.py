"""Numbers for names: a hash that is built up word by word, so that all n-grams of a text cost a few
additions.

The hash of a sequence of pieces is a polynomial of their 64-bit digests, modulo 2**64. The hash of two
sequences in a row then follows from the hashes of both, and a word without pieces changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Self

import numpy as np
from numpy.typing import NDArray

from openmed_ner.terminologies.normalisation import CASED

HashArray = NDArray[np.uint64]
BASE = 0x9E3779B97F4A7C15
"""Multiplier of the polynomial, odd, so that every piece counts in the result."""
_MASK = (1 << 64) - 1
_REST = (1 << 32) - 1
_BUCKET_BITS = 3
_SHIFT = np.uint64(33)
_FACTORS = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))  # finaliser of MurmurHash3


def digest(piece: str, *, cased: bool = False) -> int:
    """Digest of a piece, 64 bits; that of a case-sensitive name differs from that of an equal piece."""
    kind = b"cased" if cased else b"piece"
    encoded = piece.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(encoded, digest_size=8, person=kind).digest(), "little")


def combine(digests: Iterable[int]) -> tuple[int, int]:
    """Polynomial of some digests, and the power of the base that shifts what stands before them."""
    value, power = 0, 1
    for number in digests:
        value = (value * BASE + number) & _MASK
        power = (power * BASE) & _MASK
    return value, power


def mix(polynomials: HashArray) -> HashArray:
    """Spread polynomials evenly over all numbers of 64 bits, in place."""
    polynomials ^= polynomials >> _SHIFT
    for factor in _FACTORS:
        polynomials *= factor
        polynomials ^= polynomials >> _SHIFT
    return polynomials


def hash_keys(keys: Sequence[str]) -> HashArray:
    """Numbers of the keys of names (see :func:`.normalisation.name_key`), ``(n_keys,)``."""
    digests: dict[str, int] = {}

    def polynomial(key: str) -> int:
        if key.startswith(CASED):
            return digest(key.removeprefix(CASED), cased=True)
        for piece in (pieces := key.split(" ")):
            if piece not in digests:
                digests[piece] = digest(piece)
        return combine(map(digests.__getitem__, pieces))[0]

    return mix(np.fromiter(map(polynomial, keys), dtype=np.uint64, count=len(keys)))


@dataclass(frozen=True, slots=True)
class HashTable:
    """Numbers of names in buckets, without the bits that the bucket tells.

    The first bits of a number choose a bucket of some eight numbers, and 32 more are stored. Two names of
    millions then have one number by chance about once in 10**8 look-ups.

    Attributes:
        ends: one past the last number of each bucket, ``(n_buckets,)``.
        rests: 32 bits of each number, in the order of the numbers, ``(n_numbers,)``.
    """

    ends: NDArray[np.uint32]
    rests: NDArray[np.uint32]

    @classmethod
    def encode(cls, numbers: HashArray) -> Self:
        """Encode ascending numbers."""
        bits = max(len(numbers).bit_length() - _BUCKET_BITS, 1)
        buckets = numbers >> np.uint64(64 - bits)
        counts = np.bincount(buckets.astype(np.int64), minlength=1 << bits)
        rests = numbers >> np.uint64(32 - bits) & np.uint64(_REST)
        return cls(np.cumsum(counts).astype(np.uint32), rests.astype(np.uint32))

    def check(self) -> None:
        """Check that the ends ascend within the numbers.

        Raises:
            ValueError: they do not, or the number of buckets is no power of two.
        """
        n_buckets = len(self.ends)
        if n_buckets < 2 or n_buckets & (n_buckets - 1) or n_buckets > 1 << 31:
            raise ValueError("its buckets are no power of two")
        if int(self.ends[-1]) != len(self.rests) or bool(np.any(self.ends[1:] < self.ends[:-1])):
            raise ValueError("the ends of its buckets do not ascend")

    def find(self, number: int) -> range:
        """Places of a number; empty if it is not there."""
        bits = len(self.ends).bit_length() - 1
        bucket = number >> (64 - bits)
        first = int(self.ends[bucket - 1]) if bucket else 0
        rests: list[int] = self.rests[first : int(self.ends[bucket])].tolist()
        rest = number >> (32 - bits) & _REST
        count = rests.count(rest)
        start = first + (rests.index(rest) if count else 0)
        return range(start, start + count)
