"""HTML for people, not for exchange: the text with its entities marked, without any external resource.

Entities are marked as in notebooks (:mod:`openmed_ner.text.html`).
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TextIO

from openmed_ner.formats.tolerance import OnBad, fail
from openmed_ner.text import Document
from openmed_ner.text.html import legend, line_height, mark

# The policy is a second defence: even unescaped text could not run scripts or load resources.
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Entities</title>
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
:root { color-scheme: light dark }
body { font: 1rem/2.1 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }
h2 { font-size: 1rem; margin: 2rem 0 .3rem } p { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0 }
small { line-height: 1.8 } small mark { margin-right: .4em; padding: .15em .4em !important }
mark a { color: inherit } mark { -webkit-print-color-adjust: exact; print-color-adjust: exact }
@media print { body { max-width: none; margin: 0 } h2 { break-after: avoid } }
</style></head><body>
"""


def write_html(documents: Iterable[Document], file: TextIO, *, on_bad: OnBad = fail) -> None:
    """Write one page with a section per document; no document is refused."""
    file.write(_HEAD)
    for document in documents:
        file.write(f"<h2>{escape(document.id)}</h2>\n<small>{legend(document)}</small>\n")
        file.write(f'<p style="line-height:{line_height(document)}">{mark(document)}</p>\n')
    file.write("</body></html>\n")
