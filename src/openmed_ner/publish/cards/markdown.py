"""The pieces of a card: values that may be missing, tables, and the hub's front matter.

A value that a record does not hold is written as :data:`NOT_RECORDED`, never guessed and never left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

NOT_RECORDED = "not recorded"
NO_RECORD = "No run record is available.\n"
OPEN = "> To be added by the provider:"
"""Beginning of every line that leaves a point to the provider."""


def dig(record: object, *path: str) -> Any:
    """Return the value at a path of keys; ``None`` if a key on the way is missing."""
    for key in path:
        record = record.get(key) if isinstance(record, Mapping) else None
    return record


def total(numbers: Iterable[float | None]) -> float | None:
    """Add numbers; the sum is ``None`` if one of them is missing."""
    values = list(numbers)
    # A missing number makes the sum unknown, not smaller.
    return None if None in values else sum(value for value in values if value is not None)


def show(value: object, form: str = "", *, scale: float = 1) -> str:
    """Write a value as a card does.

    Args:
        value: a number or a text; ``None`` and "" are missing.
        form: format of a number, as for :func:`format`.
        scale: factor for a number.
    """
    if value is None or value == "":
        return NOT_RECORDED
    if isinstance(value, int | float):
        return format(value * scale if scale != 1 else value, form)
    return " ".join(str(value).split())


def percent(value: object, form: str = ".2f") -> str:
    """Write a share in percent, without the sign."""
    return show(value, form, scale=100)


def list_counts(counts: Mapping[str, int] | None) -> str:
    """List names with their counts."""
    if counts is None:
        return NOT_RECORDED
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"


def list_settings(settings: Mapping[str, Any]) -> list[list[str]]:
    """List settings as rows of a table."""
    return [
        [key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)]
        for key, value in settings.items()
    ]


def bullets(lines: Iterable[str]) -> str:
    """Write a list of points."""
    return "".join(f"- {line}\n" for line in lines)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table; what would end a cell or a row early is escaped."""
    head, *body = ("| " + " | ".join(map(_cell, cells)) + " |" for cells in (columns, *rows))
    return "\n".join([head, "|---" * len(columns) + "|", *body, ""])


def open_point(subject: str) -> str:
    """Write a line that leaves a subject to the provider."""
    return f"{OPEN} {subject}.\n"


def front_matter(metadata: Mapping[str, Any]) -> str:
    """Write metadata as the YAML block at the beginning of a hub's page."""
    import yaml  # type: ignore[import-untyped]

    text: str = yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=110)
    return f"---\n{text}---\n"


def page(metadata: Mapping[str, Any], title: str, sections: Iterable[tuple[str, str]]) -> str:
    """Write a card: front matter, title, and sections.

    Args:
        metadata: the front matter.
        title: heading of the page.
        sections: pairs of heading and text; an empty heading is left out.
    """
    parts = [front_matter(metadata), f"# {_cell(title)}\n"]
    for heading, text in sections:
        parts.append(f"## {heading}\n\n{text}" if heading else text)
    return "\n".join(parts)


def _cell(text: str) -> str:
    # A line break would end the row, a bare pipe the cell.
    return " ".join(text.split()).replace("|", "\\|")
