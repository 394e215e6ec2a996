"""The field's three ways of counting entities, as three views of the same documents.

- ``mention``: the characters that a guideline marked. Mentions that tags cannot represent count as missed.
- ``word``: strict entities over words, as ``seqeval`` counts them in strict mode on tokenised corpora.
  Gold mentions that words cannot represent do not count, so recall is a little higher.
- ``subword``: every tag, ``B-`` included, is copied to all subwords of its word, and the lenient reading
  of ``conlleval`` takes each repeated ``B-`` for an entity of its own. Long names then count many times;
  tables that count so cannot be compared with the other two. Very probably the published OpenMed scores do.

A view of a document is a document again, so that every score, interval and test applies to it. Gold and
predicted documents need the same view.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np

from openmed_ner.tagging.labels import decode_spans, encode_spans
from openmed_ner.tagging.subwords import SubwordTokenizer
from openmed_ner.text import Document, Span, TagScheme, Token, iter_tokens

ScoringProtocol = Literal["mention", "word", "subword"]
PROTOCOLS: tuple[ScoringProtocol, ...] = get_args(ScoringProtocol)
View = Callable[[Document], Document]


def make_view(
    protocol: ScoringProtocol, labels: Sequence[str], tokenizer: SubwordTokenizer | None = None
) -> View:
    """Return the view of a protocol.

    Args:
        protocol: one of ``PROTOCOLS``.
        labels: entity types that count.
        tokenizer: tokenizer for ``subword``.

    Raises:
        ValueError: ``subword`` without a tokenizer.
    """
    if protocol == "mention":
        return lambda document: document
    if protocol == "word":
        return lambda document: see_words(document, labels)
    if tokenizer is None:
        raise ValueError("the subword protocol needs a tokenizer")
    return lambda document: see_subwords(document, labels, tokenizer)


def see_words(document: Document, labels: Sequence[str]) -> Document:
    """Restrict a document to the spans that one tag per word can represent."""
    tokens = list(iter_tokens(document.text))
    tags, _ = encode_spans(document, tokens, labels)
    return document.with_spans(decode_spans(tags, tokens))


def see_subwords(
    document: Document,
    labels: Sequence[str],
    tokenizer: SubwordTokenizer,
    tokens: Sequence[Token] | None = None,
) -> Document:
    """Make a document of one character per subword, with the entities of the copied tags.

    Args:
        document: document to convert.
        labels: entity types that count.
        tokenizer: tokenizer for the subwords.
        tokens: words; by default those of the word tokenizer.
    """
    words = list(iter_tokens(document.text)) if tokens is None else list(tokens)
    tags, _ = encode_spans(document, words, labels)
    encodings = tokenizer.iter_encodings(document.text, words)
    lengths = [length for encoding in encodings for length in encoding.lengths]

    # One tag per word becomes one per subword.
    copied = np.repeat(np.array(tags, dtype=object), lengths).tolist()
    entities = TagScheme.IOB2.decode(copied, mode="conlleval")
    spans = tuple(Span(first, last, label) for first, last, label in entities)
    return Document(document.id, "x" * len(copied), spans)
