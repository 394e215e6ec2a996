"""The pieces cards are written from: values that may be missing, tables, and the hub's front matter.

A value that a record does not hold is written as :data:`NOT_RECORDED`, never guessed and never left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

NOT_RECORDED = "not recorded"
OPEN = "> To be added by the provider:"
"""How every line begins that leaves something to the reader of a pack."""


def dig(record: object, *path: str) -> Any:
    """The value at a path of keys; ``None`` where a step of it is missing."""
    for key in path:
        record = record.get(key) if isinstance(record, Mapping) else None
    return record


def total(numbers: Iterable[float | None]) -> float | None:
    """The sum of some numbers; ``None`` if one of them is missing."""
    found = list(numbers)
    return None if None in found else sum(each for each in found if each is not None)


def show(value: object, form: str = "", *, scale: float = 1) -> str:
    """A value as a card writes it.

    Args:
        value: a number or a text; ``None`` and "" are missing.
        form: format of a number, as of :func:`format`.
        scale: factor for a number.
    """
    if value is None or value == "":
        return NOT_RECORDED
    if isinstance(value, int | float):
        return format(value * scale if scale != 1 else value, form)
    return " ".join(str(value).split())


def percent(value: object, form: str = ".2f") -> str:
    """A share in percent, without the sign."""
    return show(value, form, scale=100)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; what would end a cell or a row early is escaped."""
    head, *body = ("| " + " | ".join(map(_cell, cells)) + " |" for cells in (columns, *rows))
    return "\n".join([head, "|---" * len(columns) + "|", *body, ""])


def open_point(what: str) -> str:
    """A line that leaves something to the reader."""
    return f"{OPEN} {what}.\n"


def front_matter(metadata: Mapping[str, Any]) -> str:
    """Metadata as the YAML block at the beginning of a hub's page."""
    import yaml  # type: ignore[import-untyped]

    text: str = yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=110)
    return f"---\n{text}---\n"


def page(metadata: Mapping[str, Any], title: str, sections: Iterable[tuple[str, str]]) -> str:
    """A card: front matter, title, and sections of heading and text; the first heading may be empty."""
    parts = [front_matter(metadata), f"# {_cell(title)}\n"]
    for heading, text in sections:
        parts.append(f"## {heading}\n\n{text}" if heading else text)
    return "\n".join(parts)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
