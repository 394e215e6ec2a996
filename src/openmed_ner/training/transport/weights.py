"""Weights rounded for transport: floats of 16 bits, or whole numbers of 8 bits with a scale for each row.

A rounded backbone stands in for the released one where every parameter is trained or replaced. Its folder
says which release it was made from. An adapter fits the released weights only.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from openmed_ner.bundle import Bundle
from openmed_ner.model.backbones import FILES, ROUNDED, WEIGHTS, weights_sha256
from openmed_ner.publish.cards import attach
from openmed_ner.storage import atomic_path, write_json

WeightFormat = Literal["exact", "bf16", "int8"]
FORMATS: tuple[WeightFormat, ...] = get_args(WeightFormat)
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


def round_backbone(folder: Path, target: Path, form: WeightFormat) -> float:
    """Copy a backbone with rounded weights.

    Args:
        folder: folder of the backbone.
        target: new folder.
        form: format of the weights; ``exact`` copies them.

    Returns:
        Relative error of the weights.
    """
    target.mkdir(parents=True)
    for name in FILES:
        if (folder / name).is_file() and name != WEIGHTS:
            shutil.copyfile(folder / name, target / name)
    if form == "exact":
        shutil.copyfile(folder / WEIGHTS, target / WEIGHTS)
        return 0.0
    tensors, error = round_tensors(load_file(folder / WEIGHTS), form)
    save_file(tensors, target / WEIGHTS, {"format": "pt"})
    write_json(target / ROUNDED, {"sha256": weights_sha256(folder), "format": form, "error": error})
    return error


def expand_backbone(folder: Path) -> None:
    """Restore the weights of a rounded backbone in place, so that transformers can read them."""
    tensors = load_file(folder / WEIGHTS)
    if any(name.endswith(SCALE) for name in tensors):
        with atomic_path(folder / WEIGHTS) as partial:
            save_file(restore_tensors(tensors), partial, {"format": "pt"})


def round_bundle(bundle: Bundle) -> Bundle:
    """Round the weights of a bundle to 16 bits, in place."""
    for path in sorted(bundle.folder.rglob("*.safetensors")):
        tensors, _ = round_tensors(load_file(path), "bf16")
        with atomic_path(path) as partial:
            save_file(tensors, partial)
    return attach(bundle)
