"""Products of eight-bit integers with fixed scales, for ONNX Runtime.

The inputs of a linear layer are rounded to 256 steps, of a size that is fixed on sample texts. So a result
does not depend on the rest of the batch, and processors multiply integers fastest. A few inputs are far
larger than the others, and would make the steps large. They stay in fp32, as in LLM.int8() (Dettmers et al.,
2022). The mean loss on the sample texts is added to the biases.

Weights have eight bits and a scale per output. Attention, normalisation and the heads stay in fp32.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from openmed_ner.model.onnx_weights import EXACT, OUTLIERS
from openmed_ner.offline import disable_telemetry
from openmed_ner.tagging import WindowReader
from openmed_ner.tagging.batching import LongArray
from openmed_ner.tagging.heads import FloatArray
from openmed_ner.text import Document
from openmed_ner.training.export.calibration import sample_windows
from openmed_ner.training.export.quantise import name_heads, quantise_tables

INPUTS_PER_OUTLIER = 32
"""One of so many inputs of a layer stays in fp32, the largest ones."""
SHARES = (1.0, 0.9, 0.8, 0.7)
"""Shares of the range to try: a narrower range has smaller steps, and cuts off more values."""
N_ROWS = 4
"""Subwords of each window whose activations are kept, to measure errors on."""
DOMAIN = "com.microsoft"
_STEPS = 255
_MAX_WEIGHT = 127

IntArray = NDArray[np.int64]


@dataclass
class Sample:
    """Activations that were seen on the sample texts.

    Attributes:
        low: least value of each input, ``(n_inputs,)``.
        high: largest value of each input, ``(n_inputs,)``.
        rows: some of the activations, ``(n_rows, n_inputs)``.
    """

    low: FloatArray
    high: FloatArray
    rows: FloatArray


@dataclass(frozen=True)
class Rounding:
    """How the inputs of a layer are rounded: ``round(input / scale) + zero``, from 0 to 255.

    Attributes:
        outliers: indices of the inputs that stay in fp32, ``(n_outliers,)``.
        scale: size of a step.
        zero: step that stands for 0.
    """

    outliers: IntArray
    scale: float
    zero: int

    def round(self, rows: FloatArray) -> FloatArray:
        """Round activations, ``(n_rows, n_inputs)``, and return the values that the steps stand for."""
        steps = np.clip(np.round(rows / self.scale) + self.zero, 0, _STEPS)
        values: FloatArray = ((steps - self.zero) * self.scale).astype(np.float32)
        return values

    def round_weights(self, weights: FloatArray) -> tuple[NDArray[np.int8], FloatArray]:
        """Round weights, ``(n_inputs, n_outputs)``, to int8 and a scale per output; outliers become 0."""
        kept = weights.copy()
        kept[self.outliers] = 0
        scales = np.maximum(np.abs(kept).max(axis=0), 1e-12) / _MAX_WEIGHT
        return np.round(kept / scales).astype(np.int8), scales.astype(np.float32)

    def multiply(self, rows: FloatArray, weights: FloatArray) -> FloatArray:
        """Multiply activations and weights as the graph will, ``(n_rows, n_outputs)``."""
        rounded, scales = self.round_weights(weights)
        exact = rows[:, self.outliers] @ weights[self.outliers]
        result: FloatArray = self.round(rows) @ (rounded * scales) + exact
        return result


def quantise_integer(model: bytes, documents: Sequence[Document], reader: WindowReader) -> bytes:
    """Return a version of an exported graph whose linear layers multiply integers.

    Args:
        model: the graph.
        documents: texts like those to be tagged, to measure activations on; see
            :func:`openmed_ner.training.export.calibration.sample_windows`.
        reader: window reader of the model.

    Raises:
        InputError: the documents have no text to measure on.
    """
    proto = onnx.load_from_string(model)
    layers = _find_layers(proto)
    samples = _observe(proto, list(layers), sample_windows(documents, reader))
    quantise_tables(proto)
    _replace_layers(proto, layers, samples)
    result: bytes = proto.SerializeToString()
    return result


def choose_rounding(sample: Sample, weights: FloatArray) -> Rounding:
    """Choose how to round the inputs of the layers with some weights.

    Args:
        sample: their activations on sample texts.
        weights: weights of all layers that have these inputs, ``(n_inputs, n_outputs)``.

    Returns:
        The rounding with the least error of the products on the rows of the sample.
    """
    expected = sample.rows @ weights

    def measure(rounding: Rounding) -> float:
        error = rounding.multiply(sample.rows, weights) - expected
        return float(np.square(error - error.mean(axis=0)).sum())  # the bias takes up the mean

    return min(_iter_roundings(sample), key=measure)


def _iter_roundings(sample: Sample) -> Iterator[Rounding]:
    """Yield a rounding for each of ``SHARES``."""
    order = np.argsort(np.maximum(sample.high, -sample.low), kind="stable")
    n_kept = len(order) - max(1, len(order) // INPUTS_PER_OUTLIER)
    kept, outliers = order[:n_kept], np.sort(order[n_kept:])

    # 0 must be among the steps
    low, high = min(float(sample.low[kept].min()), 0.0), max(float(sample.high[kept].max()), 1e-6)
    # Activations such as GELU's have a long tail on one side only.
    is_skewed = -low < high / 3
    for share in SHARES:
        bottom, top = low * (1 if is_skewed else share), high * share
        scale = (top - bottom) / _STEPS
        yield Rounding(outliers, scale, round(-bottom / scale))


def _find_layers(proto: ModelProto) -> dict[str, list[NodeProto]]:
    """Products with constant weights that are no heads, by the name of their input."""
    heads, constants = set(name_heads(proto)), {tensor.name for tensor in proto.graph.initializer}
    layers: dict[str, list[NodeProto]] = {}
    for node in proto.graph.node:
        if node.op_type == "MatMul" and node.name not in heads and node.input[1] in constants:
            layers.setdefault(node.input[0], []).append(node)
    return layers


def _observe(
    proto: ModelProto, names: Sequence[str], windows: Sequence[Mapping[str, LongArray]]
) -> dict[str, Sample]:
    """Run the graph in fp32 on some windows, and note what some activations are."""
    disable_telemetry()
    import onnxruntime

    observed = ModelProto()
    observed.CopyFrom(proto)
    observed.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        observed.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

    seen: dict[str, list[tuple[FloatArray, FloatArray, FloatArray]]] = {name: [] for name in names}
    for window in windows:
        for name, (activations,) in zip(names, session.run(names, window), strict=True):
            places = np.linspace(0, len(activations) - 1, N_ROWS).round().astype(int)
            seen[name].append((activations.min(axis=0), activations.max(axis=0), activations[places]))
    return {
        name: Sample(np.min(lows, axis=0), np.max(highs, axis=0), np.concatenate(rows))
        for name, (lows, highs, rows) in ((name, zip(*parts, strict=True)) for name, parts in seen.items())
    }


def _replace_layers(
    proto: ModelProto, layers: Mapping[str, Sequence[NodeProto]], samples: Mapping[str, Sample]
) -> None:
    """Replace each linear layer, its bias included, by a product of integers and one of outliers."""
    graph = proto.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    users: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)

    replaced: dict[str, list[NodeProto]] = {}
    names: set[str] = set()
    for source, products in layers.items():
        sample = samples[source]
        matrices = [constants[node.input[1]] for node in products]
        rounding = choose_rounding(sample, np.concatenate(matrices, axis=1))
        new = _round_inputs(graph, source, rounding)

        for node, weights in zip(products, matrices, strict=True):
            loss = (sample.rows @ weights - rounding.multiply(sample.rows, weights)).mean(axis=0)
            layer, output = node.name, node.output[0]
            user = users[output][0]
            biases = [name for name in user.input if name in constants]
            if user.op_type == "Add" and biases and len(users[output]) == 1:
                loss, output = loss + constants[biases[0]], user.output[0]
                replaced[user.name] = []
                # Weights are read back by the name of the bias. The exporter keeps one of equal biases.
                named = biases[0].removesuffix(".bias")
                layer = layer if named in names else named
            names.add(layer)
            replaced[node.name] = new + _multiply(graph, layer, source, rounding, weights, loss, output)
            new = []

    nodes = [new for node in graph.node for new in replaced.get(node.name, [node])]
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    if DOMAIN not in {entry.domain for entry in proto.opset_import}:
        proto.opset_import.append(helper.make_opsetid(DOMAIN, 1))


def _round_inputs(graph: GraphProto, source: str, rounding: Rounding) -> list[NodeProto]:
    """Make the nodes that round the inputs of some layers, and those that select the outliers."""
    scale = _add(graph, f"{source}_scale", np.array(rounding.scale, dtype=np.float32))
    zero = _add(graph, f"{source}_zero", np.array(rounding.zero, dtype=np.uint8))
    outliers = _add(graph, f"{source}{OUTLIERS}", rounding.outliers)
    return [
        helper.make_node("QuantizeLinear", [source, scale, zero], [f"{source}_uint8"]),
        helper.make_node("Gather", [source, outliers], [f"{source}_exact"], axis=-1),
    ]


def _multiply(
    graph: GraphProto,
    layer: str,
    source: str,
    rounding: Rounding,
    weights: FloatArray,
    bias: FloatArray,
    output: str,
) -> list[NodeProto]:
    """Make the nodes of one linear layer."""
    rounded, scales = rounding.round_weights(weights)
    inputs = [
        f"{source}_uint8",
        _add(graph, f"{layer}.int8", rounded),
        f"{source}_scale",
        _add(graph, f"{layer}.scales", scales),
        f"{source}_zero",
        "",
        _add(graph, f"{layer}.sum", bias.astype(np.float32)),
    ]
    exact = _add(graph, f"{layer}{EXACT}", weights[rounding.outliers])
    return [
        helper.make_node("MatMulIntegerToFloat", inputs, [f"{output}_int8"], name=layer, domain=DOMAIN),
        helper.make_node("MatMul", [f"{source}_exact", exact], [f"{output}_exact"], name=f"{layer}_exact"),
        helper.make_node("Add", [f"{output}_int8", f"{output}_exact"], [output]),
    ]


def _add(graph: GraphProto, name: str, value: NDArray[np.generic]) -> str:
    graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
    return name
