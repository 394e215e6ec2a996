"""HTML for people, not for exchange: the text with its entities marked, without any external resource.

Entities are marked as in notebooks (:mod:`openmed_ner.text.html`).
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TextIO

from openmed_ner.formats.tolerance import OnBad, fail
from openmed_ner.text import Document
from openmed_ner.text.html import legend, mark

# The policy is a second defence: even unescaped text could not run scripts or load resources.
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Entities</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
:root { color-scheme: light dark }
body { font: 1rem/1.9 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }
h2 { font-size: 1rem; margin: 2rem 0 .3rem } p { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0 }
mark + mark { border-left: 1px solid currentColor }
small { opacity: .75 } small mark { margin-right: .6em }
</style></head><body>
"""


def write_html(documents: Iterable[Document], file: TextIO, *, on_bad: OnBad = fail) -> None:
    """Write one page with a section per document; no document is refused."""
    file.write(_HEAD)
    for document in documents:
        file.write(f"<h2>{escape(document.id)}</h2>\n<p>{mark(document)}</p>\n")
        file.write(f"<small>{legend(document)}</small>\n")
    file.write("</body></html>\n")
