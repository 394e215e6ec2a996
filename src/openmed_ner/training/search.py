"""Search settings on dev by Optuna's tree-structured Parzen estimator, and stop hopeless trials early.

Everything is on disk: Optuna's journal says which trials there were, and each trial is a run with a folder
and checkpoints of its own. A search that was killed goes on where it was, its unfinished trial included.
Only dev documents are looked at.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.bundle.manifest import write_json
from openmed_ner.bundle.record import provenance
from openmed_ner.errors import DivergenceError, RecipeError, RunError
from openmed_ner.model.backbones import find_backbone
from openmed_ner.model.tagger import count_parameters
from openmed_ner.training.config import Recipe
from openmed_ner.training.finetune import Annotated
from openmed_ner.training.loop import StepReport
from openmed_ner.training.run import build_model, train
from openmed_ner.training.session import BUNDLE

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

logger = logging.getLogger(__name__)
JOURNAL = "search.log"
RESULT = "search.json"
TRIALS = "trials"


def search(
    recipe: Recipe,
    corpora: Sequence[Annotated],
    folder: Path,
    *,
    name: str,
    resume: bool = False,
    on_step: Callable[[str, StepReport], None] = lambda trial, report: None,
) -> Bundle:
    """Try settings until trials or time run out, and keep the bundle of the best.

    Args:
        recipe: what is not searched, and under ``search`` what is.
        corpora: one head each; their ``dev`` decides.
        folder: of the search; ``search.json`` lists every trial.
        name: of the bundle.
        resume: go on with the search that the folder holds.
        on_step: told of each step and evaluation, and of which trial it is.

    Raises:
        RecipeError: no adapter of the search space is small enough.
        RunError: the folder holds a search that is not to be resumed, or no trial came to its end.
    """
    journal = folder / JOURNAL
    if journal.exists() and not resume:
        raise RunError(f"{folder} already holds a search; resume it, or choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    study = open_study(journal, seed=recipe.seed)
    adapters = small_adapters(recipe, corpora)
    _take_up_unfinished(study)
    deadline = time.monotonic() + 60 * (recipe.search.minutes or float("inf"))

    from optuna import TrialPruned

    def attempt(trial: Trial) -> float:
        own = suggest(recipe, trial, adapters)
        target = folder / TRIALS / _fingerprint(trial.params)
        trial.set_user_attr("folder", target.name)

        def watch(report: StepReport) -> None:
            on_step(f"trial {trial.number + 1}", report)
            if report.scores is not None:
                judge(trial, report)

        try:
            bundle = train(own, corpora, target, name=name, resume=True, on_step=watch)
        except DivergenceError as error:
            raise TrialPruned(str(error)) from error
        record = bundle.read_json("run.json")
        trial.set_user_attr("seconds", record["history"]["seconds"])
        trial.set_user_attr("share", record["parameters"]["share"])
        history = record["history"]
        return float(history["scores"][history["best_epoch"]]["score"])

    while _n_done(study) < recipe.search.trials and (time.monotonic() < deadline or not _n_done(study)):
        study.optimize(attempt, n_trials=1)
        _write_result(study, recipe, folder)
    return _keep_best(study, folder)


def small_adapters(recipe: Recipe, corpora: Sequence[Annotated]) -> list[str]:
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
    schedule = replace(
        recipe.schedule,
        learning_rate=trial.suggest_float("learning_rate", *space.learning_rate, log=True),
        dropout=trial.suggest_float("dropout", *space.dropout),
        label_smoothing=trial.suggest_float("label_smoothing", *space.label_smoothing),
        warmup=trial.suggest_float("warmup", *space.warmup),
    )
    return replace(recipe, schedule=schedule)


def open_study(journal: Path, *, seed: int) -> Study:
    """Open a search's journal; the draws of a resumed search are not those of its beginning again."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal))),
        study_name="search",
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1),
        load_if_exists=True,
    )
    study.sampler = optuna.samplers.TPESampler(seed=seed * 1_000_003 + len(study.trials))
    return study


def _take_up_unfinished(study: Study) -> None:
    """Try again what a killed search had begun: the same settings lead to the same folder."""
    from optuna.trial import TrialState

    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    begun = {_fingerprint(trial.params): trial.params for trial in study.trials if trial.params}
    for trial in _finished(study):
        begun.pop(_fingerprint(trial.params), None)
    for parameters in begun.values():
        study.enqueue_trial(parameters, skip_if_exists=False)


def judge(trial: Trial, report: StepReport) -> None:
    """Report the score of an epoch, and stop the trial if those before it were better by then."""
    import optuna

    assert report.scores is not None
    trial.report(report.scores["score"], report.epoch)
    if trial.should_prune():
        raise optuna.TrialPruned


def _finished(study: Study) -> list[FrozenTrial]:
    from optuna.trial import TrialState

    return study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))


def _n_done(study: Study) -> int:
    return len(_finished(study))


def _fingerprint(parameters: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:12]


def _write_result(study: Study, recipe: Recipe, folder: Path) -> None:
    trials = [
        {
            "number": trial.number,
            "state": trial.state.name.lower(),
            "score": trial.value,
            "scores": trial.intermediate_values,
            **trial.params,
            **trial.user_attrs,
        }
        for trial in _finished(study)
    ]
    write_json(folder / RESULT, {"recipe": asdict(recipe), **provenance(), "trials": trials})


def _keep_best(study: Study, folder: Path) -> Bundle:
    from optuna.trial import TrialState

    complete = study.get_trials(states=(TrialState.COMPLETE,))
    if not complete:
        raise RunError(f"no trial of {folder} came to its end; give the search more time")
    best = max(complete, key=lambda trial: trial.value if trial.value is not None else 0.0)
    source, target = folder / TRIALS / best.user_attrs["folder"] / BUNDLE, folder / BUNDLE
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    return open_bundle(target)
