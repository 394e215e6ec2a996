"""Batches of one padded length."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from openmed_ner.tagging import (
    SubwordTokenizer,
    iter_windows,
)
from openmed_ner.tagging.batching import group_by_length, pad_windows
from strategies import sentences


@given(sizes=st.lists(st.integers(1, 90), max_size=40), budget=st.integers(1, 400))
def test_batches_hold_every_sequence_once_within_the_budget(sizes: list[int], budget: int) -> None:
    batches = group_by_length(sizes, budget=budget)
    assert sorted(chain(*batches)) == list(range(len(sizes)))
    for batch in batches:
        padded = max(sizes[index] + -sizes[index] % 16 for index in batch)
        assert len(batch) == 1 or len(batch) * padded <= budget


@given(text=sentences)
def test_padding_is_masked_and_the_rest_is_framed(tokenizer: SubwordTokenizer, text: str) -> None:
    windows = list(iter_windows(tokenizer.iter_encodings(text), capacity=10, overlap=4))
    assume(windows)
    ids, mask = pad_windows(windows, tokenizer)
    assert (ids[mask == 0] == tokenizer.padding).all()
    for row, retained, window in zip(ids, mask, windows, strict=True):
        assert row[retained == 1].tolist() == [tokenizer.prefix, *window.ids, tokenizer.suffix]
        assert (np.diff(retained) <= 0).all()


@given(text=sentences)
def test_lexicon_tags_are_padded_like_subwords(tokenizer: SubwordTokenizer, text: str) -> None:
    encodings = (replace(encoding, lexicon_tags=encoding.ends) for encoding in tokenizer.iter_encodings(text))
    windows = list(iter_windows(encodings, capacity=10, overlap=4))
    assume(windows)
    ids, mask, lexicon_tags = pad_windows(windows, tokenizer)
    assert lexicon_tags.shape == ids.shape and lexicon_tags.dtype == np.int64
    assert (lexicon_tags[mask == 0] == 0).all()
    for row, retained, window in zip(lexicon_tags, mask, windows, strict=True):
        assert row[retained == 1].tolist() == [0, *window.subword_lexicon_tags, 0]
