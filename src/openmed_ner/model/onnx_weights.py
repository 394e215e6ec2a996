"""Read the weights of an exported graph, by their names in torch.

A published model can then be trained further, or be a teacher, even if only its ONNX graph is available.
fp32 weights equal the original to the last bit; int8 weights are the rounded ones. Linear layers without
biases, such as ModernBERT's, are not found.
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
"""Endings of the two parts of a table: int8 rows, and the scale of each row."""
ROUNDED = "_uint8"
"""Ending of the inputs of products of integers, after the name of what was rounded."""
CENTRES, FACTORS = "_centres", "_factors"
"""Endings of what is subtracted from inputs before they are rounded, and of what multiplies them then."""
OUTLIERS, EXACT = "_outliers", ".exact"
"""Endings of the inputs that stay in fp32 beside products of integers, and of their weights."""
_ZERO = 128
"""Value of 0 in ONNX Runtime's blocks of int8 weights."""

Array = NDArray[Any]


def read_weights(content: bytes) -> dict[str, Tensor]:
    """Read a graph written by :func:`openmed_ner.training.export.onnx.export_onnx`, quantised or not.

    Biases, tables and normalisation keep their names in a graph. The matrix of a linear layer does not: it is
    found as the factor of the product to which the layer's bias is added. A product of integers has the name
    of its layer.

    Returns:
        Tensors in fp32 by their names in the model's ``state_dict``; constants without such a name are left
        out.
    """
    graph = onnx.load_from_string(content).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    weights = {name: value for name, value in constants.items() if name.endswith((".weight", ".bias"))}

    for name in constants:
        if name.endswith(INT8):
            table = name.removesuffix(INT8)
            weights[table] = constants[name].astype(np.float32) * constants[table + SCALES]

    for node in graph.node:
        if node.op_type == "MatMulIntegerToFloat":
            layer, names = _read_integers(node, constants), (f"{node.name}.weight", f"{node.name}.bias")
            weights.update(zip(names, layer, strict=True))
            continue
        bias = next((name for name in node.input if name.endswith(".bias")), "")
        product = next((makers[name] for name in node.input if name in makers), None)
        if node.op_type == "Add" and bias and product is not None:
            matrix = _read_matrix(product, constants)
            if matrix is not None:
                weights[bias.removesuffix("bias") + "weight"] = matrix

    return {name: torch.from_numpy(np.array(value, order="C")) for name, value in weights.items()}


def _read_matrix(product: NodeProto, constants: Mapping[str, Array]) -> Array | None:
    """Read the weights of a linear layer, ``(n_outputs, n_inputs)``, from its product."""
    if product.op_type == "MatMul" and product.input[1] in constants:
        return constants[product.input[1]].T  # torch stores the transpose
    if product.op_type != "MatMulNBits":
        return None
    n_inputs = next(attribute.i for attribute in product.attribute if attribute.name == "K")
    blocks, scales = (constants[name] for name in product.input[1:3])
    rounded: Array = (blocks.astype(np.float32) - _ZERO) * scales.reshape(*blocks.shape[:2], 1)
    return rounded.reshape(len(blocks), -1)[:, :n_inputs]


def _read_integers(product: NodeProto, constants: Mapping[str, Array]) -> tuple[Array, Array]:
    """Read the weights of a linear layer, ``(n_outputs, n_inputs)``, and its bias."""
    source = product.input[0].removesuffix(ROUNDED)
    weights, bias = constants[product.input[1]] * constants[product.input[3]], constants[product.input[-1]]
    if (factors := constants.get(source + FACTORS)) is not None:
        weights *= factors[:, np.newaxis]
        bias = bias - constants[source + CENTRES] @ weights
    if (outliers := constants.get(source + OUTLIERS)) is not None:
        weights[outliers] = constants[product.name + EXACT]
    return weights.T, bias
