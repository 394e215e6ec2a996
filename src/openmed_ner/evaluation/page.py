"""The pieces of a self-contained HTML page: its head, sections, tables, diagrams and marked texts.

Arguments that are text are escaped here. An argument ``body``, and a cell of :class:`Html`, is HTML already.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TextIO

from openmed_ner.text import Span
from openmed_ner.text.html import iter_pieces

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<style>
:root {{ color-scheme: light dark; --gold: hsl(210 70% 50%); --predicted: hsl(25 85% 50%) }}
body {{ font: 1rem/1.6 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem }}
h1, h2, h3 {{ line-height: 1.25; overflow-wrap: anywhere }} h2 {{ margin-top: 2.5rem }}
div {{ overflow-x: auto }} table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
caption {{ text-align: left; opacity: .8 }} thead {{ border-bottom: 2px solid }}
th, td {{ padding: .2em .7em; text-align: right; border-bottom: 1px solid rgb(128 128 128 / .4) }}
th, td {{ unicode-bidi: isolate; overflow-wrap: anywhere }} th {{ font-weight: normal }}
thead th, caption, summary {{ font-weight: 600 }} summary {{ cursor: pointer }} td small {{ display: inline }}
th[scope=row], th:first-child {{ text-align: left }} td.text {{ text-align: left }}
p.text {{ white-space: pre-wrap; overflow-wrap: anywhere; line-height: 2.2; margin: .5rem 0 0 }}
small {{ display: block; opacity: .85; overflow-wrap: anywhere }} li {{ margin-bottom: 1rem }}
mark {{ color: inherit; background: none; padding: .15em 0 }}
mark.gold {{ border-bottom: 3px solid var(--gold); background: hsl(210 80% 60% / .2) }}
mark.predicted {{ border-top: 3px dashed var(--predicted); background: hsl(25 90% 60% / .2) }}
mark.gold.predicted {{ background: hsl(130 60% 50% / .2) }}
svg {{ width: 100%; max-width: 36rem; height: auto; display: block; margin: 1rem 0 }}
svg text {{ fill: currentColor; font: 11px system-ui, sans-serif; text-anchor: middle }}
svg text.start {{ text-anchor: start }} svg text.end {{ text-anchor: end }}
svg rect {{ fill: var(--gold) }} svg line {{ stroke: currentColor }}
svg line.mark {{ stroke: var(--predicted); stroke-width: 3 }}
@media print {{ body {{ max-width: none; margin: 0 }} h2, h3 {{ break-after: avoid }}
 li, svg, tr {{ break-inside: avoid }} mark {{ print-color-adjust: exact }} }}
</style></head><body><main>
"""


class Html(str):
    """HTML that is safe to write as it is."""

    __slots__ = ()


def write_page(target: Path | TextIO, title: str, subtitle: str, sections: Iterable[str]) -> None:
    """Write a page with a heading, a line below it, and sections."""
    if isinstance(target, Path):
        # Lone surrogates of a damaged text cannot be encoded; a reference keeps the page valid.
        with target.open("w", encoding="utf-8", errors="xmlcharrefreplace", newline="\n") as file:
            write_page(file, title, subtitle, sections)
        return
    target.write(_HEAD.format(title=escape(title)))
    target.write(f"<h1>{escape(title)}</h1>\n<p>{escape(subtitle)}</p>\n")
    target.writelines(sections)
    target.write("</main></body></html>\n")


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a diagram: its height (a share, or ``None`` without data), and that of a crossing line."""

    name: str
    value: float | None
    mark: float | None = None


def draw_bars(name: str, title: str, description: str, bars: Sequence[Bar]) -> str:
    """Draw bars of shares on an axis from 0 to 100, as SVG with a title and a description."""
    axis = "".join(
        f'<line x1="36" x2="560" y1="{_y(share)}" y2="{_y(share)}" opacity=".3"/>'
        f'<text x="18" y="{_y(share) + 4}">{share * 100:.0f}</text>\n'
        for share in (0.0, 0.5, 1.0)
    )
    width = 520 / max(1, len(bars))
    columns = "".join(_column(bar, 40 + number * width, width) for number, bar in enumerate(bars))
    return (
        f'<svg viewBox="0 0 570 200" role="img" aria-labelledby="{name}-title {name}-description">\n'
        f'<title id="{name}-title">{escape(title)}</title>\n'
        f'<desc id="{name}-description">{escape(description)}</desc>\n{axis}{columns}</svg>\n'
    )


def _column(bar: Bar, left: float, width: float) -> str:
    centre = left + width / 2
    parts = [f'<text x="{centre:.1f}" y="192">{escape(bar.name)}</text>']
    if bar.value is not None:
        x, y = f"{left + 0.15 * width:.1f}", _y(bar.value)
        parts.append(f'<rect x="{x}" y="{y}" width="{0.7 * width:.1f}" height="{_y(0) - y:.1f}"/>')
        parts.append(f'<text x="{centre:.1f}" y="{y - 4:.1f}">{100 * bar.value:.0f}</text>')
    if bar.mark is not None:
        ends = f'x1="{left + 0.05 * width:.1f}" x2="{left + 0.95 * width:.1f}"'
        parts.append(f'<line class="mark" {ends} y1="{_y(bar.mark)}" y2="{_y(bar.mark)}"/>')
    return "".join(parts) + "\n"


def _y(share: float) -> float:
    """Position of a share in a diagram, downwards in pixels."""
    return round(174 - 154 * share, 1)


def highlight(text: str, gold: Iterable[Span], predicted: Iterable[Span], *, offset: int = 0) -> str:
    """Mark gold and predicted spans in a text, split at every boundary."""
    ranges = (
        (start - offset, end - offset, (origin, span.label))
        for origin, spans in (("predicted", predicted), ("gold", gold))
        for span in spans
        for start, end in span.fragments or ((span.start, span.end),)
    )
    return "".join(_mark(piece, sorted(set(labels))) for piece, labels in iter_pieces(text, ranges))


def _mark(piece: str, labels: Sequence[tuple[str, str]]) -> str:
    """Mark a piece of text by its labels, each with its origin, gold or predicted."""
    if not labels:
        return escape(piece)
    names = " ".join(sorted({origin for origin, _ in labels}))
    title = escape("; ".join(f"{origin}: {label}" for origin, label in labels))
    return f'<mark class="{names}" title="{title}">{escape(piece)}</mark>'


def _cell(text: str) -> str:
    kind = ' class="text"' if isinstance(text, Html) else ""
    return f"<td{kind}>{_escape(text)}</td>"


def _escape(text: str) -> str:
    return text if isinstance(text, Html) else escape(text)


def section(heading: str, body: str) -> str:
    """Format a part of the page under a heading."""
    return f"<section>\n<h2>{escape(heading)}</h2>\n{body}</section>\n"


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table whose first column names the rows."""
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join(
        f'<tr><th scope="row">{_escape(row[0])}</th>{"".join(map(_cell, row[1:]))}</tr>\n' for row in rows
    )
    return (
        f"<div><table>\n<caption>{escape(caption)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n"
    )
