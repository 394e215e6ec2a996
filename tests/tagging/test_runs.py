"""Runs of words whose best tags need no search, because no other sequence can be as good."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.tagging import Head
from openmed_ner.tagging.runs import LeadTest, Runs
from scores import any_head, matrices, transitions
from strategies import LABELS, at_most


def runs_of_all_words(n_words: int, n_heads: int, *, before: int = 0, at_end: bool = False) -> Runs:
    heads = np.arange(n_heads)
    return Runs(
        heads,
        np.zeros_like(heads),
        np.full_like(heads, n_words),
        np.full_like(heads, before),
        np.full(n_heads, at_end),
    )


@any_head
@given(data=st.data(), at_end=st.booleans(), last=st.booleans())
@at_most(60)
def test_the_tags_of_a_proven_run_are_its_only_best_sequence(
    head: Head, data: st.DataObject, at_end: bool, last: bool
) -> None:
    head = data.draw(transitions(head))
    scores = data.draw(matrices(len(head.tags), max_words=4)) * np.float32(data.draw(st.sampled_from([1, 4])))
    before = data.draw(st.sampled_from(range(len(head.tags))))

    def score(tags: tuple[int, ...]) -> float:
        steps = sum(float(head.transition_scores[pair]) for pair in pairwise((before, *tags)))
        end = 0.0 if at_end and not last else float(head.transition_scores[tags[-1], 0])
        end = float(head.end_costs[tags[-1]]) if at_end and last else end
        return float(sum(scores[index, tag] for index, tag in enumerate(tags))) + steps + end

    runs = runs_of_all_words(len(scores), 1, before=before, at_end=at_end)
    words, tags, (proven,) = LeadTest([head]).find(scores, runs, last=last)
    assert words.tolist() == list(range(len(scores)))
    assert tags.tolist() == scores.argmax(axis=1).tolist()
    if proven:
        ours = tuple(tags.tolist())
        others = (
            score(other) for other in product(range(len(head.tags)), repeat=len(scores)) if other != ours
        )
        assert score(ours) > max(others)


@any_head
def test_a_confident_mention_is_proven_and_one_that_begins_inside_is_not(head: Head) -> None:
    end = "E" if "E-Disease" in head.tags else "I"
    positions = ("B", "I", end)
    scores = np.zeros((3, len(head.tags)), dtype=np.float32)
    for word, position in enumerate(positions):
        scores[word, head.tags.index(f"{position}-Disease")] = 20.0
    test = LeadTest([head])
    assert test.find(scores, runs_of_all_words(3, 1), last=True)[2].tolist() == [True]
    assert test.find(scores[1:], runs_of_all_words(2, 1), last=True)[2].tolist() == [False]


@given(data=st.data())
@at_most(30)
def test_heads_are_tested_independently(data: st.DataObject) -> None:
    heads = [Head("first", LABELS), Head("second", ("Disease",)), Head("third", LABELS)]
    sizes = [len(head.tags) for head in heads]
    scores = data.draw(matrices(sum(sizes), max_words=8)) * np.float32(4)
    _, tags, proven = LeadTest(heads).find(scores, runs_of_all_words(len(scores), 3), last=True)
    columns = np.split(scores, np.cumsum(sizes)[:-1], axis=1)
    for number, head in enumerate(heads):
        _, alone, (is_proven,) = LeadTest([head]).find(
            columns[number], runs_of_all_words(len(scores), 1), last=True
        )
        assert proven[number] == is_proven
        assert np.split(tags, 3)[number].tolist() == alone.tolist()
