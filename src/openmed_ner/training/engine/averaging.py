"""An exponential moving average of the weights under training (Polyak averaging).

Averaged weights lie nearer the middle of the valley that late steps wander in, and often score better than
the last ones. The price is one more copy of what is trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """The average of some parameters; with a decay of 0, the parameters themselves.

    Attributes:
        decay: share of the average that a step leaves in place.
        tensors: the average by name; empty without decay.
    """

    def __init__(self, trained: Mapping[str, nn.Parameter], decay: float) -> None:
        self.decay = decay
        self._trained = dict(trained)
        self.tensors = {name: value.detach().clone() for name, value in trained.items() if decay}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the weights after a step, counted from 1; faster at first, when they change fast."""
        if self.decay:
            decay = min(self.decay, (1 + step) / (10 + step))
            weights = [parameter.detach() for parameter in self._trained.values()]
            torch._foreach_lerp_([self.tensors[name] for name in self._trained], weights, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the model compute with the average for the length of a block."""
        own = {name: self._trained[name].detach().clone() for name in self.tensors}
        self._copy(self.tensors)
        try:
            yield
        finally:
            self._copy(own)

    @torch.no_grad()
    def _copy(self, weights: Mapping[str, Tensor]) -> None:
        for name, value in weights.items():
            self._trained[name].copy_(value)
