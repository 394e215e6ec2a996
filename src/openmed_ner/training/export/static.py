"""Static int8 for OpenVINO: weights and activations in eight bits, with scales that are fixed at export.

NNCF moves outliers from activations into weights (SmoothQuant), measures the range of every activation on
sample windows, corrects biases, and writes the scales into the graph. With fixed scales a result does not
depend on the rest of the batch, and processors with int8 products compute such graphs fastest. The heads stay
in fp32.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import onnx

from openmed_ner.errors import require_extra
from openmed_ner.offline import disable_telemetry
from openmed_ner.tagging import WindowReader
from openmed_ner.text import Document
from openmed_ner.training.export.calibration import sample_windows
from openmed_ner.training.export.quantise import name_heads


def quantise_static(model: bytes, documents: Sequence[Document], reader: WindowReader) -> bytes:
    """Return a static int8 version of an exported graph.

    Args:
        model: the graph.
        documents: texts like those to be tagged, to measure ranges on; see
            :func:`openmed_ner.training.export.calibration.sample_windows`.
        reader: window reader of the model.

    Raises:
        InputError: the documents have no text to measure on.
        MissingExtraError: NNCF is not installed.
    """
    batches = sample_windows(documents, reader)
    with _quiet_nncf() as nncf:
        proto = onnx.load_from_string(model)
        quantised = nncf.quantize(
            proto,
            nncf.Dataset(batches),
            subset_size=len(batches),
            model_type=nncf.ModelType.TRANSFORMER,
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(names=name_heads(proto)),
        )
        result: bytes = quantised.SerializeToString()
    return result


@contextmanager
def _quiet_nncf() -> Iterator[Any]:
    """NNCF without its telemetry, progress bars and log messages."""
    disable_telemetry()
    nncf = require_extra("nncf", "quantise")
    nncf.set_log_level(logging.ERROR)
    with Path(os.devnull).open("w") as null, redirect_stdout(null):
        yield nncf
