"""Interface between the training loop and an objective: batches, their loss, and a held-out score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Batch = TypeVar("Batch")


@dataclass(frozen=True, slots=True)
class Loss:
    """Loss of one batch.

    Attributes:
        mean: mean over the targets, a scalar.
        n_targets: number of predictions in the mean.
        n_subwords: number of subwords read, without padding.
    """

    mean: Tensor
    n_targets: int
    n_subwords: int


class Objective(Protocol[Batch]):
    """Function to minimise, and the data it is computed on."""

    @property
    def model(self) -> nn.Module:
        """The model to train."""

    def batches(self, epoch: int) -> Sequence[Batch]:
        """The batches of an epoch, in order; the same for the same epoch."""

    def prepare(self, batches: Sequence[Batch]) -> None:
        """Prepare the losses of the next batches together; called before the first of them."""

    def loss(self, batch: Batch) -> Loss:
        """The loss of one batch."""

    def evaluate(self) -> Mapping[str, float]:
        """Scores on held-out data; ``score`` is maximised. If empty, the last epoch is the best."""


def to_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """Copy an array to a device; to a GPU without waiting, from memory that it reads itself."""
    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
