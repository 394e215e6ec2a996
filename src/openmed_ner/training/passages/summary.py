"""The summary of a pretraining set for people: a table of its sources, and notes on everything left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from openmed_ner.training.passages.preparation import PassageSet
from openmed_ner.training.passages.sources import SourceAccount

HEADER = ("source", "licence", "passages", "kept", "split", "held out", "pieces", "subwords", "dropped")
_N_NAMES = 2
"""Number of columns that hold names; those between them and the last one hold numbers."""


def summarise(prepared: PassageSet) -> list[str]:
    """Lines of the summary of a set."""
    manifest = prepared.manifest
    rows = [
        _row(source["name"], source["licence_class"], prepared.accounts[source["name"]])
        for source in (*manifest["sources"], *manifest["without_pieces"])
    ]
    lines = _align([HEADER, *rows, _row("total", "", prepared.total)])

    lines += _summarise_guard(manifest["guard"])
    if manifest["not_read"]:
        lines.append(f"not read, of unknown kind: {len(manifest['not_read'])} files")
    if manifest["skipped_articles"]:
        lines.append("articles skipped: " + _reasons(manifest["skipped_articles"]))
    if manifest["bad_records"]:
        lines.append(f"bad records left out: {manifest['bad_records']:,}")
    lines.append(f"set: {prepared.folder}")
    return lines


def _summarise_guard(guard: Mapping[str, Any]) -> list[str]:
    """Lines on the documents of dev and test splits that were searched for."""
    lines = []
    splits, missing = guard["splits"], guard["missing"]
    if guard["mode"] == "nothing":
        lines.append("guard: nothing; this set may hold dev and test documents")
    else:
        hits = ", ".join(
            f"{name} {split['passages_dropped']}"
            for name, split in splits.items()
            if split["passages_dropped"]
        )
        lines.append(
            f"guard: {guard['sentences']:,} sentences of {len(splits)} splits; {hits or 'none found'}"
        )
    if missing:
        lines.append(f"guard: not available, so not searched for: {', '.join(missing)}")
    return lines


def _row(name: str, licence_class: str, account: SourceAccount) -> tuple[str, ...]:
    counts = (account.read, account.kept, account.split, account.held_out, account.pieces, account.subwords)
    # A file chooses its name, which must not steer the terminal.
    shown = name if name.isprintable() else ascii(name)
    return (shown, licence_class, *(f"{count:,}" for count in counts), _reasons(account.dropped))


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in counts.items())


def _align(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Set rows in columns, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if number < _N_NAMES or number == len(row) - 1 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
