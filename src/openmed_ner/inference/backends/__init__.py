"""What can compute a model's logits, behind one small protocol."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol

from openmed_ner.alignment.batching import LongArray
from openmed_ner.alignment.decoding import FloatArray
from openmed_ner.bundle import Bundle
from openmed_ner.bundle.manifest import MODEL
from openmed_ner.errors import InputError, MissingExtraError

__all__ = ["Backend", "load_backends", "usable_cores"]


class Backend(Protocol):
    """A loaded model."""

    def run(self, ids: LongArray, mask: LongArray) -> FloatArray:
        """Compute logits: two ``(batch, n_subwords)`` to ``(batch, n_subwords, n_tags)``."""


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load_backends(
    bundles: Sequence[Bundle], *, threads: int | None = None, workers: int | None = None
) -> tuple[Sequence[Backend], int]:
    """Load the models of some bundles: ONNX Runtime for runtime bundles, torch for the others.

    Args:
        bundles: all of them runtime bundles, or none.
        threads: to use in all; one for every core this process may use if ``None``.
        workers: batches to compute at the same time, among which the threads are divided. By default as
            many as threads: a thread that shares no batch never waits for another. Torch computes one.

    Returns:
        The models, and how many batches may be computed at the same time.

    Raises:
        InputError: there are more workers than threads.
        MissingExtraError: a bundle needs torch, which is not installed.
    """
    if bundles[0].manifest.kind != "runtime":
        try:
            from openmed_ner.inference.backends.torch import load_torch_backends
        except ModuleNotFoundError as error:
            raise MissingExtraError(str(error.name), "train") from error
        return load_torch_backends(bundles, threads=threads), 1
    from openmed_ner.inference.backends.onnx import OnnxBackend

    threads = usable_cores() if threads is None else threads
    workers = threads if workers is None else workers
    if not 1 <= workers <= threads:
        raise InputError(f"{workers} workers on {threads} threads: expected at least one thread for each")
    return [OnnxBackend(bundle.read(MODEL), threads=threads // workers) for bundle in bundles], workers
