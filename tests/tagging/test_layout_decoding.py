"""Mentions end where a line, a cell or an item ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.tagging import DocumentDecoder, Head, Window
from openmed_ner.tagging.layout_decoding import KNOWN, WRAPPED
from openmed_ner.terminologies import PLACES, TAGS
from openmed_ner.text import TagScheme, iter_tokens
from openmed_ner.text.layout import find_layout

HEADS = [Head("c", ("Chemical", "Disease")), Head("d", ("Chemical",), TagScheme.IOBES)]
LISTS = ["\n\n", "\t", "\f", "\n- ", "\n---\n", "     ", "\n\n1. "]


def decode(
    text: str, head: Head, tags: list[str], *, lead: float = 9.0, size: int = 99, names: str | None = None
) -> list[str]:
    """Mentions of a text whose words have these tags, which lead by so much; windows of ``size`` words.

    ``names`` has a letter for each word: the lexicon's tag for the second of its types.
    """
    decoder = DocumentDecoder(text, [head])
    words = list(iter_tokens(text))
    starts, ends = (np.array([getattr(w, side) for w in words], dtype=np.int32) for side in ("start", "end"))
    scores = np.full((len(words), len(head.tags)), -9.0, dtype=np.float32)
    for row, tag in zip(scores, tags, strict=True):
        row[head.tags.index(tag)] = 9.0
        if tag[0] in "IE":  # a new mention is second best
            row[head.tags.index(("B" if tag[0] == "I" else "S") + tag[1:])] = 9.0 - lead
    certain = {tag[0]: number for number, tag in enumerate(TAGS)}
    lexicon_tags = np.array([certain[letter] * PLACES[1] for letter in names or ""], dtype=np.int32)
    for first in range(0, len(words), size):
        part = slice(first, first + size)
        n_words = len(words[part])
        window = Window(
            first,
            starts[part],
            ends[part],
            np.zeros(n_words, dtype=np.int32),
            np.arange(n_words, dtype=np.int32),
            slice(0, n_words),
            lexicon_tags[part] if names else None,
        )
        decoder.add(window, scores[part], last=first + size >= len(words))
    assert decoder.coverage.complete
    return [text[span.start : span.end] for span in decoder.spans]


def one_mention(head: Head, n_words: int) -> list[str]:
    """Tags of one mention over all words."""
    return head.scheme.encode(n_words, [(0, n_words, "Chemical")])


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.scheme.value)
@pytest.mark.parametrize("size", [99, 2, 1])
@pytest.mark.parametrize("separator", LISTS)
def test_no_mention_crosses_a_certain_break(separator: str, size: int, head: Head) -> None:
    items = ["aspirin", "acetic acid", "zinc", "vitamin"]
    text = separator.join(items)
    assert decode(text, head, one_mention(head, len(list(iter_tokens(text)))), size=size) == items


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.scheme.value)
def test_the_scores_decide_whether_short_lines_are_wrapped(head: Head) -> None:
    text, tags = "chronic\nobstructive pulmonary\ndisease", one_mention(head, 4)
    assert decode(text, head, tags, lead=WRAPPED + 1) == [text]
    assert decode(text, head, tags, lead=WRAPPED - 1) == text.split("\n")


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.scheme.value)
def test_known_names_tell_wrapped_lines_from_items(head: Head) -> None:
    text, tags = "chronic\nobstructive pulmonary\ndisease", one_mention(head, 4)
    assert decode(text, head, tags, lead=WRAPPED - KNOWN / 2, names="BIII") == [text]
    assert decode(text, head, tags, lead=(WRAPPED - KNOWN) / 2, names="BIII") == text.split("\n")
    text, tags = "pain\nhypertension\nheart failure", one_mention(head, 4)
    assert decode(text, head, tags, lead=WRAPPED + KNOWN / 2, names="BBBI") == text.split("\n")
    assert decode(text, head, tags, lead=WRAPPED + KNOWN / 2, names="OOOO") == [text]


def test_a_mention_that_begins_after_another_one_speaks_for_a_list() -> None:
    text = "zinc\ngold\nlead\niron"
    tags = ["B-Chemical", "I-Chemical", "B-Chemical", "I-Chemical"]
    assert decode(text, HEADS[0], tags, lead=WRAPPED + 1) == ["zinc", "gold", "lead", "iron"]
    assert decode(text, HEADS[0], [*tags[:2], "O", "O"], lead=WRAPPED + 1) == ["zinc\ngold"]


def test_a_narrow_column_is_wrapped() -> None:
    text = "we saw him with a chronic\nobstructive pulmonary\ndisease of both his lungs"
    tags = ["O"] * 5 + ["B-Disease"] + ["I-Disease"] * 3 + ["O"] * 4
    more = "and that he has had for\nmany years of his life as\na smoker and as a miner"
    mention = "chronic\nobstructive pulmonary\ndisease"
    assert decode(f"{text}\n{more}", HEADS[0], tags + ["O"] * 18, lead=0.1) == [mention]
    assert decode(text, HEADS[0], tags, lead=0.1) == mention.split("\n")


@given(data=st.data())
def test_the_lexicon_changes_no_text_without_breaks(data: st.DataObject) -> None:
    text = "zinc gold lead iron"
    tags = [data.draw(st.sampled_from(HEADS[0].tags)) for _ in range(4)]
    names = data.draw(st.text("OBI", min_size=4, max_size=4))
    assert decode(text, HEADS[0], tags, names=names) == decode(text, HEADS[0], tags)


def test_long_lines_are_wrapped() -> None:
    first = "In this note the patient has had a history of chronic"
    text = f"{first}\nobstructive pulmonary disease."
    tags = ["O"] * 10 + ["B-Disease"] + ["I-Disease"] * 3 + ["O"]
    assert decode(text, HEADS[0], tags, lead=0.1) == ["chronic\nobstructive pulmonary disease"]


def test_a_mention_that_ends_before_a_break_keeps_its_score() -> None:
    text, tags = "zinc\n\ngout", ["B-Chemical", "B-Disease"]
    with_break, without = (
        DocumentDecoder(text.replace("\n\n", blank), [HEADS[0]]) for blank in ("\n\n", "  ")
    )
    scores = np.random.default_rng(1).normal(size=(2, 5)).astype(np.float32)
    scores[[0, 1], [HEADS[0].tags.index(tag) for tag in tags]] += 9
    for decoder in (with_break, without):
        starts, ends = np.array([0, 6], dtype=np.int32), np.array([4, 10], dtype=np.int32)
        zeros = np.zeros(2, dtype=np.int32)
        decoder.add(Window(0, starts, ends, zeros, zeros, slice(0, 2)), scores, last=True)
    assert with_break.spans == without.spans and len(with_break.spans) == 2


@given(data=st.data(), size=st.integers(1, 4))
def test_mentions_never_hold_a_certain_break_or_a_mark(data: st.DataObject, size: int) -> None:
    text = "zinc" + "".join(
        data.draw(
            st.lists(st.sampled_from([" zinc", "\nzinc", "\n\nzinc", "\tzinc", "\n- zinc"]), max_size=9)
        )
    )
    head = data.draw(st.sampled_from(HEADS))
    found = decode(text, head, one_mention(head, len(list(iter_tokens(text)))), lead=1.0, size=size)
    assert "".join(found).count("zinc") == text.count("zinc")
    for mention in found:
        assert not any(place.certain for place in find_layout(mention).breaks) and "-" not in mention
