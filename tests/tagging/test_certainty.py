"""Words that need no search, because every best tag sequence has O there."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.tagging import Head
from openmed_ner.tagging.certainty import OutsideTest
from scores import any_head, matrices, transitions
from strategies import LABELS, at_most


@any_head
@given(data=st.data())
@at_most(60)
def test_no_best_sequence_has_a_mention_at_a_certain_word(head: Head, data: st.DataObject) -> None:
    head = data.draw(transitions(head))
    scores = data.draw(matrices(len(head.tags), max_words=4))
    scores[:, 0] += data.draw(st.sampled_from([0, 3, 6]))
    previous = data.draw(st.sampled_from(range(len(head.tags))))
    last = data.draw(st.booleans())

    def score(tags: tuple[int, ...]) -> float:
        steps = sum(float(head.transition_scores[pair]) for pair in pairwise((previous, *tags)))
        end = float(head.end_costs[tags[-1]]) if last else 0.0
        return float(sum(scores[index, tag] for index, tag in enumerate(tags))) + steps + end

    totals = {tags: score(tags) for tags in product(range(len(head.tags)), repeat=len(scores))}
    best = max(totals.values())
    certain = OutsideTest([head]).find(scores, np.array([previous], dtype=np.intp))[:, 0]
    for tags, total in totals.items():
        if total == best > -np.inf:
            assert not np.array(tags)[certain].any()


@any_head
def test_a_confident_mention_leaves_its_neighbours_certain(head: Head) -> None:
    """The search covers the words of mentions, not their surroundings."""
    scores = np.zeros((9, len(head.tags)), dtype=np.float32)
    scores[:, 0] = 3.0
    for word, position in ((3, "B"), (4, "I"), (5, "I" if "E-Disease" not in head.tags else "E")):
        scores[word, head.tags.index(f"{position}-Disease")] = 20.0
    certain = OutsideTest([head]).find(scores, np.zeros(1, dtype=np.intp))[:, 0]
    assert np.flatnonzero(~certain).tolist() == [3, 4, 5]


@given(data=st.data())
@at_most(30)
def test_heads_are_tested_independently(data: st.DataObject) -> None:
    heads = [Head("first", LABELS), Head("second", ("Disease",)), Head("third", LABELS)]
    sizes = [len(head.tags) for head in heads]
    scores = data.draw(matrices(sum(sizes), max_words=8))
    scores[:, [0, sizes[0], sizes[0] + sizes[1]]] += 4
    previous = np.array([data.draw(st.integers(0, size - 1)) for size in sizes], dtype=np.intp)
    together = OutsideTest(heads).find(scores, previous)
    columns = np.split(scores, np.cumsum(sizes)[:-1], axis=1)
    for number, head in enumerate(heads):
        alone = OutsideTest([head]).find(columns[number], previous[number : number + 1])
        assert (alone[:, 0] == together[:, number]).all()
