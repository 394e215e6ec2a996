"""A model of one's own that keeps the heads of its start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from openmed_ner.bundle import Bundle
from openmed_ner.errors import RecipeError
from openmed_ner.inference.tagger import Tagger
from openmed_ner.tagging import Head
from openmed_ner.tagging.document_decoding import REPETITION, DocumentChoice
from openmed_ner.tagging.type_merging import TypeMerge
from openmed_ner.text import Document
from openmed_ner.training.config import Distillation, Recipe
from openmed_ner.training.finetune import finetune
from openmed_ner.training.kept_heads import kept_choices
from openmed_ner.training.objectives.token_tags import TrainingCorpus
from sentences import DOCUMENTS, only
from tiny import make_recipe

DRUGS = tuple(
    document.with_spans(replace(span, label="Drug") for span in document.spans)
    for document in only("Chemical")
)
OWN = TrainingCorpus(Head("ours", ("Drug",)), DRUGS, DRUGS)


def make_further(backbone: Path, start: Bundle, *, keep_heads: bool = True) -> Recipe:
    recipe = make_recipe(backbone, epochs=12, learning_rate=2e-3, patience=12)
    return replace(recipe, method="full", start=str(start.folder), keep_heads=keep_heads)


def mentions(bundle: Bundle, corpus: str) -> list[set[tuple[int, int, str]]]:
    tagger = Tagger.load(bundle.folder, threads=1)
    tagged = tagger.pipe([document.text for document in DOCUMENTS], corpora=[corpus])
    return [{span.key for span in document.spans} for document in tagged]


def keys(documents: tuple[Document, ...]) -> list[set[tuple[int, int, str]]]:
    return [{span.key for span in document.spans} for document in documents]


def test_old_heads_stay_beside_a_new_one(full_bundle: Bundle, backbone: Path, tmp_path: Path) -> None:
    bundle = finetune(make_further(backbone, full_bundle), [OWN], tmp_path / "run", name="both")
    assert [head.corpus for head in bundle.manifest.heads] == ["ours", "diseases", "chemicals"]
    assert mentions(bundle, "ours") == keys(DRUGS)
    for corpus in ("diseases", "chemicals"):
        assert mentions(bundle, corpus) == mentions(full_bundle, corpus)
    record = bundle.read_json("run.json")
    assert list(record["data"]) == list(record["accounts"]) == ["ours"]
    assert record["teacher"]["sha256"] == record["start"]["sha256"] == full_bundle.sha256
    assert record["recipe"]["keep_heads"] and str(full_bundle.folder) not in str(record)
    again = finetune(make_further(backbone, full_bundle), [OWN], tmp_path / "run", name="both", resume=True)
    assert again.sha256 == bundle.sha256


def test_without_the_option_the_old_heads_are_gone(
    full_bundle: Bundle, backbone: Path, tmp_path: Path
) -> None:
    recipe = replace(
        make_further(backbone, full_bundle, keep_heads=False),
        schedule=make_recipe(backbone, epochs=1).schedule,
    )
    bundle = finetune(recipe, [OWN], tmp_path / "run", name="new")
    assert [head.corpus for head in bundle.manifest.heads] == ["ours"]


def test_a_corpus_of_the_start_that_is_trained_further_has_one_head(
    full_bundle: Bundle, backbone: Path, tmp_path: Path
) -> None:
    recipe = replace(
        make_further(backbone, full_bundle),
        schedule=make_recipe(backbone, epochs=1, learning_rate=1e-6).schedule,
    )
    diseases = TrainingCorpus(Head("diseases", ("Disease",)), only("Disease"), only("Disease"))
    bundle = finetune(recipe, [diseases], tmp_path / "run", name="further")
    assert [head.corpus for head in bundle.manifest.heads] == ["diseases", "chemicals"]
    assert bundle.read_json("run.json")["history"]["scores"][0]["score"] == 1.0


def test_choices_of_the_start_hold_for_its_heads_and_types_alone(full_bundle: Bundle) -> None:
    start = replace(
        full_bundle.manifest,
        merges={
            "Disease": TypeMerge(("diseases", "chemicals"), "first"),
            "Chemical": TypeMerge(("chemicals",), "first"),
        },
        document_decoding={"diseases": DocumentChoice(REPETITION, 0.1)},
    )
    own = Head("ours", ("Chemical",))
    choices = kept_choices(start, [own, *start.heads])
    assert list(choices["merges"]) == ["Disease"], "no rule of the start names the new head of Chemical"
    assert list(choices["document_decoding"]) == ["diseases"]
    assert kept_choices(start, [own]) == {"merges": {}, "document_decoding": {}}


def test_only_a_start_can_lend_heads_and_teach_them() -> None:
    with pytest.raises(RecipeError, match="keep_heads"):
        Recipe(keep_heads=True)
    with pytest.raises(RecipeError, match=r"distillation\.teacher.*the start"):
        Recipe(method="full", start="a", keep_heads=True, distillation=Distillation(teacher="b"))
