"""Cut a passage that is too long into pieces, as even as its sentences allow.

Pieces end where sentences do: after a stop before a blank, which also ends one at "e.g. this"; a cut
there costs little. Of all ways to make do with the fewest pieces, the one whose largest piece is
smallest is taken, filled from the left. A sentence that is too long by itself is first cut evenly
between words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

_STOP = re.compile(r"""[.!?]["'”’)\]]*$""")


def ends_sentence(word: str) -> bool:
    """Whether a word that stands before a blank is the last of its sentence."""
    return _STOP.search(word) is not None


def cut(
    words: Sequence[str], lengths: Sequence[int], most: int, *, within: Callable[[int], Sequence[int]]
) -> list[tuple[int, int]]:
    """Find where to cut a passage.

    Args:
        words: what stands between its blanks.
        lengths: subwords of each of these.
        most: subwords of a piece at most.
        within: lengths of the parts that one of ``words``, told by its place, may be cut into; together
            they are as long as it, and each ``most`` at most.

    Returns:
        Half-open ranges of subwords, in order; together they are the passage.
    """
    units: list[int] = []
    sentence: list[int] = []
    for place, (word, length) in enumerate(zip(words, lengths, strict=True)):
        sentence += [length] if length <= most else within(place)
        if ends_sentence(word):
            units += _fit(sentence, most)
            sentence = []
    units += _fit(sentence, most)
    edges = list(accumulate(_pack_evenly(units, most), initial=0))
    return list(pairwise(edges))


def _fit(sentence: list[int], most: int) -> list[int]:
    """A sentence as one unit, or as even parts if it is too long."""
    if sum(sentence) <= most:
        return [sum(sentence)] if sentence else []
    return _pack_evenly(sentence, most)


def _pack_evenly(units: Sequence[int], most: int) -> list[int]:
    """Join units to the fewest sums of at most ``most``, the largest being as small as possible."""
    fewest = len(_pack(units, most))
    low, high = max(units, default=0), most
    while low < high:
        middle = (low + high) // 2
        if len(_pack(units, middle)) <= fewest:
            high = middle
        else:
            low = middle + 1
    return _pack(units, low)


def _pack(units: Sequence[int], most: int) -> list[int]:
    """Join units from the left, each sum as large as it may be."""
    sums: list[int] = []
    for unit in units:
        if sums and sums[-1] + unit <= most:
            sums[-1] += unit
        else:
            sums.append(unit)
    return sums
