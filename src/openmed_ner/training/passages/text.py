r"""Put a passage's text in order: single blanks, no control characters, lost numbers marked.

Some collections replaced every number by ``<dig>``. That says that a number stood there but not which, so
no model should learn to predict it: it becomes one character, ``LOST``, which is encoded as the mask
subword, and the trainer never predicts what is masked in its input. A text's own ``LOST`` characters
(object replacement, an embedded picture) are dropped first, and so are formulas that were pasted as
MathType code, hundreds of meaningless letters each (in 500 passages of SumPubMed). Unicode is otherwise
kept as it is: the tokenizer normalises as it was trained to.
"""

from __future__ import annotations

import re

from openmed_ner.errors import MissingExtraError

PLACEHOLDER = "<dig>"
LOST = "\ufffc"
"""Stands for a number that the source has lost."""

_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffc]"
)
_FORMULA = re.compile("mathtype@mtef@|eeeu0xxdbba9", re.IGNORECASE)
_SHORTEST_FORMULA = 60
_NUMBER = re.compile(rf"\d+(?:[.,]\d+)*|{PLACEHOLDER}|{LOST}")


def clean(text: str) -> str:
    """Collapse white space, drop invisible characters and formula codes, and mark lost numbers."""
    words = _INVISIBLE.sub("", text).replace(PLACEHOLDER, LOST).split()
    return " ".join(word for word in words if len(word) < _SHORTEST_FORMULA or not _FORMULA.search(word))


def placeholder_share(text: str) -> float:
    """Which share of a cleaned text's words are lost numbers, or hold some."""
    lost = text.count(LOST)
    return lost / len(text.split()) if lost else 0.0


def without_numbers(text: str) -> str:
    """A text without its numbers, so that it equals a copy that lost them."""
    return _NUMBER.sub("", text)


GLANCE = 300
WHOLE = 3000


def is_english(text: str) -> bool:
    """Whether a text is English, by its middle or else by its first ``WHOLE`` characters.

    Raises:
        MissingExtraError: the language identifier is not installed.
    """
    try:
        from py3langid import classify
    except ModuleNotFoundError as error:
        raise MissingExtraError("py3langid", "train") from error

    start = max(0, (len(text) - GLANCE) // 2)
    glances = (text[start : start + GLANCE], text[:WHOLE])
    return any(classify(glance.replace(LOST, " "))[0] == "en" for glance in glances)
