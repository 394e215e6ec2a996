"""Products of integers with fixed scales: how inputs are rounded, and what the graph computes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.bundle import Bundle
from openmed_ner.data import read_overflow_graph
from openmed_ner.inference.backends import onnx as backend
from openmed_ner.model.bundles import load_model, make_reader, merge_adapter
from openmed_ner.model.onnx_weights import read_weights
from openmed_ner.training.export.integer import (
    INPUTS_PER_OUTLIER,
    Sample,
    choose_rounding,
    quantise_integer,
)
from openmed_ner.training.export.onnx import export_onnx
from openmed_ner.training.export.runtime import export_runtime
from rounded import check_rounded
from sentences import DOCUMENTS
from tiny import CORPORA


def make_sample(seed: int, n_inputs: int = 96, *, skewed: bool = False, shift: float = 0) -> Sample:
    """Make activations of which a few are a hundred times the others."""
    rng = np.random.default_rng(seed)
    sizes = np.ones(n_inputs)
    sizes[rng.choice(n_inputs, 3, replace=False)] = 100
    rows = (rng.standard_normal((200, n_inputs)) * sizes).astype(np.float32)
    rows = np.maximum(rows, -0.17) if skewed else rows + np.float32(shift)
    return Sample(rows.min(axis=0), rows.max(axis=0), rows)


@given(seed=st.integers(0, 1000), skewed=st.booleans())
def test_products_stay_close_although_a_few_inputs_are_large(seed: int, skewed: bool) -> None:
    sample = make_sample(seed, skewed=skewed)
    weights = np.random.default_rng(seed).standard_normal((96, 24)).astype(np.float32)
    rounding = choose_rounding(sample, weights)
    large = np.flatnonzero(sample.high > 30)
    assert set(large) <= set(rounding.outliers)
    assert len(rounding.outliers) == 96 // INPUTS_PER_OUTLIER
    small = sample.rows.copy()
    small[:, large] = 0
    error = rounding.multiply(small, weights) - small @ weights
    assert (error - error.mean(axis=0)).std() < 0.02 * (small @ weights).std()


@given(seed=st.integers(0, 1000), shift=st.floats(-1000, 1000))
def test_products_stay_close_if_ranges_are_made_equal(seed: int, shift: float) -> None:
    sample = make_sample(seed, shift=shift)
    weights = np.random.default_rng(seed).standard_normal((96, 96)).astype(np.float32)
    rounding = choose_rounding(sample, weights)
    assert not len(rounding.outliers)
    expected = sample.rows @ weights
    error = rounding.multiply(sample.rows, weights) - expected
    spread = (expected - expected.mean(axis=0)).std()
    assert (error - error.mean(axis=0)).std() < 0.02 * spread


@pytest.mark.parametrize("n_outputs", [24, 96])
def test_the_centre_stays_and_values_out_of_range_are_cut_off(n_outputs: int) -> None:
    rounding = choose_rounding(make_sample(0), np.ones((96, n_outputs), dtype=np.float32))
    centre = rounding.centres[np.newaxis]
    np.testing.assert_allclose(rounding.round(centre), centre, rtol=1e-5)
    distance = np.abs(rounding.round(centre + 1e6) - centre) * rounding.factors
    assert distance.max() <= 256 * rounding.scale


def test_the_graph_that_tries_a_processor_is_the_one_described() -> None:
    weights = onnx.numpy_helper.from_array(np.full((4, 16), 127, dtype=np.int8), "weights")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMulInteger", ["inputs", "weights"], ["sums"])],
        "overflow",
        [onnx.helper.make_tensor_value_info("inputs", onnx.TensorProto.UINT8, (8, 4))],
        [onnx.helper.make_tensor_value_info("sums", onnx.TensorProto.INT32, (8, 16))],
        [weights],
    )
    assert onnx.load_from_string(read_overflow_graph()).graph == graph


@pytest.mark.parametrize("total", [4 * 255 * 127, 2 * 32767])
def test_sums_of_products_tell_whether_a_processor_overflows(
    total: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """32767 is the largest sum of two products in 16 bits."""
    session = SimpleNamespace(run=lambda names, inputs: [np.full((8, 16), total)])
    monkeypatch.setattr(backend.onnxruntime, "InferenceSession", lambda *arguments, **options: session)
    assert backend.overflows.__wrapped__() is (total == 2 * 32767)


@pytest.fixture(scope="module")
def graphs(adapter_bundle: Bundle) -> tuple[bytes, bytes]:
    """A graph in fp32, and with products of integers."""
    content = export_onnx(merge_adapter(load_model(adapter_bundle)))
    return content, quantise_integer(content, DOCUMENTS, make_reader(adapter_bundle))


@pytest.mark.slow
def test_linear_layers_multiply_integers_and_heads_do_not(graphs: tuple[bytes, bytes]) -> None:
    kinds = Counter(node.op_type for node in onnx.load_from_string(graphs[1]).graph.node)
    n_layers = kinds["MatMulIntegerToFloat"]
    assert n_layers >= 6 * 2  # of each layer: query, key, value, output, and two of the feed-forward net
    # The second of the feed-forward net has few outputs, so its largest inputs stay in fp32.
    assert kinds["MatMul"] == len(CORPORA) + n_layers // 6
    assert kinds["QuantizeLinear"] == n_layers * 4 // 6  # query, key and value share their inputs


@pytest.mark.slow
def test_logits_stay_close_and_do_not_depend_on_the_batch(graphs: tuple[bytes, bytes]) -> None:
    check_rounded(*graphs)


@pytest.mark.slow
def test_weights_can_be_read_back(adapter_bundle: Bundle) -> None:
    """To within a few steps: ranges of inputs were made equal, and the weights multiplied."""
    model = merge_adapter(load_model(adapter_bundle))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():  # the exporter keeps one of constants that are equal
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    content = export_onnx(model)
    exact = read_weights(content)
    rounded = read_weights(quantise_integer(content, DOCUMENTS, make_reader(adapter_bundle)))

    assert exact.keys() == rounded.keys()
    linear = {name for name in exact if not torch.equal(exact[name], rounded[name])}
    assert len(linear) >= 6 * 2 * 2  # weights and biases
    for name in linear:
        if name.endswith(".weight"):
            largest = exact[name].abs().amax(1, keepdim=True)
            assert ((exact[name] - rounded[name]).abs() <= largest / 50).all(), name


@pytest.mark.slow
def test_a_bundle_with_fixed_scales_is_certified_with_onnx_runtime(
    adapter_bundle: Bundle, tmp_path: Path
) -> None:
    gold = {corpus.head.corpus: corpus.dev for corpus in CORPORA}
    bundle = export_runtime(
        adapter_bundle,
        tmp_path / "static",
        precision="int8-static",
        gold=gold,
        texts="eight",
        calibration=DOCUMENTS,
    )
    assert (bundle.manifest.precision, bundle.manifest.backend) == ("int8-static", "onnxruntime")
    assert bundle.read_json("parity.json")["span_agreement"] > 0.9
