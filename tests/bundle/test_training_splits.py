"""What a model has learnt from can neither choose for it nor measure it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from openmed_ner.bundle import Bundle
from openmed_ner.bundle.record import corpora_with_dev_learnt, training_splits
from openmed_ner.cli.evaluate import predict_bundle
from openmed_ner.corpora import CATALOG, Split
from openmed_ner.errors import InputError
from openmed_ner.evaluation import gold as evaluation
from openmed_ner.evaluation.predictions import Predictions
from openmed_ner.inference.tagger import Tagger
from openmed_ner.tagging.document_decoding import DocumentChoice
from openmed_ner.tagging.type_merging import TypeMerge
from openmed_ner.text import Account, Document, Span
from openmed_ner.training.export.runtime import export_runtime
from openmed_ner.training.finetune import finetune
from sentences import only
from tiny import CORPORA, make_recipe

NAMES = "diseases", "ncbi-disease"
TWO = tuple(replace(CORPORA[0], head=replace(CORPORA[0].head, corpus=name)) for name in NAMES)
"""Two guidelines of one type."""
GOLD = dict.fromkeys(NAMES, only("Disease"))


@pytest.fixture(scope="module")
def chosen(backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A model that dev chose."""
    return finetune(make_recipe(backbone, epochs=1), TWO, tmp_path_factory.mktemp("chosen"), name="two")


@pytest.fixture(scope="module")
def learnt(backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A model that has learnt dev."""
    recipe = replace(make_recipe(backbone, epochs=2), learn="train+dev")
    return finetune(recipe, TWO, tmp_path_factory.mktemp("learnt"), name="two")


@pytest.mark.slow
def test_dev_chooses_no_merge_for_a_model_that_has_learnt_it(
    chosen: Bundle, learnt: Bundle, adapter_bundle: Bundle, tmp_path: Path
) -> None:
    def export(source: Bundle, name: str, choices: Bundle | None = None) -> Bundle:
        how = {"precision": "fp32", "gold": GOLD, "texts": "eight", "choices": choices}
        return export_runtime(source, tmp_path / name, **how)  # type: ignore[arg-type]

    by_dev = export(chosen, "chosen").manifest
    assert by_dev.merges.keys() == {"Disease"}
    assert by_dev.document_decoding.keys() == set(NAMES)
    without = export(learnt, "learnt").manifest
    assert (without.merges, without.document_decoding) == ({}, {})
    choices = replace(
        chosen.manifest,
        merges={"Disease": TypeMerge(NAMES[:1], "first")},
        document_decoding={NAMES[0]: DocumentChoice("definitions", 0.01)},
    )
    other = replace(chosen, manifest=choices)
    copied = export(learnt, "taken", other)
    assert copied.manifest.merges == other.manifest.merges
    assert copied.manifest.document_decoding == other.manifest.document_decoding
    card = (copied.folder / "README.md").read_text()
    assert re.search(r"\| diseases +\| definitions +\| \+?1\.00", card)
    with pytest.raises(InputError, match=r"is not one of"):
        export(learnt, "wrong", adapter_bundle)


@pytest.mark.slow
def test_who_goes_on_from_a_model_that_has_learnt_dev_has_learnt_it(
    chosen: Bundle, learnt: Bundle, backbone: Path, tmp_path: Path
) -> None:
    for number, (start, splits) in enumerate(((chosen, ("train",)), (learnt, ("train", "dev")))):
        recipe = replace(make_recipe(backbone, epochs=1), method="full", start=str(start.folder))
        bundle = finetune(recipe, TWO, tmp_path / str(number), name="further")
        assert training_splits(bundle.read_json("run.json")) == splits
        again = replace(recipe, start=str(bundle.folder))
        last = finetune(again, TWO, tmp_path / f"{number}-again", name="last")
        assert training_splits(last.read_json("run.json")) == splits


def test_the_record_tells_of_which_corpora_dev_was_learnt() -> None:
    own = {"recipe": {"learn": "train+dev", "keep_dev": ["cll"]}, "data": {"cll": {}, "bc2gm": {}}}
    start = {"learnt": ["train", "dev"], "learnt_dev_of": ["gellus"]}
    former = {"learnt": ["train", "dev"]}
    for record, corpora in (
        ({"recipe": {}}, set()),
        ({**own, "recipe": {"learn": "train"}}, set()),
        (own, {"bc2gm"}),
        ({**own, "start": start}, {"bc2gm", "gellus"}),
        ({**own, "start": {"learnt": ["train"], "soup": [start]}}, {"bc2gm", "gellus"}),
        ({**own, "teacher": former}, {"bc2gm", "cll"}),
    ):
        assert corpora_with_dev_learnt(record) == corpora


def test_what_stands_in_a_split_that_was_learnt_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = {
        name: (Document(name, f"{form} here", (Span(0, len(form), "Disease"),)),)
        for name, form in (("train", "gout"), ("dev", "mumps"), ("test", "mumps"))
    }
    monkeypatch.setattr(
        evaluation,
        "load_split",
        lambda name, split: Split(CATALOG[name], split, splits[split], Account()),
    )
    monkeypatch.setattr(evaluation, "load_alternatives", lambda name, split: None)
    for record, seen in (({"recipe": {"learn": "train+dev"}}, 1), ({"recipe": {}}, 0), ({}, 0)):
        gold = evaluation.load_gold("ncbi-disease", "test", training_splits(record))
        result = Predictions(gold, gold.documents, ("Disease",)).score()
        assert (result["seen"]["tp"], result["unseen"]["tp"]) == (seen, 1 - seen)
    assert evaluation.load_gold("bc4chemd", "test", ("train",)).training is None, "it has no training split"


def test_scores_on_what_was_learnt_are_called_no_measure(
    chosen: Bundle, learnt: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def load_gold(name: str, split: str, learnt: tuple[str, ...]) -> evaluation.Gold:
        asked.append(learnt)
        return evaluation.Gold(name, split, only("Disease"))

    monkeypatch.setattr(evaluation, "load_gold", load_gold)
    for bundle, split, warned in (
        (chosen, "dev", False),
        (chosen, "train", True),
        (learnt, "dev", True),
        (learnt, "test", False),
    ):
        source = evaluation.GoldSource(["ncbi-disease"], split)
        assert len(predict_bundle(bundle, source, Tagger.load)) == 1
        assert (f"was trained on the {split} split" in capsys.readouterr().err) is warned
    assert asked == [("train",)] * 2 + [("train", "dev")] * 2
