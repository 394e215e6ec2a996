"""Share of a name that the words of a mention account for.

A mention that lacks a word of the name means something more general: "toxicity" is no "statin toxicity". A
name that lacks a word of the mention is only less exact.
"""

from __future__ import annotations

_MIN_PREFIX = 4
_MIN_SHARE = 0.6


def share_matched(name: str, mention: str) -> float:
    """Share of the letters of a name that lie in words which the mention has, too.

    Two words match if they begin alike, as "diabetic" and "diabetes" do.

    Args:
        name: a normalised name.
        mention: a normalised mention.

    >>> share_matched("statin toxicity", "toxicity")
    0.5714285714285714
    """
    words, mention_words = name.split(" "), mention.split(" ")
    matched = sum(len(word) for word in words if any(_match(word, other) for other in mention_words))
    return matched / sum(map(len, words))


def _match(word: str, other: str) -> bool:
    if word == other or word[:_MIN_PREFIX] != other[:_MIN_PREFIX]:
        return word == other
    n_equal = next(
        (place for place, (left, right) in enumerate(zip(word, other, strict=False)) if left != right),
        min(len(word), len(other)),
    )
    return n_equal >= max(_MIN_PREFIX, _MIN_SHARE * max(len(word), len(other)))
