"""HTML for reading, not for exchange: the text with its entities marked, nothing fetched from elsewhere.

Entities of several guidelines may overlap, so the text is cut at every boundary and each piece names
all the entities it lies in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from itertools import pairwise
from typing import TextIO

from openmed_ner.text import Document, Span

_HUES = {"Disease": 8, "Chemical": 210, "Gene": 275, "Species": 130, "CellLine": 45, "Anatomy": 330}
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Entities</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
:root { color-scheme: light dark }
body { font: 1rem/1.9 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }
h2 { font-size: 1rem; margin: 2rem 0 .3rem } p { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0 }
mark { color: inherit; padding: .15em .1em; border-radius: .2em; background: hsl(var(--hue) 80% 60% / .3) }
mark + mark { border-left: 1px solid currentColor }
mark.many { border-bottom: 2px solid currentColor }
small { opacity: .75 } small mark { margin-right: .6em }
</style></head><body>
"""


def write_html(documents: Iterable[Document], file: TextIO) -> None:
    """Write one page with a section per document."""
    file.write(_HEAD)
    for document in documents:
        file.write(f"<h2>{escape(document.id)}</h2>\n<p>{''.join(_iter_pieces(document))}</p>\n")
        file.write(f"<small>{_legend(document)}</small>\n")
    file.write("</body></html>\n")


def _iter_pieces(document: Document) -> Iterator[str]:
    text = document.text
    marked = [
        (*fragment, span)
        for span in document.spans
        for fragment in span.fragments or ((span.start, span.end),)
    ]
    bounds = sorted({0, len(text), *(edge for start, end, _ in marked for edge in (start, end))})
    waiting = sorted(marked, key=lambda each: each[0], reverse=True)
    active: list[tuple[int, Span]] = []
    for start, end in pairwise(bounds):
        active = [(last, span) for last, span in active if last > start]
        while waiting and waiting[-1][0] == start:
            _, last, span = waiting.pop()
            active.append((last, span))
        piece = escape(text[start:end])
        yield _mark([span for _, span in active], piece) if active else piece


def _mark(spans: list[Span], piece: str) -> str:
    title = escape("; ".join(map(_describe, spans)), quote=True)
    many = ' class="many"' if len(spans) > 1 else ""
    return f'<mark{many} style="--hue:{_hue(spans[0].label)}" title="{title}">{piece}</mark>'


def _describe(span: Span) -> str:
    details = [span.corpus] if span.corpus else []
    details += [f"{span.score:.2f}"] if span.score is not None else []
    return f"{span.label} ({', '.join(details)})" if details else span.label


def _legend(document: Document) -> str:
    labels = sorted({span.label for span in document.spans})
    counts = {label: sum(span.label == label for span in document.spans) for label in labels}
    return "".join(
        f'<mark style="--hue:{_hue(label)}">{escape(label)}: {count}</mark>'
        for label, count in counts.items()
    )


def _hue(label: str) -> int:
    return _HUES.get(label, sum(map(ord, label)) * 47 % 360)
