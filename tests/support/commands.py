"""Run commands in this process."""

from __future__ import annotations

from pathlib import Path

from openmed_ner.cli.app import app


def invoke(*arguments: str | Path) -> None:
    """Run a command in this process, where torch is loaded already."""
    app([*map(str, arguments)], standalone_mode=False)
