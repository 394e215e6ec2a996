"""ONNX Runtime: the default engine, which does not need torch. It computes on a GPU if it has a provider."""

from __future__ import annotations

import functools

import numpy as np

from openmed_ner.data import read_overflow_graph
from openmed_ner.errors import BundleError, RunError
from openmed_ner.offline import disable_telemetry
from openmed_ner.tagging.batching import INPUTS, LongArray, find_multiple, name_inputs
from openmed_ner.tagging.heads import FloatArray

disable_telemetry()

import onnxruntime  # noqa: E402

CUDA = "CUDAExecutionProvider"
SLOW_FUSIONS = ("SkipLayerNormFusion", "BiasGeluFusion")
"""Optimisations that take longer than what they replace on a processor; a GPU gains by them."""


@functools.cache
def overflows() -> bool:
    """Try whether this processor adds up products of eight-bit integers in 16 bits, which are too few.

    x86 processors without VNNI do. ONNX Runtime then has slower products that are exact.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # further threads would take longer to start than the graph to compute
    session = onnxruntime.InferenceSession(read_overflow_graph(), options, providers=["CPUExecutionProvider"])
    inputs = np.full((8, 4), 255, dtype=np.uint8)
    (sums,) = session.run(["sums"], {"inputs": inputs})
    return bool((sums != 4 * 255 * 127).any())


class OnnxBackend:
    """A session for a model in memory, so that the model cannot load other files.

    Attributes:
        multiple: divisor of the lengths that texts are padded to.
    """

    def __init__(self, model: bytes, *, threads: int = 1, device: str = "cpu") -> None:
        """Create the session.

        Args:
            model: the content of ``model.onnx``.
            threads: number of threads for one batch. Batches may be run from several threads at once.
            device: ``cpu`` or ``cuda``.

        Raises:
            RunError: the runtime was installed without its provider for GPUs.
            BundleError: the runtime cannot load the model.
        """
        providers = ["CPUExecutionProvider"]
        if device == "cuda":
            providers.insert(0, CUDA)
            if CUDA not in (available := onnxruntime.get_available_providers()):
                raise RunError(
                    f"this ONNX Runtime computes with {', '.join(available)}; for a GPU, install "
                    "onnxruntime-gpu in its place, or leave out the backend: torch computes the bundle then"
                )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # The graph is nearly a chain, so its operators cannot run side by side.
        options.inter_op_num_threads = 1
        # Errors are raised as well, and the log would print them a second time.
        options.log_severity_level = 4
        if overflows():
            options.add_session_config_entry("session.x64quantprecision", "1")
        try:
            self._session = onnxruntime.InferenceSession(
                model,
                options,
                providers=providers,
                disabled_optimizers=None if device == "cuda" else SLOW_FUSIONS,
            )
        except Exception as error:  # the runtime's exceptions have no public base
            raise BundleError(f"model.onnx cannot be loaded: {error}") from error

        inputs = {node.name for node in self._session.get_inputs()}
        outputs = {node.name for node in self._session.get_outputs()}
        if not {"ids"} <= inputs <= {*INPUTS} or outputs != {"logits"}:
            raise BundleError(
                f"model.onnx maps {', '.join(sorted(inputs))} to {', '.join(sorted(outputs))}; "
                "expected ids to logits, perhaps also mask and lexicon_tags"
            )
        self._inputs = inputs
        self.multiple = find_multiple(inputs)

    def run(self, *inputs: LongArray) -> FloatArray:
        """Compute logits; see :class:`openmed_ner.inference.backends.Backend`.

        Raises:
            RunError: the runtime fails, for lack of memory or because model and tokenizer do not fit.
        """
        try:
            (logits,) = self._session.run(["logits"], name_inputs(inputs, self._inputs))
            result: FloatArray = np.asarray(logits, dtype=np.float32)
        except Exception as error:
            raise RunError(f"ONNX Runtime failed on a batch of {inputs[0].shape}: {error}") from error
        return result
