"""Parts of a tagger: models with some of their heads."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

import numpy as np

from openmed_ner.errors import RunError
from openmed_ner.inference.backends import Backend
from openmed_ner.tagging import Head
from openmed_ner.tagging.batching import LongArray
from openmed_ner.tagging.heads import FloatArray


@dataclass(frozen=True, slots=True)
class ModelPart:
    """A model and some of its heads.

    Attributes:
        heads: the heads in use, in the order of the outputs.
        backend: engine with the loaded model.
        columns: indices of the outputs that belong to these heads; all if ``None``.
    """

    heads: tuple[Head, ...]
    backend: Backend
    columns: LongArray | None = None

    def has(self, corpora: Container[str]) -> bool:
        """Return true if a head of one of these corpora is among the heads."""
        return any(head.corpus in corpora for head in self.heads)

    def select(self, corpora: Container[str]) -> ModelPart:
        """The same model with the heads of some corpora only."""
        bounds = np.cumsum([0, *(len(head.tags) for head in self.heads)])
        chosen = [index for index, head in enumerate(self.heads) if head.corpus in corpora]
        if len(chosen) == len(self.heads):
            return self
        columns = np.concatenate([np.arange(bounds[index], bounds[index + 1]) for index in chosen])
        return ModelPart(tuple(self.heads[index] for index in chosen), self.backend, columns)

    def run(self, *inputs: LongArray) -> FloatArray:
        """Compute the logits of these heads.

        Raises:
            RunError: the model fails, or its outputs do not belong to the input.
        """
        logits = self.backend.run(*inputs)
        if logits.shape[:-1] != inputs[0].shape:
            raise RunError(
                f"for a batch of {inputs[0].shape}, the model's outputs have shape {logits.shape}; "
                "the bundle is damaged, or was not made by openmed-ner"
            )
        return logits if self.columns is None else logits.take(self.columns, axis=-1)
