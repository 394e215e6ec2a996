"""Plain text: one document per file, every character kept, line ends included."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from openmed_ner.formats.tolerance import OnBad, fail
from openmed_ner.text import Document


def read_plain(file: TextIO, *, source: str, on_bad: OnBad = fail) -> Iterator[Document]:
    """Yield the whole file as one document named after its source; no content is refused."""
    yield Document(source, file.read())
