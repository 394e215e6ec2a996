"""Hyperparameter search on dev: Optuna's tree-structured Parzen estimator, hopeless trials stopped early.

Any number of processes may search in one folder. Each trial is a run with its own folder and checkpoints. A
killed search resumes, unfinished trials included. Test documents are never read.
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
from openmed_ner.bundle.files import MANIFEST
from openmed_ner.bundle.manifest import RECORD
from openmed_ner.bundle.record import provenance
from openmed_ner.errors import DivergenceError, RecipeError, RunError
from openmed_ner.model.backbones import find_backbone
from openmed_ner.model.tagger import count_parameters
from openmed_ner.storage import atomic_folder, write_json
from openmed_ner.training.config import Recipe
from openmed_ner.training.engine.loop import StepReport
from openmed_ner.training.engine.processes import Processes, join
from openmed_ner.training.engine.session import BUNDLE
from openmed_ner.training.finetune import build_model, finetune
from openmed_ner.training.objectives.token_tags import TrainingCorpus
from openmed_ner.training.trials import JOURNAL, WAIT, Trial, TrialStore, report_epoch

if TYPE_CHECKING:
    import optuna

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
    """Run trials until their number or the time is used up, and keep the bundle of the best.

    The recipe's own settings come first, as far as the search space contains them, so the best trial is no
    worse on dev. Returns when no process has a running trial left, so all processes return the same bundle.

    Args:
        recipe: fixed settings, and the search space under ``search``.
        corpora: one corpus per head; trials are compared on ``dev``.
        folder: folder of the search; ``search.json`` lists every trial.
        name: name of the bundle.
        resume: continue or join the search in the folder.
        on_step: callback after each step and evaluation, with the name of the trial.
        processes: this process, with its device.

    Raises:
        RecipeError: no adapter of the search space is small enough, or dev is trained on.
        RunError: the folder holds a search and ``resume`` is false, a launcher started several processes, or
            no trial was completed.
    """
    processes = processes or join()
    if processes.count > 1:
        raise RunError("a search cannot run under a launcher: start it once for each device, on one folder")
    if recipe.learn != "train":
        raise RecipeError(f"learn = {recipe.learn!r}: expected train, since a search compares trials on dev")
    if (folder / JOURNAL).exists() and not resume:
        raise RunError(f"{folder} already holds a search; resume or join it, or choose another folder")

    store = TrialStore(folder)
    adapters = small_adapters(recipe, corpora)
    choose = partial(suggest, recipe, adapters=adapters)
    deadline = time.monotonic() + 60 * (recipe.search.minutes or float("inf"))
    with store.turn():
        store.propose(recipe_parameters(recipe, adapters))

    while True:
        with ExitStack() as locks:
            with store.turn():
                n_running = store.requeue_dead()
                n_done = len(store.finished())
                # Without time left, one trial is still completed.
                has_time = time.monotonic() < deadline or not n_done
                is_open = n_done + n_running < recipe.search.trials and has_time
                trial = store.begin(choose, recipe.seed, locks) if is_open else None
                if not is_open and not n_running:
                    _write_result(store, recipe, folder)
                    return _keep_best(store, folder)

            if trial is None:
                time.sleep(WAIT)
                continue

            score = _run(trial, corpora, name=name, on_step=on_step, processes=processes)
            with store.turn():
                store.end(trial, score)
                _write_result(store, recipe, folder)


def _run(
    trial: Trial[Recipe],
    corpora: Sequence[TrainingCorpus],
    *,
    name: str,
    on_step: Callable[[str, StepReport], None],
    processes: Processes,
) -> float | None:
    """Train with the settings of a trial.

    Returns:
        Its best score; ``None`` if it was stopped early or diverged.
    """
    from optuna import TrialPruned

    handle = trial.handle

    def watch(report: StepReport) -> None:
        on_step(f"trial {handle.number + 1}", report)
        if report.scores is not None:
            report_epoch(handle, report.epoch, report.scores["score"])

    options: dict[str, Any] = {"name": name, "resume": True, "on_step": watch, "processes": processes}
    try:
        bundle = finetune(trial.settings, corpora, trial.folder, **options)
    except (DivergenceError, TrialPruned) as error:
        logger.info("trial %d stopped: %s", handle.number + 1, error)
        return None

    record = bundle.read_json(RECORD)
    history = record["history"]
    handle.set_user_attr("seconds", history["seconds"])
    handle.set_user_attr("share", record["parameters"]["share"])
    return float(history["scores"][history["best_epoch"]]["score"])


def small_adapters(recipe: Recipe, corpora: Sequence[TrainingCorpus]) -> list[str]:
    """List the adapters of the search space below ``max_share``, as ``targets/rank``; empty for ``full``.

    Raises:
        RecipeError: there is no such adapter.
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
            f"search.max_share = {recipe.search.max_share}: every adapter of search.targets and search.rank "
            "is larger"
        )
    return small


def suggest(recipe: Recipe, trial: optuna.Trial, adapters: Sequence[str]) -> Recipe:
    """Draw the settings of a trial from the search space."""
    space = recipe.search
    if adapters:
        targets, _, rank = trial.suggest_categorical("adapter", list(adapters)).rpartition("/")
        # With a fixed ratio, the learning rate means the same for every rank.
        ratio = recipe.lora.alpha / recipe.lora.rank
        lora = replace(recipe.lora, targets=targets, rank=int(rank), alpha=ratio * int(rank))
        recipe = replace(recipe, lora=lora)

    schedule: dict[str, Any] = {
        name: trial.suggest_float(name, *getattr(space, name), log=name == "learning_rate") for name in RANGES
    }
    for name in CHOICES:
        if choices := getattr(space, name):
            schedule[name] = trial.suggest_categorical(name, choices)
    return replace(recipe, schedule=replace(recipe.schedule, **schedule))


def recipe_parameters(recipe: Recipe, adapters: Sequence[str]) -> dict[str, Any]:
    """Parameters of a trial with the recipe's own settings, as far as the search space contains them."""
    space, schedule = recipe.search, recipe.schedule
    adapter = f"{recipe.lora.targets}/{recipe.lora.rank}"
    parameters: dict[str, Any] = {"adapter": adapter} if adapter in adapters else {}
    for name in RANGES:
        lowest, highest = getattr(space, name)
        if lowest <= getattr(schedule, name) <= highest:
            parameters[name] = getattr(schedule, name)
    return parameters | {
        name: getattr(schedule, name) for name in CHOICES if getattr(schedule, name) in getattr(space, name)
    }


def _write_result(store: TrialStore, recipe: Recipe, folder: Path) -> None:
    rows = [
        {
            "number": trial.number,
            "state": trial.state.name.lower(),
            "score": trial.value,
            "scores": trial.intermediate_values,
            **trial.params,
            **trial.user_attrs,
        }
        for trial in store.finished()
    ]
    write_json(folder / RESULT, {"recipe": asdict(recipe), **provenance(), "trials": rows})


def _keep_best(store: TrialStore, folder: Path) -> Bundle:
    """Copy the bundle of the best trial, unless another process did."""
    best = store.best()
    if best is None:
        raise RunError(f"{folder}: no trial was completed; give the search more time")

    source, target = best / BUNDLE, folder / BUNDLE
    if not target.exists() or (target / MANIFEST).read_bytes() != (source / MANIFEST).read_bytes():
        with atomic_folder(target) as partial:
            shutil.copytree(source, partial, dirs_exist_ok=True)
    return open_bundle(target)
