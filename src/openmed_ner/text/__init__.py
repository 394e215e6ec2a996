"""Documents, spans, words and tag schemes. Standard library only."""

from openmed_ner.text.document import Account, Coverage, Document, Span, Token
from openmed_ner.text.tags import OUTSIDE, TagScheme
from openmed_ner.text.words import count_visible, iter_tokens

__all__ = [
    "OUTSIDE",
    "Account",
    "Coverage",
    "Document",
    "Span",
    "TagScheme",
    "Token",
    "count_visible",
    "iter_tokens",
]
