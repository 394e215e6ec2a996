"""Unlabelled text, turned into a set of passages to pretrain on: read, filtered, cut and stored."""

from openmed_ner.formats.passage import Passage
from openmed_ner.training.passages.preparation import PassageSet, Progress, prepare
from openmed_ner.training.passages.settings import PassageSettings
from openmed_ner.training.passages.shards import PassageSplit, load_prepared
from openmed_ner.training.passages.sources import SOURCES, PassageSource, SourceAccount

__all__ = [
    "SOURCES",
    "Passage",
    "PassageSet",
    "PassageSettings",
    "PassageSource",
    "PassageSplit",
    "Progress",
    "SourceAccount",
    "load_prepared",
    "prepare",
]
