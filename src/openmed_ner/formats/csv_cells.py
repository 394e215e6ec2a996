"""The cells of a span in a table of CSV."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from openmed_ner.formats.attributes import (
    parse_evidence,
    read_attributes,
    write_attributes,
    write_evidence,
)
from openmed_ner.formats.csv_header import ALL_COLUMNS
from openmed_ner.formats.tolerance import check_mention, excerpt
from openmed_ner.text import Document, Span

SPAN_COLUMNS = ALL_COLUMNS[2:]
DIGITS = 4
"""Digits of scores that are written for people, as in JSON lines."""
# A column with empty cells becomes one of floats in many programs, pandas among them.
_OFFSET = re.compile(r"\s*([0-9]{1,18})(?:\.0+)?\s*")
_MISSING = ("", "nan", "<na>", "na", "n/a", "#n/a", "nat", "none", "null", "\\n", "#na", "-nan")
"""What programs write into the cells of a span that is not there, in small letters."""
_SCORE = re.compile(r"\s*[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?\s*")
_FRAGMENTS = re.compile("[0-9]{1,18}-[0-9]{1,18}(;[0-9]{1,18}-[0-9]{1,18})*")


def clear_missing(cells: Mapping[str, str]) -> dict[str, str]:
    """Empty the cells that other programs fill where there is no value; a label may well be ``None``."""
    if _is_missing(cells["start"]) and _is_missing(cells["end"]):
        return {
            name: "" if name in SPAN_COLUMNS and _is_missing(cell) else cell for name, cell in cells.items()
        }
    # Attributes are JSON, whose null is a wrong value.
    missing = [name for name in ("score", "fragments", "attributes", "evidence") if _is_missing(cells[name])]
    return {**cells, **{name: "" for name in missing if (name, cells[name]) != ("attributes", "null")}}


def _is_missing(cell: str) -> bool:
    return cell.strip().lower() in _MISSING


def to_span(cells: Mapping[str, str], text: str) -> Span:
    """Build a span from its cells; the inverse of :func:`from_span`.

    Raises:
        ValueError: a cell is missing or malformed, or the span does not fit the text.
    """
    start, end, label, mention, score, corpus, fragments, attributes, evidence = (
        cells[column] for column in SPAN_COLUMNS
    )
    first, last = _OFFSET.fullmatch(start), _OFFSET.fullmatch(end)
    if not first or not last or not label:
        raise ValueError(
            f"a span needs whole numbers as start and end, and a label; found {excerpt(start)}, "
            f"{excerpt(end)} and {excerpt(label)}"
        )
    if score and not _SCORE.fullmatch(score):
        raise ValueError(f"expected a number like 0.5 as score, found {excerpt(score)}")
    if fragments and not _FRAGMENTS.fullmatch(fragments):
        raise ValueError(f"expected fragments like 0-3;5-9, found {excerpt(fragments)}")

    span = Span(
        int(first[1]),
        int(last[1]),
        label,
        float(score) if score else None,
        corpus or None,
        tuple(_to_pair(fragment) for fragment in fragments.split(";") if fragment),
        read_attributes(attributes),
        parse_evidence(evidence or None),
    )

    if span.end > len(text):
        raise ValueError(f"span {start}..{end} ends beyond the text of {len(text)} characters")
    if mention:
        check_mention(text, span, mention, subject="the row")
    return span


def _to_pair(fragment: str) -> tuple[int, int]:
    start, end = fragment.split("-")
    return int(start), int(end)


def from_span(document: Document, span: Span, *, exact: bool = True) -> list[Any]:
    """Return the cells of a span.

    Args:
        document: document of the span.
        span: the span.
        exact: if false, the score has four digits.
    """
    score = None if span.score is None else float(span.score)
    return [
        span.start,
        span.end,
        span.label,
        document.mention(span),
        score if exact or score is None else round(score, DIGITS),
        span.corpus,
        ";".join(f"{start}-{end}" for start, end in span.fragments),
        write_attributes(span.attributes),
        write_evidence(span.evidence).get("evidence", ""),
    ]
