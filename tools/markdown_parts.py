"""The parts that reference pages in Markdown are made of."""

from __future__ import annotations

import re
from collections.abc import Iterable


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table without empty columns, or nothing if there is no row."""
    cells = [[re.sub(r"\s+", " ", cell).replace("|", "\\|") for cell in row] for row in rows]
    columns = [column for column in zip(header, *cells, strict=True) if any(column[1:])]
    lines = [f"| {' | '.join(row)} |" for row in zip(*columns, strict=True)]
    return "\n".join([lines[0], f"|{'---|' * len(columns)}", *lines[1:]]) if cells else ""


def code(text: str) -> str:
    """Text as code."""
    return f"`{text}`"


def page(parts: Iterable[str]) -> str:
    """Join the parts of a page by blank lines, without the empty ones."""
    return "\n\n".join(part for part in parts if part) + "\n"
