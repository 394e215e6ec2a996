"""Write a model as one ONNX graph of standard operators, all heads included."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from openmed_ner.model.tagger import TokenTagger

OPSET = 20
LOGGERS = ("torch.onnx", "onnx_ir", "onnxscript")


def export_onnx(model: TokenTagger) -> bytes:
    """Export a merged model.

    Returns:
        A graph from ``ids``, ``mask`` and, if the model reads a lexicon, ``lexicon_tags``, each int64
        ``(batch, n_subwords)``, to ``logits``, float32 ``(batch, n_subwords, n_tags)``, the heads side by
        side in the order of ``model.heads``.
    """
    # two rows, since torch.export treats a size of 1 as fixed
    ids = torch.ones(2, 16, dtype=torch.int64)
    mask = torch.ones_like(ids)
    mask[1, 8:] = 0
    inputs = {
        "ids": ids,
        "mask": mask,
        **({"lexicon_tags": ids.clone()} if model.lexicon is not None else {}),
    }
    axes = {
        0: torch.export.Dim("batch", max=4096),
        1: torch.export.Dim("n_subwords", min=2, max=model.longest),
    }

    with _quiet_exporter():
        program = torch.onnx.export(
            model.eval(),
            tuple(inputs.values()),
            dynamo=True,  # the older exporter does not take dynamic_shapes
            input_names=[*inputs],
            output_names=["logits"],
            dynamic_shapes=dict.fromkeys(inputs, axes),
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None

    proto = program.model_proto
    proto.doc_string = ""
    for node in proto.graph.node:  # the exporter writes stack traces with paths of this machine
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*proto.graph.value_info, *proto.graph.initializer, *proto.graph.input, *proto.graph.output):
        del value.metadata_props[:]
    del proto.metadata_props[:]
    del proto.graph.metadata_props[:]
    result: bytes = proto.SerializeToString()
    return result


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence the exporter: its warnings concern its own code, and each graph brings hundreds of remarks."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
