"""Documents to annotate: doubt decides, and names that are known ask less."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner import suggest
from openmed_ner.bundle import BackboneReference, Manifest
from openmed_ner.errors import InputError
from openmed_ner.inference import suggestion
from openmed_ner.inference.parts import ModelPart
from openmed_ner.inference.tagger import Tagger
from openmed_ner.tagging import Head, SubwordTokenizer
from openmed_ner.tagging.batching import LongArray
from openmed_ner.tagging.heads import FloatArray
from openmed_ner.text import Document, Span
from strategies import at_most

HEAD = Head("c", ("Chemical",))
LOG_ODDS = {"aspirin": 6.0, "cancer": 1.0, "tumor": -1.0, "the": -4.0}
"""Log-odds of a mention of one word against ``O``; other words are certainly outside."""


class Stub:
    """A model that is as sure of a word as the table says, wherever it is."""

    def __init__(self, tokenizer: SubwordTokenizer) -> None:
        self._log_odds = np.full(len(tokenizer.vocabulary), -9, dtype=np.float32)
        for word, value in LOG_ODDS.items():
            self._log_odds[tokenizer.vocabulary.index(word)] = value

    def run(self, *inputs: LongArray) -> FloatArray:
        logits = np.full((*inputs[0].shape, 3), -9, dtype=np.float32)
        logits[..., 0] = 0
        logits[..., 1] = self._log_odds[inputs[0]]
        return logits


@pytest.fixture(scope="module")
def tagger(tokenizer: SubwordTokenizer) -> Tagger:
    backbone = BackboneReference("b", "o/b", "0" * 40, "0" * 64, "MIT")
    manifest = Manifest("m", "runtime", "1", (HEAD,), window=40, overlap=8, backbone=backbone)
    return Tagger(manifest, tokenizer, [ModelPart((HEAD,), Stub(tokenizer))])


def choose(tagger: Tagger, texts: list[str], count: int = 99, **options: object) -> list[str]:
    return [chosen.document.text for chosen in suggest(texts, bundle=tagger, count=count, **options)]  # type: ignore[arg-type]


def test_places_are_mentions_and_possible_mentions_with_their_margin(tagger: Tagger) -> None:
    ((document, places),) = tagger.pipe_candidates(["the aspirin of cancer of tumor"])
    assert [document.mention(span) for span in document.spans] == ["aspirin", "cancer"]
    assert [(document.text[place.start : place.end], place.marked) for place in places] == [
        ("aspirin", True),
        ("cancer", True),
        ("tumor", False),
    ]
    assert [place.doubt for place in places] == pytest.approx([np.exp(-6), np.exp(-1), np.exp(-1)], rel=1e-4)
    assert document == tagger("the aspirin of cancer of tumor")


def test_an_unsure_word_beside_a_mention_makes_its_boundary_unsure(tagger: Tagger) -> None:
    ((_, places),) = tagger.pipe_candidates(["aspirin tumor"])
    assert [(place.start, place.end, place.marked) for place in places] == [(0, 7, True)]
    assert places[0].doubt == pytest.approx(np.exp(-1), rel=1e-4)


def test_the_document_with_most_doubt_comes_first(tagger: Tagger) -> None:
    assert choose(tagger, ["aspirin", "of the", "cancer"]) == ["cancer", "aspirin", "of the"]


def test_a_text_that_occurs_twice_or_is_annotated_is_not_chosen(tagger: Tagger) -> None:
    labelled = [Document("x", "aspirin  of TUMOR", ())]
    texts = ["cancer", "aspirin of tumor", "Cancer"]
    assert choose(tagger, texts, labelled=labelled) == ["cancer"]


def test_a_name_that_was_chosen_asks_less(tagger: Tagger) -> None:
    texts = ["of cancer of", "the cancer of", "of tumor of"]
    assert choose(tagger, texts, 2) == ["of cancer of", "of tumor of"]


def test_a_name_that_is_annotated_asks_less(tagger: Tagger) -> None:
    labelled = [Document("x", "No cancer.", (Span(3, 9, "Chemical"),))]
    assert choose(tagger, ["of cancer", "of tumor"], labelled=labelled) == ["of tumor", "of cancer"]


@given(st.lists(st.lists(st.sampled_from([*LOG_ODDS, "of"]), min_size=1, max_size=6), max_size=8), st.data())
@at_most(20)
def test_the_lazy_choice_is_the_greedy_choice(
    tagger: Tagger, words: list[list[str]], data: st.DataObject
) -> None:
    texts = list(dict.fromkeys(" ".join(row) for row in words))
    count = data.draw(st.integers(1, 9))
    chosen = suggest(texts, bundle=tagger, count=count)
    rows = [suggestion._Place.read(n, *pair) for n, pair in enumerate(tagger.pipe_candidates(texts))]
    seen: dict[str, int] = {}
    expected = []
    while rows and len(expected) < count:
        best = max(rows, key=lambda row: (row.score(seen), -row.number))
        rows.remove(best)
        expected.append(best.document.text)
        for name in best.doubts:
            seen[name] = seen.get(name, 0) + 1
    assert [each.document.text for each in chosen] == expected


def test_only_the_highest_are_kept_of_a_long_stream(tagger: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suggestion, "KEPT", 1)
    monkeypatch.setattr(suggestion, "FEWEST_KEPT", 1)
    texts = [f"of {number}" for number in range(30)]
    assert choose(tagger, [*texts, "of tumor", "of cancer of", *texts], 2) == ["of tumor", "of cancer of"]


def test_a_count_below_one_and_what_is_no_text_are_refused(tagger: Tagger) -> None:
    with pytest.raises(InputError, match="count 0"):
        choose(tagger, ["of"], 0)
    with pytest.raises(InputError, match="expected a string"):
        suggest([None], bundle=tagger)  # type: ignore[list-item]
