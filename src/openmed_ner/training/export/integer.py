"""Products of eight-bit integers with fixed scales, for ONNX Runtime.

The inputs of a linear layer are rounded to 256 steps, of a size that is fixed on sample texts. So a result
does not depend on the rest of the batch, and processors multiply integers fastest.

A few inputs are far larger than the others, and would make the steps large. So inputs are centred and their
ranges made more equal, and the weights multiplied instead (SmoothQuant; Xiao et al., 2023). Layers with more
inputs than outputs keep the largest inputs in fp32, as in LLM.int8() (Dettmers et al., 2022): that is closer,
and costs little where there are few outputs. The mean loss on the sample texts is added to the biases.

Weights have eight bits and a scale per output. Attention, normalisation and the heads stay in fp32.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from openmed_ner.model.onnx_weights import CENTRES, EXACT, FACTORS, OUTLIERS, ROUNDED
from openmed_ner.tagging import WindowReader
from openmed_ner.tagging.batching import LongArray
from openmed_ner.tagging.heads import FloatArray
from openmed_ner.text import Document
from openmed_ner.training.export.attention import fuse_attention
from openmed_ner.training.export.calibration import sample_windows
from openmed_ner.training.export.graphs import (
    DOMAIN,
    add_constant,
    declare_operators,
    load_graph,
    remove_unused,
)
from openmed_ner.training.export.quantise import name_heads, quantise_tables

INPUTS_PER_OUTLIER = 32
"""One of so many inputs stays in fp32, the largest ones, in layers with more inputs than outputs."""
POWERS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""How equal to make the ranges of inputs: with 1 they are equal, and the weights take all differences."""
SHARES = (1.5, 1.3, 1.15, 1.0, 0.9, 0.8, 0.7)
"""Shares of the range to try: a narrower range has smaller steps, and cuts off more values."""
N_ROWS = 1024
"""Subwords whose activations are kept, to measure errors on."""
_STEPS = 255
_MAX_WEIGHT = 127

IntArray = NDArray[np.int64]


@dataclass
class Sample:
    """Activations that were seen on the sample texts.

    Attributes:
        low: least value of each input, ``(n_inputs,)``.
        high: largest value of each input, ``(n_inputs,)``.
        rows: activations of other texts, ``(n_rows, n_inputs)``.
    """

    low: FloatArray
    high: FloatArray
    rows: FloatArray


@dataclass(frozen=True)
class Rounding:
    """How the inputs of a layer are rounded to steps from 0 to 255.

    The step of an input is ``round((input - centre) * factor / scale) + zero``.

    Attributes:
        centres: middles of the ranges of the inputs, ``(n_inputs,)``, or zeros.
        factors: what makes the ranges more equal, ``(n_inputs,)``, or ones.
        outliers: indices of the inputs that stay in fp32, ``(n_outliers,)``.
        scale: size of a step.
        zero: step that stands for 0.
    """

    centres: FloatArray
    factors: FloatArray
    outliers: IntArray
    scale: float
    zero: int

    def round(self, rows: FloatArray) -> FloatArray:
        """Round activations, ``(n_rows, n_inputs)``, and return the values that the steps stand for."""
        prepared = (rows - self.centres) * self.factors
        steps = np.clip(np.round(prepared / self.scale) + self.zero, 0, _STEPS)
        values: FloatArray = ((steps - self.zero) * self.scale).astype(np.float32)
        return values / self.factors + self.centres

    def round_weights(self, weights: FloatArray) -> tuple[NDArray[np.int8], FloatArray]:
        """Round weights, ``(n_inputs, n_outputs)``, over their factors, to int8 and a scale per output.

        Those of outliers become 0.
        """
        kept = weights / self.factors[:, np.newaxis]
        kept[self.outliers] = 0
        scales = np.maximum(np.abs(kept).max(axis=0), 1e-12) / _MAX_WEIGHT
        return np.round(kept / scales).astype(np.int8), scales.astype(np.float32)

    def multiply(self, rows: FloatArray, weights: FloatArray) -> FloatArray:
        """Multiply activations and weights as the graph will, ``(n_rows, n_outputs)``."""
        rounded, scales = self.round_weights(weights)
        exact = rows[:, self.outliers] @ weights[self.outliers]
        prepared = (self.round(rows) - self.centres) * self.factors
        result: FloatArray = prepared @ (rounded * scales) + exact + self.centres @ weights
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
    windows = sample_windows(documents, reader)
    proto = fuse_attention(onnx.load_from_string(model), windows)
    layers = _find_layers(proto)
    samples = _observe(proto, list(layers), windows)
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

    n_inputs, n_outputs = weights.shape
    roundings = _keep_outliers(sample) if n_inputs > n_outputs else _make_equal(sample, weights)
    return min(roundings, key=measure)


def _keep_outliers(sample: Sample) -> Iterator[Rounding]:
    """Yield roundings that keep the largest inputs in fp32."""
    n_inputs = len(sample.low)
    order = np.argsort(np.maximum(sample.high, -sample.low), kind="stable")
    n_kept = n_inputs - max(1, n_inputs // INPUTS_PER_OUTLIER)
    kept, outliers = order[:n_kept], np.sort(order[n_kept:])
    centres, factors = np.zeros(n_inputs, dtype=np.float32), np.ones(n_inputs, dtype=np.float32)
    for scale, zero in _iter_scales(sample.low[kept].min(), sample.high[kept].max()):
        yield Rounding(centres, factors, outliers, scale, zero)


def _make_equal(sample: Sample, weights: FloatArray) -> Iterator[Rounding]:
    """Yield roundings that make the ranges of the inputs more equal."""
    centres = ((sample.low + sample.high) / 2).astype(np.float32)
    ranges = np.maximum(sample.high - centres, 1e-6)
    sizes = np.maximum(np.abs(weights).max(axis=1), 1e-6)
    for power in POWERS:
        factors = (sizes ** (1 - power) / ranges**power).astype(np.float32)
        factors /= np.exp(np.log(factors).mean())
        largest = (ranges * factors).max()
        for scale, zero in _iter_scales(-largest, largest):
            yield Rounding(centres, factors, np.zeros(0, dtype=np.int64), scale, zero)


def _iter_scales(low: float, high: float) -> Iterator[tuple[float, int]]:
    """Yield the size of a step and the step of 0 for each of ``SHARES`` of a range."""
    low, high = min(float(low), 0.0), max(float(high), 1e-6)  # 0 must be among the steps
    # Activations such as GELU's have a long tail on one side only.
    is_skewed = -low < high / 3
    for share in SHARES:
        bottom, top = low * (1 if is_skewed else share), high * share
        scale = (top - bottom) / _STEPS
        yield scale, round(-bottom / scale)


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
    observed = ModelProto()
    observed.CopyFrom(proto)
    del observed.graph.output[:]
    observed.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names
    )
    run = load_graph(observed)
    per_window = -(-N_ROWS // len(windows))

    # Errors are measured on other windows than ranges, since unseen texts exceed what was seen.
    ranging, measured = (windows[::2], windows[1::2]) if len(windows) > 1 else (windows, windows)
    lows: dict[str, list[FloatArray]] = {name: [] for name in names}
    highs: dict[str, list[FloatArray]] = {name: [] for name in names}
    for window in ranging:
        for name, (activations,) in zip(names, run(window), strict=True):
            lows[name].append(activations.min(axis=0))
            highs[name].append(activations.max(axis=0))

    rows: dict[str, list[FloatArray]] = {name: [] for name in names}
    per_window = -(-N_ROWS // len(measured))
    for window in measured:
        for name, (activations,) in zip(names, run(window), strict=True):
            places = np.linspace(0, len(activations) - 1, per_window).round().astype(int)
            rows[name].append(activations[places])
    return {
        name: Sample(np.min(lows[name], axis=0), np.max(highs[name], axis=0), np.concatenate(rows[name]))
        for name in names
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
    remove_unused(graph)
    declare_operators(proto)


def _round_inputs(graph: GraphProto, source: str, rounding: Rounding) -> list[NodeProto]:
    """Make the nodes that round the inputs of some layers, and those that select the outliers."""
    nodes, prepared = [], source
    if (rounding.factors != 1).any():
        centres = add_constant(graph, f"{source}{CENTRES}", rounding.centres)
        factors = add_constant(graph, f"{source}{FACTORS}", rounding.factors)
        prepared = f"{source}_equal"
        nodes += [
            helper.make_node("Sub", [source, centres], [f"{source}_centred"]),
            helper.make_node("Mul", [f"{source}_centred", factors], [prepared]),
        ]
    scale = add_constant(graph, f"{source}_scale", np.array(rounding.scale, dtype=np.float32))
    zero = add_constant(graph, f"{source}_zero", np.array(rounding.zero, dtype=np.uint8))
    nodes.append(helper.make_node("QuantizeLinear", [prepared, scale, zero], [f"{source}{ROUNDED}"]))
    if len(rounding.outliers):
        outliers = add_constant(graph, f"{source}{OUTLIERS}", rounding.outliers)
        nodes.append(helper.make_node("Gather", [source, outliers], [f"{source}_exact"], axis=-1))
    return nodes


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
    bias = bias + rounding.centres @ weights
    inputs = [
        f"{source}{ROUNDED}",
        add_constant(graph, f"{layer}.int8", rounded),
        f"{source}_scale",
        add_constant(graph, f"{layer}.scales", scales),
        f"{source}_zero",
        "",
        add_constant(graph, f"{layer}.sum", bias.astype(np.float32)),
    ]
    has_outliers = len(rounding.outliers) > 0
    product = f"{output}_int8" if has_outliers else output
    nodes = [helper.make_node("MatMulIntegerToFloat", inputs, [product], name=layer, domain=DOMAIN)]
    if has_outliers:
        exact = add_constant(graph, f"{layer}{EXACT}", weights[rounding.outliers])
        nodes += [
            helper.make_node(
                "MatMul", [f"{source}_exact", exact], [f"{output}_exact"], name=f"{layer}_exact"
            ),
            helper.make_node("Add", [product, f"{output}_exact"], [output]),
        ]
    return nodes
