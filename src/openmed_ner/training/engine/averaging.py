"""Exponential moving average of the weights during training (Polyak averaging).

Averaged weights lie nearer the middle of the valley that late steps wander in, and often score better than
the last ones. They cost one more copy of the trained weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Moving average of some parameters; with a decay of 0, the parameters themselves.

    Attributes:
        decay: share of the average that a step leaves in place.
        tensors: averages by parameter name; empty without decay.
    """

    def __init__(self, trained: Mapping[str, nn.Parameter], decay: float) -> None:
        self.decay = decay
        self._trained = dict(trained)
        self.tensors = {name: value.detach().clone() for name, value in trained.items() if decay}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the weights after a step, counted from 1."""
        if self.decay:
            # A shorter memory at first: early weights change fast, and the initial ones should be forgotten.
            decay = min(self.decay, (1 + step) / (10 + step))
            weights = [parameter.detach() for parameter in self._trained.values()]
            torch._foreach_lerp_([self.tensors[name] for name in self._trained], weights, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Replace the model's weights by the average for the length of a block."""
        weights = {name: self._trained[name].detach().clone() for name in self.tensors}
        self._copy(self.tensors)
        try:
            yield
        finally:
            self._copy(weights)

    @torch.no_grad()
    def _copy(self, weights: Mapping[str, Tensor]) -> None:
        for name, value in weights.items():
            self._trained[name].copy_(value)
