"""Dropout with cheaper random numbers: a third of torch's cost on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_LEVELS = 1 << 16


class FastDropout(nn.Dropout):
    """``nn.Dropout`` that draws 64 random bits at once and spends 16 on each element.

    On a CPU, torch draws each element by itself, which took a fifth of MiniLM's training step. The share of
    dropped elements is rounded to the nearest 65,536th. On other devices torch's dropout is used.
    """

    def forward(self, input: Tensor) -> Tensor:
        """In training, drop elements and scale up the others; any shape, which is preserved."""
        n_dropped = round(self.p * _LEVELS)
        if not self.training or not 0 < n_dropped < _LEVELS or input.device.type != "cpu":
            return super().forward(input)
        n_draws = -(-input.numel() // 4)
        draws = torch.empty(n_draws, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        retained = draws[: input.numel()].view(input.shape) >= n_dropped - _LEVELS // 2
        return input * retained.to(input.dtype).mul_(_LEVELS / (_LEVELS - n_dropped))


def replace_dropout(module: nn.Module) -> None:
    """Replace each ``nn.Dropout`` inside a module by ``FastDropout``."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                setattr(parent, name, FastDropout(child.p))
