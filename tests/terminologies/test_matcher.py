from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.terminologies import (
    AMBIGUOUS,
    CERTAIN,
    PLACES,
    TAGS,
    TYPES,
    Lexicon,
    Matcher,
    name_key,
    read_words,
)
from openmed_ner.terminologies import matcher as module
from strategies import texts

NAMES = {
    "Disease": {"asthma": CERTAIN, "breast cancer": CERTAIN, "cancer": AMBIGUOUS, "hepatitis b": CERTAIN},
    "Chemical": {"n acetyl l cysteine": CERTAIN, "b": AMBIGUOUS},
    "Gene": {"il 2": CERTAIN, "=CAT": CERTAIN, "il 2 receptor alpha": CERTAIN},
    "Species": {"e coli": CERTAIN, "cat": CERTAIN},
    "Anatomy": {"breast": CERTAIN},
}
MATCHER = Matcher(Lexicon.compile(NAMES))


def mentions(text: str) -> set[tuple[str, str]]:
    """Types and texts of the tagged names."""
    _, words, spaced = read_words(text)
    tags = MATCHER.tag(words, spaced)
    result = set()
    for column, label in enumerate(TYPES):
        names: list[list[str]] = []
        for word, tag in zip(words, tags[:, column], strict=True):
            if TAGS[tag].startswith("B"):
                names.append([word])
            elif TAGS[tag].startswith("I"):
                names[-1].append(word)
        result |= {(label, " ".join(name)) for name in names}
    return result


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Asthma and cancer.", {("Disease", "Asthma"), ("Disease", "cancer")}),
        ("breast cancers", {("Disease", "breast cancers"), ("Anatomy", "breast")}),
        ("IL-2 binds IL2Rα", {("Gene", "IL - 2")}),
        ("the IL-2 receptor-α chain", {("Gene", "IL - 2 receptor - α")}),
        ("the cat", {("Species", "cat")}),
        ("CAT", {("Gene", "CAT"), ("Species", "CAT")}),  # a headline may be in capitals
        ("E. coli grew", {("Species", "E . coli")}),
        ("Hepatitis. B cells", {("Chemical", "B")}),
        ("breast, cancer", {("Anatomy", "breast"), ("Disease", "cancer")}),
        ("(breast) cancer", {("Anatomy", "breast"), ("Disease", "cancer")}),
        ("N-acetyl-L-cysteine", {("Chemical", "N - acetyl - L - cysteine")}),
        ("", set()),
        ("...", set()),
    ],
)  # fmt: skip
def test_names_in_sentences(text: str, expected: set[tuple[str, str]]) -> None:
    assert mentions(text) == expected


def test_strengths_are_told_apart() -> None:
    _, words, spaced = read_words("breast cancer or cancer")
    column = MATCHER.tag(words, spaced)[:, TYPES.index("Disease")]
    assert [TAGS[tag] for tag in column] == ["B-certain", "I-certain", "O", "B-ambiguous"]


some_names = st.lists(st.lists(st.sampled_from(["il", "2", "cat", "coli", "x"]), min_size=1, max_size=4))


@given(some_names, st.lists(st.sampled_from(["il", "2", "cat", "coli", "x", ".", "-", "of"]), max_size=30))
def test_it_finds_what_a_search_by_key_finds(names: list[list[str]], words: list[str]) -> None:
    known = {key for name in names if (key := name_key(" ".join(name)))}
    matcher = Matcher(Lexicon.compile({"Gene": dict.fromkeys(known, CERTAIN)}))
    spaced = np.ones(len(words), dtype=bool)
    found = {(start, end) for start, end, _ in matcher.find(words, spaced)}
    expected = set()
    for start in range(len(words)):
        for end in range(start + 1, len(words) + 1):
            span = words[start:end]
            edges = {span[0], span[-1]} & {".", "-"} or span[0] == "of"
            if not edges and "." not in span and name_key(" ".join(span)) in known:
                expected.add((start, end))
    assert found == {(start, end) for start, end in expected if "of" not in words[start:end]}


@given(texts)
def test_any_text_can_be_tagged(text: str) -> None:
    _, words, spaced = read_words(text)
    tags = MATCHER.tag(words, spaced)
    assert tags.shape == (len(words), len(TYPES))
    assert tags.max(initial=0) < len(TAGS)
    # A name is inside only after it has begun.
    before = np.zeros_like(tags)
    before[1:] = tags[:-1]
    inside = [number for number, tag in enumerate(TAGS) if tag.startswith("I")]
    for number in inside:
        assert np.isin(before[tags == number], (number - 1, number)).all()


@given(st.lists(st.sampled_from(["asthma", "cat", "IL", "-", "2", "breast", "cancer", "."]), max_size=30))
def test_text_after_a_full_stop_does_not_change_what_stands_before(words: list[str]) -> None:
    whole = [*words, ".", *words]
    alone = MATCHER.tag(words, np.ones(len(words), dtype=bool))
    tags = MATCHER.tag(whole, np.ones(len(whole), dtype=bool))
    assert np.array_equal(tags[: len(words)], alone)
    assert np.array_equal(tags[len(words) + 1 :], alone)


@given(texts)
def test_packed_tags_unpack_to_the_tags(text: str) -> None:
    tokens, words, spaced = read_words(text)
    starts, ends = (
        np.array([getattr(token, edge) for token in tokens], dtype=np.int32) for edge in ("start", "end")
    )
    packed = MATCHER.encode(text, starts, ends)
    unpacked = packed[:, None] // PLACES % len(TAGS)
    assert packed.dtype == np.int32
    assert np.array_equal(unpacked, MATCHER.tag(words, spaced))


def test_an_empty_lexicon_finds_nothing() -> None:
    _, words, spaced = read_words("breast cancer")
    assert not Matcher(Lexicon.compile({})).tag(words, spaced).any()


def test_forgetting_words_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 2)
    assert mentions("IL-2 in breast cancer") == mentions("IL-2 in breast cancer")
    assert ("Gene", "IL - 2") in mentions("E. coli, asthma and IL-2")


def test_threads_share_a_matcher() -> None:
    matcher = Matcher(Lexicon.compile(NAMES))
    inputs = [
        read_words(" ".join(f"w{number % (seed + 7)} breast cancer IL-2" for number in range(60)))
        for seed in range(40)
    ]
    expected = [Matcher(Lexicon.compile(NAMES)).tag(*words) for _, *words in inputs]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda item: matcher.tag(*item[1:]), inputs))
    assert all(map(np.array_equal, results, expected))
