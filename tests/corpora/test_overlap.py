"""Repetitions within and between sets of documents."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.corpora.overlap import (
    COMMON,
    SHORTEST,
    Overlap,
    count_sentences,
    exclude_overlap,
    find_overlaps,
    sentence_keys,
)
from openmed_ner.text import Document, iter_tokens
from strategies import texts

# --- sentences


WORDS = [
    "aspirin",
    "IL-2",
    "0.05",
    "β-catenin",
    "p53",
    "(n = 12)",
    "i.v.",
    "E. coli",
    "Straße",
    "5'-end",
    "of",
]


def sentence(number: int, *words: str) -> str:
    """A long sentence, another for every number."""
    return f"{' '.join(words)} we gave patients of group {number} {'abcdefgh'[number % 8] * 40}"


def document(numbers: list[int], *words: str, id: str = "d") -> Document:
    return Document(id, "".join(f"{sentence(number, *words)}. " for number in numbers))


bodies = st.lists(
    st.tuples(st.integers(0, 30), st.lists(st.sampled_from(WORDS), max_size=6)), min_size=1, max_size=6
).map(lambda drawn: " ".join(sentence(number, *words) + "." for number, words in drawn))
numbers = st.integers(0, 40)
corpora = st.lists(st.lists(numbers, max_size=6, unique=True), max_size=8).map(
    lambda drawn: [document(each, id=str(index)) for index, each in enumerate(drawn)]
)


@st.composite
def variants(draw: st.DrawFn, text: str) -> str:
    """The same text in other case, other tokens, other lines, and without some of its punctuation."""
    case = draw(st.sampled_from([str, str.upper, str.lower, str.swapcase]))
    blank = draw(st.sampled_from([" ", "\n", "  ", "\t", "\u00a0"]))
    text = case(text)
    if draw(st.booleans()):
        text = blank.join(text[token.start : token.end] for token in iter_tokens(text))
    lost = draw(st.sampled_from(["", "()", ",", "-'", "()=,-'"]))
    return re.sub(r"\s+", blank, text.translate(dict.fromkeys(map(ord, lost))))


@given(text=bodies, data=st.data())
def test_case_white_space_punctuation_and_tokens_hide_nothing(text: str, data: st.DataObject) -> None:
    other = data.draw(variants(text))
    assert sentence_keys(other) == sentence_keys(text)
    train = [Document("copy", other), document([50])]
    kept, left = exclude_overlap(train, [Document("original", text)])
    assert ([each.id for each in left], kept) == (["copy"], train[1:])


@given(text=texts)
def test_a_text_of_any_script_has_the_sentences_of_its_words(text: str) -> None:
    spaced = " ".join(text[token.start : token.end] for token in iter_tokens(text))
    assert sentence_keys(spaced) == sentence_keys(text)


@given(copies=st.integers(1, 12), data=st.data(), text=bodies)
def test_a_document_stands_in_itself_however_often(copies: int, data: st.DataObject, text: str) -> None:
    held_out = [Document(str(each), data.draw(variants(text))) for each in range(copies)]
    kept, left = exclude_overlap([Document("t", text)], held_out)
    assert (kept, len(left)) == ([], 1)


@given(train=corpora, held_out=corpora, data=st.data())
def test_the_order_of_documents_changes_nothing(
    train: list[Document], held_out: list[Document], data: st.DataObject
) -> None:
    kept, left = exclude_overlap(train, held_out)
    mixed = data.draw(st.permutations(train))
    expected = {each.id for each in kept}
    found, out = exclude_overlap(mixed, data.draw(st.permutations(held_out)))
    assert found == [each for each in mixed if each.id in expected]
    assert out == [each for each in mixed if each.id not in expected]
    assert len(kept) + len(left) == len(train)


@given(train=corpora)
def test_nothing_is_left_out_for_nothing_held_out(train: list[Document]) -> None:
    assert exclude_overlap(train, []) == (train, [])
    assert exclude_overlap([], train) == ([], [])


@given(
    own=st.sets(numbers, min_size=1, max_size=9),
    other=st.sets(numbers, min_size=1, max_size=9),
)
def test_half_of_the_shorter_ones_sentences_make_a_copy(own: set[int], other: set[int]) -> None:
    train, held_out = document(sorted(own)), document(sorted(other, reverse=True))
    shared = len(own & other)
    is_copy = shared > 0 and 2 * shared >= min(len(own), len(other))
    assert exclude_overlap([train], [held_out]) == (([], [train]) if is_copy else ([train], []))


@pytest.mark.parametrize("between", ["train", "held_out"])
@pytest.mark.parametrize("n_texts", [COMMON, COMMON + 1])
def test_a_sentence_of_too_many_texts_tells_nothing(n_texts: int, between: str) -> None:
    train, *others = [document([0, each], id=str(each)) for each in range(1, n_texts + 1)]
    held_out = others if between == "held_out" else others[:1]
    rest = [] if between == "held_out" else others[1:]
    _, left = exclude_overlap([train, *rest], held_out)
    assert (train in left) == (n_texts <= COMMON)


@pytest.mark.parametrize("length", [SHORTEST - 1, SHORTEST])
def test_a_short_sentence_tells_nothing(length: int) -> None:
    text = ("x-" * length).removesuffix("-") + "."
    assert len(sentence_keys(text)) == (length == SHORTEST)
    train = [Document("t", text)]
    assert exclude_overlap(train, train) == (([], train) if length == SHORTEST else (train, []))


def test_a_full_stop_within_a_number_ends_no_sentence() -> None:
    one = f"{'a' * 30} P < 0.05 {'b' * 30}"
    assert (
        sentence_keys(one)
        == sentence_keys(one.replace(".", " . "))
        == sentence_keys(one.replace("0.", "0 ."))
    )
    assert len(sentence_keys(one)) == 1
    assert len(sentence_keys(f"{'a' * 40} in 1994. {'b' * 40}")) == 2


def test_sentences_end_with_stops_and_lines() -> None:
    assert count_sentences("") == count_sentences(" \n\n ") == 0
    assert count_sentences("A title\nIt rose by 0.5 mg. Did it? Yes!") == 4


# --- overlaps


@given(first=corpora, second=corpora)
def test_overlaps_agree_with_counting_sentences(first: list[Document], second: list[Document]) -> None:
    """A second opinion, from sets of numbers."""
    groups = {"one": first, "two": second}
    numbers_of = {
        name: [frozenset(re.findall(r"group (\d+)", each.text)) for each in group]
        for name, group in groups.items()
    }
    distinct = {each for group in numbers_of.values() for each in group}
    common = {
        number for each in distinct for number in each if sum(number in other for other in distinct) > COMMON
    }
    expected = []
    for name, own in numbers_of.items():
        for other_name, others in numbers_of.items():
            documents, shared = 0, set()
            for index, each in enumerate(own):
                hits = 0
                for at, other in enumerate(others):
                    if name == other_name and index == at:
                        continue
                    both = (each & other) - common
                    shared |= both
                    hits += bool(both) and 2 * len(both) >= min(len(each - common), len(other - common))
                documents += hits > 0
            if shared:
                expected.append(Overlap(name, other_name, documents, len(shared)))
    assert find_overlaps(groups) == expected


@given(first=corpora, second=corpora)
def test_two_sets_share_the_same_sentences_either_way(first: list[Document], second: list[Document]) -> None:
    found = {(each.first, each.second): each.sentences for each in find_overlaps({"a": first, "b": second})}
    assert found.get(("a", "b")) == found.get(("b", "a"))


@pytest.mark.parametrize("copies", [1, 2, 3, COMMON + 3])
def test_repetitions_within_a_set_are_counted(copies: int) -> None:
    group = [document([1, 2, 3])] * copies + [document([4])]
    expected = [Overlap("a", "a", copies, 3)] if copies > 1 else []
    assert find_overlaps({"a": group}) == expected
