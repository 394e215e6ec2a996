"""Shared parts of the tables: results files, rows, and the conditions below a table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def read(name: str) -> dict[str, Any]:
    """Read a results file."""
    record: dict[str, Any] = json.loads((ROOT / "results" / f"{name}.json").read_text(encoding="utf-8"))
    return record


def table_row(cells: Iterable[object]) -> str:
    """A row of a table in Markdown."""
    return f"| {' | '.join(map(str, cells))} |"


def percent(value: float) -> str:
    """A share in percent."""
    return f"{100 * value:.2f}"


def conditions(record: Mapping[str, Any], subject: str) -> str:
    """Rounds, subject and machine of a measurement."""
    subject = subject[0].upper() + subject[1:]
    return f"Medians of {record['rounds']} rounds, each in turn. {subject}. {machine(record)}"


def machine(record: Mapping[str, Any]) -> str:
    """Machine and commit of a measurement."""
    host = record["host"]
    return f"{host['processor']}, {host['cores']} cores, commit `{record['commit'][:8]}`."
