"""What a run optimises, as the loop sees it: batches, their loss, and a score on held-out data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from torch import Tensor, nn

Batch = TypeVar("Batch")


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss of one batch.

    Attributes:
        mean: over the targets, a scalar.
        n_targets: how many predictions the mean is over.
        n_subwords: subwords read, without padding.
    """

    mean: Tensor
    n_targets: int
    n_subwords: int


class Objective(Protocol[Batch]):
    """What a run optimises."""

    @property
    def model(self) -> nn.Module:
        """What is trained."""

    def batches(self, epoch: int) -> Sequence[Batch]:
        """The batches of an epoch, in order; the same for the same epoch."""

    def loss(self, batch: Batch) -> Loss:
        """The loss of one batch."""

    def evaluate(self) -> Mapping[str, float]:
        """Scores on held-out data; ``score`` is the one to maximise. If there are none, the last counts."""
