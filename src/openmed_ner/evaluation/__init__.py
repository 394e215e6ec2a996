"""Compare predicted with gold annotations. Pure: no machine learning library."""

from openmed_ner.evaluation.scores import (
    Counts,
    Scores,
    bootstrap_f1,
    score_document,
    score_documents,
    total,
)

__all__ = ["Counts", "Scores", "bootstrap_f1", "score_document", "score_documents", "total"]
