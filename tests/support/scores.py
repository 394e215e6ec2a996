"""Heads and random scores of words, for tests of decoding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import strategies as st

from openmed_ner.tagging import Head
from openmed_ner.tagging.heads import FloatArray
from openmed_ner.text import TagScheme
from strategies import LABELS


def to_scores(rows: list[list[int]]) -> FloatArray:
    return np.array(rows, dtype=np.float32)


def matrices(n_tags: int, *, max_words: int) -> st.SearchStrategy[FloatArray]:
    """Whole numbers, so that totals are exact and ties are common."""
    row = st.lists(st.integers(-4, 4), min_size=n_tags, max_size=n_tags)
    return st.lists(row, min_size=1, max_size=max_words).map(to_scores)


HEADS = [Head("c", LABELS), Head("c", ("Disease",), TagScheme.IOBES)]


def transitions(head: Head) -> st.SearchStrategy[Head]:
    """A head that knows nothing of transitions, or quarters of one, so that totals are exact."""
    n_tags = len(head.tags)
    row = st.lists(st.integers(-4, 4).map(lambda entry: entry / 4), min_size=n_tags, max_size=n_tags).map(
        tuple
    )
    learned = st.lists(row, min_size=n_tags, max_size=n_tags).map(tuple)
    return (st.just(()) | learned).map(lambda rows: replace(head, transitions=rows))


any_head = pytest.mark.parametrize("head", HEADS, ids=lambda head: head.scheme.value)
