"""HTML for reading, not for exchange: the text with its entities marked, nothing fetched from elsewhere.

Entities of several guidelines may overlap, so the text is cut at every boundary and each piece names
all the entities it lies in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import TextIO

from openmed_ner.text import Document, Span
from openmed_ner.text.pieces import iter_pieces

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
        file.write(f"<h2>{escape(document.id)}</h2>\n<p>{''.join(_iter_marked(document))}</p>\n")
        file.write(f"<small>{_legend(document)}</small>\n")
    file.write("</body></html>\n")


def _iter_marked(document: Document) -> Iterator[str]:
    ranges = (
        (start, end, span)
        for span in document.spans
        for start, end in span.fragments or ((span.start, span.end),)
    )
    for piece, spans in iter_pieces(document.text, ranges):
        yield _mark(spans, escape(piece)) if spans else escape(piece)


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
