from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.errors import InputError
from openmed_ner.evaluation import Counts, score_documents, total
from openmed_ner.evaluation.calibration import (
    Bin,
    Threshold,
    expected_calibration_error,
    reliability,
    threshold_for_precision,
)
from openmed_ner.evaluation.matching import distinct_spans
from openmed_ner.evaluation.profile import FREQUENCIES, LENGTHS, profile_by_frequency, profile_by_length
from openmed_ner.text import Document, Span
from strategies import documents, texts

SCORES = st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 0.999, 1.0]) | st.floats(0, 1)
Corpus = tuple[list[Document], list[Document]]


@st.composite
def corpora(draw: st.DrawFn) -> Corpus:
    """Gold documents, and predictions that all have a score and are often right."""
    gold = draw(st.lists(documents(texts | st.text("ab ", max_size=8)), max_size=4))
    predicted = []
    for document in gold:
        guesses = draw(documents(st.just(document.text))).spans
        chosen = [span for span in (*document.spans, *document.spans, *guesses) if draw(st.booleans())]
        predicted.append(document.with_spans(replace(span, score=draw(SCORES)) for span in chosen))
    return gold, predicted


def keep(predicted: list[Document], threshold: float) -> list[Document]:
    return [
        each.with_spans(span for span in each.spans if (span.score or 0.0) >= threshold) for each in predicted
    ]


@given(corpus=corpora(), n_bins=st.integers(1, 20))
def test_bins_partition_the_predictions(corpus: Corpus, n_bins: int) -> None:
    bins = reliability(*corpus, n_bins=n_bins)
    micro = total(score_documents(*corpus)).micro
    assert len(bins) == n_bins
    assert [each.low for each in bins] == [number / n_bins for number in range(n_bins)]
    assert [each.high for each in bins[:-1]] == [each.low for each in bins[1:]] and bins[-1].high == 1
    assert sum(each.count for each in bins) == micro.tp + micro.fp
    assert sum(each.count * each.precision for each in bins) == pytest.approx(micro.tp)
    for each in bins:
        assert each.count == 0 or each.low - 1e-9 <= each.confidence <= each.high + 1e-9
        assert 0 <= each.precision <= 1
    assert 0 <= expected_calibration_error(bins) <= 1


@given(corpus=corpora(), n_bins=st.integers(1, 20))
def test_bins_agree_with_counting_one_by_one(corpus: Corpus, n_bins: int) -> None:
    for each in reliability(*corpus, n_bins=n_bins):
        above, below = (
            total(score_documents(corpus[0], keep(corpus[1], edge))).micro for edge in (each.low, each.high)
        )
        if each.high == 1:
            below = Counts()
        n_right, n_wrong = above.tp - below.tp, above.fp - below.fp
        assert each.count == n_right + n_wrong
        assert each.precision == pytest.approx(n_right / each.count if each.count else 0.0)


@given(corpus=corpora())
def test_one_bin_compares_the_mean_score_with_precision(corpus: Corpus) -> None:
    (only,) = reliability(*corpus, n_bins=1)
    assert only.precision == pytest.approx(total(score_documents(*corpus)).micro.precision)
    assert expected_calibration_error([only]) == pytest.approx(abs(only.confidence - only.precision))


def draw_corpus(seed: int, shift: float, n_documents: int = 40, n_mentions: int = 100) -> Corpus:
    """Predictions that are right as often as their score, less ``shift``, says."""
    rng = random.Random(seed)
    gold, predicted = [], []
    for number in range(n_documents):
        starts = range(0, 7 * n_mentions, 7)
        document = Document(str(number), "cancer " * n_mentions)
        guesses = []
        for start in starts:
            score = rng.uniform(shift, 1)
            right = rng.random() < score - shift
            guesses.append(Span(start, start + (6 if right else 5), "Disease", score))
        gold.append(document.with_spans(Span(start, start + 6, "Disease") for start in starts))
        predicted.append(document.with_spans(guesses))
    return gold, predicted


@pytest.mark.parametrize("seed", range(3))
def test_perfect_calibration_has_no_error(seed: int) -> None:
    assert expected_calibration_error(reliability(*draw_corpus(seed, 0.0))) < 0.03


@pytest.mark.parametrize("seed", range(3))
def test_the_error_measures_overconfidence(seed: int) -> None:
    error = expected_calibration_error(reliability(*draw_corpus(seed, 0.3)))
    assert error == pytest.approx(0.3, abs=0.03)


def test_a_known_reliability_diagram() -> None:
    text = "ab ab ab ab"
    gold = Document("d", text, (Span(0, 2, "X"), Span(3, 5, "X"), Span(9, 11, "X")))
    guesses = (Span(0, 2, "X", 1.0), Span(3, 5, "X", 0.6), Span(6, 8, "X", 0.8), Span(0, 2, "X", 0.1))
    bins = reliability([gold], [gold.with_spans(guesses)], n_bins=2)
    assert bins == (Bin(0.0, 0.5, 0, 0.0, 0.0), Bin(0.5, 1.0, 3, pytest.approx(0.8), pytest.approx(2 / 3)))
    assert expected_calibration_error(bins) == pytest.approx(0.8 - 2 / 3)
    assert threshold_for_precision([gold], [gold.with_spans(guesses)], 0.9) == Threshold(1.0, 1.0, 1 / 3, 1)
    assert threshold_for_precision([gold], [gold.with_spans(guesses)], 0.6) == Threshold(0.6, 2 / 3, 2 / 3, 3)


@given(corpus=corpora(), wanted=st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0, 1))
def test_the_threshold_agrees_with_trying_every_score(corpus: Corpus, wanted: float) -> None:
    gold, predicted = corpus
    expected = None
    scores = {span.score or 0.0 for each in predicted for span in distinct_spans(each)}
    for score in sorted(scores, reverse=True):
        micro = total(score_documents(gold, keep(predicted, score))).micro
        if micro.precision >= wanted:
            expected = Threshold(score, micro.precision, micro.recall, micro.tp + micro.fp)
    assert threshold_for_precision(gold, predicted, wanted) == expected


def test_no_threshold_makes_wrong_predictions_right() -> None:
    gold = Document("d", "cancer")
    assert threshold_for_precision([gold], [gold.with_spans([Span(0, 6, "X", 0.9)])], 0.1) is None
    assert threshold_for_precision([], [], 0.5) is None
    assert expected_calibration_error(reliability([], [])) == 0


@pytest.mark.parametrize("wanted", [-0.1, 1.1, float("nan")])
def test_a_precision_that_is_no_share_is_refused(wanted: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        threshold_for_precision([], [], wanted)


def test_predictions_without_scores_are_refused() -> None:
    gold = Document("pmid 7", "cancer", (Span(0, 6, "X"),))
    with pytest.raises(InputError, match=r"'pmid 7': the predicted span 0\.\.6 \(X\) has no score"):
        reliability([gold], [gold])
    with pytest.raises(InputError, match="no score"):
        threshold_for_precision([gold], [gold], 0.5)
    with pytest.raises(InputError, match="not as many"):
        reliability([gold], [])


@given(corpus=corpora(), training=st.lists(documents(st.text("ab ", max_size=8)), max_size=4))
def test_profiles_add_up_to_the_whole(corpus: Corpus, training: list[Document]) -> None:
    whole = total(score_documents(*corpus)).micro
    for profile, bins in [
        (profile_by_length(*corpus), LENGTHS),
        (profile_by_frequency(*corpus, training), FREQUENCIES),
    ]:
        assert [name for name, _ in profile] == [name for name, _ in bins]
        assert sum((counts for _, counts in profile), Counts()) == whole


@given(corpus=corpora(), times=st.integers(10, 12))
def test_gold_often_seen_in_training_lies_in_the_last_bin(corpus: Corpus, times: int) -> None:
    gold, _ = corpus
    profile = dict(profile_by_frequency(gold, gold, gold * times))
    assert profile["10+"] == total(score_documents(gold, gold)).micro
    assert dict(profile_by_frequency(gold, gold, []))["0"] == profile["10+"]


@pytest.mark.parametrize(
    ("mention", "expected"),
    [("IL-2", "1"), (" ", "1"), ("a b", "2"), ("a b c", "3"), ("a b c d e", "4–5"), ("word " * 40, "6+")],
)
def test_length_is_counted_in_words(mention: str, expected: str) -> None:
    document = Document("d", mention, (Span(0, len(mention), "X"),))
    assert dict(profile_by_length([document], [document]))[expected] == Counts(tp=1)


@pytest.mark.parametrize(
    ("n_seen", "expected"),
    [(0, "0"), (1, "1"), (2, "2–4"), (4, "2–4"), (5, "5–9"), (9, "5–9"), (10, "10+"), (99, "10+")],
)
def test_frequency_counts_forms_in_lower_case(n_seen: int, expected: str) -> None:
    training = [Document(str(number), "CANCER", (Span(0, 6, "Y"),)) for number in range(n_seen)]
    gold = Document("d", "Cancer", (Span(0, 6, "X"),))
    assert dict(profile_by_frequency([gold], [gold], training))[expected] == Counts(tp=1)


def test_gold_and_predicted_are_sorted_by_their_own_form() -> None:
    gold = Document("d", "acute renal failure", (Span(0, 19, "X"),))
    predicted = gold.with_spans([Span(6, 19, "X")])
    profile = dict(profile_by_length([gold], [predicted]))
    assert profile["3"] == Counts(fn=1) and profile["2"] == Counts(fp=1)
