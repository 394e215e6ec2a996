"""Terminologies: concepts with identifiers and names, and a compact lexicon that finds the names in text."""

from openmed_ner.terminologies.build import TrainingText, build
from openmed_ner.terminologies.concept import TYPES, Concept
from openmed_ner.terminologies.lexicon import AMBIGUOUS, CERTAIN, Lexicon
from openmed_ner.terminologies.matcher import PLACES, TAGS, Matcher, read_words
from openmed_ner.terminologies.normalisation import name_key, normalise
from openmed_ner.terminologies.short_forms import DefinitionCounts, ShortForm
from openmed_ner.terminologies.store import open_lexicon, read_short_forms

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
