"""Bars of counts as SVG: in rows, for names, and in columns, for years."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

MAX_ROWS = 20
_ROW, _LEFT = 20, 160
_MAX_NAME = 22
_LABELS = 12
"""Columns that have room for a label."""


class Count(NamedTuple):
    """A bar: its name and its number."""

    name: str
    number: int


def draw_rows(name: str, title: str, description: str, counts: Sequence[Count]) -> str:
    """Draw the first counts as rows."""
    counts = counts[:MAX_ROWS]
    highest = max((count for _, count in counts), default=0) or 1
    rows = "".join(
        f'<text class="end" x="{_LEFT - 6}" y="{top + 14}">{escape(_shorten(label))}</text>'
        f'<rect x="{_LEFT}" y="{top + 3}" width="{400 * count / highest:.1f}" height="14"/>'
        f'<text class="start" x="{_LEFT + 4 + 400 * count / highest:.1f}" y="{top + 14}">{count:,}</text>\n'
        for top, (label, count) in zip(range(0, _ROW * len(counts), _ROW), counts, strict=True)
    )
    return _frame(name, title, description, rows, width=640, height=_ROW * len(counts))


def draw_columns(name: str, title: str, description: str, counts: Sequence[Count]) -> str:
    """Draw counts as columns from left to right; some of them have a label."""
    highest = max((count for _, count in counts), default=0) or 1
    width = 580 / max(len(counts), 1)
    step = -(-len(counts) // _LABELS)
    columns = []
    for number, (label, count) in enumerate(counts):
        left, height = 40 + number * width, 140 * count / highest
        columns.append(
            f'<rect x="{left + 0.1 * width:.1f}" y="{160 - height:.1f}" width="{0.8 * width:.1f}" '
            f'height="{height:.1f}"><title>{escape(label)}: {count:,}</title></rect>'
        )
        if number % step == 0:
            columns.append(f'<text x="{left + width / 2:.1f}" y="176">{escape(_shorten(label))}</text>')
    axis = (
        '<line x1="40" x2="620" y1="160" y2="160" opacity=".4"/>'
        f'<text class="end" x="36" y="24">{highest:,}</text><text class="end" x="36" y="164">0</text>\n'
    )
    return _frame(name, title, description, axis + "".join(columns), width=640, height=184)


def _frame(name: str, title: str, description: str, body: str, *, width: int, height: int) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-labelledby="{name}-title {name}-description">\n'
        f'<title id="{name}-title">{escape(title)}</title>\n'
        f'<desc id="{name}-description">{escape(description)}</desc>\n{body}</svg>\n'
    )


def _shorten(name: str) -> str:
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"
