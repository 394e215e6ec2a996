"""Arithmetic of a run: full precision, or 16-bit autocast with parameters kept in 32 bits.

bf16 has the range of fp32. fp16 does not: small gradients would become zero, so the loss is multiplied by a
scale before the backward pass and the gradients are divided by it afterwards. A step with overflowing
gradients is skipped and the scale halved (Micikevicius et al., 2018, arXiv 1710.03740).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim import Optimizer

from openmed_ner.model.devices import CPU

logger = logging.getLogger(__name__)


def autocast_dtype(precision: str, device: torch.device = CPU) -> torch.dtype | None:
    """Data type of autocast on a device; ``None`` for full precision."""
    if precision == "auto":
        cuda = device.type == "cuda"
        # Emulated bf16 is slower than fp32, so only native support counts.
        native = torch.cuda.is_bf16_supported(False) if cuda else torch.cpu._is_avx512_bf16_supported()
        return torch.bfloat16 if native else None
    return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)


class Precision:
    """Data types of a run on a device, and the loss scale that fp16 needs."""

    def __init__(self, precision: str, device: torch.device) -> None:
        self._device = device.type
        self._dtype = autocast_dtype(precision, device)
        self._scaler = torch.amp.GradScaler(self._device, enabled=self._dtype is torch.float16)

    def autocast(self) -> torch.autocast:
        """Compute a block in the run's data types."""
        return torch.autocast(
            self._device, dtype=self._dtype or torch.bfloat16, enabled=self._dtype is not None
        )

    def backward(self, loss: Tensor) -> None:
        """Accumulate the gradients of a loss, scaled in fp16."""
        self._scaler.scale(loss).backward()

    def unscale(self, optimizer: Optimizer) -> None:
        """Divide all gradients by the loss scale."""
        self._scaler.unscale_(optimizer)

    def step(self, optimizer: Optimizer) -> None:
        """Make an optimiser step, unless a gradient overflowed."""
        before = self._scaler.get_scale()
        self._scaler.step(optimizer)
        self._scaler.update()
        if self._scaler.get_scale() < before:
            logger.info("fp16 gradients overflowed: step skipped, loss scale halved")

    @property
    def state(self) -> dict[str, str]:
        """Loss scale, for a checkpoint; empty without one."""
        return {"scale": json.dumps(self._scaler.state_dict())} if self._scaler.is_enabled() else {}

    def restore(self, state: Mapping[str, str]) -> None:
        """Continue with the loss scale of a checkpoint."""
        if self._scaler.is_enabled() and "scale" in state:
            self._scaler.load_state_dict(json.loads(state["scale"]))
