"""Scores of the concepts of documents, counted by hand and by a second implementation."""

from __future__ import annotations

import pytest

from lexicons import annotate_diseases
from openmed_ner.evaluation.concepts import score_concepts
from openmed_ner.evaluation.identifiers import Gold
from openmed_ner.evaluation.scores import Counts, Scores, bootstrap_f1
from openmed_ner.linking import Linker

DOCUMENTS = [
    annotate_diseases(
        "1",
        ("breast cancer", "MESH:D001943"),
        ("breast cancer", "MESH:D001943"),  # counts once
        ("cancer", "MESH:D001943"),  # too general
        ("acute renal failure", "MESH:D000544"),
        ("lupus", ""),
    ),
    annotate_diseases(
        "2",
        ("breast and ovarian cancer", "MESH:D001943|MESH:D010051"),
        ("ovarian cancer", "MESH:D001943|MESH:D010051"),
        ("presenile dementia", "OMIM:104300"),  # by the cross-reference of Mondo
        ("unheard of", "MESH:D008180"),
    ),
]


def test_documents_are_scored_by_their_sets_of_concepts(linker: Linker) -> None:
    scores = score_concepts(Gold(DOCUMENTS, "Disease"), DOCUMENTS, linker, {"MESH:D001943"})
    # Of the first, one is found, three are spurious and one is missed; of the second three, none and one.
    assert (scores["precision"], scores["recall"]) == (pytest.approx(4 / 7), pytest.approx(4 / 6))
    assert scores["concepts"] == 6 and scores["documents"] == 2
    assert scores["seen"] == {"concepts": 2, "found": 2}
    assert scores["unseen"] == {"concepts": 4, "found": 2}
    # "Ovarian cancer" is found as a name and as a part; the more certain way counts.
    assert scores["methods"] == {"exact": {"right": 3, "wrong": 3}, "parts": {"right": 1, "wrong": 0}}
    assert scores["related"] == 1, "cancer is above breast cancer"


def test_the_interval_of_f1_is_that_of_the_scores_of_mentions(linker: Linker) -> None:
    scores = score_concepts(Gold(DOCUMENTS, "Disease"), DOCUMENTS, linker)
    counts = [Scores({"Disease": Counts(1, 3, 1)}), Scores({"Disease": Counts(3, 0, 1)})]
    assert scores["intervals"]["f1"] == pytest.approx(list(bootstrap_f1(counts)))
    for name in ("precision", "recall", "f1"):
        low, high = scores["intervals"][name]
        assert low <= scores[name] <= high


def test_documents_without_concepts_have_no_scores(linker: Linker) -> None:
    empty = score_concepts(Gold([], "Disease"), [], linker)
    assert empty["f1"] == 0 and empty["intervals"] == {}
    silent = score_concepts(
        Gold(DOCUMENTS, "Disease"), [document.with_spans([]) for document in DOCUMENTS], linker
    )
    assert (silent["precision"], silent["recall"], silent["f1"]) == (0, 0, 0)
