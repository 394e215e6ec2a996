"""Steps of a run: learning rate, losses that a device still computes, and reports."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from openmed_ner.training.config import Schedule


@dataclass(frozen=True, slots=True)
class StepReport:
    """State of a run after a step or an epoch, for a progress display."""

    step: int
    n_steps: int
    epoch: int
    loss: float
    learning_rate: float
    scores: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class PendingStep:
    """A step whose loss has not been read from the device yet.

    Attributes:
        report: its report, without the loss.
        means: mean loss of each of its batches, on the device.
        n_targets: number of targets of each batch.
        subwords: subwords read since the run began.
        seconds: time since the run began.
    """

    report: StepReport
    means: Tensor
    n_targets: tuple[float, ...]
    subwords: int
    seconds: float = 0.0

    def read(self) -> StepReport:
        """Wait for the loss and return the complete report."""
        means = self.means.tolist()
        mean = float(means[0])
        if len(means) > 1:
            weighted = sum(m * n for m, n in zip(means, self.n_targets, strict=True))
            mean = float(weighted / sum(self.n_targets))
        return replace(self.report, loss=mean)


def learning_rate(step: float, *, n_steps: int, schedule: Schedule) -> float:
    """Linear warm-up to the peak, then half a cosine down to zero; ``step`` counts from 0."""
    n_warmup = math.ceil(schedule.warmup * n_steps)
    if step < n_warmup:
        return schedule.learning_rate * step / n_warmup
    progress = (step - n_warmup) / max(1, n_steps - n_warmup)
    return schedule.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
