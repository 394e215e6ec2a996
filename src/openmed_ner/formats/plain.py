"""Plain text: one document per file, every character kept, line ends included."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from openmed_ner.text import Document


def read_plain(file: TextIO, *, source: str) -> Iterator[Document]:
    """Yield the whole file as one document named after its source."""
    yield Document(source, file.read())
