"""Attention in one operator: which graphs get it, and that it computes the same."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto

from architectures import make_backbone
from openmed_ner.bundle import open_bundle
from openmed_ner.bundle.manifest import MODEL
from openmed_ner.errors import RunError
from openmed_ner.inference.backends.onnx import OnnxBackend
from openmed_ner.inference.tagger import embedded_bundle
from openmed_ner.model.tagger import TokenTagger, load_encoder
from openmed_ner.tagging import Head
from openmed_ner.tagging.batching import INPUTS, LongArray
from openmed_ner.training.export import attention
from openmed_ner.training.export.attention import fuse_attention
from openmed_ner.training.export.graphs import load_graph
from openmed_ner.training.export.onnx import export_onnx


def make_windows(lengths: tuple[int, ...], n_subwords: int) -> list[dict[str, LongArray]]:
    """Make windows without padding, of random subwords and no names."""
    rng = np.random.default_rng(0)
    ids = [rng.integers(5, n_subwords, (1, length)) for length in lengths]
    return [dict(zip(INPUTS, (row, np.ones_like(row), np.zeros_like(row)), strict=True)) for row in ids]


def export(kind: str, folder: Path) -> ModelProto:
    """Export an untrained model of an architecture."""
    encoder = load_encoder(make_backbone(kind, folder))
    return onnx.load_from_string(export_onnx(TokenTagger(encoder, [Head("one", ("Disease",))])))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bert", "roberta", "electra"])
def test_texts_without_padding_have_the_same_logits(kind: str, tmp_path: Path) -> None:
    proto = export(kind, tmp_path)
    windows = make_windows((3, 4, 30, 64), 40)
    fused = fuse_attention(proto, windows)
    kinds = Counter(node.op_type for node in fused.graph.node)
    assert (kinds["MultiHeadAttention"], kinds["Softmax"]) == (2, 0)
    assert "mask" not in {value.name for value in fused.graph.input}

    run, run_fused = load_graph(proto), load_graph(fused)
    for window in windows:
        np.testing.assert_allclose(run_fused(window)[0], run(window)[0], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mpnet", "modernbert", "deberta-always"])
def test_attention_that_is_more_than_products_and_a_mask_stays(kind: str, tmp_path: Path) -> None:
    """It adds positions, turns vectors by them, or looks at neighbours only."""
    proto = export(kind, tmp_path)
    assert fuse_attention(proto, make_windows((3, 30, 64), 40)) is proto


@pytest.mark.slow
def test_attention_stays_if_other_logits_come_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "TOLERANCE", -1.0)
    proto = export("bert", tmp_path)
    assert fuse_attention(proto, make_windows((8,), 40)) is proto


def test_a_graph_without_a_mask_refuses_padding() -> None:
    backend = OnnxBackend(open_bundle(embedded_bundle()).read(MODEL))
    ids = np.full((2, 8), 1000)
    mask = np.ones_like(ids)
    assert backend.multiple == 1
    assert backend.run(ids, mask).shape[:2] == (2, 8)
    mask[1, 6:] = 0
    with pytest.raises(RunError, match="reads no padding"):
        backend.run(ids, mask)
