from __future__ import annotations

import string
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.pre_tokenizers import BertPreTokenizer

from openmed_ner.text import Account, Document, Span, Token, count_visible, iter_tokens
from openmed_ner.text.words import MAX_WORD
from strategies import texts

accounts = st.builds(
    Account,
    *[st.integers(0, 9)] * 3,
    st.dictionaries(st.sampled_from(["overlaps", "inside a word"]), st.integers(1, 9)),
    st.integers(0, 9),
)


def cut(text: str) -> list[str]:
    return [text[token.start : token.end] for token in iter_tokens(text)]


@given(text=texts)
def test_words_are_ordered_disjoint_and_hold_every_visible_character(text: str) -> None:
    tokens = list(iter_tokens(text))
    assert all(left.end <= right.start for left, right in pairwise(tokens))
    inside = {position for token in tokens for position in range(token.start, token.end)}
    assert inside == {position for position, character in enumerate(text) if not character.isspace()}


@given(text=texts)
def test_a_combining_mark_stays_with_the_character_it_follows(text: str) -> None:
    for token in iter_tokens(text):
        if unicodedata.category(text[token.start]).startswith("M"):
            assert token.start == 0 or text[token.start - 1].isspace()


@pytest.mark.parametrize("plane", [0, 1, 14])
def test_every_combining_mark_joins_and_nothing_else_does(plane: int) -> None:
    for character in map(chr, range(plane << 16, (plane + 1) << 16)):
        is_mark = unicodedata.category(character).startswith("M")
        assert (len(cut(f".{character}")) == 1) == (is_mark or character.isspace()), hex(ord(character))


@given(text=st.text(string.ascii_letters[:6] + "01" + string.punctuation + " \t\n", max_size=60))
def test_ascii_words_agree_with_bert(text: str) -> None:
    expected = [offsets for _, offsets in BertPreTokenizer().pre_tokenize_str(text)]
    assert [(token.start, token.end) for token in iter_tokens(text)] == expected


@given(text=texts, block=st.integers(1, 7))
def test_visible_characters_are_those_in_words(text: str, block: int) -> None:
    n_in_words = sum(token.end - token.start for token in iter_tokens(text))
    assert count_visible(text) == count_visible(text, block) == n_in_words


@pytest.mark.parametrize("unit", ["a", "é", "e\u0301", "Ω", "糖", "-", "👩\u200d⚕️", "\0", "ACGT", "𝛼"])
def test_a_long_run_without_a_blank_is_cut_into_short_words(unit: str) -> None:
    text = unit * (50_000 // len(unit))
    words = cut(text)
    assert "".join(words) == text
    assert max(len(unicodedata.normalize("NFC", word)) for word in words) <= MAX_WORD


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("IL-2-induced", ["IL", "-", "2", "-", "induced"]),
        ("p53_wt (5 µg)", ["p53", "_", "wt", "(", "5", "µg", ")"]),
        ("TNF-α\u00a0and\r\nβ-catenin", ["TNF", "-", "α", "and", "β", "-", "catenin"]),
        ("cafe\u0301\u0323s", ["cafe\u0301\u0323s"]),
        ("糖尿病 type2", ["糖", "尿", "病", "type2"]),
        ("मधुमेह ডায়াবেটিস เบาหวาน", ["मधुमेह", "ডায়াবেটিস", "เบาหวาน"]),
        ("a\0b\u200bc \u200b-\0", ["a\0b\u200bc", "\u200b", "-", "\0"]),
        (" \u2028\t", []),
    ],
)
def test_words_of_any_script(text: str, words: list[str]) -> None:
    assert cut(text) == words


@given(start=st.integers(-2, 4), end=st.integers(-2, 4), score=st.none() | st.floats())
def test_a_span_is_valid_from_birth(start: int, end: int, score: float | None) -> None:
    valid = 0 <= start < end and (score is None or 0 <= score <= 1)
    try:
        Span(start, end, "Disease", score)
    except ValueError:
        assert not valid
    else:
        assert valid


@given(start=st.integers(-2, 4), end=st.integers(-2, 4))
def test_a_token_is_valid_from_birth(start: int, end: int) -> None:
    try:
        Token(start, end)
    except ValueError:
        assert not 0 <= start < end
    else:
        assert 0 <= start < end


def test_a_span_needs_a_label() -> None:
    with pytest.raises(ValueError, match="label"):
        Span(0, 1, "")


@given(text=texts, end=st.integers(1, 40))
def test_a_document_holds_its_spans(text: str, end: int) -> None:
    span = Span(0, end, "Disease")
    if end <= len(text):
        assert Document("d", text, (span,)).mention(span) == text[:end]
    else:
        with pytest.raises(ValueError, match=f"beyond the text of {len(text)} characters"):
            Document("d", text).with_spans([span])


@given(left=accounts, right=accounts)
def test_accounts_add(left: Account, right: Account) -> None:
    added = left + right
    assert added.total == left.total + right.total
    assert sum(added.reasons.values()) == sum(left.reasons.values()) + sum(right.reasons.values())
    assert added == right + left
    assert added + Account() == added


def test_an_account_reads_as_a_sentence() -> None:
    account = Account(3, 1, 2, {"overlaps": 2, "a boundary lies inside a word": 1})
    assert str(account) == "3 kept, 1 split, 2 lost (a boundary lies inside a word: 1, overlaps: 2)"
    assert str(Account(3, repeated=2)) == (
        "3 kept, 0 split, 0 lost, 2 repeated in documents of the same text"
    )


@pytest.mark.parametrize(
    "fragments",
    [((0, 9),), ((0, 3), (5, 8)), ((1, 3), (5, 9)), ((5, 9), (0, 3)), ((0, 5), (5, 9)), ((0, 0), (5, 9))],
)
def test_fragments_run_from_start_to_end_with_gaps(fragments: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(ValueError, match="fragments go from 0 to 9"):
        Span(0, 9, "Disease", fragments=fragments)


def test_a_discontinuous_mention_is_another_mention_than_its_whole_extent() -> None:
    whole, parts = Span(0, 9, "Disease"), Span(0, 9, "Disease", fragments=((0, 3), (5, 9)))
    assert whole.key != parts.key and parts.key[:3] == whole.key
    document = Document("1", "one x two", (whole, parts))
    assert [document.mention(span) for span in document.spans] == ["one x two", "one  two"]


@pytest.mark.parametrize("sign", "\xad\u200b\u200c\u200d\u2060\ufeff\u200e\0\x7f\ufffd")
def test_a_character_that_is_not_seen_does_not_cut_a_word(sign: str) -> None:
    text = f"asp{sign}irin{sign} {sign}in IL{sign}-2"
    words = [text[token.start : token.end] for token in iter_tokens(text)]
    assert words == [f"asp{sign}irin", sign, sign, "in", "IL", sign, "-", "2"]
