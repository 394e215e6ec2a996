"""Unlabelled text, turned into a pretraining set: read, cleaned, guarded, cut, without duplicates."""

from openmed_ner.passages.account import SourceAccount
from openmed_ner.passages.licences import SOURCES, Source
from openmed_ner.passages.passage import Passage
from openmed_ner.passages.preparation import PreparedSet, Progress, prepare
from openmed_ner.passages.settings import PassageSettings
from openmed_ner.passages.shards import Prepared, load_prepared

__all__ = [
    "SOURCES",
    "Passage",
    "PassageSettings",
    "Prepared",
    "PreparedSet",
    "Progress",
    "Source",
    "SourceAccount",
    "load_prepared",
    "prepare",
]
