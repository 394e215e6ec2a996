"""Time of a study: how far each step has come, and how much time the next one gets.

The folder of a step holds a record of its progress, written every few seconds, so that a run that is cut off
says how far it came. A time limit is divided among the steps that are left, in proportion to their shares.
What a step needs beside training, such as the last evaluation and the scoring, is measured and reserved for
those that follow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from openmed_ner.errors import RunError
from openmed_ner.storage import read_json, write_json
from openmed_ner.training.engine.steps import StepReport

PROGRESS = "progress.json"
WRITE_SECONDS = 5.0
"""Time between two records of a step."""
FIRST_RESERVE = 0.1
"""Share of a step's time that is reserved for its evaluation and scoring, before any was measured."""
LEAST = 0.25
"""Smallest share of a step's time that training gets, however long the scoring of earlier steps took."""
Clock = Callable[[], float]


@dataclass(slots=True)
class Progress:
    """Progress of a step.

    Attributes:
        minutes: time limit of its training; 0: none.
        seconds: time that it has taken, over all sessions.
        finished: true if it is done.
        step: number of optimiser steps so far.
        n_steps: number of optimiser steps of the whole run; a time limit may end it earlier.
        epoch: number of the epoch, from 0.
        loss: loss of the last optimiser step.
        scores: held-out scores of the last evaluation.
    """

    minutes: float = 0.0
    seconds: float = 0.0
    finished: bool = False
    step: int = 0
    n_steps: int = 0
    epoch: int = 0
    loss: float | None = None
    scores: Mapping[str, float] | None = None


def read_progress(folder: Path) -> Progress:
    """Read the progress of a step; that of a step that was not begun is empty.

    Raises:
        RunError: the record is damaged.
    """
    path = folder / PROGRESS
    if not path.is_file():
        return Progress()
    try:
        return Progress(**read_json(path, error=RunError))
    except TypeError as error:
        raise RunError(f"{path} is damaged: {error}; remove it") from error


class ProgressLog:
    """Record of a step's progress in its folder."""

    def __init__(self, folder: Path, *, minutes: float = 0.0, clock: Clock = time.monotonic) -> None:
        """Continue the record of a step, or begin it.

        Args:
            folder: folder of the step.
            minutes: time limit of its training; 0: none.
            clock: clock in seconds.
        """
        self._folder, self._clock = folder, clock
        self.progress = read_progress(folder)
        self.progress.minutes = minutes
        self._began = clock() - self.progress.seconds
        self._written = -WRITE_SECONDS
        self._write()

    def note(self, report: StepReport) -> None:
        """Take over the report of an optimiser step or an epoch."""
        progress = self.progress
        progress.step, progress.n_steps, progress.epoch = report.step, report.n_steps, report.epoch
        progress.loss = report.loss
        if report.scores is not None:
            progress.scores = dict(report.scores)
        if report.scores is not None or self._clock() - self._written >= WRITE_SECONDS:
            self._write()

    def finish(self) -> None:
        """Record that the step is done."""
        self.progress.finished = True
        self._write()

    def _write(self) -> None:
        self._written = self._clock()
        self.progress.seconds = self._written - self._began
        self._folder.mkdir(parents=True, exist_ok=True)
        write_json(self._folder / PROGRESS, asdict(self.progress))


@dataclass(frozen=True, slots=True)
class TimeBudget:
    """Time limit of a study.

    Attributes:
        folder: folder of the study.
        minutes: time of all steps together.
        shares: relative time of each step that trains, by name.
    """

    folder: Path
    minutes: float
    shares: Mapping[str, float]

    def allot(self, name: str) -> float:
        """Time for the training of a step, in minutes; one that was begun keeps its time.

        Raises:
            RunError: no time is left.
        """
        progress = {step: read_progress(self.folder / step) for step in self.shares}
        if progress[name].minutes:
            return progress[name].minutes

        spent = sum(read_progress(path.parent).seconds for path in self.folder.rglob(PROGRESS))
        left = self.minutes - spent / 60
        if left <= 0:
            raise RunError(
                f"{name}: the {self.minutes:g} minutes of the study are over; allow more (--minutes), or end "
                "the models in training where they are (--finish)"
            )
        waiting = sum(share for step, share in self.shares.items() if not progress[step].finished)
        part = left * self.shares[name] / waiting

        # Time beside training, of the steps that used up theirs.
        beside = [
            step.seconds / 60 - step.minutes for step in progress.values() if step.finished and step.minutes
        ]
        reserve = max([value for value in beside if value > 0], default=FIRST_RESERVE * part)
        return max(part - reserve, LEAST * part)
