"""PyTorch on adapter and full bundles: for research, and the reference that exports are held against."""

from __future__ import annotations

import torch

from openmed_ner.alignment.batching import LongArray
from openmed_ner.alignment.decoding import FloatArray
from openmed_ner.bundle import Bundle
from openmed_ner.model.bundles import load_model


class TorchBackend:
    """The model of an adapter or full bundle, in fp32."""

    def __init__(self, bundle: Bundle, *, threads: int | None = None) -> None:
        if threads:
            torch.set_num_threads(threads)
        self._model = load_model(bundle).eval()

    def run(self, ids: LongArray, mask: LongArray) -> FloatArray:
        """Compute logits: two ``(batch, n_subwords)`` to ``(batch, n_subwords, n_tags)``."""
        return self._model.run(ids, mask)
