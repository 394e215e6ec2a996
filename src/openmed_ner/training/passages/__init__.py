"""Unlabelled text, turned into a pretraining set: read, cleaned, guarded, cut, without duplicates."""

from openmed_ner.formats.passage import Passage
from openmed_ner.training.passages.account import SourceAccount
from openmed_ner.training.passages.licences import SOURCES, Source
from openmed_ner.training.passages.preparation import PreparedSet, Progress, prepare
from openmed_ner.training.passages.settings import PassageSettings
from openmed_ner.training.passages.shards import Prepared, load_prepared

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
