"""OpenVINO on the CPU: the same graphs, faster where the processor multiplies bfloat16 or int8 natively.

It needs an extra and is never the default: its results differ from ONNX Runtime's in the last digits, as the
certificate of a bundle for OpenVINO records.
"""

from __future__ import annotations

from io import BytesIO
from queue import SimpleQueue
from typing import Any

import numpy as np

from openmed_ner.errors import BundleError, RunError
from openmed_ner.offline import disable_telemetry
from openmed_ner.tagging.batching import LongArray, find_multiple, name_inputs
from openmed_ner.tagging.heads import FloatArray

disable_telemetry()

import openvino  # noqa: E402

PRECISION = "bf16"
"""Precision of every operation that a graph does not compute in eight bits."""


class OpenVinoBackend:
    """A compiled model with one inference request per worker.

    Attributes:
        reads_any_id: true, for OpenVINO reads zeros for a subword without embedding, and raises nothing.
        multiple: divisor of the lengths that texts are padded to.
    """

    reads_any_id = True

    def __init__(self, model: bytes, *, threads: int = 1, workers: int = 1) -> None:
        """Compile the model.

        Args:
            model: the content of ``model.onnx``.
            threads: number of threads for one batch.
            workers: number of batches that may be run at the same time.

        Raises:
            BundleError: the runtime cannot load the model.
        """
        settings = {
            "INFERENCE_PRECISION_HINT": PRECISION,
            "NUM_STREAMS": workers,
            "INFERENCE_NUM_THREADS": threads * workers,
        }
        try:
            compiled = openvino.Core().compile_model(
                openvino.Core().read_model(BytesIO(model)), "CPU", settings
            )
        except Exception as error:  # the runtime raises bare RuntimeError
            raise BundleError(f"model.onnx cannot be loaded: {error}") from error

        self._inputs = {node.any_name for node in compiled.inputs}
        self.multiple = find_multiple(self._inputs)
        self._requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(workers):
            self._requests.put(compiled.create_infer_request())

    def run(self, *inputs: LongArray) -> FloatArray:
        """Compute logits; see :class:`openmed_ner.inference.backends.Backend`.

        Raises:
            RunError: the runtime fails, for lack of memory or because model and tokenizer do not fit.
        """
        request = self._requests.get()
        try:
            request.start_async(name_inputs(inputs, self._inputs))
            request.wait()  # infer() hides errors, and returns the previous result
            (logits,) = request.results.values()
            return np.array(logits, dtype=np.float32)  # a copy: the request reuses its buffer
        except Exception as error:
            raise RunError(f"OpenVINO failed on a batch of {inputs[0].shape}: {error}") from error
        finally:
            self._requests.put(request)
