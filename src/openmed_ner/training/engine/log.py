"""The log of a run: one JSON object per line, for every step and every evaluation.

A step: ``{"step", "epoch", "subwords", "loss", "learning_rate", "seconds"}``; an evaluation:
``{"step", "epoch", "subwords", "scores", "seconds"}``. ``epoch`` counts from 0, ``subwords`` and ``seconds``
are totals since the run began. A resumed run takes back the lines after its checkpoint, so that the log
of a run that was killed reads like that of one that was not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

LOG = "log.jsonl"


class RunLog:
    """The open log of a run."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOG

    def rewind(self, *, steps: int, evaluations: int) -> None:
        """Keep the lines of the first steps and evaluations only; none of either starts the log anew."""
        kept = [
            line
            for line in _iter_lines(self._path)
            if (line["epoch"] < evaluations if "scores" in line else line["step"] <= steps)
        ]
        partial = self._path.with_suffix(".partial")
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        os.replace(partial, self._path)  # noqa: PTH105 (replace, not rename: also over an existing file)

    def append(self, line: Mapping[str, Any]) -> None:
        """Add a line; it is on its way to the disk when this returns."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _iter_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a log; a line that a kill cut short is none."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return
