"""Engines that compute a model's logits, behind one small protocol."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

from openmed_ner.bundle import Bundle
from openmed_ner.bundle.manifest import MODEL, RUNTIMES
from openmed_ner.errors import InputError, require_extra
from openmed_ner.tagging.batching import MULTIPLE, LongArray
from openmed_ner.tagging.heads import FloatArray

__all__ = ["Backend", "Workers", "length_multiple", "load_backends", "load_runtime", "usable_cores"]
Workers = int | Literal["auto"] | None
"""Number of batches to compute at the same time; chosen by the number of threads if ``None`` or ``auto``."""


class Backend(Protocol):
    """A loaded model."""

    def run(self, *inputs: LongArray) -> FloatArray:
        """Compute logits.

        Args:
            inputs: subword ids, attention mask and, for a model that reads a lexicon, lexicon tags, each
                ``(batch, n_subwords)``; without the tags, no name was found.

        Returns:
            ``(batch, n_subwords, n_tags)``.
        """


def length_multiple(models: Iterable[Backend]) -> int:
    """Divisor of padded lengths that suits some models. It is 1, for no padding, if one reads none."""
    multiples = [getattr(model, "multiple", MULTIPLE) for model in models]
    return 1 if 1 in multiples else max(multiples)


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux only
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load_backends(
    bundles: Sequence[Bundle],
    *,
    backend: str | None = None,
    threads: int | None = None,
    workers: Workers = None,
    device: str = "auto",
) -> tuple[Sequence[Backend], int]:
    """Load the models of some bundles: torch for adapter and full ones, one of ``RUNTIMES`` for the others.

    On a GPU, torch also computes runtime bundles, unless a backend is named.

    Args:
        bundles: all of them runtime bundles, or none.
        backend: engine for runtime bundles, one of ``RUNTIMES``; the one they were certified with if
            ``None``.
        threads: number of threads in all; one for every core this process may use if ``None``.
        workers: number of batches to compute at the same time, among which the threads are divided. By
            default, and with ``auto``, one per thread: a thread that shares no batch never waits for another.
            Torch computes one.
        device: ``cpu``, ``cuda``, or ``auto``: a GPU for adapter and full bundles if there is one, and the
            processor for runtime bundles, which are made for it.

    Returns:
        The models, and the number of batches that may be computed at the same time.

    Raises:
        InputError: there are more workers than threads, or the backend is unknown or cannot take such
            bundles or the device.
        RunError: no GPU is visible.
        MissingExtraError: torch or OpenVINO is needed, and not installed.
    """
    if backend is not None and backend not in RUNTIMES:
        raise InputError(f"unknown backend {backend!r}; known: {', '.join(RUNTIMES)}")
    if backend == "openvino" and device == "cuda":
        raise InputError("openvino does not compute on CUDA devices; leave out the backend, or the device")
    is_runtime = bundles[0].manifest.kind == "runtime"
    if not is_runtime and backend is not None:
        raise InputError(f"{backend} computes runtime bundles; make one with: openmed-ner bundles export")
    if not is_runtime or (device == "cuda" and backend is None):
        engine = require_extra("openmed_ner.inference.backends.torch", "train")
        return engine.load_torch_backends(bundles, threads=threads, device=device), 1

    threads = usable_cores() if threads is None else threads

    def load(bundle: Bundle, workers: int) -> Backend:
        model, runtime = bundle.read(MODEL), backend or bundle.manifest.backend
        return load_runtime(model, runtime, threads=threads // workers, workers=workers, device=device)

    if workers is None or workers == "auto":
        workers = threads  # faster than one batch for all threads (docs/performance.md)
    if not 1 <= workers <= threads:
        raise InputError(f"{workers} workers on {threads} threads: expected at least one thread for each")
    return [load(bundle, workers) for bundle in bundles], workers


def start_runtime(backend: str) -> None:
    """Import a runtime and try the processor, if it takes long and another thread has work for the time."""
    if backend == "onnxruntime":
        from openmed_ner.inference.backends.onnx import overflows

        overflows()


def load_runtime(
    model: bytes, backend: str, *, threads: int = 1, workers: int = 1, device: str = "cpu"
) -> Backend:
    """Load a graph.

    Args:
        model: the content of ``model.onnx``.
        backend: engine, one of ``RUNTIMES``.
        threads: number of threads for one batch.
        workers: number of batches that may be run at the same time.
        device: ``cuda`` for a GPU, which ONNX Runtime alone computes on.

    Raises:
        BundleError: the graph cannot be loaded.
        MissingExtraError: OpenVINO is not installed.
    """
    if backend == "onnxruntime":
        from openmed_ner.inference.backends.onnx import OnnxBackend

        return OnnxBackend(model, threads=threads, device=device)
    engine = require_extra("openmed_ner.inference.backends.openvino", "openvino")
    backend_model: Backend = engine.OpenVinoBackend(model, threads=threads, workers=workers)
    return backend_model
