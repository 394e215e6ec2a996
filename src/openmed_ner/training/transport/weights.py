"""Weights rounded for transport, see :mod:`openmed_ner.model.rounding`.

A rounded backbone replaces the released one where every parameter is trained or replaced. Its folder names
the release that it was made from. An adapter may be trained on weights of 16 bits, since arithmetic in 16
bits rounds the released ones in the same way, but not on weights of 8 bits.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import get_args

from safetensors.torch import load_file, save_file

from openmed_ner.bundle import Bundle
from openmed_ner.model.backbones import FILES, ROUNDED, WEIGHTS, weights_sha256
from openmed_ner.model.bundles import ENCODER
from openmed_ner.model.rounding import SCALE, WeightFormat, restore_tensors, round_tensors
from openmed_ner.publish.cards import attach
from openmed_ner.storage import atomic_path, write_json

FORMATS: tuple[WeightFormat, ...] = get_args(WeightFormat)


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


def round_bundle(bundle: Bundle, form: WeightFormat) -> Bundle:
    """Round the weights of a bundle in place.

    Args:
        bundle: a bundle of torch weights.
        form: format of a whole encoder. Adapters, heads and lexicon tags have 16 bits at least.
    """
    for path in sorted(bundle.folder.rglob("*.safetensors")):
        rounded, _ = round_tensors(load_file(path), form if path.name == ENCODER else "bf16")
        with atomic_path(path) as partial:
            save_file(rounded, partial)
    return attach(bundle)
