"""Spans to tags and back, with an account of what words cannot hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.tagging import (
    decode_spans,
    encode_spans,
)
from openmed_ner.tagging.heads import MODEL_SCHEMES
from openmed_ner.text import Document, Span, TagScheme, iter_tokens
from strategies import LABELS, documents, entities, sentences, texts, to_spans

both = pytest.mark.parametrize("scheme", MODEL_SCHEMES)


@both
@given(document=documents())
def test_every_gold_span_is_accounted_for(scheme: TagScheme, document: Document) -> None:
    tokens = list(iter_tokens(document.text))
    tags, account = encode_spans(document, tokens, LABELS, scheme=scheme)
    decoded = decode_spans(tags, tokens, scheme=scheme)
    assert account.total == len(document.spans)
    assert account.kept == len(decoded)
    assert sum(account.reasons.values()) == account.split + account.lost
    assert {span.key for span in decoded} <= {span.key for span in document.spans}


@both
@given(data=st.data(), text=texts | sentences)
def test_spans_of_whole_words_are_all_kept(scheme: TagScheme, data: st.DataObject, text: str) -> None:
    tokens = list(iter_tokens(text))
    spans = to_spans(data.draw(entities(len(tokens))), tokens)
    shuffled = data.draw(st.permutations(spans))
    tags, account = encode_spans(Document("d", text, tuple(shuffled)), tokens, LABELS, scheme=scheme)
    assert decode_spans(tags, tokens, scheme=scheme) == spans
    assert (account.kept, account.lost) == (len(spans), 0)


def test_what_words_cannot_hold_is_counted_by_reason() -> None:
    text = "colorectal cancer syndrome"
    spans = [
        Span(11, 17, "Disease"),  # nested in the next
        Span(0, 17, "Disease"),
        Span(0, 17, "Disease"),
        Span(5, 17, "Disease"),
        Span(18, 26, "Gene"),
        Span(18, 26, "Chemical"),
    ]
    tokens = list(iter_tokens(text))
    tags, account = encode_spans(Document("d", text, tuple(spans)), tokens, LABELS)
    assert tags == ["B-Disease", "I-Disease", "B-Chemical"]
    assert str(account) == (
        "2 kept, 0 split, 4 lost (a boundary lies inside a word: 1, has a label the head does not know: 1, "
        "overlaps a longer or earlier span: 1, repeats another span: 1)"
    )


def test_a_discontinuous_mention_is_lost_to_words_and_accounted_for() -> None:
    text = "breast and ovarian cancer"
    spans = (Span(0, 25, "Disease", fragments=((0, 6), (19, 25))), Span(11, 25, "Disease"))
    tags, account = encode_spans(Document("1", text, spans), list(iter_tokens(text)), LABELS)
    assert tags == ["O", "O", "B-Disease", "I-Disease"]
    assert (account.kept, account.lost, account.reasons) == (1, 1, {"is discontinuous": 1})
