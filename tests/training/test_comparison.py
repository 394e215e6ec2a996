"""Of a start, what training made of it, and the mean of both, the best on dev is kept."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from openmed_ner.bundle import Bundle
from openmed_ner.errors import RecipeError
from openmed_ner.model.bundles import load_model
from openmed_ner.training.comparison import StartWeights
from openmed_ner.training.config import Recipe
from openmed_ner.training.engine.processes import Processes
from openmed_ner.training.finetune import finetune
from tiny import CORPORA, make_recipe


@pytest.mark.parametrize(
    ("scores", "kept"),
    [((0.1, 0.3, 0.2), "mean"), ((0.1, 0.2, 0.3), "start"), ((0.3, 0.3, 0.3), "trained")],
)
def test_the_best_of_three_is_kept(scores: tuple[float, ...], kept: str) -> None:
    model = nn.Linear(2, 1)
    before = StartWeights.copy(model)
    start = model.weight.detach().clone()
    with torch.no_grad():
        model.weight.add_(2.0)
    answers, seen = iter(scores), []

    def evaluate() -> dict[str, float]:
        seen.append(model.weight.detach().clone())
        return {"score": next(answers)}

    record = before.keep_best(model, evaluate, precision="fp32", processes=Processes())
    expected = {"trained": start + 2, "mean": start + 1, "start": start}
    assert record["kept"] == kept
    assert torch.allclose(model.weight, expected[kept])
    assert all(map(torch.allclose, seen, expected.values()))


def test_a_run_that_spoils_its_start_ends_with_the_start(
    backbone: Path, full_bundle: Bundle, tmp_path: Path
) -> None:
    """A rate far too high: the weights that were trained are of no use, and neither is their mean."""
    recipe = replace(
        make_recipe(backbone, epochs=1, learning_rate=3.0),
        method="full",
        start=str(full_bundle.folder),
        compare_start=True,
    )
    bundle = finetune(recipe, CORPORA, tmp_path / "run", name="tiny")
    comparison = bundle.read_json("run.json")["comparison"]
    scores = {name: values["score"] for name, values in comparison["dev"].items()}
    assert comparison["kept"] == "start" and scores["start"] == max(scores.values()) > scores["trained"]
    start, kept = (dict(load_model(source).named_parameters()) for source in (full_bundle, bundle))
    assert all(torch.equal(start[name], kept[name]) for name in start)


def test_without_dev_documents_there_is_nothing_to_compare() -> None:
    with pytest.raises(RecipeError, match="compare_start = True: expected false, since all of dev is learnt"):
        Recipe(start="x", method="full", learn="train+dev", compare_start=True)
    for learn, compare in itertools.product(("train", "train+dev"), (True, False)):
        Recipe(
            corpora=("cll",),
            learn=learn,
            keep_dev=("cll",) if learn != "train" else (),
            compare_start=compare,
        )  # type: ignore[arg-type]
