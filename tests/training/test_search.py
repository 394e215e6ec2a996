from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from openmed_ner.errors import RecipeError, RunError
from openmed_ner.training.config import Recipe, Search
from openmed_ner.training.engine.loop import CHECKPOINT, StepReport
from openmed_ner.training.recipes import read_recipe
from openmed_ner.training.search import search, small_adapters
from openmed_ner.training.trials import TrialStore, open_study, report_epoch
from pages import SUPPORT
from tiny import CORPORA, make_recipe

SPACE = Search(
    trials=3,
    learning_rate=(1e-3, 1e-2),
    rank=(2, 4),
    targets=("query-value", "all-linear"),
    max_share=0.5,
)


def make_search(backbone: Path) -> Recipe:
    return replace(make_recipe(backbone, epochs=2, patience=2), search=SPACE)


@pytest.fixture
def recipe(backbone: Path) -> Recipe:
    return make_search(backbone)


def test_the_best_trial_on_dev_is_kept(recipe: Recipe, tmp_path: Path) -> None:
    bundle = search(recipe, CORPORA, tmp_path, name="tiny")
    result = json.loads((tmp_path / "search.json").read_text())
    trials = result["trials"]
    assert len(trials) == 3 and {trial["state"] for trial in trials} == {"complete"}
    best = max(trials, key=lambda trial: trial["score"])
    record = bundle.read_json("run.json")
    history = record["history"]
    assert history["scores"][history["best_epoch"]]["score"] == best["score"]
    targets, _, rank = best["adapter"].rpartition("/")
    lora = record["recipe"]["lora"]
    assert (lora["targets"], lora["rank"]) == (targets, int(rank))
    assert lora["alpha"] / lora["rank"] == recipe.lora.alpha / recipe.lora.rank
    assert record["recipe"]["schedule"]["learning_rate"] == best["learning_rate"]
    schedule = recipe.schedule
    first = {name: trials[0][name] for name in ("learning_rate", "dropout", "warmup", "label_smoothing")}
    expected = {name: getattr(schedule, name) for name in first}
    assert first == expected, "the recipe's own settings come first"
    for trial in trials:
        assert 1e-3 <= trial["learning_rate"] <= 1e-2 and 0 <= trial["dropout"] <= 0.2


@pytest.mark.slow
def test_a_search_that_is_killed_goes_on_with_the_trial_it_was_in(recipe: Recipe, tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def kill(trial: str, report: StepReport) -> None:
        if trial == "trial 2" and report.step == 5:
            raise Killed

    with pytest.raises(Killed):
        search(recipe, CORPORA, tmp_path, name="tiny", on_step=kill)
    with pytest.raises(RunError, match="already holds a search"):
        search(recipe, CORPORA, tmp_path, name="tiny")
    search(recipe, CORPORA, tmp_path, name="tiny", resume=True)
    trials = json.loads((tmp_path / "search.json").read_text())["trials"]
    assert [trial["state"] for trial in trials] == ["complete"] * 3
    assert len(list((tmp_path / "trials").iterdir())) == 3, "the unfinished trial was taken up, not dropped"
    resumed = search(recipe, CORPORA, tmp_path, name="tiny", resume=True)
    assert len(json.loads((tmp_path / "search.json").read_text())["trials"]) == 3
    assert resumed.folder == tmp_path / "bundle"


@pytest.mark.slow
def test_processes_share_a_search_and_take_over_from_a_killed_one(
    recipe: Recipe, backbone: Path, tmp_path: Path
) -> None:
    """The other process hangs in the second epoch of trial 1; it is killed when this one is at trial 3."""
    steps: dict[str, list[int]] = {}
    with subprocess.Popen(
        [sys.executable, __file__, str(backbone), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(SUPPORT)},
    ) as other:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("trials/*/hangs")):
            assert other.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        (begun,) = (tmp_path / "trials").iterdir()

        def watch(trial: str, report: StepReport) -> None:
            if not steps.setdefault(trial, []) and len(steps) == 2:
                other.kill()
                other.wait()
            steps[trial].append(report.step)

        try:
            search(recipe, CORPORA, tmp_path, name="tiny", resume=True, on_step=watch)
        finally:
            other.kill()
    assert list(steps) == ["trial 2", "trial 3", "trial 4"], "trial 1 was not touched while it was alive"
    trials = json.loads((tmp_path / "search.json").read_text())["trials"]
    assert [trial["number"] for trial in trials] == [1, 2, 3], "as many as asked for, and each once"
    assert trials[2]["folder"] == begun.name, "the last one goes on with the first"
    assert steps["trial 4"][0] > steps["trial 2"][0] == 1, "from its checkpoint"
    assert len({trial["folder"] for trial in trials}) == 3


def test_settings_under_way_elsewhere_are_not_tried_twice(tmp_path: Path) -> None:
    def suggest(trial: optuna.Trial) -> int:
        return trial.suggest_int("rank", 4, 4)

    first, second = TrialStore(tmp_path), TrialStore(tmp_path)
    with ExitStack() as locks:
        with first.turn():
            trial = first.begin(suggest, 0, locks)
        with second.turn(), ExitStack() as none:
            assert second.requeue_dead() == 1
            assert second.begin(suggest, 0, none) is None
        assert trial and trial.settings == 4
        first.end(trial, 0.5)
    assert [finished.state.name for finished in second.finished()] == ["COMPLETE", "PRUNED"]
    assert second.requeue_dead() == 0 and second.best() == trial.folder


def test_hopeless_trials_are_stopped(tmp_path: Path) -> None:
    study = open_study(tmp_path / "search.log")
    for _ in range(5):
        study.add_trial(optuna.create_trial(value=0.9, intermediate_values={0: 0.5, 1: 0.7, 2: 0.9}))
    trial = study.ask()
    report_epoch(trial, 0, 0.1)  # the first epoch decides nothing
    report_epoch(trial, 1, 0.8)
    with pytest.raises(optuna.TrialPruned):
        report_epoch(trial, 2, 0.8)


def test_a_trial_that_diverges_is_not_the_end(recipe: Recipe, tmp_path: Path) -> None:
    recipe = replace(recipe, schedule=replace(recipe.schedule, clip=1e30, warmup=0.0), method="full")
    space = replace(SPACE, trials=2, learning_rate=(1e-3, 1e30), warmup=(0.0, 0.0))
    bundle = None
    try:
        bundle = search(replace(recipe, search=space), CORPORA, tmp_path, name="tiny")
    except RunError as error:
        assert "no trial" in str(error)
    trials = json.loads((tmp_path / "search.json").read_text())["trials"]
    assert len(trials) == 2 and "pruned" in {trial["state"] for trial in trials}
    assert (bundle is None) == ("complete" not in {trial["state"] for trial in trials})


def test_time_ends_a_search_after_its_first_trial_at_the_earliest(recipe: Recipe, tmp_path: Path) -> None:
    search(replace(recipe, search=replace(SPACE, minutes=1e-9)), CORPORA, tmp_path, name="tiny")
    assert len(json.loads((tmp_path / "search.json").read_text())["trials"]) == 1


@pytest.mark.slow
def test_only_small_adapters_are_tried(recipe: Recipe) -> None:
    everything = small_adapters(recipe, CORPORA)
    assert everything == ["query-value/2", "query-value/4", "all-linear/2", "all-linear/4"]
    some = small_adapters(replace(recipe, search=replace(SPACE, max_share=0.07)), CORPORA)
    assert 0 < len(some) < 4 and set(some) < set(everything)
    with pytest.raises(RecipeError, match="is larger"):
        small_adapters(replace(recipe, search=replace(SPACE, max_share=1e-6)), CORPORA)
    assert small_adapters(replace(recipe, method="full"), CORPORA) == []


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("search.trials=0", "search.trials = 0"),
        ("search.learning_rate=[1e-3]", "a lowest and a highest"),
        ("search.dropout=[0.5, 0.1]", "a lowest and a highest"),
        ('search.rank=["two"]', r"search\.rank\[0\] = 'two': expected int"),
    ],
)
def test_mistakes_in_the_space_are_named(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        read_recipe(None, [override], kind=Recipe)


def hang(trial: str, report: StepReport) -> None:
    if report.epoch == 1:
        for checkpoint in folder.glob(f"trials/*/{CHECKPOINT}"):
            (checkpoint.parent / "hangs").touch()
        time.sleep(600)


if __name__ == "__main__":
    backbone_folder, folder = map(Path, sys.argv[1:])
    search(make_search(backbone_folder), CORPORA, folder, name="tiny", resume=True, on_step=hang)
