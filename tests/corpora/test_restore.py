"""Tokenised sentences put back on their texts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from openmed_ner.corpora.restore import restore, select, squeeze
from openmed_ner.errors import CorpusError
from openmed_ner.text import Document, Span, iter_tokens
from strategies import word_documents

# --- sentences


@st.composite
def cut(draw: st.DrawFn, original: Document) -> list[Document]:
    """The tokenised sentences of a document whose spans are whole words: cut between any two of them."""
    tokens = list(iter_tokens(original.text))
    within = {end for span in original.spans for end in range(span.start + 1, span.end)}
    legal = [index for index in range(1, len(tokens)) if tokens[index].start not in within]
    ends = sorted(draw(st.sets(st.sampled_from(legal)))) if legal else []
    sentences = []
    for number, (first, last) in enumerate(pairwise([0, *ends, len(tokens)])):
        text = draw(st.sampled_from(["", " "]))
        start_at: dict[int, int] = {}
        end_at: dict[int, int] = {}
        for token in tokens[first:last]:
            start_at[token.start] = len(text)
            text += original.text[token.start : token.end]
            end_at[token.end] = len(text)
            text += draw(st.sampled_from([" ", " ", "", "\n"]))
        moved = [
            Span(start_at[span.start], end_at[span.end], span.label)
            for span in original.spans
            if span.start in start_at
        ]
        sentences.append(Document(f"{original.id}-{number}", text, tuple(moved)))
    return sentences


filled = word_documents().filter(lambda each: bool(squeeze(each.text)))


@st.composite
def releases(draw: st.DrawFn) -> list[Document]:
    """Documents none of which begins with the whole of another."""
    drawn = draw(st.lists(filled, min_size=1, max_size=4))
    release = [Document(str(number), each.text, each.spans) for number, each in enumerate(drawn)]
    plain = [squeeze(each.text) for each in release]
    assume(not any(a.startswith(b) for i, a in enumerate(plain) for j, b in enumerate(plain) if i != j))
    return release


@given(release=releases(), data=st.data())
def test_tokenised_sentences_go_back_where_they_came_from(
    release: list[Document], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(release))
    sentences = [each for original in order for each in data.draw(cut(original))]
    bare = data.draw(st.permutations([each.with_spans([]) for each in release]))
    assert list(restore(sentences, iter(bare))) == order


def test_restored_spans_keep_all_they_say() -> None:
    tokens = Document("s", "breast and ovarian cancer", (Span(0, 25, "C", 0.5, "x", ((0, 6), (19, 25))),))
    (found,) = restore([tokens], [Document("1", "breast  and\novariancancer")])
    assert [(found.text[a:b]) for a, b in found.spans[0].fragments] == ["breast", "cancer"]
    assert (found.spans[0].score, found.spans[0].corpus) == (0.5, "x")


@given(release=releases(), data=st.data(), extra=st.sampled_from(["unheard-of words", "Q"]))
def test_a_sentence_of_no_document_is_named(release: list[Document], data: st.DataObject, extra: str) -> None:
    sentences = [each for original in release for each in data.draw(cut(original))]
    sentences.insert(data.draw(st.integers(0, len(sentences))), Document("stranger", extra))
    with pytest.raises(CorpusError, match="no document consists of this sentence"):
        list(restore(sentences, release))


def test_a_document_that_breaks_off_is_named() -> None:
    with pytest.raises(CorpusError, match=r"^s1: no document"):
        list(
            restore(
                [Document("s1", "one two"), Document("s2", "three")], [Document("1", "one two three four")]
            )
        )
    twice = [Document("s1", "one"), Document("s2", "one")]
    with pytest.raises(CorpusError, match=r"^s2: no document"):
        list(restore(twice, [Document("1", "one")]))


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_documents_that_begin_alike_the_longer_one_is_taken(order: int) -> None:
    release = [Document("1", "One two."), Document("2", "One two. Three.")][::order]
    sentences = [Document("s1", "One two ."), Document("s2", "Three .")]
    assert [each.id for each in restore(sentences, release)] == ["2"]


def groups_of(text: str, ends: list[int]) -> list[str]:
    """Tokenised sentences of a text, cut where we are told."""
    tokens = [text[token.start : token.end] for token in iter_tokens(text)]
    edges = sorted({0, *(end for end in ends if end < len(tokens)), len(tokens)})
    return [" ".join(tokens[first:last]) for first, last in pairwise(edges)]


quoted = st.lists(
    st.sampled_from(["the", '"naive"', "cells", "''x''", "5'-end", '"', "'", "of", "[title].", "IL-2"]),
    min_size=3,
    max_size=12,
).map(" ".join)
cuts = st.lists(st.integers(1, 20), max_size=3)


@given(bodies=st.lists(quoted, min_size=1, max_size=5), ends=cuts, data=st.data())
def test_documents_are_found_by_their_tokens_however_quotes_are_written(
    bodies: list[str], ends: list[int], data: st.DataObject
) -> None:
    release = [Document(str(number), f"W{number} {text}.") for number, text in enumerate(bodies)]
    wanted = data.draw(st.sets(st.sampled_from([each.id for each in release])))
    mark = data.draw(st.sampled_from(['"', "``", "''", "` `"]))
    groups = [
        [piece.replace('"', mark) for piece in groups_of(each.text, ends)]
        for each in release
        if each.id in wanted
    ]
    found = list(select(iter(release), data.draw(st.permutations(groups))))
    assert found == [each for each in release if each.id in wanted]


def test_a_title_without_its_brackets_is_found_by_the_longest_sentence() -> None:
    release = [
        Document("1", "[Cells of mice.] They were few indeed."),
        Document("2", "[Cells of mice.] None."),
    ]
    assert list(select(release, [["Cells of mice .", "They were few indeed ."]])) == release[:1]


@pytest.mark.parametrize("group", [["They were many ."], [], [""], ["''", " "]])
def test_sentences_of_no_document_are_refused(group: list[str]) -> None:
    with pytest.raises(CorpusError, match="no document contains the sentence"):
        list(select([Document("1", "They were few."), Document("2", "")], [group]))
