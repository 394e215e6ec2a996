"""The best well-formed sequence of tags, and what a span scores."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.tagging import (
    DocumentDecoder,
    Head,
    Window,
    learn_transitions,
)
from openmed_ner.tagging.viterbi import decode_tags
from openmed_ner.text import Document, Span, TagScheme, iter_tokens
from scores import HEADS, any_head, matrices, to_scores, transitions
from strategies import at_most


@any_head
@given(data=st.data(), last=st.booleans())
@at_most(60)
def test_decoding_finds_the_best_of_all_well_formed_sequences(
    head: Head, data: st.DataObject, last: bool
) -> None:
    head = data.draw(transitions(head))
    scores = data.draw(matrices(len(head.tags), max_words=4))
    scores[:, 0] += data.draw(st.sampled_from([0, 3]))  # nothing but O, more often
    previous = data.draw(st.sampled_from(range(len(head.tags))))
    edge = [None] if last else []
    learned = np.array(head.transitions or np.zeros((len(head.tags),) * 2))

    def well_formed(tags: tuple[int, ...]) -> bool:
        names = [*(head.tags[tag] for tag in (previous, *tags)), *edge]
        return all(head.scheme.may_follow(*pair) for pair in pairwise(names))

    def score(tags: Sequence[int]) -> float:
        steps = sum(learned[before, after] for before, after in pairwise((previous, *tags)))
        return float(sum(scores[index, tag] for index, tag in enumerate(tags)) + steps)

    best = decode_tags(head, scores, previous=previous, last=last)
    sequences = product(range(len(head.tags)), repeat=len(scores))
    assert well_formed(tuple(best))
    assert score(best) == max(score(tags) for tags in sequences if well_formed(tags))


def test_what_follows_what_is_learnt_from_documents() -> None:
    texts = ["gastric cancer or lung cancer", "cancer", "no tumour here"]
    spans = [[(0, 14), (18, 29)], [(0, 6)], []]
    documents = [
        Document(str(number), text, tuple(Span(start, end, "Disease") for start, end in result))
        for number, (text, result) in enumerate(zip(texts, spans, strict=True))
    ]
    plain = Head("c", ("Disease",))
    head = learn_transitions(plain, documents, weight=1.0)
    pairs = {"OO": 3, "OB": 3, "OI": None, "BO": 0, "BB": 0, "BI": 2, "IO": 1, "IB": 0, "II": 0}
    counts = {pair: 0.0 if n is None else n + 0.5 for pair, n in pairs.items()}
    for before, row in zip("OBI", head.transitions, strict=True):
        for after, value in zip("OBI", row, strict=True):
            share = counts[before + after] / sum(counts[before + other] for other in "OBI")
            anywhere = sum(counts[other + after] for other in "OBI") / sum(counts.values())
            assert value == pytest.approx(np.log(share / anywhere) if share else 0.0, abs=1e-3)
    half = learn_transitions(plain, documents, weight=0.5)
    np.testing.assert_allclose(half.transitions, np.array(head.transitions) / 2, atol=1e-3)
    assert learn_transitions(head, documents, weight=0.0) == plain
    unsure = to_scores([[0, 1, 0], [1, 0, 1]])  # the second word is O or inside, the model cannot say
    assert [decode_tags(entry, unsure).tolist() for entry in (plain, head)] == [[1, 0], [1, 2]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (((0.0, 0.0),) * 2, "need 3 rows and columns"),
        (((0.0,) * 3, (float("nan"),) * 3, (0.0,) * 3), "from -1000"),
    ],
)
def test_transitions_that_are_none_are_refused(rows: tuple[tuple[float, ...], ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Head("c", ("Disease",), transitions=rows)


@any_head
@given(data=st.data())
def test_decoding_block_by_block_stays_well_formed(head: Head, data: st.DataObject) -> None:
    head = data.draw(transitions(head))
    scores = data.draw(matrices(len(head.tags), max_words=20))
    cuts = data.draw(st.sets(st.integers(0, len(scores)), max_size=5))
    tags: list[int] = []
    for first, end in pairwise(sorted({0, *cuts, len(scores)})):
        best = decode_tags(head, scores[first:end], previous=tags[-1] if tags else 0, last=end == len(scores))
        tags += best.tolist()
    names = [head.tags[tag] for tag in tags]
    assert head.scheme.encode(len(names), head.scheme.decode(names)) == names


def single_window(text: str) -> Window:
    bounds = np.array([(token.start, token.end) for token in iter_tokens(text)], dtype=np.int32)
    heads = np.arange(len(bounds), dtype=np.int32)
    return Window(0, bounds[:, 0], bounds[:, 1], heads, heads, slice(0, len(bounds)))


@any_head
@given(data=st.data())
def test_a_span_scores_the_geometric_mean_of_its_words(head: Head, data: st.DataObject) -> None:
    scores = data.draw(matrices(len(head.tags), max_words=8))
    text = " ".join("abcdefgh"[: len(scores)])
    decoder = DocumentDecoder(text, [head])
    decoder.add(single_window(text), scores, last=True)
    tags = decode_tags(head, scores)
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    for span in decoder.spans:
        words = range(span.start // 2, span.end // 2 + 1)
        product_of_words = np.prod([probabilities[word, tags[word]] for word in words])
        assert span.score == pytest.approx(product_of_words ** (1 / len(words)), rel=1e-4)


@given(data=st.data())
def test_heads_do_not_influence_each_other(data: st.DataObject) -> None:
    matrix = data.draw(matrices(sum(len(head.tags) for head in HEADS), max_words=8))
    text = " ".join("abcdefgh"[: len(matrix)])
    first, second = Head("first", HEADS[0].labels), Head("second", HEADS[1].labels, TagScheme.IOBES)
    width = len(first.tags)
    together = DocumentDecoder(text, [first, second])
    together.add(single_window(text), matrix, last=True)
    alone = []
    for head, scores in [(first, matrix[:, :width]), (second, matrix[:, width:])]:
        decoder = DocumentDecoder(text, [head])
        decoder.add(single_window(text), scores, last=True)
        alone += decoder.spans
    assert together.spans == sorted(alone, key=lambda span: (span.start, span.end))
