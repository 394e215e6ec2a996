"""Text with its entities marked in HTML, for the HTML format and for notebooks.

Entities may nest and overlap, so the text is cut at every boundary. Each piece has a line for each of its
entities below it, in a lane of its own, and the colour of the shortest one behind it. After an entity stands
its type, with context and identifiers, since colours alone are few and nothing is shown on hovering on paper
or on a phone. Selecting text leaves these labels out.

Colours are translucent and text keeps its own colour, so light and dark pages are both readable. Every mark
has its own style, because notebooks and mail drop style sheets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from openmed_ner.text.identifier_links import find_address

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
_HUES = {
    "Disease": 8,
    "CellLine": 45,
    "CellType": 70,
    "Cell": 90,
    "Species": 130,
    "Variant": 165,
    "Tissue": 190,
    "Chemical": 215,
    "DNA": 240,
    "Gene": 275,
    "Anatomy": 310,
    "Cancer": 335,
}
_LANE, _LINE = 5, 3
"""Height of a lane, and of the line in it, in pixels."""
_MAX_LANES = 8
"""Lanes that are drawn; further entities of a piece share the last one."""
_CHIP = (
    "display:inline-block;font-size:.65em;opacity:.85;margin:0 .1em 0 .3em;"
    "vertical-align:baseline;user-select:none"
)


class _Entity(NamedTuple):
    """A span and its place among the entities that it overlaps.

    Attributes:
        span: the span.
        lane: number of its line, from below.
        depth: number of lanes of its group.
    """

    span: Span
    lane: int
    depth: int


def show(document: Document, *, limit: int = SHOWN) -> str:
    """Render the legend and the marked text as one element; a long text is cut, with a note on the rest.

    Args:
        document: the document.
        limit: number of characters to show.
    """
    style = f"white-space:pre-wrap;overflow-wrap:anywhere;line-height:{line_height(document)}"
    text = f'<div style="{style}">{mark(document, limit)}'
    if (hidden := len(document.text) - limit) > 0:
        n_hidden = sum(span.start >= limit for span in document.spans)
        text += f"<br><em>… {hidden:,} more characters with {n_hidden:,} more entities are not shown.</em>"
    return f"<div><small>{legend(document)}</small>{text}</div></div>"


def line_height(document: Document) -> float:
    """Height of a line with room for all lanes, in heights of a letter."""
    depth = max((entity.depth for entity in _assign_lanes(document.spans)), default=1)
    return round(1.7 + depth * _LANE / 16, 2)


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
        (start, end, entity)
        for entity in _assign_lanes(document.spans)
        for start, end in entity.span.fragments or ((entity.span.start, entity.span.end),)
    )
    place = 0
    for piece, entities in iter_pieces(document.text[:limit], ranges):
        place += len(piece)
        ended = [entity.span for entity in entities if entity.span.end == place]
        yield _mark(entities, escape(piece) + _chips(ended)) if entities else escape(piece)


def _assign_lanes(spans: Sequence[Span]) -> list[_Entity]:
    """Give each span the lowest lane that is free over its length, longer ones first."""
    entities: list[_Entity] = []
    group: list[tuple[Span, int]] = []
    ends: list[int] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if ends and span.start >= max(ends):
            entities += [_Entity(other, lane, len(ends)) for other, lane in group]
            group, ends = [], []
        lane = next((lane for lane, end in enumerate(ends) if end <= span.start), len(ends))
        lane = min(lane, _MAX_LANES - 1)
        if lane == len(ends):
            ends.append(0)
        ends[lane] = max(ends[lane], span.end)
        group.append((span, lane))
    return [*entities, *(_Entity(other, lane, len(ends)) for other, lane in group)]


def _mark(entities: Sequence[_Entity], body: str) -> str:
    entities = sorted(entities, key=lambda entity: entity.lane)
    title = escape("; ".join(_describe(entity.span) for entity in entities), quote=True)
    shortest = min(entities, key=lambda entity: entity.span.end - entity.span.start)
    present = {name for entity in entities for name, _ in entity.span.attributes}
    line = next((f";text-decoration:{line}" for name, line in _LINES.items() if name in present), "")
    style = f"{_style(shortest.span.label)}{_stack(entities)}{line}"
    return f'<mark style="{style}" title="{title}">{body}</mark>'


def _stack(entities: Sequence[_Entity]) -> str:
    """Style of the lines below a piece: none if its group has one lane."""
    depth = entities[0].depth
    if depth == 1:
        return ""
    labels = {entity.lane: entity.span.label for entity in entities}
    colours = [f"hsl({_hue(label)} 70% 50%)" for label in labels.values()]
    images = ",".join(f"linear-gradient({colour},{colour})" for colour in colours)
    places = ",".join(f"0 calc(100% - {_LANE * lane}px)" for lane in labels)
    return (
        f";padding-bottom:{_LANE * depth + 1}px;background-image:{images};background-position:{places};"
        f"background-size:100% {_LINE}px;background-repeat:no-repeat;box-decoration-break:clone"
    )


def _chips(spans: Iterable[Span]) -> str:
    """Labels of the entities that end at a place, each once, with context and identifiers."""
    labels: dict[str, dict[str, None]] = {}
    for span in sorted(spans, key=lambda span: (span.start - span.end, span.label), reverse=True):
        attributes: Mapping[str, str | bool] = dict(span.attributes)
        notes = labels.setdefault(span.label, {})
        notes.update({name: None for name in _LINES if attributes.get(name) is True})
        ids = str(attributes.get("identifier", "")).split("|")
        notes.update({_link(identifier): None for identifier in ids if identifier})
    return "".join(
        f'<sub style="{_CHIP}">{" ".join((escape(label), *notes))}</sub>' for label, notes in labels.items()
    )


def _link(identifier: str) -> str:
    address = find_address(identifier)
    shown = escape(identifier)
    return f'<a href="{escape(address)}" rel="noreferrer">{shown}</a>' if address else shown


def _describe(span: Span) -> str:
    details = [span.corpus] if span.corpus else []
    details += [f"{span.score:.2f}"] if span.score is not None else []
    details += ["from the document"] if span.evidence == "document" else []
    details += [name if value is True else f"{name}: {value}" for name, value in span.attributes]
    return f"{span.label} ({', '.join(details)})" if details else span.label


def _style(label: str) -> str:
    return f"color:inherit;background:hsl({_hue(label)} 80% 60% / .3);padding:.15em 0;border-radius:.2em"


def _hue(label: str) -> int:
    # Other labels get a hue of their own; 47 has no factor in common with 360, so neighbours differ clearly.
    return _HUES.get(label, sum(map(ord, label)) * 47 % 360)


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
