"""Published scores of others.

They are part of the package, since the report of ``openmed-ner reproduce`` prints them beside the scores
of the study.
"""

from __future__ import annotations

from collections.abc import Mapping

PAPER = "OpenMed NER, arXiv 2508.01630"
PAPER_F1: Mapping[str, float] = {
    "bc4chemd": 95.40,
    "bc5cdr-chemical": 96.10,
    "bc5cdr-disease": 91.20,
    "ncbi-disease": 91.10,
    "jnlpba": 81.90,
    "linnaeus": 96.50,
    "species-800": 86.40,
    "bc2gm": 90.10,
    "anatem": 90.60,
    "bionlp13-cg": 89.90,
    "cll": 95.70,
    "fsu": 96.10,
    "gellus": 99.80,
}
"""Micro F1 in percent, very probably on subwords; the value of Gellus is from the model's page on the hub."""
BIOBERT = "BioBERT v1.1, 110 M parameters, PyTorch rerun"
BIOBERT_F1: Mapping[str, float] = {
    "ncbi-disease": 88.30,
    "bc5cdr-disease": 86.37,
    "bc5cdr-chemical": 93.04,
    "bc4chemd": 91.15,
    "bc2gm": 83.41,
    "linnaeus": 88.08,
    "species-800": 72.38,
}
"""Micro F1 in percent on mentions; JNLPBA is missing, since its published value is for a single type."""
