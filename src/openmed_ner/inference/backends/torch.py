"""PyTorch for adapter and full bundles: for research, as the reference for exports, and on GPUs.

On a GPU, the weights of a runtime bundle are computed by torch as well, in bfloat16. Batches have few shapes
there: each padded length always has the same number of rows, the missing ones being copies. A result then
depends on its own window alone, and the GPU reuses its kernels and memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from openmed_ner.bundle import Bundle
from openmed_ner.errors import RunError
from openmed_ner.model.bundles import load_model, load_models, merge_adapter
from openmed_ner.model.devices import find_device
from openmed_ner.model.tagger import TokenTagger, use_fused_attention
from openmed_ner.tagging.batching import MULTIPLE, LongArray
from openmed_ner.tagging.heads import FloatArray

GPU_BUDGET = 16384
"""Subwords of a batch on a GPU."""
GPU_MULTIPLE = 64
"""Divisor of padded lengths on a GPU, which has time to spare but should see few shapes."""


class TorchBackend:
    """A model on a device.

    Attributes:
        multiple: divisor of the lengths that texts are padded to.
        subwords: subwords of every batch, or 0 if batches of any size are as fast.
    """

    def __init__(self, model: TokenTagger, *, dtype: torch.dtype | None = None, subwords: int = 0) -> None:
        """Prepare a model.

        Args:
            model: the model, on its device.
            dtype: data type of matrix products; that of the weights if ``None``.
            subwords: subwords of every batch, which missing rows are added to; 0 adds none.
        """
        self.multiple = GPU_MULTIPLE if subwords else MULTIPLE
        self._model = model
        self._device = next(model.layers.parameters()).device
        self._dtype = dtype
        self.subwords = subwords

    def run(self, *inputs: LongArray) -> FloatArray:
        """Compute logits; see :class:`openmed_ner.inference.backends.Backend`.

        Raises:
            RunError: the GPU has too little memory.
        """
        rows, width = inputs[0].shape
        missing = max(0, self.subwords // width - rows)
        padded = [np.concatenate([array, array[:1].repeat(missing, axis=0)]) for array in inputs]
        enabled = self._dtype is not None
        try:
            # Autocast holds for the thread that enters it, and batches are computed in several.
            with torch.autocast(self._device.type, dtype=self._dtype or torch.bfloat16, enabled=enabled):
                return self._model.run(*padded)[:rows]
        except torch.OutOfMemoryError as error:
            raise RunError(f"the GPU has too little memory for a batch of {padded[0].shape}") from error


def load_torch_backends(
    bundles: Sequence[Bundle], *, threads: int | None = None, device: str = "auto"
) -> list[TorchBackend]:
    """Load the models of some bundles: in fp32 on a processor, in bfloat16 on a GPU.

    Adapters of one backbone share its weights.

    Args:
        bundles: adapter and full bundles, or runtime bundles, whose rounded weights are read back.
        threads: number of threads on a processor; all cores if ``None``.
        device: ``cpu``, ``cuda``, or ``auto``: a GPU if there is one.

    Raises:
        RunError: no GPU is visible.
    """
    place = find_device(device)
    if threads:
        torch.set_num_threads(threads)
    if bundles[0].manifest.kind == "runtime":
        models = [load_model(bundle) for bundle in bundles]
    else:
        models = list(load_models(bundles))
    if place.type == "cpu":
        return [TorchBackend(model) for model in models]

    if len(models) == 1:
        models = [merge_adapter(models[0])]
    for model in models:
        model.to(place)
        use_fused_attention(model.encoder, place)
    dtype = torch.bfloat16 if torch.cuda.is_bf16_supported(False) else torch.float16
    return [TorchBackend(model, dtype=dtype, subwords=GPU_BUDGET) for model in models]
