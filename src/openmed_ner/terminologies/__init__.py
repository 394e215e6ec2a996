"""Terminologies: concepts with identifiers and names, and a compact lexicon that finds the names in text.

A tagger needs the lexicon and its matcher only, so the rest is imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from openmed_ner.terminologies.concept import TYPES, Concept
from openmed_ner.terminologies.lexicon import AMBIGUOUS, CERTAIN, Lexicon
from openmed_ner.terminologies.matcher import PLACES, TAGS, Matcher, read_words
from openmed_ner.terminologies.normalisation import name_key, normalise

if TYPE_CHECKING:
    from openmed_ner.terminologies.compilation import TrainingText, build
    from openmed_ner.terminologies.short_forms import DefinitionCounts, ShortForm
    from openmed_ner.terminologies.store import open_lexicon, read_short_forms

_MODULE_OF = {
    "DefinitionCounts": "short_forms",
    "ShortForm": "short_forms",
    "TrainingText": "compilation",
    "build": "compilation",
    "open_lexicon": "store",
    "read_short_forms": "store",
}

__all__ = [
    "AMBIGUOUS",
    "CERTAIN",
    "PLACES",
    "TAGS",
    "TYPES",
    "Concept",
    "DefinitionCounts",
    "Lexicon",
    "Matcher",
    "ShortForm",
    "TrainingText",
    "build",
    "name_key",
    "normalise",
    "open_lexicon",
    "read_short_forms",
    "read_words",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
