from __future__ import annotations

import os
import random
import tarfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nervaluate import Evaluator
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.scheme import IOB2

from openmed_ner.errors import InputError
from openmed_ner.evaluation import (
    Counts,
    MatchMode,
    Scores,
    match_spans,
    score_document,
    score_documents,
    score_with_alternatives,
    total,
)
from openmed_ner.formats.bc2gm import read_bc2gm
from openmed_ner.text import Document, Span, TagScheme
from strategies import LABELS, random_tags

MODES: tuple[MatchMode, ...] = get_args(MatchMode)
TEXT = Document("d", "abcdefghijkl" * 200)
modes = st.sampled_from(MODES)


@st.composite
def spans(draw: st.DrawFn) -> Span:
    """A mention among twelve characters, in one piece or in several."""
    edges = sorted(draw(st.sets(st.integers(0, 12), min_size=2, max_size=6)))
    pieces = [pair for place, pair in enumerate(pairwise(edges)) if place % 2 == 0]
    fragments = tuple(pieces) if len(pieces) > 1 else ()
    score = draw(st.none() | st.sampled_from([0.0, 0.5]))
    return Span(pieces[0][0], pieces[-1][1], draw(st.sampled_from(LABELS)), score, fragments=fragments)


annotations = st.lists(spans(), max_size=6).map(TEXT.with_spans)
pairs = st.tuples(annotations, annotations)
corpora = st.lists(pairs, max_size=4)


def annotate(*mentions: tuple[int, int, str] | Span) -> Document:
    return TEXT.with_spans(each if isinstance(each, Span) else Span(*each) for each in mentions)


def score(corpus: list[tuple[Document, Document]], mode: MatchMode) -> Scores:
    return total(score_documents(*zip(*corpus, strict=True), mode=mode)) if corpus else Scores()


def characters(span: Span) -> set[int]:
    return {place for piece in span.fragments or ((span.start, span.end),) for place in range(*piece)}


def credit(gold: Span, predicted: Span, mode: MatchMode) -> float:
    """What a pair counts, by the definition of the mode."""
    same = (gold.start, gold.end, gold.fragments) == (predicted.start, predicted.end, predicted.fragments)
    common = bool(characters(gold) & characters(predicted))
    return {
        "strict": same and gold.label == predicted.label,
        "boundary": same,
        "type": common and gold.label == predicted.label,
        "overlap": common,
        "partial": (same + common) / 2,
    }[mode]


def distinct(document: Document) -> list[Span]:
    return list({span.key: span for span in document.spans}.values())


def largest_credit(gold: Document, predicted: Document, mode: MatchMode) -> float:
    """The best of all one-to-one pairings, by trying every one."""
    left, right = distinct(gold), distinct(predicted)

    @cache
    def best(place: int, taken: frozenset[int]) -> float:
        if place == len(left):
            return 0.0
        choices = [
            credit(left[place], each, mode) + best(place + 1, taken | {number})
            for number, each in enumerate(right)
            if number not in taken and credit(left[place], each, mode)
        ]
        return max([best(place + 1, taken), *choices])

    return best(0, frozenset())


# --- properties


@given(pair=pairs, mode=modes)
def test_no_other_pairing_has_more_credit(pair: tuple[Document, Document], mode: MatchMode) -> None:
    micro = score_document(*pair, mode=mode).micro
    assert micro.credit == largest_credit(*pair, mode)
    assert micro.tp + micro.half + micro.fn == len(distinct(pair[0]))
    assert micro.tp + micro.half + micro.fp == len(distinct(pair[1]))
    assert mode == "partial" or not micro.half


@given(pair=pairs, mode=modes)
def test_pairs_are_allowed_and_hold_no_span_twice(pair: tuple[Document, Document], mode: MatchMode) -> None:
    found = match_spans(*pair, mode=mode)
    assert all(credit(*each, mode) for each in found)
    assert all(left in pair[0].spans and right in pair[1].spans for left, right in found)
    for side in zip(*found, strict=True):
        assert len({span.key for span in side}) == len(found)
    assert [left.key for left, _ in found] == sorted(left.key for left, _ in found)
    assert sum(credit(*each, mode) for each in found) == score_document(*pair, mode=mode).micro.credit


@given(corpus=corpora, mode=modes, data=st.data())
def test_scores_ignore_the_order_of_documents_and_their_division(
    corpus: list[tuple[Document, Document]], mode: MatchMode, data: st.DataObject
) -> None:
    shuffled, cut = data.draw(st.permutations(corpus)), data.draw(st.integers(0, 4))
    assert score(shuffled, mode) == score(corpus, mode)
    assert score(corpus[:cut], mode) + score(corpus[cut:], mode) == score(corpus, mode)


@given(pair=pairs, mode=modes, data=st.data())
def test_pairs_ignore_the_order_of_spans_and_their_repetition(
    pair: tuple[Document, Document], mode: MatchMode, data: st.DataObject
) -> None:
    shuffled = [each.with_spans(data.draw(st.permutations(each.spans * 2))) for each in pair]
    assert match_spans(*shuffled, mode=mode) == match_spans(*pair, mode=mode)
    assert score_document(*shuffled, mode=mode) == score_document(*pair, mode=mode)


@given(corpus=corpora, mode=modes, times=st.integers(1, 3))
def test_repeating_every_document_changes_no_score(
    corpus: list[tuple[Document, Document]], mode: MatchMode, times: int
) -> None:
    once, often = score(corpus, mode).micro, score(corpus * times, mode).micro
    assert (often.precision, often.recall, often.f1) == (once.precision, once.recall, once.f1)


@given(document=annotations, mode=modes)
def test_gold_against_itself_is_perfect_in_every_mode(document: Document, mode: MatchMode) -> None:
    micro = score_document(document, document, mode=mode).micro
    assert micro == Counts(tp=len(distinct(document)))
    assert match_spans(document, document, mode=mode) == [
        (span, span) for span, _ in match_spans(document, document)
    ]


@given(corpus=corpora, mode=modes)
def test_swapping_gold_and_predicted_swaps_precision_and_recall(
    corpus: list[tuple[Document, Document]], mode: MatchMode
) -> None:
    forth, back = score(corpus, mode).micro, score([pair[::-1] for pair in corpus], mode).micro
    assert (forth.precision, forth.recall, forth.f1) == (back.recall, back.precision, back.f1)


@given(pair=pairs)
def test_a_more_lenient_mode_never_gives_less(pair: tuple[Document, Document]) -> None:
    found = {mode: score_document(*pair, mode=mode) for mode in MODES}
    micro = {mode: each.micro.credit for mode, each in found.items()}
    assert micro["strict"] <= micro["boundary"] <= micro["partial"] <= micro["overlap"]
    assert micro["strict"] <= micro["type"] <= micro["overlap"]
    for label in LABELS:
        tp = [found[mode].per_label.get(label, Counts()).tp for mode in ("strict", "type", "overlap")]
        assert tp == sorted(tp)


@given(pair=pairs)
def test_strict_is_what_is_counted_unless_told_otherwise(pair: tuple[Document, Document]) -> None:
    assert score_document(*pair) == score_document(*pair, mode="strict")
    assert match_spans(*pair) == match_spans(*pair, mode="strict")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("mode", ["type", "overlap"])
def test_as_many_pairs_as_scipy_finds(mode: MatchMode, seed: int) -> None:
    csgraph = pytest.importorskip("scipy.sparse.csgraph")
    sparse = pytest.importorskip("scipy.sparse")
    rng = random.Random(seed)

    def crowd() -> Document:
        starts = [rng.randrange(700) for _ in range(100)]
        return annotate(*((start, start + rng.randint(1, 30), rng.choice(LABELS)) for start in starts))

    gold, predicted = crowd(), crowd()
    allowed = [[credit(left, right, mode) for right in distinct(predicted)] for left in distinct(gold)]
    partners = csgraph.maximum_bipartite_matching(sparse.csr_matrix(allowed), perm_type="column")
    assert score_document(gold, predicted, mode=mode).micro.tp == (partners >= 0).sum()


# --- cases

A, B = LABELS
SPLIT = Span(0, 9, A, fragments=((0, 3), (6, 9)))


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ([(0, 6, A)], [(0, 6, A)], {"strict": 1, "boundary": 1, "type": 1, "overlap": 1, "partial": 1}),
        ([(0, 6, A)], [(0, 6, B)], {"strict": 0, "boundary": 1, "type": 0, "overlap": 1, "partial": 1}),
        ([(0, 6, A)], [(2, 9, A)], {"strict": 0, "boundary": 0, "type": 1, "overlap": 1, "partial": 0.5}),
        ([(0, 6, A)], [(5, 9, B)], {"strict": 0, "boundary": 0, "type": 0, "overlap": 1, "partial": 0.5}),
        ([(0, 6, A)], [(6, 9, A)], dict.fromkeys(MODES, 0)),
        ([SPLIT], [SPLIT], dict.fromkeys(MODES, 1)),
        ([SPLIT], [(0, 9, A)], {"strict": 0, "boundary": 0, "type": 1, "overlap": 1, "partial": 0.5}),
        ([SPLIT], [(3, 6, A)], dict.fromkeys(MODES, 0)),
        ([(0, 9, A), (3, 5, A)], [(0, 9, A)], dict.fromkeys(MODES, 1)),
    ],
)
def test_what_each_mode_credits(
    gold: list[Span | tuple[int, int, str]],
    predicted: list[Span | tuple[int, int, str]],
    expected: dict[MatchMode, float],
) -> None:
    documents = annotate(*gold), annotate(*predicted)
    assert {mode: score_document(*documents, mode=mode).micro.credit for mode in MODES} == expected


def test_equal_mentions_may_have_to_part_so_that_more_find_a_partner() -> None:
    """Both predictions overlap the long gold mention, only the long one overlaps the short."""
    gold, predicted = annotate((0, 9, A), (0, 2, A)), annotate((0, 9, A), (7, 9, A))
    assert score_document(gold, predicted, mode="overlap").micro == Counts(tp=2)
    assert score_document(gold, predicted, mode="partial").micro == Counts(tp=1, fp=1, fn=1)


def test_a_pair_counts_under_its_gold_label() -> None:
    scores = score_document(annotate((0, 6, A)), annotate((0, 6, B), (8, 9, B)), mode="boundary")
    assert scores.per_label == {A: Counts(tp=1), B: Counts(fp=1)}


def test_a_half_is_half_in_precision_recall_and_f1() -> None:
    counts = Counts(tp=1, fp=1, fn=3, half=2)
    assert (counts.precision, counts.recall) == (2 / 4, 2 / 6)
    assert counts.f1 == pytest.approx(2 / (4 / 2 + 6 / 2))
    assert (counts + counts).f1 == counts.f1


def test_of_equal_predictions_the_most_confident_is_paired() -> None:
    twice = annotate(Span(0, 6, A, 0.2), Span(0, 6, A, 0.9, "ncbi"), Span(0, 6, A))
    ((_, predicted),) = match_spans(annotate((0, 6, A)), twice)
    assert predicted.score == 0.9


def test_a_chain_of_ten_thousand_partners_moves_up_by_one() -> None:
    """By label every gold mention is paired with the next prediction, so that the last one finds none."""
    n = 10_000
    text = Document("long", "x" * (10 * n))
    gold = text.with_spans(Span(10 * i, 10 * i + 6, LABELS[i % 2]) for i in range(n))
    predicted = text.with_spans(Span(max(0, 10 * i - 5), 10 * i + 1, LABELS[i % 2 - 1]) for i in range(n))
    assert score_document(gold, predicted, mode="type").micro == Counts(tp=n - 1, fp=1, fn=1)
    assert score_document(gold, predicted, mode="overlap").micro == Counts(tp=n)


def test_an_unknown_mode_is_refused_and_so_are_two_texts() -> None:
    with pytest.raises(InputError, match=r"'lenient'; expected strict, boundary, type, overlap or partial"):
        score_document(TEXT, TEXT, mode="lenient")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="not annotations of one text"):
        match_spans(TEXT, replace(TEXT, text="x"), mode="overlap")


# --- alternatives


@given(pair=pairs)
def test_without_alternatives_the_score_is_strict(pair: tuple[Document, Document]) -> None:
    assert score_with_alternatives(*pair, TEXT) == score_document(*pair)


@given(pair=pairs, alternatives=annotations)
def test_alternatives_count_as_their_definition_says(
    pair: tuple[Document, Document], alternatives: Document
) -> None:
    gold, predicted = map(distinct, pair)
    accepted = {span.key for span in alternatives.spans}
    found = {span.key for span in predicted}
    tp = [
        span
        for span in gold
        if span.key in found or any(each.key in accepted and credit(span, each, "type") for each in predicted)
    ]
    fp = found - accepted - {span.key for span in gold}
    micro = score_with_alternatives(*pair, alternatives).micro
    assert micro == Counts(len(tp), len(fp), len(gold) - len(tp))
    assert micro.recall >= score_document(*pair).micro.recall


@pytest.mark.parametrize(
    ("predicted", "expected"),
    [
        ([(0, 9, A)], Counts(tp=1, fn=1)),
        ([(0, 6, A)], Counts(tp=1, fn=1)),  # an alternative
        ([(0, 9, A), (0, 6, A)], Counts(tp=1, fn=1)),  # two for one gold mention
        ([(8, 16, A)], Counts(tp=2)),  # one for two gold mentions
        ([(30, 35, A)], Counts(fn=2)),  # stands for no gold mention
        ([(0, 6, B)], Counts(fp=1, fn=2)),  # another label
        ([(0, 5, A)], Counts(fp=1, fn=2)),
    ],
)
def test_an_alternative_stands_for_the_gold_mentions_it_overlaps(
    predicted: list[tuple[int, int, str]], expected: Counts
) -> None:
    gold, alternatives = annotate((0, 9, A), (12, 20, A)), annotate((0, 6, A), (8, 16, A), (30, 35, A))
    assert score_with_alternatives(gold, annotate(*predicted), alternatives).micro == expected


def test_alternatives_of_another_text_are_refused() -> None:
    with pytest.raises(InputError, match="not annotations of one text"):
        score_with_alternatives(TEXT, TEXT, replace(TEXT, id="e"))


def first_words(document: Document) -> Document:
    return document.with_spans(
        replace(span, end=span.start + len(document.mention(span).split()[0])) for span in document.spans
    )


def read_member(name: str) -> list[str]:
    with tarfile.open(Path(os.environ["OPENMED_NER_CORPORA"]) / "bc2gm.tar.xz") as tar:
        file = tar.extractfile(f"bc2gm/spyysalo/original-data/test/{name}")
        assert file
        return file.read().decode().splitlines()


GUESSES: dict[str, tuple[Callable[[Document, Document], Document], Counts]] = {
    "first words": (lambda gold, _: first_words(gold), Counts(4536, 1795, 1795)),
    "alternatives": (lambda _, other: other, Counts(3670, 0, 2661)),
    "both": (lambda gold, other: gold.with_spans(gold.spans[1:] + other.spans), Counts(5166, 0, 1165)),
}


@pytest.mark.corpora
@pytest.mark.skipif(not os.environ.get("OPENMED_NER_CORPORA"), reason="OPENMED_NER_CORPORA is not set")
@pytest.mark.parametrize("name", GUESSES)
def test_the_counts_are_those_of_the_official_scorer(name: str) -> None:
    """``perl alt_eval.perl`` printed these for the same predictions on the test split."""
    guess, printed = GUESSES[name]
    sentences, mentions, other_mentions = (
        read_member(part) for part in ("test.in", "GENE.eval", "ALTGENE.eval")
    )
    gold = read_bc2gm(sentences, mentions, source="test.in", mentions_source="GENE.eval")
    alternatives = read_bc2gm(sentences, other_mentions, source="test.in", mentions_source="ALTGENE.eval")
    scores = (
        score_with_alternatives(left, guess(left, other), other)
        for left, other in zip(gold, alternatives, strict=True)
    )
    assert total(scores).micro == printed


# --- second opinions


def to_document(tags: list[str], number: int, *, lenient: bool) -> Document:
    """One two-letter word per tag."""
    found = TagScheme.IOB2.decode(tags, mode="conlleval" if lenient else "strict")
    return Document(
        str(number),
        " ".join(["ab"] * len(tags)),
        tuple(Span(3 * first, 3 * last - 1, label) for first, last, label in found),
    )


@pytest.mark.slow
@pytest.mark.parametrize("lenient", [False, True])
def test_strict_scores_agree_with_seqeval_on_ten_thousand_sequences(lenient: bool) -> None:
    rng = random.Random(0)
    true = random_tags(TagScheme.IOB2, 10_000)
    guess = [[tag if rng.random() < 0.8 else rng.choice(["O", f"I-{A}"]) for tag in tags] for tags in true]
    sides = [[to_document(tags, n, lenient=lenient) for n, tags in enumerate(each)] for each in (true, guess)]
    found = total(score_documents(*sides))
    reading = {} if lenient else {"mode": "strict", "scheme": IOB2}
    micro = [metric(true, guess, **reading) for metric in (precision_score, recall_score, f1_score)]
    assert [found.micro.precision, found.micro.recall, found.micro.f1] == pytest.approx(micro)
    assert found.macro_f1 == pytest.approx(f1_score(true, guess, average="macro", **reading))
    f1 = [found.per_label[label].f1 for label in sorted(LABELS)]
    assert f1 == pytest.approx(list(f1_score(true, guess, average=None, **reading)))


SEMEVAL: dict[MatchMode, str] = {
    "strict": "strict", "boundary": "exact", "type": "ent_type", "partial": "partial"
}  # fmt: skip


def nervaluate(
    gold: list[Document], predicted: list[Document], mode: MatchMode, label: str | None = None
) -> tuple[float, int, int]:
    """Credit, and number of predicted and of gold mentions; its last characters are part of mentions."""
    sides = [
        [
            [{"start": span.start, "end": span.end - 1, "label": span.label} for span in document.spans]
            for document in documents
        ]
        for documents in (gold, predicted)
    ]
    results = Evaluator(*sides, tags=list(LABELS), loader="dict").evaluate()
    found = (results["entities"][label] if label else results["overall"])[SEMEVAL[mode]]
    return found.correct + found.partial / 2, found.actual, found.possible


def ours(counts: Counts) -> tuple[float, int, int]:
    matched = counts.tp + counts.half
    return counts.credit, matched + counts.fp, matched + counts.fn


@pytest.mark.parametrize("seed", range(3))
def test_flat_mentions_are_scored_as_by_nervaluate(seed: int) -> None:
    """Where no mention overlaps another of its side and all come in order, but for ``type``: see below."""
    sides = [
        [
            to_document(tags, n, lenient=True)
            for n, tags in enumerate(random_tags(TagScheme.IOB2, 150, seed=s))
        ]
        for s in (seed, seed)
    ]
    rng = random.Random(seed)
    sides[1] = [shift(document, rng) for document in sides[1]]
    for mode in ("strict", "boundary", "partial"):
        assert nervaluate(*sides, mode) == ours(total(score_documents(*sides, mode=mode)).micro)
    alike, n_predicted, n_gold = nervaluate(*sides, "type")
    best = ours(total(score_documents(*sides, mode="type")).micro)
    assert (n_predicted, n_gold) == best[1:] and 0.9 * best[0] < alike < best[0]


def shift(document: Document, rng: random.Random) -> Document:
    """Move some boundaries and change some labels, but let no mention reach the next."""
    moved, free = [], 0
    for span in document.spans:
        start = max(free, span.start - rng.choice([0, 0, 2]))
        end = min(len(document.text), max(start + 1, span.end + rng.choice([0, 0, 2, 5, -1])))
        if start < end:
            moved.append(Span(start, end, rng.choice([span.label, span.label, *LABELS])))
            free = end
    return document.with_spans(moved)


FEWER: dict[str, tuple[MatchMode, list[tuple[int, int, str]], list[tuple[int, int, str]], float, float]] = {
    "a near miss takes the gold mention": ("strict", [(0, 9, A)], [(0, 4, A), (0, 9, A)], 0, 1),
    "and so it does without the label": ("boundary", [(0, 9, A)], [(0, 4, A), (0, 9, A)], 0, 1),
    "a wrong label takes the gold mention": ("type", [(0, 9, A)], [(0, 4, B), (5, 9, A)], 0, 1),
    "the nearest is not the best": ("type", [(0, 2, A), (2, 9, A)], [(1, 6, A), (7, 9, A)], 1, 2),
    "the first overlap parts equals": ("partial", [(0, 9, A), (0, 3, A)], [(1, 3, A), (0, 9, A)], 1, 1.5),
    "under one percent is no overlap": ("partial", [(0, 200, A)], [(199, 200, A)], 0, 0.5),
}


@pytest.mark.parametrize(("mode", "gold", "predicted", "theirs", "best"), FEWER.values(), ids=FEWER)
def test_where_nervaluate_finds_less_than_there_is(
    mode: MatchMode,
    gold: list[tuple[int, int, str]],
    predicted: list[tuple[int, int, str]],
    theirs: float,
    best: float,
) -> None:
    documents = annotate(*gold), annotate(*predicted)
    assert nervaluate([documents[0]], [documents[1]], mode)[0] == theirs
    assert score_document(*documents, mode=mode).micro.credit == best == largest_credit(*documents, mode)


def test_nervaluate_depends_on_the_order_of_predictions() -> None:
    gold, mentions = annotate((0, 9, A)), [(0, 4, A), (0, 9, A)]
    assert nervaluate([gold], [annotate(*mentions)], "strict") == (0, 2, 1)
    assert nervaluate([gold], [annotate(*mentions[::-1])], "strict") == (1, 2, 1)


def test_nervaluate_counts_a_repeated_prediction_as_spurious() -> None:
    gold, twice = annotate((0, 9, A)), annotate((0, 9, A), (0, 9, A))
    assert nervaluate([gold], [twice], "strict") == (1, 2, 1)
    assert ours(score_document(gold, twice).micro) == (1, 1, 1)


def test_the_labels_of_nervaluate_do_not_add_up_to_its_total() -> None:
    """It scores each label as if there were no other; ours counts a pair under its gold label."""
    gold, predicted = annotate((0, 9, A)), annotate((0, 9, B))
    assert nervaluate([gold], [predicted], "boundary")[0] == 1
    assert [nervaluate([gold], [predicted], "boundary", label)[0] for label in LABELS] == [0, 0]
    assert score_document(gold, predicted, mode="boundary").per_label == {A: Counts(tp=1)}


def test_nervaluate_knows_no_fragments() -> None:
    gold, predicted = annotate(SPLIT), annotate((3, 6, A))
    assert nervaluate([gold], [predicted], "type")[0] == 1
    assert score_document(gold, predicted, mode="type").micro == Counts(fp=1, fn=1)
