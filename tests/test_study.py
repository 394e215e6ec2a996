from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from openmed_ner.corpora import Split, find_corpus
from openmed_ner.errors import InputError, RecipeError
from openmed_ner.inference import evaluation
from openmed_ner.study import reproduce as study_module
from openmed_ner.study import summary
from openmed_ner.study.plan import BASELINE, iter_runs, read_study
from openmed_ner.study.reproduce import reproduce
from openmed_ner.study.summary import summarise_study
from openmed_ner.text import Account
from openmed_ner.training.finetune import Annotated
from tiny import CORPORA

ADAPTATION = """
backbone = "tiny"
subwords = 1000
head_subwords = 200
window = 40
held_out = 3
keep = 1
[lora]
rank = 2
alpha = 4
[schedule]
epochs = 1
batch_subwords = 160
precision = "fp32"
"""
STUDY = """
title = "Does it help?"
[adaptations]
lora = "adapt.toml"
[stages]
early = "lora/rounds/1"
[models.both]
corpora = ["ncbi-disease", "bc5cdr-chemical"]
seeds = [0, 1]
stages = ["early"]
[training]
backbone = "tiny"
window = 80
overlap = 16
[training.schedule]
epochs = 1
batch_subwords = 64
precision = "fp32"
"""
NAMES = {"ncbi-disease": CORPORA[0], "bc5cdr-chemical": CORPORA[1]}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "adapt.toml").write_text(ADAPTATION)
    (tmp_path / "study.toml").write_text(STUDY)
    return tmp_path / "study.toml"


@pytest.fixture
def catalog(backbone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The eight sentences in place of the corpora of the catalog."""

    def load_corpora(names: tuple[str, ...], *, leave_out: str) -> list[Annotated]:
        heads = {name: type(NAMES[name].head)(name, NAMES[name].head.labels) for name in names}
        return [Annotated(heads[name], NAMES[name].train, NAMES[name].dev) for name in names]

    def load_split(name: str, split: str) -> Split:
        return Split(find_corpus(name), split, NAMES[name].dev, Account())

    monkeypatch.setattr(study_module, "load_corpora", load_corpora)
    monkeypatch.setattr(evaluation, "load_split", load_split)
    monkeypatch.setattr(evaluation, "load_alternatives", lambda name, split: None)
    monkeypatch.setattr(summary, "load_split", load_split)


def test_a_study_is_carried_out_step_by_step(
    recipe: Path, catalog: None, passages: Path, tmp_path: Path
) -> None:
    folder, seen = tmp_path / "out", []

    def note(name: str, state: str) -> None:
        seen.append((state, name))

    assert not reproduce(recipe, folder, only=lambda name: name.startswith("models/"), on_step=note)
    waits = [name for state, name in seen if state == "waits"]
    steps = ["lora/seed-0", "early/seed-0", "lora/seed-1"]
    assert waits == [f"models/both/{step}" for step in steps], "the encoders are not there yet"
    partial = summarise_study(read_study(recipe), folder)
    assert {row["encoder"] for row in partial["scores"]} == {BASELINE} and not partial["comparisons"]
    with pytest.raises(InputError, match="needs prepared passages"):
        reproduce(recipe, folder)
    before = (folder / "models/both/none/seed-0/scores.json").read_bytes()
    assert reproduce(recipe, folder, passages=passages)
    assert (folder / "models/both/none/seed-0/scores.json").read_bytes() == before
    seen.clear()
    assert reproduce(recipe, folder, passages=passages, on_step=note)
    assert {state for state, _ in seen} == {"done"} and len(seen) == 6

    found = summarise_study(read_study(recipe), folder)
    json.dumps(found)
    assert len(found["runs"]) == 5
    assert len(found["scores"]) == 2 * 2 * 3  # corpora, splits, encoders
    for row in found["scores"]:
        assert row["seeds"] == ([0] if row["encoder"] == "early" else [0, 1])
        assert len(row["f1"]) == len(row["seeds"])
        assert row["mean"] == pytest.approx(sum(row["f1"]) / 2)
        low, high = row["ci95"]
        assert 0 <= low <= high <= 1
    assert [(row["first"], row["second"]) for row in found["comparisons"]] == [("lora", "none")] * 4
    for run in found["runs"]:
        scored = [
            (row["split"], row["protocol"]) for row in run["results"] if row["corpus"] == "ncbi-disease"
        ]
        assert scored == [("dev", "mention"), *(("test", name) for name in ("mention", "word", "subword"))]
        assert all(row["coverage_complete"] for row in run["results"] if row["protocol"] == "mention")
    assert found["encoders"]["early"]["subwords"] <= found["encoders"]["lora"]["subwords"]
    encoder = found["encoders"]["lora"]
    assert encoder["subwords"] == pytest.approx(1000, rel=0.2) and encoder["held_out"]["after"]
    assert str(tmp_path) not in json.dumps(found), "no path of this machine"


def test_a_model_may_differ_from_the_others(recipe: Path) -> None:
    own = '[models.long]\ncorpora = ["gellus"]\n[models.long.training.schedule]\nepochs = 7\n'
    recipe.write_text(recipe.read_text() + own)
    runs = {run.name: run.recipe for run in iter_runs(read_study(recipe))}
    long, both = runs["models/long/none/seed-0"], runs["models/both/none/seed-0"]
    assert (long.schedule.epochs, both.schedule.epochs) == (7, 1)
    assert long.schedule.batch_subwords == both.schedule.batch_subwords == 64 and long.window == both.window
    recipe.write_text(recipe.read_text() + "epoch = 8\n")
    with pytest.raises(RecipeError, match=r"models\.long\.training\.schedule\.epoch'; did you mean"):
        read_study(recipe)


def test_a_step_belongs_to_one_process(recipe: Path, catalog: None, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "models/both/none/seed-0"
    folder.mkdir(parents=True)
    script = (
        "import fcntl, sys, time; file = open(sys.argv[1], 'a'); fcntl.flock(file, fcntl.LOCK_EX); "
        "print(1, flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, str(folder / "lock")], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None and holder.stdout.readline()
        seen: list[tuple[str, str]] = []
        assert not reproduce(
            recipe,
            tmp_path / "out",
            only=lambda name: name == "models/both/none/seed-0",
            on_step=lambda name, state: seen.append((state, name)),
        )
        assert ("elsewhere", "models/both/none/seed-0") in seen
    finally:
        holder.kill()
        holder.wait()
        assert holder.stdout is not None
        holder.stdout.close()
    assert reproduce(recipe, tmp_path / "out", only=lambda name: "none/seed-0" in name) is False
    assert (folder / "scores.json").exists(), "a lock ends with its process"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[models.both]", "[nothing.both]", "unknown setting 'nothing'"),
        ('corpora = ["ncbi-disease", "bc5cdr-chemical"]', "corpora = []", "at least one corpus"),
        ("seeds = [0, 1]", 'seeds = ["a"]', r"models\.both\.seeds\[0\] = 'a': expected int"),
        ('lora = "adapt.toml"', 'none = "adapt.toml"', "that name is taken"),
        ('lora = "adapt.toml"', "lora = 3", "adaptations.lora = 3: expected str"),
        ('"lora/rounds/1"', '"full/rounds/1"', "expected a new name and ADAPTATION/rounds/N"),
        ('stages = ["early"]', 'stages = ["late"]', r"models\.both\.stages: there is no stage 'late'"),
    ],
)
def test_mistakes_in_a_study_are_named(recipe: Path, old: str, new: str, message: str) -> None:
    recipe.write_text(STUDY.replace(old, new))
    with pytest.raises(RecipeError, match=message):
        read_study(recipe)


def test_a_study_needs_models_and_one_backbone(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.toml").write_text('title = "Nothing"\n')
    with pytest.raises(RecipeError, match="nothing to train"):
        read_study(tmp_path / "empty.toml")
    (tmp_path / "adapt.toml").write_text(ADAPTATION.replace("tiny", "other"))
    with pytest.raises(RecipeError, match="trains from 'tiny'"):
        reproduce(recipe, tmp_path / "out", only=lambda name: False)


def test_the_first_seed_of_every_model_comes_first(recipe: Path) -> None:
    runs = list(iter_runs(read_study(recipe)))
    assert [(run.encoder, run.recipe.seed) for run in runs] == [
        (BASELINE, 0), ("lora", 0), ("early", 0), (BASELINE, 1), ("lora", 1)
    ]  # fmt: skip
    assert len({run.name for run in runs}) == 5
