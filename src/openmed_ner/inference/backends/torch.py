"""PyTorch for adapter and full bundles: for research, and as the reference for exports."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from openmed_ner.bundle import Bundle
from openmed_ner.model.bundles import load_models
from openmed_ner.model.tagger import TokenTagger


def load_torch_backends(bundles: Sequence[Bundle], *, threads: int | None = None) -> list[TokenTagger]:
    """Load the models of adapter and full bundles, in fp32, on a GPU if there is one.

    Adapters of one backbone share its weights.
    """
    if threads:
        torch.set_num_threads(threads)
    models = list(load_models(bundles))
    if torch.cuda.is_available():
        for model in models:
            model.to("cuda")
    return models
