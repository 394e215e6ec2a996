from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lexicons import build_diseases
from openmed_ner.bundle import open_bundle
from openmed_ner.corpora import SPLITS, Split, find_corpus
from openmed_ner.errors import CorpusError, InputError, RecipeError, RunError
from openmed_ner.formats import read_documents
from openmed_ner.formats.jsonl import write_jsonl
from openmed_ner.model import backbones
from openmed_ner.terminologies import Matcher, open_lexicon
from openmed_ner.text import Account, Document
from openmed_ner.training.config import Recipe
from openmed_ner.training.study import sources as sources_module
from openmed_ner.training.study.cost import (
    BEGIN_SECONDS,
    DEVICES,
    Device,
    estimate_run,
    estimate_study,
    require_memory,
    this_machine,
)
from openmed_ner.training.study.plan import BASELINE, iter_adaptations, iter_runs, read_study
from openmed_ner.training.study.report import write_report
from openmed_ner.training.study.reproduce import reproduce
from openmed_ner.training.study.silver import draw, read_texts
from openmed_ner.training.study.sources import Sources
from openmed_ner.training.study.specs import CustomCorpus
from openmed_ner.training.study.summary import summarise_study
from pages import ROOT, Terminal, load_tool, read_blocks
from sentences import DOCUMENTS
from tiny import CORPORA, write_training

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
[corpora.diseases]
train = "diseases.jsonl"
dev = "diseases.jsonl"
test = "diseases.jsonl"
[corpora.chemicals]
train = "chemicals.jsonl"
dev = "chemicals.jsonl"
test = "chemicals.jsonl"
format = "jsonl"
[models.both]
corpora = ["diseases", "chemicals"]
seeds = [0, 1]
stages = ["early"]
[training]
backbone = "tiny"
window = 80
overlap = 16
leave_out = "nothing"
[training.schedule]
epochs = 1
batch_subwords = 64
precision = "fp32"
"""


@pytest.fixture
def recipe(backbone: Path, tmp_path: Path) -> Path:
    write_training(tmp_path)
    (tmp_path / "adapt.toml").write_text(ADAPTATION)
    (tmp_path / "study.toml").write_text(STUDY)
    return tmp_path / "study.toml"


def test_a_study_is_carried_out_step_by_step(recipe: Path, passages: Path, tmp_path: Path) -> None:
    folder, seen = tmp_path / "out", []

    def note(name: str, state: str) -> None:
        seen.append((state, name))

    assert not reproduce(
        read_study(recipe), folder, only=lambda name: name.startswith("models/"), on_step=note
    )
    waits = [name for state, name in seen if state == "waits"]
    steps = ["lora/seed-0", "early/seed-0", "lora/seed-1"]
    assert waits == [f"models/both/{step}" for step in steps], "the encoders are not there yet"
    partial = summarise_study(read_study(recipe), folder)
    assert {row["encoder"] for row in partial["scores"]} == {BASELINE} and not partial["comparisons"]
    with pytest.raises(InputError, match="needs prepared passages"):
        reproduce(read_study(recipe), folder)
    before = (folder / "models/both/none/seed-0/scores.json").read_bytes()
    assert reproduce(read_study(recipe), folder, passages=passages)
    assert (folder / "models/both/none/seed-0/scores.json").read_bytes() == before
    seen.clear()
    assert reproduce(read_study(recipe), folder, passages=passages, on_step=note)
    assert {state for state, _ in seen} == {"done"} and len(seen) == 6

    record = summarise_study(read_study(recipe), folder)
    json.dumps(record)
    assert len(record["runs"]) == 5
    assert len(record["scores"]) == 2 * 2 * 3  # corpora, splits, encoders
    for row in record["scores"]:
        assert row["seeds"] == ([0] if row["encoder"] == "early" else [0, 1])
        assert len(row["f1"]) == len(row["seeds"])
        assert row["mean"] == pytest.approx(sum(row["f1"]) / len(row["f1"]))
        low, high = row["ci95"]
        assert 0 <= low <= high <= 1
    assert [(row["first"], row["second"]) for row in record["comparisons"]] == [("lora", "none")] * 4
    for run in record["runs"]:
        scored = [(row["split"], row["protocol"]) for row in run["results"] if row["corpus"] == "diseases"]
        assert scored == [("dev", "mention"), *(("test", name) for name in ("mention", "word", "subword"))]
        assert all(row["coverage_complete"] for row in run["results"] if row["protocol"] == "mention")
    assert record["encoders"]["early"]["subwords"] <= record["encoders"]["lora"]["subwords"]
    encoder = record["encoders"]["lora"]
    assert encoder["subwords"] == pytest.approx(1000, rel=0.2) and encoder["held_out"]["after"]
    assert str(tmp_path) not in json.dumps(record), "no path of this machine"
    check_best(record)
    page = write_report(record)
    for row in record["best"]:
        assert f"| {row['corpus']} | {row['encoder']} (of 2) | {100 * row['dev']:.2f} |" in page
    assert "## Adaptation and method" not in page, "there is one method"
    (folder / "models/both/lora/seed-1/scores.json").unlink()
    early = summarise_study(read_study(recipe), folder)
    assert {tuple(row["seeds"]) for row in record["comparisons"]} == {(0, 1)}
    assert {tuple(row["seeds"]) for row in early["comparisons"]} == {(0,)}, "those that both have"


def check_best(record: dict[str, Any]) -> None:
    """The best encoder is the one selected on dev, and its score is that on test."""
    for best in record["best"]:
        rows = [
            row
            for row in record["scores"]
            if (row["model"], row["corpus"]) == (best["model"], best["corpus"])
        ]
        dev = {
            row["encoder"]: row["mean"] for row in rows if row["split"] == "dev" and row["encoder"] != "early"
        }
        assert best["dev"] == max(dev.values()) == dev[best["encoder"]] and best["compared"] == list(dev)
        (test,) = (row for row in rows if row["split"] == "test" and row["encoder"] == best["encoder"])
        assert test["mean"] == best["mean"] and {"word", "subword"} <= set(test)


TEACHING = """
[models.small]
corpora = ["diseases"]
teacher = "large"
encoders = ["none"]
[teachers.large]
model = "both"
texts = 5
"""


PROBABILITIES = """
[models.small]
corpora = ["chemicals", "diseases"]
start = "both"
teacher = "large"
training = {method = "full", layers = [0], distillation = {weight = 0.9}}
[teachers.large]
model = "both"
by = "probabilities"
texts = 5
"""


@pytest.mark.slow
def test_a_model_learns_the_probabilities_of_another_one(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = STUDY.replace('[adaptations]\nlora = "adapt.toml"\n[stages]\nearly = "lora/rounds/1"\n', "")
    recipe.write_text(study.replace('stages = ["early"]\n', "").replace("[0, 1]", "[0]") + PROBABILITIES)
    with (tmp_path / "texts.jsonl").open("w") as file:
        write_jsonl([Document(str(number), f"Rats {number}") for number in range(9)], file)
    folder, seen, texts = tmp_path / "out", [], tmp_path / "texts.jsonl"
    with pytest.raises(InputError, match=r"teachers\.large needs texts to read"):
        reproduce(read_study(recipe), folder, only=lambda name: "texts" in name)
    assert not reproduce(
        read_study(recipe),
        folder,
        texts=texts,
        only=lambda name: "small" in name,
        on_step=lambda name, state: seen.append((state, name)),
    )
    assert seen == [
        ("to do", "texts/large"),
        ("to do", "models/both/none/seed-0"),
        ("waits", "models/small/none/seed-0"),
    ]
    assert reproduce(read_study(recipe), folder, texts=texts)
    teacher = open_bundle(folder / "models/both/none/seed-0/bundle")
    record = open_bundle(folder / "models/small/none/seed-0/bundle").read_json("run.json")
    assert record["teacher"]["sha256"] == teacher.sha256
    expected = {
        "teacher": "both",
        "ensemble": [],
        "texts": "texts.jsonl",
        "weight": 0.9,
        "temperature": 2.0,
        "scores": "stored",
    }
    assert record["recipe"]["distillation"] == expected
    assert record["data"]["chemicals"]["unlabelled"]["documents"] == 5
    assert record["start"]["sha256"] == teacher.sha256
    estimates = {
        estimate.name: estimate
        for estimate in estimate_study(read_study(recipe), Device("d", 1e-6, 1e12, 100.0))
    }
    assert set(estimates) == {"models/both/none/seed-0", "models/small/none/seed-0"}
    for setting in ('teacher = "elsewhere"', 'teacher = "elsewhere", texts = "notes"'):
        recipe.write_text(recipe.read_text().replace("{weight = 0.9}", f"{{{setting}}}"))
        with pytest.raises(RecipeError, match=r"models\.small\.training\.distillation: name the teacher in"):
            read_study(recipe)


STARTING = """
[models.further]
corpora = ["chemicals", "diseases"]
start = "both"
training = {method = "full", learn = "train+dev"}

[models.soup]
corpora = ["chemicals", "diseases"]
start = "further"
soup = ["both"]
tested = false
training = {method = "full"}
"""


@pytest.mark.slow
def test_a_model_goes_on_from_another_one(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = STUDY.replace('[adaptations]\nlora = "adapt.toml"\n[stages]\nearly = "lora/rounds/1"\n', "")
    recipe.write_text(study.replace('stages = ["early"]\n', "").replace("[0, 1]", "[0]") + STARTING)
    folder, seen = tmp_path / "out", []
    reproduce(
        read_study(recipe),
        folder,
        only=lambda name: "further" in name,
        on_step=lambda name, state: seen.append((state, name)),
    )
    both, further, soup = (f"models/{name}/none/seed-0" for name in ("both", "further", "soup"))
    assert seen == [("to do", both), ("waits", further), ("waits", soup)]
    assert reproduce(read_study(recipe), folder)
    first = open_bundle(folder / both / "bundle")
    record = open_bundle(folder / further / "bundle").read_json("run.json")
    assert record["start"]["sha256"] == first.sha256 and record["recipe"]["start"] == "both"
    record = open_bundle(folder / soup / "bundle").read_json("run.json")
    assert [source["sha256"] for source in record["start"]["soup"]] == [first.sha256]
    assert (record["recipe"]["start"], record["recipe"]["soup"]) == ("further", ["both"])
    record = summarise_study(read_study(recipe), folder)
    splits = {"both": {"dev", "test"}, "further": {"test"}, "soup": {"dev"}}
    for model, expected in splits.items():
        assert {row["split"] for row in record["scores"] if row["model"] == model} == expected
        files = (folder / f"models/{model}").rglob("*-*.jsonl")
        assert {path.name.partition("-")[0] for path in files} == expected
    assert {row["model"] for row in record["best"]} == {"both"}
    assert "| soup | none |" in write_report(record)
    for old, new, message in (
        (
            'start = "both"',
            'start = "further"',
            r"start = 'further': expected a model that is listed earlier",
        ),
        (
            'start = "both"',
            'start = "nobody"',
            r"start = 'nobody': expected a model that is listed earlier",
        ),
        (
            'soup = ["both"]',
            'soup = ["nobody"]',
            r"soup = 'nobody': expected a model that is listed earlier",
        ),
        (
            'start = "further"',
            "",
            r"models\.soup\.soup: requires models\.soup\.start",
        ),
        ('method = "full", ', "", "method = 'lora': expected full, since a start is named"),
        ("{method =", '{start = "x", method =', r"training\.start: name the model in models"),
    ):
        (tmp_path / "wrong.toml").write_text(recipe.read_text().replace(old, new))
        with pytest.raises(RecipeError, match=message):
            read_study(tmp_path / "wrong.toml")


def test_a_model_goes_on_from_the_same_encoder(recipe: Path) -> None:
    study = STUDY.replace("seeds = [0, 1]", 'encoders = ["none"]').replace('stages = ["early"]\n', "")
    recipe.write_text(study + STARTING)
    with pytest.raises(RecipeError, match=r"models\.further\.start: both is not trained from lora"):
        read_study(recipe)


@pytest.mark.slow
def test_a_model_learns_from_texts_that_another_one_tagged(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of the steps follows from what each needs; the teacher knows its eight sentences."""
    monkeypatch.chdir(tmp_path)
    study = STUDY.replace('[adaptations]\nlora = "adapt.toml"\n[stages]\nearly = "lora/rounds/1"\n', "")
    study = study.replace('stages = ["early"]\n', "").replace("seeds = [0, 1]", "seeds = [0]")
    quick = "epochs = 30\nlearning_rate = 2e-2\ndropout = 0.0\nlabel_smoothing = 0.0\n"
    recipe.write_text(study.replace("epochs = 1\n", quick) + TEACHING)
    with (tmp_path / "texts.jsonl").open("w") as file:
        write_jsonl([document.with_spans(()) for document in DOCUMENTS * 2], file)
    folder, seen = tmp_path / "out", []
    with pytest.raises(InputError, match=r"teachers\.large needs texts to read"):
        reproduce(read_study(recipe), folder)
    texts = tmp_path / "texts.jsonl"
    assert reproduce(
        read_study(recipe), folder, texts=texts, on_step=lambda name, state: seen.append((state, name))
    )
    assert [name for state, name in seen if state == "begun"] == ["silver/large", "models/small/none/seed-0"]
    tagged = list(read_documents(folder / "silver/large/silver.jsonl"))
    assert len(tagged) == len({document.text for document in tagged}) == 5
    assert {span.corpus for document in tagged for span in document.spans} == {"diseases", "chemicals"}
    (run,) = (run for run in summarise_study(read_study(recipe), folder)["runs"] if run["model"] == "small")
    assert run["recipe"]["silver"] == "silver.jsonl"
    page = write_report(summarise_study(read_study(recipe), folder))
    assert "| corpus | model | encoder |" in page
    names = {estimate.name for estimate in estimate_study(read_study(recipe), Device("d", 1.0, 1e12, 100.0))}
    assert names == {"models/both/none/seed-0", "models/small/none/seed-0", "silver/large"}
    with (tmp_path / "bad.jsonl").open("w") as file:
        file.write("{}\n")
    with pytest.raises(InputError, match=r"bad\.jsonl, item 1"):
        list(read_texts(tmp_path / "bad.jsonl"))


@pytest.mark.parametrize("name", ["suite", "adaptation", "cpu", "gpu"])
def test_our_adapters_and_heads_stay_below_one_and_a_half_percent(name: str) -> None:
    path = ROOT / f"recipes/{name}.toml"
    methods = {run.name: run.recipe.method for run in iter_runs(read_study(path))}
    shares = {
        estimate.name: estimate.share
        for estimate in estimate_study(read_study(path), Device("d", 1.0, 1e12, 100.0))
    }
    assert max(shares[run] for run, method in methods.items() if method == "lora") < 0.015


def test_texts_are_drawn_whatever_their_order() -> None:
    documents = [Document(str(number), f"text {number}") for number in range(50)]
    drawn = draw(documents, 10)
    assert len(drawn) == 10 and draw(documents[::-1] + documents, 10) == drawn
    assert draw(documents[:3], 10) == draw(documents[2::-1], 10)


def test_texts_with_many_names_are_drawn_more_often(tmp_path: Path) -> None:
    lexicon, _ = open_lexicon(build_diseases(tmp_path, ["breast cancer"]))
    with_names = {f"Case {number} of breast cancer." for number in range(50)}
    texts = [*with_names, *(f"Case {number} of good health." for number in range(50))]
    documents = [Document(text, text) for text in texts]
    drawn = {document.text for document in draw(documents, 20, matcher=Matcher(lexicon))}
    assert 15 <= len(drawn & with_names) <= 20
    few = {document.text for document in draw(documents[::-1], 5, matcher=Matcher(lexicon))}
    assert few < drawn and len(draw(documents, 200, matcher=Matcher(lexicon))) == 100
    every = draw(documents, 100)
    assert draw(documents, 100, matcher=Matcher(lexicon)) == every, "in the order of the hashes"


def test_a_study_has_an_ensemble_of_teachers(recipe: Path) -> None:
    models = """
[models.other]
corpora = ["diseases"]
encoders = ["none"]
[models.small]
corpora = ["diseases"]
encoders = ["none"]
teacher = "both"
[teachers.both]
model = "both"
ensemble = ["other"]
by = "probabilities"
"""
    recipe.write_text(STUDY + models)
    run = next(run for run in iter_runs(read_study(recipe)) if run.model == "small")
    folders = [f"models/{name}/none/seed-0/bundle" for name in ("both", "other")]
    assert [run.recipe.distillation.teacher, *run.recipe.distillation.ensemble] == folders
    alone = STUDY + models.replace('ensemble = ["other"]\n', "")
    device = Device("d", 1.0, 1e12, 100.0)
    seconds = {estimate.name: estimate.seconds for estimate in estimate_study(read_study(recipe), device)}
    recipe.write_text(alone)
    single = {estimate.name: estimate.seconds for estimate in estimate_study(read_study(recipe), device)}
    assert seconds[run.name] >= single[run.name]
    for old, new, match in (
        ('["other"]', '["none"]', r"teachers\.both\.ensemble = 'none': expected a model"),
        ('["other"]', '["small"]', "expected a teacher whose model is listed earlier"),
        ('by = "probabilities"', "texts = 3", r'teachers\.both\.ensemble: expected by = "probabilities"'),
    ):
        recipe.write_text((STUDY + models).replace(old, new))
        with pytest.raises(RecipeError, match=match):
            read_study(recipe)


def test_an_encoder_that_no_model_is_trained_from_is_not_adapted(recipe: Path) -> None:
    assert len(list(iter_adaptations(read_study(recipe)))) == 1
    recipe.write_text(STUDY.replace('stages = ["early"]', 'encoders = ["none"]'))
    assert not list(iter_adaptations(read_study(recipe)))
    with pytest.raises(RecipeError, match=r"training\.lexicon\.folder"):
        recipe.write_text(
            STUDY + '[teachers.one]\nmodel = "both"\nby = "probabilities"\ntexts = 3\nprefer = "names"\n'
        )
        read_study(recipe)


def test_a_model_may_differ_from_the_others(recipe: Path) -> None:
    model = '[models.long]\ncorpora = ["gellus"]\n[models.long.training.schedule]\nepochs = 7\n'
    recipe.write_text(recipe.read_text() + model)
    runs = {run.name: run.recipe for run in iter_runs(read_study(recipe))}
    long, both = runs["models/long/none/seed-0"], runs["models/both/none/seed-0"]
    assert (long.schedule.epochs, both.schedule.epochs) == (7, 1)
    assert long.schedule.batch_subwords == both.schedule.batch_subwords == 64 and long.window == both.window
    recipe.write_text(recipe.read_text() + "epoch = 8\n")
    with pytest.raises(RecipeError, match=r"models\.long\.training\.schedule\.epoch'; did you mean"):
        read_study(recipe)


def test_corpora_of_a_study_are_the_default_of_its_models(recipe: Path) -> None:
    default = STUDY.replace('corpora = ["diseases", "chemicals"]\n', "").replace(
        "[training]\n",
        '[models.one]\ncorpora = ["diseases"]\n[training]\ncorpora = ["chemicals"]\n',
    )
    recipe.write_text(default)
    corpora = {run.model: run.recipe.corpora for run in iter_runs(read_study(recipe))}
    assert corpora == {"both": ("chemicals",), "one": ("diseases",)}


def test_a_step_belongs_to_one_process(recipe: Path, tmp_path: Path) -> None:
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
            read_study(recipe),
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
    assert reproduce(read_study(recipe), tmp_path / "out", only=lambda name: "none/seed-0" in name) is False
    assert (folder / "scores.json").exists(), "a lock ends with its process"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[models.both]", "[nothing.both]", "unknown setting 'nothing'"),
        ('corpora = ["diseases", "chemicals"]', "corpora = []", "at least one corpus"),
        ('test = "chemicals.jsonl"\n', "", r"corpora\.chemicals\.test: expected a file"),
        ("seeds = [0, 1]", 'encoders = ["full"]', "unknown encoder 'full'; expected one of none, lora"),
        (
            "[adaptations]",
            'backbones = ["a", "b"]\n[adaptations]',
            "not supported when backbones",
        ),
        ("seeds = [0, 1]", 'seeds = ["a"]', r"models\.both\.seeds\[0\] = 'a': expected int"),
        ('lora = "adapt.toml"', 'none = "adapt.toml"', "the name is reserved"),
        ('lora = "adapt.toml"', "lora = 3", "adaptations.lora = 3: expected str"),
        ('"lora/rounds/1"', '"full/rounds/1"', "expected a new name and ADAPTATION/rounds/N"),
        ('stages = ["early"]', 'stages = ["late"]', r"models\.both\.stages: unknown stage 'late'"),
        ("seeds = [0, 1]", 'teacher = "x"', r"models\.both\.teacher: unknown teacher 'x'"),
        (
            "[training]",
            '[teachers.x]\nmodel = "y"\n[training]',
            r"teachers\.x\.model = 'y': expected a model",
        ),
        (
            "[training]",
            '[teachers.x]\nmodel = "both"\nencoder = "y"\ntexts = 1\n[training]',
            r"teachers\.x\.encoder = 'y': both is trained from none, lora",
        ),
        (
            "[training]",
            '[teachers.x]\nmodel = "both"\n[training]',
            r"teachers\.x\.texts: expected the number of texts to tag",
        ),
        (
            "[models.both]",
            '[teachers.x]\nmodel = "both"\ntexts = 1\n[models.both]\nteacher = "x"',
            r"models\.both\.teacher = 'x': expected a teacher whose model is listed earlier",
        ),
    ],
)
def test_mistakes_in_a_study_are_named(recipe: Path, old: str, new: str, message: str) -> None:
    recipe.write_text(STUDY.replace(old, new))
    with pytest.raises(RecipeError, match=message):
        read_study(recipe)


def test_a_study_needs_models_and_one_backbone(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.toml").write_text('title = "Nothing"\n')
    with pytest.raises(RecipeError, match="no model to train"):
        read_study(tmp_path / "empty.toml")
    (tmp_path / "adapt.toml").write_text(ADAPTATION.replace("tiny", "other"))
    with pytest.raises(RecipeError, match="trains from 'tiny'"):
        reproduce(read_study(recipe), tmp_path / "out", only=lambda name: False)


def test_the_first_seed_of_every_model_comes_first(recipe: Path) -> None:
    runs = list(iter_runs(read_study(recipe)))
    assert [(run.encoder.name, run.recipe.seed) for run in runs] == [
        (BASELINE, 0), ("lora", 0), ("early", 0), (BASELINE, 1), ("lora", 1)
    ]  # fmt: skip
    assert len({run.name for run in runs}) == 5


BACKBONES = """
backbones = ["tiny", "other"]
[adaptations]
lora = "adapt.toml"
[corpora.diseases]
train = "diseases.jsonl"
dev = "diseases.jsonl"
test = "diseases.jsonl"
[models.diseases]
corpora = ["diseases"]
searched = true
encoders = ["tiny+lora", "other"]
[models.full]
corpora = ["diseases"]
[models.full.training]
method = "full"
[training]
window = 80
overlap = 16
leave_out = "nothing"
[training.schedule]
epochs = 1
batch_subwords = 64
precision = "fp32"
[training.search]
trials = 2
rank = [2]
max_share = 1.0
"""


@pytest.mark.slow
def test_backbones_are_compared_and_settings_searched(
    recipe: Path, backbone: Path, passages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tiny", "other"):
        shutil.copytree(backbone, tmp_path / "backbones" / name)
        shutil.copytree(passages, tmp_path / "sets" / name)
    monkeypatch.setenv("OPENMED_NER_BACKBONES", str(tmp_path / "backbones"))
    recipe.write_text(BACKBONES)
    folder = tmp_path / "out"
    assert reproduce(read_study(recipe), folder, passages=tmp_path / "sets")
    record = summarise_study(read_study(recipe), folder)
    assert list(record["encoders"]) == ["tiny+lora", "other+lora"]
    assert [encoder["recipe"]["backbone"] for encoder in record["encoders"].values()] == ["tiny", "other"]
    runs = {(run["model"], run["encoder"]): run for run in record["runs"]}
    searched = {encoder for (model, encoder), run in runs.items() if run["searched"]}
    assert searched == {encoder for model, encoder in runs if model == "diseases"} == {"tiny+lora", "other"}
    for encoder in searched:
        trials = json.loads((folder / f"models/diseases/{encoder}/seed-0/search.json").read_text())["trials"]
        assert len(trials) == 2
    assert {encoder for model, encoder in runs if model == "full"} == {
        "tiny", "tiny+lora", "other", "other+lora"
    }  # fmt: skip
    assert {run["parameters"]["share"] for key, run in runs.items() if key[0] == "full"} == {1.0}
    pairs = [(row["first"], row["second"]) for row in record["comparisons"] if row["split"] == "test"]
    adapted = [("tiny+lora", "tiny"), ("other+lora", "other")]
    assert sorted(pairs) == sorted([*adapted, ("other", "tiny")]), "within a backbone, and as released"
    check_best(record)
    page = write_report(record)
    assert "| diseases | other | full | " in page and "## Adaptation and method" in page
    tried = page[page.index("## Searches") : page.index("## What it took")]
    assert tried.count("| diseases | tiny+lora | ") == 2 and tried.count("**") >= 4, "the best are marked"


def test_a_corpus_of_ones_own_is_read_from_its_files(recipe: Path, tmp_path: Path) -> None:
    custom = CustomCorpus("diseases.jsonl", "diseases.jsonl", "chemicals.jsonl")
    sources = Sources({"mine": custom.beside(tmp_path)})
    assert sources.documents("mine", "dev") == CORPORA[0].dev
    with pytest.raises(CorpusError, match=r"corpora\.mine\.test: the label 'Chemical' does not occur"):
        sources.head("mine")
    with (tmp_path / "empty.jsonl").open("w") as file:
        write_jsonl([Document("1", "Nothing.")], file)
    nothing = Sources({"mine": CustomCorpus(*["empty.jsonl"] * 3).beside(tmp_path)})
    with pytest.raises(CorpusError, match="nothing to learn"):
        nothing.head("mine")
    twice = Sources({"mine": CustomCorpus(*["diseases.jsonl"] * 3).beside(tmp_path)})
    (corpus,) = twice.annotated(Recipe(corpora=("mine",)))
    assert corpus.left_out and not set(corpus.left_out) & {document.id for document in corpus.train}
    (corpus,) = twice.annotated(Recipe(corpora=("mine",), leave_out="nothing"))
    assert corpus.train == CORPORA[0].train
    gold = twice.gold("mine", "test", ("train",))
    assert gold.documents == tuple(gold.training or ()) == CORPORA[0].dev


def test_a_catalogued_corpus_teaches_the_types_of_the_catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = {split: (Document(split, f"In {split}."),) for split in SPLITS}

    read: list[str] = []

    def load_split(name: str, split: str) -> Split:
        read.append(split)
        return Split(find_corpus(name), split, documents[split], Account())

    monkeypatch.setattr(sources_module, "load_split", load_split)
    monkeypatch.setattr(sources_module, "load_alternatives", lambda name, split: None)
    sources = Sources()
    (corpus,) = sources.annotated(Recipe(corpora=("ncbi-disease",)))
    (again,) = sources.annotated(Recipe(corpora=("ncbi-disease",), seed=1))
    gold = sources.gold("ncbi-disease", "test", ("train", "dev"))
    assert again is corpus and gold.documents == documents["test"]
    assert gold.training == [*documents["train"], *documents["dev"]]
    assert sorted(read) == sorted(SPLITS), "once each, for all models of the study"
    assert (corpus.head.labels, corpus.train, corpus.dev) == (
        ("Disease",),
        documents["train"],
        documents["dev"],
    )


def test_a_plan_grows_with_the_work_and_shrinks_with_the_device(recipe: Path) -> None:
    slow, fast = (Device("a machine", rate, 1e9, 100) for rate in (1e-3, 2e-3))
    plan = {estimate.name: estimate for estimate in estimate_study(read_study(recipe), slow)}
    assert list(plan) == ["encoders/lora", *(run.name for run in iter_runs(read_study(recipe)))]
    quicker = {estimate.name: estimate for estimate in estimate_study(read_study(recipe), fast)}
    recipe.write_text(STUDY.replace("epochs = 1", "epochs = 50"))
    longer = {estimate.name: estimate for estimate in estimate_study(read_study(recipe), slow)}
    for name in plan:
        assert quicker[name].seconds <= plan[name].seconds and quicker[name].memory == plan[name].memory
        assert plan[name].kwh == pytest.approx(plan[name].seconds * 100 / 3.6e6)
        if name.startswith("models/"):
            assert longer[name].seconds > plan[name].seconds
    require_memory(plan.values(), slow)
    with pytest.raises(RunError, match=r"needs about .* GB, and a machine has 0\.0: lower schedule"):
        require_memory(plan.values(), Device("a machine", 1, 1e3, 100))


def test_a_plan_keeps_to_the_minutes_of_a_schedule(recipe: Path) -> None:
    machine = Device("a machine", 1e-7, 1e12, 100)
    free = {estimate.name: estimate for estimate in estimate_study(read_study(recipe), machine)}
    recipe.write_text(STUDY.replace("epochs = 1", "epochs = 1\nminutes = 2"))
    limited = {estimate.name: estimate for estimate in estimate_study(read_study(recipe), machine)}
    for name in free:
        if name.startswith("models/"):
            assert 120 < limited[name].seconds < free[name].seconds, "the last evaluation is not limited"
        else:
            assert limited[name] == free[name]


def test_the_rate_of_this_machine_is_measured() -> None:
    machine = this_machine()
    assert 1e-3 < machine.tflops < 5000 and machine.memory > 1e8


STUDIES = ("adaptation", "cpu", "cpu-hours", "gpu", "joint", "paper", "search", "suite")


@pytest.mark.parametrize("name", STUDIES)
def test_published_studies_can_be_planned_anywhere(name: str) -> None:
    path = ROOT / f"recipes/{name}.toml"
    plan = estimate_study(read_study(path), DEVICES["a100-80gb"])
    least = 2 if name in ("search", "cpu-hours") else 3
    assert len(plan) >= len(list(iter_runs(read_study(path)))) >= least
    require_memory(plan, DEVICES["a100-80gb"])
    if name == "paper":
        assert all(step.share < 0.015 for step in plan if "-full" not in step.name), "the paper's limit"


@pytest.mark.slow
def test_the_study_for_two_cores_runs_as_it_stands_at_toy_size(
    backbone: Path, passages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tiny encoders under the names of its backbones, eight sentences under those of its corpora."""
    study = read_study(ROOT / "recipes/cpu.toml")
    for name in study.backbones:
        shutil.copytree(backbone, tmp_path / "backbones" / name)
    monkeypatch.setattr(backbones, "BACKBONES", {})
    monkeypatch.setenv("OPENMED_NER_BACKBONES", str(tmp_path / "backbones"))
    monkeypatch.chdir(tmp_path)
    with (tmp_path / "own.jsonl").open("w") as file:
        write_jsonl(CORPORA[0].train, file)
    text = (ROOT / "recipes/cpu.toml").read_text()
    for old, new in {
        "window = 160": 'window = 80\nleave_out = "nothing"',
        "epochs = 10": "epochs = 1",
        "trials = 6": "trials = 1\nmax_share = 1.0",
    }.items():
        assert old in text
        text = text.replace(old, new)
    for name in {corpus for model in study.models.values() for corpus in model.corpora}:
        text += f'\n[corpora.{name}]\ntrain = "own.jsonl"\ndev = "own.jsonl"\ntest = "own.jsonl"\n'
    (tmp_path / "cpu.toml").write_text(text)
    (tmp_path / "adapt-cpu.toml").write_text(ADAPTATION)
    assert reproduce(read_study(tmp_path / "cpu.toml"), tmp_path / "out", passages=passages)
    page = write_report(summarise_study(read_study(tmp_path / "cpu.toml"), tmp_path / "out"))
    best = page[: page.index("## All encoders")]
    assert "| ncbi-disease | ncbi-disease |" in best and "| cll-full | cll |" in best
    assert "| 91.10 | 88.30 |" in best, "the paper's score and BioBERT's stand beside it"


@pytest.mark.slow
def test_the_toy_study_ends_with_a_table_a_card_and_a_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands of docs/reproduce.md, on fewer documents and with fewer steps."""
    toy, folder = load_tool("make_toy"), tmp_path / "runs/toy"
    monkeypatch.setattr(toy, "SIZES", {"train": 12, "dev": 4, "test": 4})
    toy.main(folder)
    recipe = (folder / "toy.toml").read_text()
    for old, new in (("epochs = 10", "epochs = 1"), ("trials = 3", "trials = 1")):
        assert old in recipe
        recipe = recipe.replace(old, new)
    (folder / "toy.toml").write_text(recipe)
    adaptation = (folder / "toy-adapt.toml").read_text()
    assert "subwords = 100_000\nhead_subwords = 20_000" in adaptation
    (folder / "toy-adapt.toml").write_text(adaptation.replace("0_000\n", "000\n"))
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/one.txt").write_text("Patients with cardiba were given chlormi.\n")
    monkeypatch.setenv("OPENMED_NER_BACKBONES", str(folder / "backbones"))
    terminal = Terminal(tmp_path, monkeypatch)
    blocks = read_blocks((ROOT / "docs/reproduce.md").read_text())
    lines = [command.line for _, commands in blocks for command in commands if " runs/toy" in command.line]
    assert len(lines) == 7
    for line in lines:
        if line.startswith("openmed-ner"):
            printed = terminal.run(line)
            assert not terminal.status, f"{line}\n{printed}"
    out = folder / "out"
    assert "| toy-full | toy | toy-bert" in (out / "report.md").read_text()
    card = (out / "models/toy/toy-bert/seed-0/bundle/README.md").read_text()
    assert "model-index" in card and "| toy | test |" in card
    assert (folder / "runtime/parity.json").exists()


def test_a_smaller_model_is_planned_by_the_layers_it_keeps() -> None:
    recipe, device = Recipe(corpora=("cll",), method="full"), Device("d", 1e-3, 1e12, 100.0)
    whole, half = (estimate_run(variant, device) for variant in (recipe, replace(recipe, layers=(0, 2, 4))))
    assert half.seconds - BEGIN_SECONDS == pytest.approx((whole.seconds - BEGIN_SECONDS) / 2)
    assert half.memory < whole.memory
