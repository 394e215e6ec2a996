"""Log of a run: one JSON object per line, for every step and every evaluation.

A step: ``{"step", "epoch", "subwords", "loss", "learning_rate", "seconds"}``; an evaluation:
``{"step", "epoch", "subwords", "scores", "seconds"}``. ``epoch`` counts from 0, ``subwords`` and ``seconds``
are totals since the run began. A resumed run removes the lines after its checkpoint, so the log of a run
that was killed equals that of one that was not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from openmed_ner.errors import RunError
from openmed_ner.storage import atomic_file

LOG = "log.jsonl"


class RunLog:
    """Log file in the folder of a run."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOG

    def rewind(self, *, steps: int, evaluations: int) -> None:
        """Keep the lines of the first steps and evaluations only; with 0 of both, start a new log.

        Raises:
            RunError: the log is damaged.
        """
        lines = [
            line
            for line in _iter_lines(self._path)
            if (line["epoch"] < evaluations if "scores" in line else line["step"] <= steps)
        ]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(self._path) as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    def append(self, line: Mapping[str, Any]) -> None:
        """Append a line and hand it to the operating system."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _iter_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the complete lines of a log, up to one that a kill cut short.

    Raises:
        RunError: another line than the last is damaged.
    """
    if not path.exists():
        return
    lines = path.read_bytes().splitlines()
    for number, content in enumerate(lines, start=1):
        try:
            line = json.loads(content)
            complete = isinstance(line["epoch"], int) and isinstance(line["step"], int)
        except (ValueError, TypeError, KeyError, RecursionError):
            complete = False
        if complete:
            yield line
        elif number < len(lines):
            raise RunError(
                f"{path}, line {number}: damaged; remove the file to resume without the log of earlier steps"
            )
