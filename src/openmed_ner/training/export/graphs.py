"""Small tools for ONNX graphs that are changed at export."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, helper, numpy_helper

from openmed_ner.offline import disable_telemetry
from openmed_ner.tagging.batching import LongArray
from openmed_ner.tagging.heads import FloatArray

DOMAIN = "com.microsoft"
"""Name of ONNX Runtime's own operators."""

RunGraph = Callable[[Mapping[str, LongArray]], list[FloatArray]]
"""A graph: named inputs, of which it takes those that it has, to its outputs."""


def load_graph(proto: ModelProto) -> RunGraph:
    """Load a graph into ONNX Runtime."""
    disable_telemetry()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [node.name for node in session.get_inputs()]

    def run(inputs: Mapping[str, LongArray]) -> list[FloatArray]:
        outputs: list[FloatArray] = session.run(None, {name: inputs[name] for name in names})
        return outputs

    return run


def add_constant(graph: GraphProto, name: str, value: NDArray[np.generic]) -> str:
    """Add a constant to a graph, and return its name."""
    graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
    return name


def declare_operators(proto: ModelProto) -> None:
    """Say that a graph uses ONNX Runtime's own operators."""
    if DOMAIN not in {entry.domain for entry in proto.opset_import}:
        proto.opset_import.append(helper.make_opsetid(DOMAIN, 1))


def remove_unused(graph: GraphProto) -> None:
    """Remove the nodes, constants and inputs that no output depends on."""
    needed = {value.name for value in graph.output}
    nodes = []
    for node in reversed(graph.node):  # makers come before users
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(node.input)
    for field, kept in (
        (graph.node, nodes[::-1]),
        (graph.initializer, [tensor for tensor in graph.initializer if tensor.name in needed]),
        (graph.input, [value for value in graph.input if value.name in needed]),
    ):
        del field[:]
        field.extend(kept)
