"""Overlapping windows own every word once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice, pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openmed_ner.errors import InputError
from openmed_ner.tagging import (
    Encoding,
    Window,
    iter_windows,
)

lengths = st.lists(st.integers(1, 6), min_size=1, max_size=60)


def encode_lengths(numbers: Sequence[int], *, block: int | None = None) -> Iterator[Encoding]:
    """Words of given lengths in subwords, two characters apart."""
    block = block or len(numbers)
    ids = iter(range(sum(numbers)))
    for first in range(0, len(numbers), block):
        part = np.array(numbers[first : first + block], dtype=np.int32)
        starts = 2 * np.arange(first, first + len(part), dtype=np.int32)
        yield Encoding(starts, starts + 1, part, np.fromiter(islice(ids, part.sum()), dtype=np.int32))


def owned_words(window: Window) -> range:
    return range(window.first + window.owned.start, window.first + window.owned.stop)


capacities = st.integers(6, 20).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n // 2)))


@given(numbers=lengths, capacity=capacities, block=st.integers(1, 9))
def test_windows_own_every_word_once_and_in_order(
    numbers: list[int], capacity: tuple[int, int], block: int
) -> None:
    encodings = encode_lengths(numbers, block=block)
    windows = list(iter_windows(encodings, capacity=capacity[0], overlap=capacity[1]))
    assert list(chain(*map(owned_words, windows))) == list(range(len(numbers)))


@given(numbers=lengths, capacity=capacities)
def test_a_window_is_a_run_of_whole_words_within_capacity(
    numbers: list[int], capacity: tuple[int, int]
) -> None:
    begins = np.cumsum([0, *numbers])
    for window in iter_windows(encode_lengths(numbers), capacity=capacity[0], overlap=capacity[1]):
        end = window.first + len(window.starts)
        assert 0 <= window.owned.start <= window.owned.stop <= len(window.starts)
        assert window.starts.tolist() == [2 * word for word in range(window.first, end)]
        assert window.ids.tolist() == list(range(begins[window.first], begins[end]))
        assert window.ids[window.first_subwords].tolist() == begins[window.first : end].tolist()
        assert len(window.ids) <= capacity[0]


@given(numbers=lengths, capacity=capacities)
@example([3, 2, 2, 6, 1], (7, 3))
def test_a_word_is_owned_by_the_window_where_it_lies_farthest_from_an_edge(
    numbers: list[int], capacity: tuple[int, int]
) -> None:
    begins = np.cumsum([0, *numbers]).tolist()
    windows = list(iter_windows(encode_lengths(numbers), capacity=capacity[0], overlap=capacity[1]))

    def distance(window: Window, word: int) -> float:
        last = window.first + len(window.starts)
        left = begins[word] - begins[window.first] if window.first > 0 else np.inf
        right = begins[last] - begins[word + 1] if last < len(numbers) else np.inf
        return min(left, right) if window.first <= word < last else -1

    for window in windows:
        for word in owned_words(window):
            assert distance(window, word) == max(distance(other, word) for other in windows), word


@given(numbers=lengths, capacity=capacities)
def test_neighbours_share_as_much_as_asked_as_near_as_whole_words_allow(
    numbers: list[int], capacity: tuple[int, int]
) -> None:
    windows = list(iter_windows(encode_lengths(numbers), capacity=capacity[0], overlap=capacity[1]))
    for left, right in pairwise(windows):
        shared = left.ids[-1] + 1 - right.ids[0]
        one_word_more = shared + numbers[right.first - 1]
        assert 0 <= shared <= capacity[1]
        assert one_word_more > capacity[1] or right.first == left.first + 1


@given(numbers=lengths, capacity=capacities, block=st.integers(1, 9))
def test_windows_do_not_depend_on_blocks(numbers: list[int], capacity: tuple[int, int], block: int) -> None:
    whole, parts = (
        [
            (window.first, window.owned, window.ids.tolist())
            for window in iter_windows(encodings, capacity=capacity[0], overlap=capacity[1])
        ]
        for encodings in (encode_lengths(numbers), encode_lengths(numbers, block=block))
    )
    assert whole == parts


@given(numbers=lengths, spare=st.integers(0, 3))
def test_a_text_that_fits_is_one_window(numbers: list[int], spare: int) -> None:
    capacity = sum(numbers) + spare
    (window,) = iter_windows(encode_lengths(numbers), capacity=capacity, overlap=capacity // 2)
    assert window.owned == slice(0, len(numbers))


def test_a_text_without_words_has_no_window() -> None:
    assert list(iter_windows([], capacity=8, overlap=2)) == []


@given(numbers=lengths, place=st.integers(0, 60))
def test_a_word_longer_than_a_window_is_named(numbers: list[int], place: int) -> None:
    place = min(place, len(numbers))
    numbers = [*numbers[:place], 9, *numbers[place:]]
    with pytest.raises(InputError, match=f"at character {2 * place} has 9 subwords; a window holds 8"):
        list(iter_windows(encode_lengths(numbers), capacity=8, overlap=2))


@pytest.mark.parametrize("overlap", [-1, 5])
def test_windows_overlap_by_half_at_most(overlap: int) -> None:
    with pytest.raises(InputError, match="at most half"):
        list(iter_windows(encode_lengths([1]), capacity=8, overlap=overlap))


@given(numbers=lengths, capacity=capacities, block=st.integers(1, 9))
def test_lexicon_tags_stay_with_their_words(
    numbers: list[int], capacity: tuple[int, int], block: int
) -> None:
    encodings = (
        replace(encoding, lexicon_tags=encoding.starts * 10)
        for encoding in encode_lengths(numbers, block=block)
    )
    for window in iter_windows(encodings, capacity=capacity[0], overlap=capacity[1]):
        assert window.lexicon_tags is not None
        assert window.lexicon_tags.tolist() == (window.starts * 10).tolist()
        words = np.searchsorted(window.first_subwords, np.arange(len(window.ids)), side="right") - 1
        assert window.subword_lexicon_tags.tolist() == window.lexicon_tags[words].tolist()
