"""Weights rounded to floats of 16 bits, or to whole numbers of 8 bits with a scale for each row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

WeightFormat = Literal["exact", "bf16", "int8"]
SCALE = "|scale"
"""Suffix of the name of a tensor of scales."""
_LEAST = 127 * torch.finfo(torch.float32).tiny
"""Least magnitude of a row's largest weight, below which weights become 0."""


def round_tensors(tensors: Mapping[str, Tensor], form: WeightFormat) -> tuple[dict[str, Tensor], float]:
    """Round tensors of floats.

    Args:
        tensors: tensors by name; others than floats stay as they are.
        form: ``bf16``; ``int8``, in which vectors stay exact; or ``exact``.

    Returns:
        The rounded tensors, and the root mean square of the error, relative to that of the weights.
    """
    rounded: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if form == "exact" or not value.is_floating_point():
            rounded[name] = value
        elif form == "bf16":
            rounded[name] = value.to(torch.bfloat16)
        elif value.ndim < 2:
            rounded[name] = value
        else:
            rows = value.float().flatten(1)
            # A row of zeros has a scale, too, and no scale is so small that it is rounded away.
            scale = rows.abs().amax(dim=1, keepdim=True).clamp(min=_LEAST) / 127
            rounded[name] = (rows / scale).round().to(torch.int8).view(value.shape)
            rounded[name + SCALE] = scale.flatten()

    restored = restore_tensors(rounded)
    floats = [name for name, value in tensors.items() if value.is_floating_point()]
    error = sum(float((restored[name] - tensors[name].float()).square().sum()) for name in floats)
    size = sum(float(tensors[name].float().square().sum()) for name in floats)
    return rounded, math.sqrt(error / size) if size else 0.0


def restore_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert rounded tensors to floats of 32 bits."""
    restored = {}
    for name, value in tensors.items():
        if name.endswith(SCALE):
            continue
        restored[name] = value.float() if value.is_floating_point() else value
        if (scale := tensors.get(name + SCALE)) is not None:
            restored[name] = value.float() * scale.view(-1, *[1] * (value.ndim - 1))
    return restored
