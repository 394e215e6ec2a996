"""Tell English passages from others, offline.

``py3langid`` looks at 300 characters from the middle of a text, where a foreign abstract under an English
title shows; a text that does not look English there is looked at again as a whole. That takes 50 s for
300,000 passages. Lingua took twice as long and called 1.3 % of our English case reports Latin. The
price: lists of plant names or abbreviations are sometimes called Latin, and dropped.
"""

from __future__ import annotations

from openmed_ner.errors import MissingExtraError
from openmed_ner.training.passages.clean import LOST

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
