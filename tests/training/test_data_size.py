"""Settings that follow the size of the data: few documents are read often enough to learn from."""

from __future__ import annotations

from pathlib import Path

import pytest

from notes import make_notes
from openmed_ner.bundle import open_bundle
from openmed_ner.cli.app import app
from openmed_ner.evaluation import score_document, total
from openmed_ner.formats.jsonl import write_jsonl
from openmed_ner.inference.tagger import Tagger
from openmed_ner.text import Document
from openmed_ner.training.config import Recipe
from openmed_ner.training.data_size import SMALLEST_BATCH, STEPS, choose_settings
from openmed_ner.training.recipes import read_recipe


def words(number: int) -> list[Document]:
    return [Document("0", "word " * number)]


def test_small_data_is_read_in_small_batches_and_several_times() -> None:
    recipe = read_recipe(None, choose_settings(words(1_000), "my notes"), kind=Recipe)
    assert recipe.schedule.batch_subwords == SMALLEST_BATCH
    steps = 1_500 * recipe.weights["my notes"] / SMALLEST_BATCH
    assert STEPS <= steps < STEPS + 1_500 / SMALLEST_BATCH


def test_more_data_is_read_once_in_larger_batches() -> None:
    recipe = read_recipe(None, choose_settings(words(20_000), "notes"), kind=Recipe)
    assert recipe.schedule.batch_subwords == 1_000
    assert recipe.weights == {}


def test_much_data_has_the_default_settings() -> None:
    assert choose_settings(words(100_000), "notes") == []


def test_a_setting_of_the_user_stands_above() -> None:
    settings = [*choose_settings(words(100), "a.b"), "schedule.batch_subwords=64", "weights={}"]
    recipe = read_recipe(None, settings, kind=Recipe)
    assert (recipe.schedule.batch_subwords, recipe.weights) == (64, {})


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_thirty_notes_make_a_useful_model_without_any_setting(
    tmp_path: Path, no_socket: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command of the README, on types that the embedded model does not have, without a backbone."""
    monkeypatch.setenv("OPENMED_NER_BACKBONES", str(tmp_path))
    monkeypatch.setenv("OPENMED_NER_OFFLINE", "1")
    for name, n_documents, seed in (("train", 24, 0), ("dev", 6, 1)):
        with (tmp_path / f"{name}.jsonl").open("w") as file:
            write_jsonl(make_notes(n_documents, seed=seed), file)
    options = ["--data", str(tmp_path / "train.jsonl"), "--dev", str(tmp_path / "dev.jsonl")]
    app(["train", *options, "--start", "embedded", "-o", str(tmp_path / "run")], standalone_mode=False)

    bundle = open_bundle(tmp_path / "run/bundle")
    assert [head.corpus for head in bundle.manifest.heads] == ["train"]
    gold = make_notes(20, seed=2)
    tagger = Tagger.load(bundle)
    predicted = tagger.pipe([document.with_spans(()) for document in gold])
    scores = total(score_document(*pair) for pair in zip(gold, predicted, strict=True))
    assert scores.micro.f1 > 0.8
