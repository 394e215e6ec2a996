"""What can compute a model's logits, behind one small protocol."""

from __future__ import annotations

from typing import Protocol

from openmed_ner.alignment.batching import LongArray
from openmed_ner.alignment.decoding import FloatArray
from openmed_ner.bundle import Bundle
from openmed_ner.bundle.manifest import MODEL
from openmed_ner.errors import MissingExtraError

__all__ = ["Backend", "load_backend"]


class Backend(Protocol):
    """A loaded model."""

    def run(self, ids: LongArray, mask: LongArray) -> FloatArray:
        """Compute logits: two ``(batch, n_subwords)`` to ``(batch, n_subwords, n_tags)``."""


def load_backend(bundle: Bundle, *, threads: int | None = None) -> Backend:
    """Load the model of a bundle: ONNX Runtime for a runtime bundle, torch for the others.

    Raises:
        MissingExtraError: the bundle needs torch, which is not installed.
    """
    if bundle.manifest.kind == "runtime":
        from openmed_ner.inference.backends.onnx import OnnxBackend

        return OnnxBackend(bundle.read(MODEL), threads=threads)
    try:
        from openmed_ner.inference.backends.torch import TorchBackend
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "train") from error
    return TorchBackend(bundle, threads=threads)
