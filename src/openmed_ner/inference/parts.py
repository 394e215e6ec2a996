"""Parts of a tagger: models with some of their heads."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

import numpy as np

from openmed_ner.bundle import Bundle
from openmed_ner.bundle.manifest import TOKENIZER
from openmed_ner.errors import BundleError, RunError
from openmed_ner.inference.backends import Backend
from openmed_ner.tagging import Head, SubwordTokenizer
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
        """Compute the logits of these heads."""
        logits = self.backend.run(*inputs)
        return logits if self.columns is None else logits.take(self.columns, axis=-1)


def read_tokenizer(bundle: Bundle) -> SubwordTokenizer:
    """Read the tokenizer of a bundle.

    Raises:
        BundleError: it cannot be read.
    """
    try:
        content = bundle.read(TOKENIZER).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BundleError(f"{bundle.folder}: {TOKENIZER} is not UTF-8") from error
    return SubwordTokenizer.from_json(content)


def check_outputs(bundle: Bundle, backend: Backend, tokenizer: SubwordTokenizer) -> None:
    """Compute two texts, and compare the shape of the outputs with the tags of the heads.

    The first text is empty, the second has the last subword of the vocabulary, which must have an embedding.

    Raises:
        BundleError: they differ.
        RunError: the model cannot compute it, such as one that does not read the bundle's lexicon.
    """
    n_tags = sum(len(head.tags) for head in bundle.manifest.heads)
    highest = len(tokenizer.vocabulary) - 1
    for text in ([], [tokenizer.unknown, highest, tokenizer.unknown]):
        ids = np.array([[tokenizer.prefix, *text, tokenizer.suffix]], dtype=np.int64)
        lexicon_tags = [np.zeros_like(ids)] if bundle.manifest.lexicon else []
        try:
            shape = backend.run(ids, np.ones_like(ids), *lexicon_tags).shape
        except RunError as error:
            if not text:
                raise
            raise BundleError(f"{bundle.folder}: model and tokenizer do not fit: {error}") from error

        expected = (*ids.shape, n_tags)
        if shape[-1:] != expected[-1:]:
            raise BundleError(
                f"{bundle.folder}: the model has {shape[-1] if shape else 0} outputs, "
                f"its heads have {n_tags} tags"
            )
        if shape != expected:
            raise BundleError(f"{bundle.folder}: the model's outputs have shape {shape}, expected {expected}")
