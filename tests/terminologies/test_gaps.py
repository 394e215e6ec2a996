"""Lists of numbers as gaps."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.terminologies.gaps import decode_gaps, encode_gaps


@given(st.lists(st.sets(st.integers(0, 2**32 - 1), min_size=1, max_size=9).map(sorted), max_size=5))
def test_lists_are_decoded_as_they_were(lists: list[list[int]]) -> None:
    numbers = np.array([number for numbers in lists for number in numbers], dtype=np.uint32)
    content, ends = encode_gaps(numbers, np.array([len(numbers) for numbers in lists], dtype=np.int64))
    starts = [0, *ends[:-1].tolist()]
    pairs = zip(starts, ends.tolist(), strict=False)
    assert [decode_gaps(content[start:end]).tolist() for start, end in pairs] == lists


def test_close_numbers_need_a_byte() -> None:
    content, _ = encode_gaps(np.arange(5, 1000, 100, dtype=np.uint32), np.array([10]))
    assert len(content) == 10
