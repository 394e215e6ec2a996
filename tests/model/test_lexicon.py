"""Lexicon tags as an input of a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from architectures import SMALL, make_backbone
from openmed_ner.inference.backends import load_runtime
from openmed_ner.model.onnx_weights import read_weights
from openmed_ner.model.tagger import LexiconEmbedding, TokenTagger, load_encoder, make_lexicon
from openmed_ner.tagging import Head
from openmed_ner.terminologies import PLACES, TAGS, TYPES
from openmed_ner.training.export.onnx import export_onnx
from openmed_ner.training.export.quantise import quantise

HEADS = (Head("diseases", ("Disease",)),)
GENERATOR = np.random.default_rng(0)


def pack(tags: np.ndarray) -> np.ndarray:
    return (tags.astype(np.int64) * PLACES).sum(axis=-1)


def random_inputs(rows: int, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ids = GENERATOR.integers(5, 60, (rows, length))
    mask = np.ones_like(ids)
    mask[-1, length // 2 :] = 0
    tags = GENERATOR.integers(0, len(TAGS), (rows, length, len(TYPES)))
    return ids, mask, pack(tags) * mask


def randomise(model: torch.nn.Module) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))


def test_tags_are_summed_over_types() -> None:
    lexicon = LexiconEmbedding(4)
    randomise(lexicon)
    tags = GENERATOR.integers(0, len(TAGS), (2, 3, len(TYPES)))
    expected = np.zeros((2, 3, 4), dtype=np.float32)
    rows = lexicon.table.weight.detach().numpy()
    for *place, column in np.ndindex(tags.shape):
        if tags[(*place, column)]:
            expected[tuple(place)] += (
                LexiconEmbedding.SCALE * rows[column * len(TAGS) + tags[(*place, column)]]
            )
    result = lexicon(torch.from_numpy(pack(tags))).detach().numpy()
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


def test_dropout_hides_a_type_from_a_whole_window_in_training_only() -> None:
    lexicon = LexiconEmbedding(2, dropout=0.5)
    with torch.no_grad():
        lexicon.table.weight.fill_(1 / LexiconEmbedding.SCALE)
    packed = torch.from_numpy(pack(np.ones((400, 6, len(TYPES)), dtype=np.int64)))
    torch.manual_seed(0)
    shown = lexicon.train()(packed)
    assert (shown == shown[:, :1, :1]).all()
    assert abs(float(shown.detach().mean()) / len(TYPES) - 0.5) < 0.03
    assert (lexicon.eval()(packed) == len(TYPES)).all()


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_a_model_that_begins_to_read_a_lexicon_is_unchanged(kind: str, tmp_path: Path) -> None:
    encoder = load_encoder(make_backbone(kind, tmp_path / kind))
    model = TokenTagger(encoder, HEADS).eval()
    ids, mask, lexicon_tags = random_inputs(3, 16)
    before = model.run(ids, mask)
    model.lexicon = make_lexicon(encoder)
    after = model.run(ids, mask, lexicon_tags)
    np.testing.assert_allclose(after[mask == 1], before[mask == 1], rtol=1e-5, atol=1e-5)
    randomise(model.lexicon)
    assert np.abs(model.run(ids, mask, lexicon_tags) - before)[mask == 1].max() > 1e-3
    # Without tags, and with those of no name, nothing is added.
    nothing = model.run(ids, mask, np.zeros_like(ids))
    np.testing.assert_allclose(nothing[mask == 1], model.run(ids, mask)[mask == 1], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bert", "mpnet"])  # MPNet computes positions from ids or vectors
def test_a_graph_has_one_more_input_and_agrees(kind: str, tmp_path: Path) -> None:
    encoder = load_encoder(make_backbone(kind, tmp_path / kind))
    model = TokenTagger(encoder, HEADS, lexicon=make_lexicon(encoder)).eval()
    randomise(model)
    content = export_onnx(model)
    graph, rounded = (load_runtime(graph, "onnxruntime") for graph in (content, quantise(content)))
    for rows, length in ((1, 16), (3, 48)):
        ids, mask, lexicon_tags = random_inputs(rows, length)
        expected = model.run(ids, mask, lexicon_tags)
        result = graph.run(ids, mask, lexicon_tags)
        np.testing.assert_allclose(result[mask == 1], expected[mask == 1], atol=1e-3)
        assert (
            np.abs(rounded.run(ids, mask, lexicon_tags) - expected)[mask == 1].mean() < 0.1 * expected.std()
        )
        # Left out, they are those of no name.
        np.testing.assert_array_equal(graph.run(ids, mask), graph.run(ids, mask, np.zeros_like(ids)))
    table = read_weights(content)["lexicon.table.weight"]
    assert torch.equal(table, model.lexicon.table.weight.detach())
