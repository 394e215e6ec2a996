"""Edits of a text that carry its spans along."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import NamedTuple

from openmed_ner.text import Document, Span


class Edit(NamedTuple):
    """A range of characters and the text that replaces it.

    Attributes:
        start: first character.
        end: one past the last character; ``start`` for an insertion.
        text: new text.
    """

    start: int
    end: int
    text: str


def select_edits(edits: Iterable[Edit], documents: Iterable[Document]) -> list[Edit]:
    """Select edits that can be made together: none overlaps an earlier one, none cuts a span.

    Args:
        edits: edits by preference.
        documents: documents of one text.

    Returns:
        Edits by position.
    """
    boundaries = sorted({edge for document in documents for span in document.spans for edge in _edges(span)})
    selected: list[Edit] = []
    for edit in edits:
        index = bisect_left(selected, edit)
        after_previous = index == 0 or selected[index - 1].end <= edit.start
        before_next = index == len(selected) or edit.end <= selected[index].start
        inner = bisect_left(boundaries, edit.end) - bisect_right(boundaries, edit.start)
        if after_previous and before_next and inner <= 0:
            selected.insert(index, edit)
    return selected


def apply_edits(document: Document, edits: Sequence[Edit]) -> Document:
    """Make edits, and move the spans.

    A span that is replaced as a whole becomes the new text. Text inserted at the edge of a span stays
    outside it.

    Args:
        document: document with its spans.
        edits: edits by position, none of which overlaps another or cuts a span.
    """
    ends = [edit.end for edit in edits]
    shifts = [0, *accumulate(len(edit.text) - (edit.end - edit.start) for edit in edits)]
    insertions = {edit.start for edit in edits if edit.start == edit.end}

    def move(edge: int, *, is_end: bool) -> int:
        # An insertion at the end of a span comes after it.
        before_insertion = is_end and edge in insertions
        n_edits = (bisect_left if before_insertion else bisect_right)(ends, edge)
        return edge + shifts[n_edits]

    def move_span(span: Span) -> Span:
        fragments = tuple(
            (move(start, is_end=False), move(end, is_end=True)) for start, end in span.fragments
        )
        start, end = move(span.start, is_end=False), move(span.end, is_end=True)
        return replace(span, start=start, end=end, fragments=fragments)

    pieces, position = [], 0
    for edit in edits:
        pieces += [document.text[position : edit.start], edit.text]
        position = edit.end
    text = "".join([*pieces, document.text[position:]])
    return replace(document, text=text, spans=tuple(map(move_span, document.spans)))


def change_case(document: Document, convert: Callable[[str], str]) -> Document:
    """Convert every character whose other case is one character, too, so that spans stay in place."""
    text = "".join(
        converted if len(converted := convert(character)) == 1 else character for character in document.text
    )
    return replace(document, text=text)


def _edges(span: Span) -> Iterable[int]:
    return (span.start, span.end, *(edge for fragment in span.fragments for edge in fragment))
