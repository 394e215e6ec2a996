"""Read the weights of an exported graph back, by the names they have in torch.

So a published model can be trained further, or teach another, where only its ONNX graph was kept. Weights of
fp32 are those of the original to the last bit; those of int8 are as they were rounded. Linear layers without
biases, as ModernBERT's, are not found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper
from torch import Tensor

INT8, SCALES = "_int8", "_scales"
"""Endings of the two parts of a table of int8 rows, each multiplied by its scale."""
_ZERO = 128
"""What stands for 0 in blocks of int8 weights, as ONNX Runtime keeps them."""

Array = NDArray[Any]


def read_weights(content: bytes) -> dict[str, Tensor]:
    """The weights of a graph that :func:`openmed_ner.training.export.onnx.export_onnx` wrote, int8 or not.

    Biases, tables and normalisation keep their names in a graph, the matrix of a linear layer does not: it is
    the one whose product the layer's bias is added to.

    Returns:
        Tensors in fp32 by their names in the model's ``state_dict``; what has no name there is left out.
    """
    graph = onnx.load_from_string(content).graph
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    found = {name: value for name, value in constants.items() if name.endswith((".weight", ".bias"))}
    for name in constants:
        if name.endswith(INT8):
            table = name.removesuffix(INT8)
            found[table] = constants[name].astype(np.float32) * constants[table + SCALES]
    for node in graph.node:
        bias = next((name for name in node.input if name.endswith(".bias")), "")
        product = next((makers[name] for name in node.input if name in makers), None)
        if node.op_type == "Add" and bias and product is not None:
            matrix = _read_matrix(product, constants)
            if matrix is not None:
                found[bias.removesuffix("bias") + "weight"] = matrix
    return {name: torch.from_numpy(np.array(value, order="C")) for name, value in found.items()}


def _read_matrix(product: NodeProto, constants: Mapping[str, Array]) -> Array | None:
    """The weights of a linear layer, ``(n_outputs, n_inputs)``, of the node that multiplies by them."""
    if product.op_type == "MatMul" and product.input[1] in constants:
        return constants[product.input[1]].T
    if product.op_type != "MatMulNBits":
        return None
    n_inputs = next(each.i for each in product.attribute if each.name == "K")
    blocks, scales = (constants[name] for name in product.input[1:3])
    rounded: Array = (blocks.astype(np.float32) - _ZERO) * scales.reshape(*blocks.shape[:2], 1)
    return rounded.reshape(len(blocks), -1)[:, :n_inputs]
