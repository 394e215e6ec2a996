"""What can compute a model's logits, behind one small protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from openmed_ner.alignment.batching import LongArray
from openmed_ner.alignment.decoding import FloatArray
from openmed_ner.bundle import Bundle
from openmed_ner.bundle.manifest import MODEL
from openmed_ner.errors import MissingExtraError

__all__ = ["Backend", "load_backends"]


class Backend(Protocol):
    """A loaded model."""

    def run(self, ids: LongArray, mask: LongArray) -> FloatArray:
        """Compute logits: two ``(batch, n_subwords)`` to ``(batch, n_subwords, n_tags)``."""


def load_backends(bundles: Sequence[Bundle], *, threads: int | None = None) -> Sequence[Backend]:
    """Load the models of some bundles: ONNX Runtime for runtime bundles, torch for the others.

    Raises:
        MissingExtraError: a bundle needs torch, which is not installed.
    """
    if all(bundle.manifest.kind == "runtime" for bundle in bundles):
        from openmed_ner.inference.backends.onnx import OnnxBackend

        return [OnnxBackend(bundle.read(MODEL), threads=threads) for bundle in bundles]
    try:
        from openmed_ner.inference.backends.torch import load_torch_backends
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "train") from error
    return load_torch_backends(bundles, threads=threads)
