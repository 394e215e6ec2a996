r"""Text of passages: cleaned, with lost numbers marked, and identified as English or not.

Some collections replaced every number by ``<dig>``. That tells that there was a number but not which, so no
model should learn to predict it: it becomes one character, ``LOST``, which is encoded as the mask subword,
and the trainer never predicts what is masked in its input. A text's own ``LOST`` characters (object
replacement, an embedded picture) are removed first. So are formulas that were pasted as MathType code,
hundreds of meaningless letters each (in 500 passages of SumPubMed). All other Unicode is kept, since the
tokenizer normalises as it was trained to.
"""

from __future__ import annotations

import re

from openmed_ner.errors import require_extra

PLACEHOLDER = "<dig>"
LOST = "\ufffc"
"""Replaces a number that the source has lost."""
GLANCE = 300
"""Characters from the middle of a text that its language is identified by."""
WHOLE = 3000
"""Characters from the start of a text that its language is identified by, if its middle is not English."""

_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffc]"
)
_FORMULA = re.compile("mathtype@mtef@|eeeu0xxdbba9", re.IGNORECASE)
_SHORTEST_FORMULA = 60
_NUMBER = re.compile(rf"\d+(?:[.,]\d+)*|{PLACEHOLDER}|{LOST}")


def clean(text: str) -> str:
    """Collapse white space, remove invisible characters and formula codes, and mark lost numbers."""
    words = _INVISIBLE.sub("", text).replace(PLACEHOLDER, LOST).split()
    return " ".join(word for word in words if len(word) < _SHORTEST_FORMULA or not _FORMULA.search(word))


def placeholder_share(text: str) -> float:
    """Number of lost numbers in a cleaned text, divided by its number of words."""
    lost = text.count(LOST)
    return lost / len(text.split()) if lost else 0.0


def without_numbers(text: str) -> str:
    """Remove the numbers of a text, so that it equals a copy that lost them."""
    return _NUMBER.sub("", text)


def is_english(text: str) -> bool:
    """Return whether a text is English, by its middle or else by its first ``WHOLE`` characters.

    ``py3langid`` looks at the middle first, where a foreign abstract under an English title shows. That takes
    50 s for 300,000 passages; Lingua took twice as long and called 1.3 % of our English case reports Latin.
    Lists of plant names or abbreviations are sometimes called Latin too, and dropped.

    Raises:
        MissingExtraError: the language identifier is not installed.
    """
    py3langid = require_extra("py3langid", "train")
    start = max(0, (len(text) - GLANCE) // 2)
    samples = (text[start : start + GLANCE], text[:WHOLE])
    return any(py3langid.classify(sample.replace(LOST, " "))[0] == "en" for sample in samples)
