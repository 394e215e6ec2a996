from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.scheme import IOB2

from openmed_ner.errors import InputError
from openmed_ner.evaluation import Counts, Scores, bootstrap_f1, score_document, score_documents, total
from openmed_ner.text import Document, Span, TagScheme
from strategies import LABELS, at_most, documents, random_tags

counts = st.builds(Counts, *[st.integers(0, 50)] * 3)
scores = st.builds(Scores, st.dictionaries(st.sampled_from(LABELS), counts))


@st.composite
def corpora(draw: st.DrawFn) -> tuple[list[Document], list[Document]]:
    """Gold and predicted annotations of the same texts."""
    texts = draw(st.lists(st.text("ab ", max_size=6), max_size=6))
    pairs = [(draw(documents(st.just(text))), draw(documents(st.just(text), scored=True))) for text in texts]
    gold, predicted = [left for left, _ in pairs], [right for _, right in pairs]
    return gold, [replace(right, id=left.id) for left, right in zip(gold, predicted, strict=True)]


def score(gold: list[Document], predicted: list[Document]) -> Scores:
    return total(score_documents(gold, predicted))


@given(left=counts, middle=counts, right=counts)
def test_counts_add(left: Counts, middle: Counts, right: Counts) -> None:
    assert left + right == right + left
    assert (left + middle) + right == left + (middle + right)
    assert left + Counts() == left


@given(one=counts)
def test_f1_is_the_harmonic_mean_of_precision_and_recall(one: Counts) -> None:
    together = one.precision + one.recall
    assert one.f1 == pytest.approx(2 * one.precision * one.recall / together if together else 0.0)
    assert 0 <= one.f1 <= 1


@given(left=scores, right=scores)
def test_scores_add_label_by_label(left: Scores, right: Scores) -> None:
    assert left + right == right + left
    assert (left + right).micro == left.micro + right.micro


@given(corpus=corpora(), data=st.data())
def test_scores_ignore_document_order(
    corpus: tuple[list[Document], list[Document]], data: st.DataObject
) -> None:
    gold, predicted = corpus
    order = data.draw(st.permutations(range(len(gold))))
    assert score([gold[i] for i in order], [predicted[i] for i in order]) == score(gold, predicted)


@given(corpus=corpora(), cut=st.integers(0, 6))
def test_scores_ignore_how_a_corpus_is_split(corpus: tuple[list[Document], list[Document]], cut: int) -> None:
    gold, predicted = corpus
    assert score(gold[:cut], predicted[:cut]) + score(gold[cut:], predicted[cut:]) == score(gold, predicted)


@given(corpus=corpora(), times=st.integers(1, 4))
def test_repeating_a_corpus_changes_no_score(
    corpus: tuple[list[Document], list[Document]], times: int
) -> None:
    once, often = score(*corpus).micro, score(corpus[0] * times, corpus[1] * times).micro
    assert (often.precision, often.recall, often.f1) == (once.precision, once.recall, once.f1)
    assert often.tp == times * once.tp


@given(corpus=corpora(), data=st.data())
def test_repeating_or_reordering_spans_changes_no_score(
    corpus: tuple[list[Document], list[Document]], data: st.DataObject
) -> None:
    gold, predicted = corpus
    shuffled = [each.with_spans(data.draw(st.permutations(each.spans * 2))) for each in predicted]
    assert score(gold, shuffled) == score(gold, predicted)


@given(corpus=corpora())
def test_swapping_gold_and_predicted_swaps_precision_and_recall(
    corpus: tuple[list[Document], list[Document]],
) -> None:
    forth, back = score(*corpus).micro, score(*corpus[::-1]).micro
    assert (forth.precision, forth.recall, forth.f1) == (back.recall, back.precision, back.f1)


@given(document=documents())
def test_gold_against_itself_is_perfect(document: Document) -> None:
    micro = score_document(document, document).micro
    distinct = {span.key for span in document.spans}
    assert micro == Counts(tp=len(distinct))
    assert micro.f1 == (1.0 if distinct else 0.0)


@pytest.mark.parametrize(
    ("predicted", "expected"),
    [
        (Span(0, 6, "Disease"), Counts(tp=1)),
        (Span(0, 6, "Disease", 0.1, "ncbi"), Counts(tp=1)),
        (Span(0, 6, "Chemical"), Counts(fp=1, fn=1)),
        (Span(0, 7, "Disease"), Counts(fp=1, fn=1)),
        (Span(1, 6, "Disease"), Counts(fp=1, fn=1)),
        (None, Counts(fn=1)),
    ],
)
def test_only_the_exact_boundaries_and_label_match(predicted: Span | None, expected: Counts) -> None:
    gold = Document("d", "cancer cells", (Span(0, 6, "Disease"),))
    assert score_document(gold, gold.with_spans([predicted] if predicted else [])).micro == expected


def to_document(tags: list[str], number: int) -> Document:
    """One two-letter word per tag."""
    spans = [Span(3 * first, 3 * last - 1, label) for first, last, label in TagScheme.IOB2.decode(tags)]
    return Document(str(number), " ".join(["ab"] * len(tags)), tuple(spans))


@pytest.mark.parametrize("seed", range(5))
def test_scores_agree_with_seqeval(seed: int) -> None:
    rng = random.Random(seed)
    true = random_tags(TagScheme.IOB2, 500, seed=seed)
    guess = [[tag if rng.random() < 0.8 else "O" for tag in tags] for tags in true]
    gold, predicted = ([to_document(tags, n) for n, tags in enumerate(side)] for side in (true, guess))
    found = score(gold, predicted)
    for average, ours in [
        ("micro", [found.micro]),
        (None, [found.per_label[label] for label in sorted(LABELS)]),
    ]:
        oracle = [
            metric(true, guess, mode="strict", scheme=IOB2, average=average, zero_division=0)
            for metric in (precision_score, recall_score, f1_score)
        ]
        expected = [oracle] if average else list(zip(*oracle, strict=True))
        assert [[one.precision, one.recall, one.f1] for one in ours] == [
            pytest.approx(list(row)) for row in expected
        ]


@pytest.mark.parametrize("other", [Document("2", "cancer"), Document("1", "cancers"), Document("1", "")])
def test_documents_that_do_not_belong_together_are_refused(other: Document) -> None:
    gold = Document("1", "cancer")
    with pytest.raises(InputError, match="'1' and predicted document"):
        score_document(gold, other)
    with pytest.raises(InputError):
        score_documents([gold, gold], [gold, other])


@pytest.mark.parametrize(("n_gold", "n_predicted"), [(1, 2), (2, 1), (0, 1), (1, 0)])
def test_missing_documents_are_not_passed_over(n_gold: int, n_predicted: int) -> None:
    document = Document("1", "cancer")
    with pytest.raises(InputError, match="not as many"):
        score_documents([document] * n_gold, [document] * n_predicted)


def random_scores(seed: int, n_documents: int = 60) -> list[Scores]:
    rng = random.Random(seed)
    return [
        Scores({"Disease": Counts(rng.randint(0, 8), rng.randint(0, 3), rng.randint(0, 3))})
        for _ in range(n_documents)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_the_interval_contains_the_score_and_narrows_with_less_confidence(seed: int) -> None:
    sample = random_scores(seed)
    low, high = bootstrap_f1(sample)
    narrow_low, narrow_high = bootstrap_f1(sample, confidence=0.5)
    assert 0 < low < narrow_low <= narrow_high < high < 1
    assert low < total(sample).micro.f1 < high


def test_the_interval_narrows_with_more_documents() -> None:
    few, many = (high - low for low, high in (bootstrap_f1(random_scores(0, n)) for n in (10, 1000)))
    assert few > 4 * many


@given(sample=st.lists(scores, max_size=5), seed=st.integers(0, 99))
@at_most(30)
def test_the_interval_is_reproducible_and_lies_between_0_and_1(sample: list[Scores], seed: int) -> None:
    low, high = bootstrap_f1(sample, seed=seed, rounds=50)
    assert (low, high) == bootstrap_f1(sample, seed=seed, rounds=50)
    assert 0 <= low <= high <= 1


def test_another_seed_draws_other_documents() -> None:
    assert bootstrap_f1(random_scores(0), seed=1) != bootstrap_f1(random_scores(0), seed=2)


@given(found=st.lists(st.integers(0, 5), min_size=1, max_size=40))
@at_most(30)
def test_the_interval_of_perfect_predictions_is_a_point(found: list[int]) -> None:
    """However many documents have no entity at all."""
    sample = [Scores({"Disease": Counts(tp=number)}) for number in found]
    point = total(sample).micro.f1
    assert bootstrap_f1(sample, rounds=200) == (point, point)
