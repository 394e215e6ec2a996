"""Scores of a tagger's own answers, on its corpora and across corpora."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from openmed_ner.bundle import Bundle
from openmed_ner.corpora import Corpus, Split
from openmed_ner.errors import InputError
from openmed_ner.evaluation.cross_corpus import score_across
from openmed_ner.evaluation.gold import Gold
from openmed_ner.evaluation.predictions import evaluate
from openmed_ner.inference.tagger import Tagger
from openmed_ner.text import Account, Document, Span
from sentences import DOCUMENTS, only
from tiny import CORPORA


@pytest.fixture(scope="module")
def tagger(runtime_bundle: Bundle) -> Tagger:
    return Tagger.load(runtime_bundle, threads=1)


def test_evaluation_counts_mentions_and_reads_a_text_once(
    tagger: Tagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_read = 0
    pipe = Tagger.pipe

    def counting(self: Tagger, texts: Iterable[Document], **options: Any) -> Iterator[Document]:
        nonlocal n_read
        for document in pipe(self, texts, **options):
            n_read += 1
            yield document

    monkeypatch.setattr(Tagger, "pipe", counting)
    golds = [Gold(each.head.corpus, "dev", each.dev, training=each.dev[:2]) for each in CORPORA]
    results = list(evaluate(tagger, golds))
    assert n_read == len(DOCUMENTS)
    for gold, result in zip(golds, results, strict=True):
        assert result["micro"]["f1"] == 1.0 and result["micro"]["ci95"] == [1.0, 1.0]
        assert result["micro"]["tp"] == sum(len(document.spans) for document in gold.documents)
        assert result["seen"]["tp"] + result["unseen"]["tp"] == result["micro"]["tp"]
        assert result["seen"]["tp"] > 0 < result["unseen"]["tp"]
        assert result["coverage_complete"]
        assert json.loads(json.dumps(result)) == result


def test_evaluation_refuses_labels_that_the_head_does_not_know(tagger: Tagger) -> None:
    with pytest.raises(InputError, match=r"document '0'.*no label 'Chemical'"):
        list(evaluate(tagger, [Gold("diseases", "dev", DOCUMENTS)]))
    with pytest.raises(InputError, match="no documents"):
        list(evaluate(tagger, [Gold("diseases", "dev", [])]))


def test_heads_are_scored_on_every_corpus_of_their_types_without_what_they_were_trained_on(
    runtime_bundle: Bundle,
) -> None:
    seen = "Cisplatin caused severe nephrotoxicity in most of the rats that had been given too much of it."
    gold = [*only("Disease"), Document("seen", seen, (Span(24, 38, "Disease"),))]
    row = Corpus(
        "other", "Other", {}, (), {"DISO": "Disease", "PRGE": "Gene"}, "free", "none", "https://x.org"
    )
    alien = replace(row, name="alien", labels={"PRGE": "Gene"})
    splits = [Split(each, "test", tuple(gold), Account()) for each in (row, alien)]
    training = [Document("0", seen.replace(" ", "  ").upper())]
    (result,) = score_across(Tagger.load(runtime_bundle), splits, training)
    assert (result["head"], result["corpus"], result["types"]) == ("diseases", "other", ["Disease"])
    assert (result["documents"], result["left_out"]) == (len(gold) - 1, 1)
    assert result["micro"]["tp"] == sum(len(each.spans) for each in only("Disease"))
    assert result["micro"]["fp"] == result["micro"]["fn"] == 0
