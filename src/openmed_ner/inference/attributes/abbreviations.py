"""Long forms for the mentions of abbreviations that a text defines itself.

A definition applies to its whole document. If a short form is defined several times, a mention gets the
nearest definition before it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from openmed_ner.text import Document, Span
from openmed_ner.text.definitions import MAX_SHORT, find_definitions, singular

_Forms = Mapping[str, list[tuple[int, str]]]


def add_abbreviations(documents: Iterable[Document]) -> Iterator[Document]:
    """Add ``long_form`` to mentions of short forms, and ``short_form`` to mentions of long forms.

    A mention that only ends in a short form ("early-onset AD") gets the long form of its end.
    """
    return map(_expand, documents)


def _expand(document: Document) -> Document:
    definitions = list(find_definitions(document.text)) if document.spans else []
    if not definitions:
        return document
    long_forms: dict[str, list[tuple[int, str]]] = defaultdict(list)
    short_forms: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for definition in definitions:
        short = document.text[slice(*definition.short)]
        long = " ".join(document.text[slice(*definition.long)].split())
        long_forms[singular(short)].append((definition.start, long))
        short_forms[long.lower()].append((definition.start, short))
    return document.with_spans(_add_forms(document, span, long_forms, short_forms) for span in document.spans)


def _add_forms(document: Document, span: Span, long_forms: _Forms, short_forms: _Forms) -> Span:
    mention = " ".join(document.mention(span).split())
    attributes: dict[str, str | bool] = {}
    if head := _find_head(mention, long_forms):
        attributes["long_form"] = _nearest(long_forms[head], span.start)
    if mention.lower() in short_forms:
        attributes["short_form"] = _nearest(short_forms[mention.lower()], span.start)
    return span.with_attributes(attributes)


def _find_head(mention: str, long_forms: _Forms) -> str | None:
    """Find the longest short form at the end of a mention, beginning with a word."""
    head = singular(mention)
    for start in range(max(0, len(head) - MAX_SHORT), len(head)):
        if head[start:] in long_forms and not head[:start][-1:].isalnum():
            return head[start:]
    return None


def _nearest(forms: list[tuple[int, str]], place: int) -> str:
    """Return the last form defined up to a place, or else the first of all."""
    # Forms are in the order of the text.
    n_before = bisect_right(forms, place, key=lambda form: form[0])
    return forms[max(n_before - 1, 0)][1]
