"""Compare predicted with gold annotations. Pure: no machine learning library."""

from openmed_ner.evaluation.matching import MatchMode, match_spans
from openmed_ner.evaluation.scores import (
    Counts,
    Scores,
    bootstrap_f1,
    mean_and_deviation,
    score_document,
    score_documents,
    score_with_alternatives,
    total,
)
from openmed_ner.evaluation.significance import Comparison, paired_randomisation

__all__ = [
    "Comparison",
    "Counts",
    "MatchMode",
    "Scores",
    "bootstrap_f1",
    "match_spans",
    "mean_and_deviation",
    "paired_randomisation",
    "score_document",
    "score_documents",
    "score_with_alternatives",
    "total",
]
