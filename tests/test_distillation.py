"""A model that learns the probabilities of another one."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import rel_entr, softmax

from openmed_ner.alignment import Reader, SubwordEncoder
from openmed_ner.bundle import Bundle
from openmed_ner.errors import RecipeError
from openmed_ner.model.bundles import load_model, merge_adapter
from openmed_ner.training.config import Distillation, Recipe
from openmed_ner.training.distillation import Teacher, open_teacher
from openmed_ner.training.finetune import FineTuning
from openmed_ner.training.run import build_model, train
from tiny import CORPORA, make_recipe, tiny_tokenizer

HEADS = tuple(corpus.head for corpus in CORPORA)
READER = Reader(SubwordEncoder(tiny_tokenizer()), HEADS, 64, 16)


def make_student(backbone: Path, teacher: Bundle, *, weight: float = 1.0, **schedule: object) -> Recipe:
    distillation = Distillation(str(teacher.folder), weight)
    return replace(make_recipe(backbone, **schedule), method="full", distillation=distillation)


@given(
    logits=arrays(np.float32, (2, 5, 3), elements=st.floats(-8, 8, width=32)),
    temperature=st.floats(0.5, 4.0),
)
def test_the_divergence_is_that_of_scipy(logits: np.ndarray, temperature: float) -> None:
    teacher = Teacher.__new__(Teacher)
    object.__setattr__(teacher, "temperature", temperature)
    taught, learnt = torch.from_numpy(logits)
    right, own = (softmax(each.astype(float) / temperature, axis=-1) for each in logits)
    expected = temperature**2 * rel_entr(right, own).sum(axis=-1).mean()
    found = teacher.divergence([taught, taught], [learnt, learnt])
    assert found.item() == pytest.approx(expected, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("kind", ["adapter", "full"])
def test_what_learns_starts_where_its_teacher_is(
    kind: str, backbone: Path, request: pytest.FixtureRequest
) -> None:
    """With all layers it answers as its teacher does, so there is nothing to learn; with one there is."""
    bundle = request.getfixturevalue(f"{kind}_bundle")
    recipe = make_student(backbone, bundle, dropout=0.0)
    teacher = open_teacher(recipe, backbone, HEADS)

    def loss_of(*layers: int) -> float:
        model = build_model(replace(recipe, layers=layers), backbone, HEADS, start=teacher.source).eval()
        objective = FineTuning(model, CORPORA, READER, schedule=recipe.schedule, seed=0, teacher=teacher)
        return objective.loss(objective.examples).mean.item()

    assert abs(loss_of()) < 1e-6 and loss_of(0) > 0.01
    model = build_model(recipe, backbone, HEADS, start=teacher.source)
    ids = np.arange(5, 25).reshape(2, 10)
    expected = merge_adapter(load_model(bundle)).run(ids, np.ones_like(ids))
    np.testing.assert_array_equal(model.eval().run(ids, np.ones_like(ids)), expected)
    assert all(each.requires_grad for each in model.parameters())


def test_a_teacher_speaks_of_heads_that_a_text_has_no_annotation_of(
    full_bundle: Bundle, backbone: Path, tmp_path: Path
) -> None:
    """One layer, and one document annotated of eight: the teacher's word is worth as much as the others."""
    diseases, chemicals = CORPORA
    taught = (diseases, replace(chemicals, train=chemicals.train[:1]))
    recipe = replace(make_student(backbone, full_bundle, learning_rate=4e-3, warmup=0.3), layers=(1,))
    bundle = train(recipe, taught, tmp_path / "run", name="student")
    record = bundle.read_json("run.json")
    history = record["history"]
    assert history["scores"][history["best_epoch"]]["chemicals"] == 1.0
    assert record["recipe"]["distillation"] == {"teacher": "tiny", "weight": 1.0, "temperature": 2.0}
    assert record["teacher"]["sha256"] == full_bundle.sha256
    card = bundle.read("README.md").decode("utf-8")
    assert "It started from the weights of tiny. It learnt the probabilities of tiny, too." in card
    assert str(full_bundle.folder) not in card + bundle.read("run.json").decode("utf-8")
    assert bundle.manifest.layers == (1,) and bundle.manifest.kind == "full"
    with pytest.raises(RecipeError, match="keeps some layers of the backbone only"):
        open_teacher(make_student(backbone, bundle), backbone, HEADS)


def test_without_weight_a_teacher_changes_the_start_only(full_bundle: Bundle, backbone: Path) -> None:
    recipe = make_student(backbone, full_bundle, weight=0.0, dropout=0.0)
    teacher = open_teacher(recipe, backbone, HEADS)
    model = build_model(recipe, backbone, HEADS, start=teacher.source)
    settings = {"schedule": recipe.schedule, "seed": 0}
    alone, along = (
        FineTuning(model, CORPORA, READER, teacher=each, **settings)  # type: ignore[arg-type]
        for each in (None, teacher)
    )
    for batch in alone.batches(0):
        assert along.loss(batch).mean.item() == alone.loss(batch).mean.item()


def test_a_teacher_has_to_read_alike_and_to_know_every_head(
    full_bundle: Bundle, backbone: Path, tmp_path: Path
) -> None:
    recipe = make_student(backbone, full_bundle)
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    renamed = replace(HEADS[0], corpus="other")
    with pytest.raises(RecipeError, match="has no head of other with the same tags"):
        open_teacher(recipe, backbone, (renamed,))
    with pytest.raises(RecipeError, match="has no head of diseases with the same tags"):
        open_teacher(recipe, backbone, (replace(HEADS[0], labels=("Disease", "Drug")),))
    assert [head.corpus for head in open_teacher(recipe, backbone, HEADS[1:]).model.heads] == ["chemicals"]
    with pytest.raises(RecipeError, match=r"was made from tiny, not from .*\(silver\)"):
        open_teacher(recipe, tmp_path, HEADS)
    with pytest.raises(RecipeError, match="method = 'lora': expected full, where a teacher is named"):
        replace(recipe, method="lora")
    with pytest.raises(RecipeError, match="adapted = 'notes': expected nothing"):
        replace(recipe, adapted="notes")
    for name, value in (("weight", 1.5), ("temperature", 0.0)):
        with pytest.raises(RecipeError, match=f"distillation.{name}"):
            Distillation(**{**asdict(Distillation()), name: value})
