"""The words of a mention with the short forms that its document defines written out."""

from __future__ import annotations

import re
from collections.abc import Mapping

from openmed_ner.text.definitions import find_definitions, singular

_WORD = re.compile(r"[^\s,;/()]+")


def list_long_forms(text: str) -> dict[str, str]:
    """Long form of each short form that a text defines; of several, the first."""
    forms: dict[str, str] = {}
    for definition in find_definitions(text):
        short = singular(text[slice(*definition.short)])
        forms.setdefault(short, " ".join(text[slice(*definition.long)].split()))
    return forms


def expand(mention: str, long_forms: Mapping[str, str]) -> str:
    """Write out the short forms of a mention: a mention that is one, and words that are.

    >>> expand("early-onset AD", {"AD": "Alzheimer disease"})
    'early-onset Alzheimer disease'
    """
    if (whole := long_forms.get(singular(mention))) is not None:
        return whole

    def replace(word: re.Match[str]) -> str:
        return long_forms.get(singular(word[0]), word[0])

    # "AD (Alzheimer disease)" has both; it is left as it is.
    expanded = _WORD.sub(replace, mention) if long_forms else mention
    return expanded if len(expanded.split()) == len({*expanded.lower().split()}) else mention
