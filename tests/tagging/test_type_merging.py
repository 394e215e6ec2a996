from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.tagging import Head
from openmed_ner.tagging.type_merging import RULES, TypeMerge, iter_merges
from openmed_ner.text import Document, Span
from openmed_ner.training.export.type_merges import choose_merges

CORPORA = ("narrow", "wide", "other")
SPANS = [
    Span(0, 6, "Disease", 0.7, "narrow"),
    Span(0, 13, "Disease", 0.9, "wide"),
    Span(20, 25, "Disease", 0.6, "wide"),
    Span(30, 40, "Disease", 0.5, "narrow"),
]


def places(spans: list[Span]) -> list[tuple[int, int, str | None]]:
    return [(span.start, span.end, span.corpus) for span in spans]


def test_each_rule_in_a_picture() -> None:
    order = ("narrow", "wide")
    assert places(TypeMerge(order, "score")(SPANS)) == [(0, 13, "wide"), (20, 25, "wide"), (30, 40, "narrow")]
    assert places(TypeMerge(order, "fill")(SPANS)) == [(0, 6, "narrow"), (20, 25, "wide"), (30, 40, "narrow")]
    assert places(TypeMerge(order, "first")(SPANS)) == [(0, 6, "narrow"), (30, 40, "narrow")]
    assert places(TypeMerge(("wide", "narrow"), "fill")(SPANS)) == places(TypeMerge(order)(SPANS))


def test_doubtful_spans_neither_appear_nor_hide_others() -> None:
    doubtful = Span(28, 41, "Disease", 0.3, "narrow")
    for threshold, number in ((0.0, 3), (0.35, 3), (0.6, 2), (0.95, 0)):
        assert len(TypeMerge(("narrow", "wide"), "score", threshold)([*SPANS, doubtful])) == number
    assert Span(30, 40, "Disease", 0.5, "narrow") in TypeMerge(("narrow",), "first", 0.35)([doubtful, *SPANS])


def test_a_merge_that_cannot_be_is_refused() -> None:
    for wrong in ((), "score"), (("narrow",), "loudest"):
        with pytest.raises(ValueError, match="a merge needs guidelines and a rule of score, fill, first"):
            TypeMerge(*wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a threshold between 0 and 1"):
        TypeMerge(("narrow",), "first", 2.0)


spans = st.builds(
    lambda start, length, score, corpus: Span(start, start + length, "Disease", score, corpus),
    st.integers(0, 40),
    st.integers(1, 12),
    st.sampled_from([None, 0.2, 0.5, 0.9]),
    st.sampled_from([*CORPORA, "unknown", None]),
)


@given(spans=st.lists(spans, max_size=15), rule=st.sampled_from(RULES), order=st.permutations(CORPORA))
def test_only_spans_of_used_guidelines_are_read(spans: list[Span], rule: str, order: list[str]) -> None:
    """So the heads of the other guidelines need not be computed."""
    merge = TypeMerge(tuple(order), rule)  # type: ignore[arg-type]
    assert merge(spans) == merge([span for span in spans if span.corpus in merge.used])
    assert merge.used == (tuple(order[:1]) if rule == "first" else tuple(order))


@given(spans=st.lists(spans, max_size=15), rule=st.sampled_from(RULES), order=st.permutations(CORPORA))
def test_a_layer_is_flat_and_nothing_in_it_is_new(spans: list[Span], rule: str, order: list[str]) -> None:
    merge = TypeMerge(tuple(order), rule)  # type: ignore[arg-type]
    merged = merge(spans)
    assert all(one.end <= other.start for one, other in pairwise(merged))
    assert all(span in spans and span.corpus in order for span in merged)
    assert merge(merged) == merged
    for span in spans:
        if span.corpus in (order[:1] if rule == "first" else order):
            assert any(span.start < other.end and other.start < span.end for other in merged), (
                "a span is only left out for one it overlaps"
            )


def test_the_best_guidelines_are_merged_by_every_rule() -> None:
    assert list(iter_merges(["a", "b", "c"])) == [
        TypeMerge(("a",), "first"),
        TypeMerge(("a", "b"), "fill"),
        TypeMerge(("a", "b"), "score"),
        TypeMerge(("a", "b", "c"), "fill"),
        TypeMerge(("a", "b", "c"), "score"),
    ]


def test_the_merge_that_serves_all_guidelines_is_chosen() -> None:
    heads = [Head("narrow", ("Disease",)), Head("wide", ("Disease", "Gene")), Head("alone", ("Species",))]
    text = "x" * 50
    gold = {
        "narrow": [Document("1", text, (Span(0, 6, "Disease"), Span(30, 40, "Disease")))],
        "wide": [Document("2", text + "y", (Span(0, 6, "Disease"), Span(20, 25, "Disease")))],
    }
    predicted = [Document("", document.text, tuple(SPANS)) for document in (*gold["narrow"], *gold["wide"])]
    chosen = choose_merges(heads, gold, predicted)
    assert chosen == {"Disease": TypeMerge(("narrow", "wide"), "fill")}, "types of one head need no merge"
    assert choose_merges(heads, {"narrow": gold["narrow"]}, predicted) == {}, "nothing to weigh against"


def test_of_several_guidelines_none_is_chosen_for_its_own_documents() -> None:
    """Each of two heads is right on its own documents only, the third on all of them."""
    heads = [Head(name, ("Disease",)) for name in ("one", "two", "third")]
    words = Span(0, 4, "Disease"), Span(5, 9, "Disease"), Span(10, 14, "Disease")
    gold = {
        name: [Document(name, f"gout acne rash {name}", (words[number],))]
        for number, name in enumerate(("one", "two"))
    }

    def predict(name: str) -> Document:
        own = gold[name][0]
        spans = (
            *(replace(span, corpus=name) for span in own.spans),
            *(replace(words[2], corpus=other) for other in ("one", "two") if other != name),
            *(replace(span, corpus="third") for span in own.spans),
        )
        return own.with_spans(spans)

    predicted = [predict(name) for name in gold]
    assert choose_merges(heads, gold, predicted) == {"Disease": TypeMerge(("third",), "first")}


def test_a_second_head_has_to_gain_half_a_point() -> None:
    """The second head finds one mention in many that the first one misses."""
    heads = [Head(name, ("Disease",)) for name in ("narrow", "wide")]
    text = " ".join(["gout"] * 300)
    spans = [Span(5 * number, 5 * number + 4, "Disease") for number in range(300)]

    def choose(n_missed: int) -> TypeMerge:
        gold = {"narrow": [Document("1", text, tuple(spans))], "wide": [Document("2", text, tuple(spans))]}
        found = [replace(span, corpus="narrow") for span in spans[n_missed:]]
        missed = [replace(span, corpus="wide") for span in spans[:n_missed]]
        return choose_merges(heads, gold, [Document("1", text, tuple(missed + found))])["Disease"]

    assert choose(1) == TypeMerge(("narrow",), "first")
    assert choose(10) == TypeMerge(("narrow", "wide"), "fill")


@pytest.mark.parametrize(("n_doubtful", "threshold"), [(0, 0.0), (1, 0.0), (30, 0.35)])
def test_a_threshold_has_to_gain_half_a_point(n_doubtful: int, threshold: float) -> None:
    heads = [Head(name, ("Variant",)) for name in ("one", "two")]
    text = " ".join(["gout"] * 400)
    spans = [Span(5 * number, 5 * number + 4, "Variant", 0.9, "one") for number in range(400)]
    right, wrong = spans[:300], [replace(span, score=0.32) for span in spans[300 : 300 + n_doubtful]]
    gold = {name: [Document(name, text, tuple(right))] for name in ("one", "two")}
    merges = choose_merges(heads, gold, [Document("", text, (*right, *wrong))])
    assert merges == {"Variant": TypeMerge(("one",), "first", threshold)}
