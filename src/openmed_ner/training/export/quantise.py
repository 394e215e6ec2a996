"""Eight-bit weights for an exported graph.

Linear layers have int8 weights with a scale per ``BLOCK`` inputs of each output. ONNX Runtime quantises the
activations of each subword by itself, so a document's result does not depend on the rest of its batch, as it
does with per-tensor dynamic quantisation. The word embeddings, half of a small model, have one scale per row.
Attention products, normalisation and the heads stay in fp32.
"""

from __future__ import annotations

import logging

import numpy as np
import onnx
from onnx import ModelProto, helper, numpy_helper

from openmed_ner.offline import disable_telemetry

BLOCK = 64
"""Inputs that share a scale. 128 agrees less with fp32 on dev; 32 costs more time than it gains."""
MIN_TABLE = 1 << 20
"""Entries above which a lookup table is worth quantising."""
_ACCURACY_INT8 = 4


def quantise(model: bytes) -> bytes:
    """Return an int8 version of an exported graph."""
    disable_telemetry()
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    proto = onnx.load_from_string(model)
    quantise_tables(proto)

    # it logs every node that it replaces or leaves alone
    logger = logging.getLogger("onnxruntime.quantization.matmul_nbits_quantizer")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        quantizer = MatMulNBitsQuantizer(
            proto,
            bits=8,
            block_size=BLOCK,
            is_symmetric=True,
            accuracy_level=_ACCURACY_INT8,
            nodes_to_exclude=name_heads(proto),
        )
        quantizer.process()
    finally:
        logger.setLevel(level)

    result: bytes = quantizer.model.model.SerializeToString()
    return result


def name_heads(proto: ModelProto) -> list[str]:
    """Names of the last matrix products before the output, one per head."""
    producers = {output: node for node in proto.graph.node for output in node.output}
    names, heads, seen = [output.name for output in proto.graph.output], [], set()
    while names:
        node = producers.get(names.pop())
        if node is None or node.name in seen:
            continue
        seen.add(node.name)
        if node.op_type == "MatMul":
            heads.append(node.name)
        else:
            names += node.input
    return sorted(heads)


def quantise_tables(proto: ModelProto) -> None:
    """Replace large lookups by int8 rows, each multiplied by its scale."""
    tables = {initializer.name: initializer for initializer in proto.graph.initializer}
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    for node in nodes:
        table = tables.get(node.input[0]) if node.op_type == "Gather" else None
        if table is None or np.prod(table.dims) < MIN_TABLE:
            proto.graph.node.append(node)
            continue

        weights = numpy_helper.to_array(table)
        # rows of zeros, such as unused subwords, must not divide by zero
        scales = np.maximum(np.abs(weights).max(axis=1, keepdims=True), 1e-12).astype(np.float32) / 127
        rows = np.round(weights / scales).astype(np.int8)

        name, (_, ids), output = table.name, node.input, node.output[0]
        proto.graph.initializer.remove(table)
        proto.graph.initializer.append(numpy_helper.from_array(rows, f"{name}_int8"))
        proto.graph.initializer.append(numpy_helper.from_array(scales, f"{name}_scales"))
        proto.graph.node.extend(
            [
                helper.make_node("Gather", [f"{name}_int8", ids], [f"{output}_int8"]),
                helper.make_node("Cast", [f"{output}_int8"], [f"{output}_rows"], to=onnx.TensorProto.FLOAT),
                helper.make_node("Gather", [f"{name}_scales", ids], [f"{output}_scales"]),
                helper.make_node("Mul", [f"{output}_rows", f"{output}_scales"], [output]),
            ]
        )
