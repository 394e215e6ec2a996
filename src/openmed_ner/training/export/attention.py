"""Attention as one operator of ONNX Runtime, for texts without padding.

Without a mask to add, the operator computes attention in blocks, and never writes down all of its weights
(FlashAttention; Dao et al., 2022). So the new graph has no mask, and all texts of a batch must have the same
length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from openmed_ner.tagging.batching import MASK, LongArray
from openmed_ner.training.export.graphs import DOMAIN, declare_operators, load_graph, remove_unused

TOLERANCE = 1e-3
"""Largest difference of logits, as a share of the largest logit, that is taken for rounding."""


def fuse_attention(proto: ModelProto, windows: Sequence[Mapping[str, LongArray]]) -> ModelProto:
    """Return a graph with its attention in one operator per layer, and without a mask.

    Args:
        proto: an exported graph.
        windows: inputs without padding, on which both graphs are compared.

    Returns:
        The new graph. It is the old one if its attention is of another kind, such as one that looks at
        neighbours only, or adds more than a mask.
    """
    fused = ModelProto()
    fused.CopyFrom(proto)
    _fuse(fused.graph)
    remove_unused(fused.graph)
    if MASK in {value.name for value in fused.graph.input}:
        return proto
    del fused.graph.value_info[:]
    declare_operators(fused)

    run, run_fused = load_graph(proto), load_graph(fused)
    for window in windows:
        (expected,), (logits,) = run(window), run_fused(window)
        if np.abs(logits - expected).max() > TOLERANCE * np.abs(expected).max():
            return proto
    return fused


@dataclass(frozen=True)
class _Attention:
    """An attention: names of queries, keys and values, ``(batch, n_subwords, size)``, and its last node."""

    inputs: tuple[str, str, str]
    n_heads: int
    scale: float
    last: NodeProto


def _fuse(graph: GraphProto) -> None:
    """Replace the last node of each attention by the operator. The others are left without use."""
    fused = {
        attention.last.name: helper.make_node(
            "MultiHeadAttention",
            attention.inputs,
            attention.last.output,
            name=f"{attention.last.name}_attention",
            domain=DOMAIN,
            num_heads=attention.n_heads,
            scale=attention.scale,
        )
        for attention in _Finder(graph).find()
    }
    nodes = [fused.get(node.name, node) for node in graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


class _Finder:
    """Finds attention by its Softmax: products, a scale and a mask before it, a product after it."""

    def __init__(self, graph: GraphProto) -> None:
        self._graph = graph
        self._makers = {output: node for node in graph.node for output in node.output}
        self._users: dict[str, list[NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._users.setdefault(name, []).append(node)
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._shapes = {
            value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
            for value in graph.value_info
        }

    def find(self) -> list[_Attention]:
        """Find every attention of the graph."""
        nodes = [node for node in self._graph.node if node.op_type == "Softmax"]
        return [attention for node in nodes if (attention := self._follow(node)) is not None]

    def _follow(self, softmax: NodeProto) -> _Attention | None:
        """Follow the inputs and the output of a Softmax."""
        added = self._maker(softmax.input[0], "Add")
        scaled = added and self._maker(added.input[0], "Mul")
        product = scaled and self._maker(scaled.input[0], "MatMul")
        result = self._user(softmax.output[0], "MatMul")
        joined = result and self._user(result.output[0], "Transpose")
        last = joined and self._user(joined.output[0], "Reshape")
        if not (scaled and product and result and last and scaled.input[1] in self._constants):
            return None

        heads = (*product.input, result.input[1])
        inputs = tuple(self._before_split(name) for name in heads)
        n_heads = self._shapes.get(product.input[0], [0, 0])[1]
        if not all(inputs) or not n_heads:
            return None
        scale = float(numpy_helper.to_array(self._constants[scaled.input[1]]))
        return _Attention((inputs[0], inputs[1], inputs[2]), n_heads, scale, last)

    def _before_split(self, name: str) -> str:
        """Name of the vectors that were divided among heads, empty if these were made in another way."""
        split = self._maker(name, "Transpose")
        reshaped = split and self._maker(split.input[0], "Reshape")
        return reshaped.input[0] if reshaped else ""

    def _maker(self, name: str, kind: str) -> NodeProto | None:
        node = self._makers.get(name)
        return node if node is not None and node.op_type == kind else None

    def _user(self, name: str, kind: str) -> NodeProto | None:
        """The only node that uses a value, if it is of a kind."""
        users = self._users.get(name, [])
        return users[0] if len(users) == 1 and users[0].op_type == kind else None
