"""Models that others made: outputs that do not belong to the input are refused, by whatever engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from openmed_ner.bundle import BackboneReference, Manifest, seal
from openmed_ner.errors import BundleError, OpenMedError, RunError
from openmed_ner.inference.tagger import Tagger
from openmed_ner.tagging import Head
from sentences import tiny_tokenizer

TOKENIZER = tiny_tokenizer()
N_SUBWORDS = TOKENIZER.get_vocab_size()
MANIFEST = Manifest(
    name="crafted",
    kind="runtime",
    version="1",
    heads=(Head("a", ("Disease",)),),
    window=40,
    overlap=8,
    backbone=BackboneReference("b", "o/b", "0" * 40, "0" * 64, "MIT"),
)
TEXT = "aspirin helps. " * 40
LOOK_UP = [
    helper.make_node("Gather", ["table", "ids"], ["found"]),
    helper.make_node("Cast", ["mask"], ["numbers"], to=TensorProto.FLOAT),
    helper.make_node("Unsqueeze", ["numbers", "two"], ["column"]),
    helper.make_node("Mul", ["found", "column"], ["all"]),
]


def load(
    folder: Path,
    nodes: Sequence[NodeProto],
    *,
    n_rows: int = N_SUBWORDS,
    n_positions: int = MANIFEST.window,
    backend: str = "onnxruntime",
) -> Tagger:
    """Load a bundle whose graph looks scores up in a table, and then does as told."""
    table = np.random.default_rng(0).normal(size=(n_rows, 3)).astype(np.float32)
    tables = {"table": table, "encoder.position_embeddings.weight": np.zeros((n_positions, 3), np.float32)}
    constants = {name: np.array([n]) for name, n in (("zero", 0), ("one", 1), ("two", 2), ("eight", 8))}
    graph = helper.make_graph(
        [*LOOK_UP, *nodes],
        "crafted",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ("b", "n")) for name in ("ids", "mask")],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in {**tables, **constants}.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    folder.mkdir()
    onnx.save(model, folder / "model.onnx")
    (folder / "tokenizer.json").write_text(TOKENIZER.to_str())
    seal(folder, MANIFEST)
    return Tagger.load(folder, backend=backend, threads=1)


IDENTITY = [helper.make_node("Identity", ["all"], ["logits"])]


def test_a_graph_of_one_table_tags(tmp_path: Path) -> None:
    assert load(tmp_path / "bundle", IDENTITY)(TEXT).meta["coverage"]["complete"]


@pytest.mark.parametrize(
    "nodes",
    [
        [helper.make_node("Slice", ["all", "zero", "eight", "one"], ["logits"])],
        [helper.make_node("Slice", ["all", "zero", "one", "zero"], ["logits"])],
    ],
    ids=["eight subwords", "first window"],
)
def test_outputs_for_a_part_of_the_input_end_the_run(tmp_path: Path, nodes: Sequence[NodeProto]) -> None:
    tagger = load(tmp_path / "bundle", nodes)
    with pytest.raises(RunError, match="the model's outputs have shape"):
        tagger(TEXT)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize(
    "nodes",
    [
        [helper.make_node("ReduceSum", ["all"], ["logits"], keepdims=0)],
        [helper.make_node("Slice", ["all", "zero", "two", "one"], ["logits"])],
        [helper.make_node("Concat", ["all", "all"], ["logits"], axis=1)],
        [helper.make_node("Concat", ["all", "all"], ["logits"], axis=2)],
        [helper.make_node("ReduceSum", ["all", "one"], ["logits"], keepdims=0)],
    ],
    ids=["a number", "two subwords", "twice as many subwords", "twice as many tags", "no subwords"],
)
def test_outputs_of_another_shape_are_refused_when_the_model_is_loaded(
    tmp_path: Path, nodes: Sequence[NodeProto], backend: str
) -> None:
    with pytest.raises(BundleError, match="outputs"):
        load(tmp_path / "bundle", nodes, backend=backend)


def test_outputs_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    names = helper.make_node("Cast", ["all"], ["logits"], to=TensorProto.STRING)
    with pytest.raises(OpenMedError):
        load(tmp_path / "bundle", [names])(TEXT)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_file_that_changed_is_refused_before_any_is_used(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(tmp_path / "bundle", IDENTITY)
    content = bytearray((tmp_path / "bundle" / name).read_bytes())
    content[-1] ^= 1
    (tmp_path / "bundle" / name).write_bytes(content)
    monkeypatch.setattr("openmed_ner.inference.tagger.load_models", lambda *_, **__: pytest.fail("used"))
    with pytest.raises(BundleError, match=f"{name}: SHA-256 is"):
        Tagger.load(tmp_path / "bundle")


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_window_longer_than_the_positions_of_the_encoder_is_refused(tmp_path: Path, backend: str) -> None:
    with pytest.raises(BundleError, match=r"model\.onnx has 39 positions, but windows of 40 subwords"):
        load(tmp_path / "bundle", IDENTITY, n_positions=39, backend=backend)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_subword_without_embedding_is_noticed(tmp_path: Path, backend: str) -> None:
    pytest.importorskip(backend)
    load(tmp_path / "whole", IDENTITY, backend=backend)
    with pytest.raises(BundleError, match="model and tokenizer do not fit"):
        load(tmp_path / "small", IDENTITY, n_rows=N_SUBWORDS - 1, backend=backend)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("std::bad_alloc"),
        RuntimeError("[ONNXRuntimeError] : 1 : FAIL : Exception during loading: std::bad_alloc"),
        RuntimeError("can't start new thread"),
    ],
)
@pytest.mark.parametrize("place", ["onnxruntime.InferenceSession", "tokenizers.Tokenizer.from_str"])
def test_a_lack_of_memory_is_told_from_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, error: Exception
) -> None:
    load(tmp_path / "bundle", IDENTITY)

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(place, fail)
    with pytest.raises(RunError, match=r"bundle: there is not enough memory to load the model.*ulimit"):
        Tagger.load(tmp_path / "bundle", backend="onnxruntime", threads=1)
