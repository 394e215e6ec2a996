"""Studies whose models start from a trained bundle, such as the embedded model, and are taught by it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.errors import BundleError, RecipeError
from openmed_ner.formats.jsonl import write_jsonl
from openmed_ner.text import Document
from openmed_ner.training.config import Augmentation, Recipe
from openmed_ner.training.study.cost import DEVICES, Device, estimate_run, estimate_study
from openmed_ner.training.study.given import check_bundles
from openmed_ner.training.study.plan import PlannedRun, StudyEncoder, iter_runs, read_study
from openmed_ner.training.study.reproduce import reproduce
from openmed_ner.training.study.summary import summarise_study
from pages import ROOT
from tiny import write_training

STUDY = """
[bundles]
given = "given"
[corpora.diseases]
train = "diseases.jsonl"
dev = "diseases.jsonl"
test = "diseases.jsonl"
[corpora.chemicals]
train = "chemicals.jsonl"
dev = "chemicals.jsonl"
test = "chemicals.jsonl"
[models.student]
start = "given"
teacher = "given"
tested = false
[models.again]
start = "student"
soup = ["given"]
teacher = "both"
tested = false
[teachers.given]
model = "given"
by = "probabilities"
texts = 3
[teachers.both]
model = "student"
ensemble = ["given"]
by = "probabilities"
[training]
corpora = ["diseases", "chemicals"]
backbone = "tiny"
method = "full"
window = 80
overlap = 16
leave_out = "nothing"
learn = "train+dev"
keep_dev = ["diseases"]
compare_start = true
distillation = { scores = "online" }
[training.schedule]
epochs = 1
batch_subwords = 64
precision = "fp32"
"""


@pytest.fixture
def recipe(full_bundle: Bundle, tmp_path: Path) -> Path:
    shutil.copytree(full_bundle.folder, tmp_path / "given")
    write_training(tmp_path)
    with (tmp_path / "texts.jsonl").open("w") as file:
        write_jsonl([Document(str(number), f"Rats {number}") for number in range(9)], file)
    (tmp_path / "study.toml").write_text(STUDY)
    return tmp_path / "study.toml"


def test_models_start_from_a_bundle_and_are_taught_by_it(
    recipe: Path, full_bundle: Bundle, tmp_path: Path
) -> None:
    study, folder, begun = read_study(recipe), tmp_path / "out", []

    def note(name: str, state: str) -> None:
        begun.extend([name] if state == "begun" else [])

    assert reproduce(study, folder, texts=tmp_path / "texts.jsonl", on_step=note)
    student, again = (f"models/{name}/none/seed-0" for name in ("student", "again"))
    assert begun == ["texts/given", student, again]
    records = [open_bundle(folder / name / "bundle").read_json("run.json") for name in (student, again)]
    for record in records:
        assert set(record["comparison"]["dev"]) == {"trained", "mean", "start"}
    assert records[0]["start"]["sha256"] == records[0]["teacher"]["sha256"] == full_bundle.sha256
    assert records[1]["start"]["soup"][0]["sha256"] == full_bundle.sha256
    assert records[1]["teacher"]["ensemble"][0]["sha256"] == full_bundle.sha256

    # Dev documents of chemicals were learnt, so only those of diseases are asked.
    rows = summarise_study(study, folder)["scores"]
    assert {(row["corpus"], row["split"]) for row in rows} == {("diseases", "dev")}


def test_a_step_goes_before_later_ones_once_it_can(recipe: Path, tmp_path: Path) -> None:
    """What a time limit cuts off is at the end of the recipe, even if nothing has to be waited for."""
    later = (
        '[models.later]\nstart = "given"\n[models.again]\nstart = "student"\n[models.last]\nstart = "given"\n'
    )
    study = STUDY[: STUDY.index("[models.again]")] + later + STUDY[STUDY.index("[teachers.given]") :]
    recipe.write_text(study.replace('model = "student"\nensemble', 'model = "later"\nensemble'))
    begun: list[str] = []

    def note(name: str, state: str) -> None:
        begun.extend([name.split("/")[1]] if state == "begun" else [])

    assert reproduce(read_study(recipe), tmp_path / "out", texts=tmp_path / "texts.jsonl", on_step=note)
    assert begun == ["given", "student", "later", "again", "last"]


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ('given = "given"', 'given = "none"', BundleError, "none"),
        ('given = "given"', 'student = "given"', RecipeError, r"bundles\.student: expected another name"),
        ('given = "given"', 'given = "embedded"', RecipeError, "no model of tiny can start from it"),
        ('corpora = ["diseases", "chemicals"]', 'corpora = ["diseases"]\nlayers = [1]', None, ""),
        ('start = "given"', 'start = "other"', RecipeError, "a model that is listed earlier, or a bundle"),
        ('model = "given"', 'model = "other"', RecipeError, "expected a model or bundle of the study"),
    ],
)
def test_a_bundle_that_does_not_fit_is_named_before_training(
    recipe: Path, old: str, new: str, error: type[Exception] | None, message: str
) -> None:
    recipe.write_text(STUDY.replace(old, new, 1))
    if error is None:
        read_study(recipe)
        return
    with pytest.raises(error, match=message):
        read_study(recipe)


def test_the_teacher_of_other_heads_is_refused(full_bundle: Bundle) -> None:
    place = str(full_bundle.folder)
    recipe = Recipe(corpora=("cll",))
    recipe = replace(recipe, distillation=replace(recipe.distillation, teacher=place))
    with pytest.raises(RecipeError, match="teaches diseases, chemicals, and its student learns cll"):
        check_bundles([place], [recipe])


def test_the_plan_counts_the_dev_documents_that_are_learnt() -> None:
    device = Device("d", 1e-3, 1e12, 100.0)
    recipe = Recipe(corpora=("cll",), method="full")

    def seconds(**settings: Any) -> float:
        return estimate_run(replace(recipe, **settings), device).seconds

    assert seconds(learn="train+dev", keep_dev=("cll",)) == pytest.approx(seconds())
    assert seconds(learn="train+dev") > seconds()
    assert seconds(augmentation=Augmentation(share=0.3, notes=100)) > seconds()
    run = PlannedRun(StudyEncoder("b"), "m", Recipe(corpora=("a", "b"), learn="train+dev", keep_dev=("b",)))
    assert run.scored == {"dev": ("b",), "test": ("a", "b")}


def test_the_estimate_of_the_study_for_a_gpu_fits_its_minutes() -> None:
    """The recipe leaves half of the nine minutes' last one to the start and the last copy of results."""
    study = read_study(ROOT / "recipes/gpu.toml")
    estimates = estimate_study(study, DEVICES["h100-80gb"])
    assert sum(step.seconds for step in estimates) < 60 * study.minutes <= 8.5 * 60
    published = study.bundles["published"]
    starting = [run.recipe for run in iter_runs(study) if run.recipe.start == published]
    assert starting and all(recipe.compare_start for recipe in starting)
