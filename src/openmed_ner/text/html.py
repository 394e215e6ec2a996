"""Text with its entities marked in HTML, for the HTML format and for notebooks.

Entities of several guidelines may overlap, so the text is cut at every boundary and each piece names all the
entities it lies in. Colours are translucent and text keeps its own colour, so light and dark pages are both
readable. Every mark has its own style, 90 characters long, because notebooks and mail drop style sheets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # documents import this module for their view in notebooks
    from openmed_ner.text.document import Document, Span

Value = TypeVar("Value")

SHOWN = 5_000
"""Characters of a text that a notebook shows; longer texts are slow to draw and hardly read."""

_LINES = {
    "negated": "line-through",
    "family": "underline wavy",
    "historical": "underline dotted",
    "hypothetical": "underline dashed",
}
"""Lines of the attributes of context, the first of a span's decides."""
_HUES = {"Disease": 8, "Chemical": 210, "Gene": 275, "Species": 130, "CellLine": 45, "Anatomy": 330}


def show(document: Document, *, limit: int = SHOWN) -> str:
    """Render the marked text and its legend as one element; a long text is cut, with a note on the rest.

    Args:
        document: the document.
        limit: number of characters to show.
    """
    text = f'<div style="white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.8">{mark(document, limit)}'
    if (hidden := len(document.text) - limit) > 0:
        n_hidden = sum(span.start >= limit for span in document.spans)
        text += f"<br><em>… {hidden:,} more characters with {n_hidden:,} more entities are not shown.</em>"
    return f"<div>{text}</div><small>{legend(document)}</small></div>"


def mark(document: Document, limit: int | None = None) -> str:
    """Render the text, escaped, with ``<mark>`` around every piece of an entity.

    Args:
        document: the document.
        limit: number of characters to render; all if ``None``.
    """
    return "".join(_iter_marked(document, limit))


def legend(document: Document) -> str:
    """Render each label in its colour, with the number of its entities."""
    counts = Counter(span.label for span in document.spans)
    labels = [
        f'<mark style="{_style(label)}">{escape(label)}: {counts[label]:,}</mark>' for label in sorted(counts)
    ]
    present = {name for span in document.spans for name, _ in span.attributes}
    marks = [
        f'<span style="text-decoration:{line}">{name}</span>'
        for name, line in _LINES.items()
        if name in present
    ]
    return " ".join((*labels, *marks))


def _iter_marked(document: Document, limit: int | None) -> Iterator[str]:
    ranges = (
        (start, end, span)
        for span in document.spans
        for start, end in span.fragments or ((span.start, span.end),)
    )
    for piece, spans in iter_pieces(document.text[:limit], ranges):
        yield _mark(spans, escape(piece)) if spans else escape(piece)


def _mark(spans: list[Span], piece: str) -> str:
    title = escape("; ".join(map(_describe, spans)), quote=True)
    underline = ";border-bottom:2px solid" if len(spans) > 1 else ""
    present = {name for span in spans for name, _ in span.attributes}
    # On paper and on phones nothing is shown on hovering.
    line = next((f";text-decoration:{line}" for name, line in _LINES.items() if name in present), "")
    return f'<mark style="{_style(spans[0].label)}{underline}{line}" title="{title}">{piece}</mark>'


def _describe(span: Span) -> str:
    details = [span.corpus] if span.corpus else []
    details += [f"{span.score:.2f}"] if span.score is not None else []
    details += ["from the document"] if span.evidence == "document" else []
    details += [name if value is True else f"{name}: {value}" for name, value in span.attributes]
    return f"{span.label} ({', '.join(details)})" if details else span.label


def _style(label: str) -> str:
    # Other labels get a hue of their own; 47 has no factor in common with 360, so neighbours differ clearly.
    hue = _HUES.get(label, sum(map(ord, label)) * 47 % 360)
    return f"color:inherit;background:hsl({hue} 80% 60% / .3);padding:.15em .1em;border-radius:.2em"


def iter_pieces(text: str, ranges: Iterable[tuple[int, int, Value]]) -> Iterator[tuple[str, list[Value]]]:
    """Cut a text at every boundary of some ranges, which may nest, overlap and reach beyond the text.

    Yields:
        The pieces of the text in order, each with the values of the ranges it lies in.
    """
    waiting = sorted(ranges, key=lambda item: item[0], reverse=True)
    edges = {edge for start, end, _ in waiting for edge in (start, end) if 0 < edge < len(text)}
    # A sweep over the edges looks only at the ranges that are open there, not at all of them.
    active: list[tuple[int, Value]] = []
    for start, end in pairwise(sorted({0, *edges, len(text)})):
        active = [(last, value) for last, value in active if last > start]
        while waiting and waiting[-1][0] <= start:
            _, last, value = waiting.pop()
            if last > start:
                active.append((last, value))
        yield text[start:end], [value for _, value in active]
