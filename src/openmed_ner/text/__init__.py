"""Documents, spans, words, sentences and tag schemes; views of documents as HTML and as a pandas table.

Standard library only: pandas is imported when a table is built.
"""

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
