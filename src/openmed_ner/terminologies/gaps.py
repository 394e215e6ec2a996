"""Ascending numbers as the gaps between them, in as few bytes as each gap needs.

Seven bits of a gap are in each byte, the last ones first. The eighth bit says that more follow. Numbers that
lie close together, as the postings of a frequent trigram do, need a byte each instead of four.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BITS = 7
_MORE = 1 << _BITS


def encode_gaps(
    numbers: NDArray[np.uint32], counts: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Encode lists of numbers.

    Args:
        numbers: the numbers of one list after the other, ascending within a list, ``(n_numbers,)``.
        counts: length of each list, all above 0, ``(n_lists,)``.

    Returns:
        The bytes of all lists, and one past the last byte of each list, ``(n_lists,)``.
    """
    gaps = numbers.astype(np.int64)
    gaps[1:] -= gaps[:-1].copy()
    firsts = np.cumsum(counts) - counts
    gaps[firsts] = numbers[firsts]
    sizes = np.ones(len(gaps), dtype=np.int64)
    for size in range(1, 5):
        sizes += gaps >= 1 << _BITS * size
    ends = np.cumsum(sizes)

    content = np.zeros(int(ends[-1]) if len(ends) else 0, dtype=np.uint8)
    for place in range(5):
        (longer,) = (sizes > place).nonzero()
        more = np.where(sizes[longer] > place + 1, _MORE, 0)
        content[ends[longer] - sizes[longer] + place] = gaps[longer] >> _BITS * place & (_MORE - 1) | more
    return content, ends[np.cumsum(counts) - 1].astype(np.uint32)


def decode_gaps(content: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Decode the bytes of one list."""
    (lasts,) = (content < _MORE).nonzero()
    starts = np.concatenate([[0], lasts[:-1] + 1])
    places = np.arange(len(content)) - np.repeat(starts, lasts - starts + 1)
    values = (content & (_MORE - 1)).astype(np.int64) << _BITS * places
    numbers: NDArray[np.int64] = np.cumsum(np.add.reduceat(values, starts))
    return numbers
