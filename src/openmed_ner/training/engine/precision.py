"""The arithmetic of a run: full precision, or autocast to 16 bits with parameters kept in 32.

bf16 has the range of fp32. fp16 has not: small gradients would become zero, so the loss is multiplied before
the backward pass and the gradients divided after it. The factor is found by trial: a step whose
gradients overflow is left out, and the factor halved.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim import Optimizer

CPU = torch.device("cpu")
logger = logging.getLogger(__name__)


def autocast_dtype(precision: str, device: torch.device = CPU) -> torch.dtype | None:
    """The type of autocast arithmetic on a device, or ``None`` for full precision."""
    if precision == "auto":
        cuda = device.type == "cuda"
        native = torch.cuda.is_bf16_supported(False) if cuda else torch.cpu._is_avx512_bf16_supported()
        return torch.bfloat16 if native else None
    return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)


class Precision:
    """The types a run computes in on a device, and the loss scale that goes with them."""

    def __init__(self, precision: str, device: torch.device) -> None:
        self._device = device.type
        self._dtype = autocast_dtype(precision, device)
        self._scaler = torch.amp.GradScaler(self._device, enabled=self._dtype is torch.float16)

    def autocast(self) -> torch.autocast:
        """Compute a block in the run's types."""
        return torch.autocast(
            self._device, dtype=self._dtype or torch.bfloat16, enabled=self._dtype is not None
        )

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of a loss, scaled where fp16 needs it."""
        self._scaler.scale(loss).backward()

    def unscale(self, optimizer: Optimizer) -> None:
        """Take the scale out of all gradients."""
        self._scaler.unscale_(optimizer)

    def step(self, optimizer: Optimizer) -> None:
        """Let the optimiser step, unless a gradient overflowed."""
        before = self._scaler.get_scale()
        self._scaler.step(optimizer)
        self._scaler.update()
        if self._scaler.get_scale() < before:
            logger.info("gradients overflowed in fp16: the step is left out, the loss scale halved")

    @property
    def state(self) -> dict[str, str]:
        """The loss scale, for a checkpoint; empty where there is none."""
        return {"scale": json.dumps(self._scaler.state_dict())} if self._scaler.is_enabled() else {}

    def restore(self, state: Mapping[str, str]) -> None:
        """Go on with the loss scale of a checkpoint."""
        if self._scaler.is_enabled() and "scale" in state:
            self._scaler.load_state_dict(json.loads(state["scale"]))
