"""Numbers for names: a hash that is built up word by word, so that all n-grams of a text cost a few
additions.

The hash of a sequence of pieces is a polynomial of their 64-bit digests, modulo 2**64. The hash of two
sequences in a row then follows from the hashes of both, and a word without pieces changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from openmed_ner.terminologies.normalisation import CASED

HashArray = NDArray[np.uint64]
BASE = 0x9E3779B97F4A7C15
"""Multiplier of the polynomial, odd, so that every piece counts in the result."""
_MASK = (1 << 64) - 1
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
