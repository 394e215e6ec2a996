"""Eight-bit weights for an exported graph.

Linear layers keep int8 weights with a scale per ``BLOCK`` inputs of each output; ONNX Runtime
quantises the activations of each subword by itself, so a document's result does not depend on what
shares its batch, as it does with per-tensor dynamic quantisation. The word embeddings, half of a
small model, keep one scale per row. Attention products, normalisation and the heads stay in fp32.
"""

from __future__ import annotations

import logging

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

BLOCK = 128
MIN_TABLE = 1 << 20
"""Entries above which a lookup table is worth quantising."""
MIN_OUTPUTS = 32
"""Columns below which a product is a head, or not of constants at all, and stays as it is."""
_ACCURACY_INT8 = 4


def quantise(model: bytes) -> bytes:
    """Return an int8 version of an exported graph."""
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    proto = onnx.load_from_string(model)
    _quantise_tables(proto)
    heads = [
        node.name
        for node in proto.graph.node
        if node.op_type == "MatMul" and _n_outputs(proto, node) < MIN_OUTPUTS
    ]
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
            nodes_to_exclude=heads,
        )
        quantizer.process()
    finally:
        logger.setLevel(level)
    result: bytes = quantizer.model.model.SerializeToString()
    return result


def _n_outputs(proto: ModelProto, node: NodeProto) -> int:
    """Columns of a product's constant factor; 0 if it has none."""
    for initializer in proto.graph.initializer:
        if initializer.name == node.input[1]:
            return int(initializer.dims[-1])
    return 0


def _quantise_tables(proto: ModelProto) -> None:
    """Replace large lookups by int8 rows, each multiplied by its scale."""
    tables = {each.name: each for each in proto.graph.initializer}
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    for node in nodes:
        table = tables.get(node.input[0]) if node.op_type == "Gather" else None
        if table is None or np.prod(table.dims) < MIN_TABLE:
            proto.graph.node.append(node)
            continue
        weights = numpy_helper.to_array(table)
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
