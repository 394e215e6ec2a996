"""Scores of identifiers, on two documents counted by hand."""

from __future__ import annotations

import pytest

from lexicons import annotate_diseases
from openmed_ner.evaluation.identifiers import Gold, link_gold, list_seen, score_mentions
from openmed_ner.linking import Linker

DOCUMENTS = [
    annotate_diseases(
        "1",
        ("breast cancer", "MESH:D001943"),
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


def test_mentions_are_right_if_all_concepts_are(linker: Linker) -> None:
    seen = list_seen(DOCUMENTS[:1])
    assert seen == {"MESH:D001943", "MESH:D000544"}
    mentions = list(link_gold(Gold(DOCUMENTS, "Disease"), linker, seen))
    scores = score_mentions(mentions, linker)
    assert [mention.is_right for mention in mentions] == [True, False, False, False, True, False, True, False]
    assert scores["mentions"] == 7 and scores["accuracy"] == pytest.approx(3 / 7)
    assert scores["seen"] == {"mentions": 5, "accuracy": pytest.approx(2 / 5)}
    assert scores["unseen"] == {"mentions": 2, "accuracy": 0.5}
    assert scores["methods"] == {
        "exact": {"right": 2, "mentions": 5},
        "none": {"right": 0, "mentions": 1},
        "parts": {"right": 1, "mentions": 1},
    }
    assert scores["unlinkable"] == {"mentions": 1, "linked": 1}
    assert scores["related"] == 2
    low, high = scores["interval"]
    assert low <= 3 / 7 <= high


def test_a_type_without_identifiers_has_no_scores() -> None:
    assert Gold(DOCUMENTS, "Disease").has_identifiers
    assert not Gold(DOCUMENTS, "Gene").has_identifiers


def test_nothing_has_no_accuracy(linker: Linker) -> None:
    assert score_mentions([], linker)["interval"] == [0.0, 0.0]
