"""Search settings on dev by Optuna's tree-structured Parzen estimator, and stop hopeless trials early.

Any number of processes may search in one folder; each trial is a run with a folder and checkpoints of its
own. A search that was killed goes on where it was, its unfinished trials included. Only dev documents are
looked at.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.bundle.manifest import MANIFEST, RECORD
from openmed_ner.bundle.record import provenance
from openmed_ner.errors import DivergenceError, RecipeError, RunError
from openmed_ner.model.backbones import find_backbone
from openmed_ner.model.tagger import count_parameters
from openmed_ner.storage import write_json
from openmed_ner.training.config import Recipe
from openmed_ner.training.engine.loop import StepReport
from openmed_ner.training.engine.processes import Processes, join
from openmed_ner.training.engine.session import BUNDLE
from openmed_ner.training.finetune import build_model, finetune
from openmed_ner.training.objectives.token_tags import TrainingCorpus
from openmed_ner.training.trials import JOURNAL, WAIT, Attempt, TrialStore, judge

if TYPE_CHECKING:
    from optuna import Trial

logger = logging.getLogger(__name__)
RESULT = "search.json"
RANGES = "learning_rate", "dropout", "label_smoothing", "warmup"
CHOICES = "batch_subwords", "weight_decay"


def search(
    recipe: Recipe,
    corpora: Sequence[TrainingCorpus],
    folder: Path,
    *,
    name: str,
    resume: bool = False,
    on_step: Callable[[str, StepReport], None] = lambda trial, report: None,
    processes: Processes | None = None,
) -> Bundle:
    """Try settings until trials or time run out, and keep the bundle of the best.

    The recipe's own settings come first, where the space holds them, so that the best is no worse on dev.
    Returns when no process has a trial under way any more, so that all return the same bundle.

    Args:
        recipe: what is not searched, and under ``search`` what is.
        corpora: one head each; their ``dev`` decides.
        folder: of the search; ``search.json`` lists every trial.
        name: of the bundle.
        resume: go on with the search that the folder holds, beside other processes if there are any.
        on_step: told of each step and evaluation, and of which trial it is.
        processes: this one, with its device.

    Raises:
        RecipeError: no adapter of the search space is small enough, or there is nothing to choose by.
        RunError: the folder holds a search that is not to be resumed, a launcher makes several processes one
            run, or no trial came to its end.
    """
    processes = processes or join()
    if processes.count > 1:
        raise RunError("a search is not spread by a launcher: start it once for each device, on one folder")
    if recipe.learn != "train":
        raise RecipeError(f"learn = {recipe.learn!r}: a search chooses by dev; learn train only")
    if (folder / JOURNAL).exists() and not resume:
        raise RunError(f"{folder} already holds a search; resume or join it, or choose another folder")
    trials = TrialStore(folder)
    adapters = small_adapters(recipe, corpora)
    choose = partial(suggest, recipe, adapters=adapters)
    deadline = time.monotonic() + 60 * (recipe.search.minutes or float("inf"))
    run = partial(_run, corpora=corpora, name=name, on_step=on_step, processes=processes)
    with trials.turn():
        trials.propose(own_settings(recipe, adapters))
    while True:
        with ExitStack() as locks:
            with trials.turn():
                n_running = trials.take_up_dead()
                n_done = len(trials.finished())
                wanted = n_done + n_running < recipe.search.trials
                wanted &= time.monotonic() < deadline or not n_done
                attempt = trials.begin(choose, recipe.seed, locks) if wanted else None
                if not wanted and not n_running:
                    _write_result(trials, recipe, folder)
                    return _keep_best(trials, folder)
            if attempt is None:
                time.sleep(WAIT)
                continue
            score = run(attempt)
            with trials.turn():
                trials.end(attempt, score)
                _write_result(trials, recipe, folder)


def _run(
    attempt: Attempt[Recipe],
    corpora: Sequence[TrainingCorpus],
    *,
    name: str,
    on_step: Callable[[str, StepReport], None],
    processes: Processes,
) -> float | None:
    """Train with the settings of a trial; return its best score, or nothing if it was stopped or diverged."""
    from optuna import TrialPruned

    trial = attempt.trial

    def watch(report: StepReport) -> None:
        on_step(f"trial {trial.number + 1}", report)
        if report.scores is not None:
            judge(trial, report.epoch, report.scores["score"])

    how: dict[str, Any] = {"name": name, "resume": True, "on_step": watch, "processes": processes}
    try:
        bundle = finetune(attempt.settings, corpora, attempt.folder, **how)
    except (DivergenceError, TrialPruned) as error:
        logger.info("trial %d is given up: %s", trial.number + 1, error)
        return None
    record = bundle.read_json(RECORD)
    history = record["history"]
    trial.set_user_attr("seconds", history["seconds"])
    trial.set_user_attr("share", record["parameters"]["share"])
    return float(history["scores"][history["best_epoch"]]["score"])


def small_adapters(recipe: Recipe, corpora: Sequence[TrainingCorpus]) -> list[str]:
    """The adapters of the search space below ``max_share``, as ``targets/rank``; none if all is trained.

    Raises:
        RecipeError: there is none.
    """
    if recipe.method == "full":
        return []
    backbone = find_backbone(recipe.backbone)
    heads = [corpus.head for corpus in corpora]
    small = []
    for targets in recipe.search.targets:
        for rank in recipe.search.rank:
            lora = replace(recipe.lora, targets=targets, rank=rank)
            trained, total = count_parameters(build_model(replace(recipe, lora=lora), backbone, heads))
            if trained <= recipe.search.max_share * total:
                small.append(f"{targets}/{rank}")
    if not small:
        raise RecipeError(
            f"search.max_share = {recipe.search.max_share}: no adapter of search.targets and search.rank is "
            "as small as that"
        )
    return small


def suggest(recipe: Recipe, trial: Trial, adapters: Sequence[str]) -> Recipe:
    """Settings for a trial."""
    space = recipe.search
    if adapters:
        targets, _, rank = trial.suggest_categorical("adapter", list(adapters)).rpartition("/")
        ratio = recipe.lora.alpha / recipe.lora.rank
        lora = replace(recipe.lora, targets=targets, rank=int(rank), alpha=ratio * int(rank))
        recipe = replace(recipe, lora=lora)
    found: dict[str, Any] = {
        name: trial.suggest_float(name, *getattr(space, name), log=name == "learning_rate") for name in RANGES
    }
    for name in CHOICES:
        if choices := getattr(space, name):
            found[name] = trial.suggest_categorical(name, choices)
    return replace(recipe, schedule=replace(recipe.schedule, **found))


def own_settings(recipe: Recipe, adapters: Sequence[str]) -> dict[str, Any]:
    """The draw that tries the recipe as it stands, without what the space does not hold."""
    space, schedule = recipe.search, recipe.schedule
    own: dict[str, Any] = {"adapter": f"{recipe.lora.targets}/{recipe.lora.rank}"}
    own = {name: value for name, value in own.items() if value in adapters}
    for name in RANGES:
        lowest, highest = getattr(space, name)
        if lowest <= getattr(schedule, name) <= highest:
            own[name] = getattr(schedule, name)
    return own | {
        name: getattr(schedule, name) for name in CHOICES if getattr(schedule, name) in getattr(space, name)
    }


def _write_result(trials: TrialStore, recipe: Recipe, folder: Path) -> None:
    rows = [
        {
            "number": trial.number,
            "state": trial.state.name.lower(),
            "score": trial.value,
            "scores": trial.intermediate_values,
            **trial.params,
            **trial.user_attrs,
        }
        for trial in trials.finished()
    ]
    write_json(folder / RESULT, {"recipe": asdict(recipe), **provenance(), "trials": rows})


def _keep_best(trials: TrialStore, folder: Path) -> Bundle:
    """Copy the bundle of the best trial, unless another process has."""
    best = trials.best()
    if best is None:
        raise RunError(f"no trial of {folder} came to its end; give the search more time")
    source, target = best / BUNDLE, folder / BUNDLE
    if not target.exists() or (target / MANIFEST).read_bytes() != (source / MANIFEST).read_bytes():
        partial = target.with_name(f"{BUNDLE}.partial")
        for leftover in (partial, target):
            shutil.rmtree(leftover, ignore_errors=True)
        shutil.copytree(source, partial)
        partial.rename(target)
    return open_bundle(target)
