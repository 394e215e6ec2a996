"""Gold and predicted documents are paired by id, or by their order if they have no ids."""

from __future__ import annotations

import pytest

from openmed_ner.errors import InputError
from openmed_ner.evaluation.summary import pair_documents
from openmed_ner.text import Document, Span


def named(prefix: str, *texts: str) -> list[Document]:
    return [Document(f"{prefix}:{number}", text) for number, text in enumerate(texts, start=1)]


def test_documents_without_common_ids_are_paired_by_their_order() -> None:
    gold, predicted = named("gold.tsv", "a", "b"), named("mine.tsv", "a", "b")
    predicted = [document.with_spans([Span(0, 1, "Disease")]) for document in predicted]
    paired = pair_documents(gold, predicted)
    assert [document.id for document in paired] == ["gold.tsv:1", "gold.tsv:2"]
    assert [document.spans for document in paired] == [document.spans for document in predicted]
    assert pair_documents(gold, list(reversed(gold))) == gold


def test_a_pair_of_different_texts_is_refused() -> None:
    gold = named("gold.tsv", "a", "b", "c")
    expected = r"document .gold\.tsv:2. and its counterpart in order, .mine\.tsv:2.: gold and predicted"
    with pytest.raises(InputError, match=expected):
        pair_documents(gold, named("mine.tsv", "a", "c", "b"))
    with pytest.raises(InputError, match=r"gold document .gold\.tsv:1. has no counterpart"):
        pair_documents(gold, named("mine.tsv", "a", "b"))
    mixed = [*gold[:1], *named("mine.tsv", "b", "c")]
    with pytest.raises(InputError, match=r"gold document .gold\.tsv:2. has no counterpart"):
        pair_documents(gold, mixed)
