"""The trials of a search, shared by any number of processes through one folder.

Optuna's journal says which there were and how they ended. Processes take turns to choose what is tried next,
so that each draw knows of all the others; then they train side by side. A trial belongs to the process
that holds the lock of its folder: a lock ends with its process, so a trial without one is dead, and is
queued again. Where several machines search, locks must hold between them.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from openmed_ner.storage import folder_lock

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

Settings = TypeVar("Settings")
JOURNAL = "search.log"
TURN = "search.lock"
TRIALS = "trials"
WAIT = 1.0
"""Seconds between two looks at what other processes do."""


@dataclass(frozen=True, slots=True)
class Attempt(Generic[Settings]):
    """A trial that belongs to this process, what it tries, and its folder."""

    trial: Trial
    settings: Settings
    folder: Path


class TrialStore:
    """What was tried, is tried and waits to be tried in the folder of a search."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / TRIALS).mkdir(parents=True, exist_ok=True)
        self._study = open_study(folder / JOURNAL)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Be the only process that begins or ends trials, for the length of a block."""
        while True:
            with folder_lock(self._folder, TURN) as ours:
                if ours:
                    yield
                    return
            time.sleep(0.05)

    def propose(self, parameters: Mapping[str, Any]) -> None:
        """Queue settings that are to be tried before any others, unless they were; the rest is drawn."""
        self._study.enqueue_trial(dict(parameters), skip_if_exists=True)

    def take_up_dead(self) -> int:
        """Queue again what killed processes had begun; the same settings lead to the same folder.

        Returns:
            How many trials are under way in other processes.
        """
        from optuna.trial import TrialState

        n_alive = 0
        for trial in self._study.get_trials(states=(TrialState.RUNNING,)):
            if self._is_alive(trial):
                n_alive += 1
                continue
            if trial.params:
                self._study.enqueue_trial(trial.params, skip_if_exists=False)
            self._study.tell(trial.number, state=TrialState.FAIL)
        return n_alive

    def begin(
        self, suggest: Callable[[Trial], Settings], seed: int, locks: ExitStack
    ) -> Attempt[Settings] | None:
        """Choose what to try, by what is known now and the number of the trial, and lock its folder.

        Returns:
            Nothing if another process tries the same settings at this moment; the trial has ended, then.
        """
        from optuna.samplers import TPESampler
        from optuna.trial import TrialState

        self._study.sampler = TPESampler(seed=seed * 1_000_003 + len(self._study.trials))
        trial = self._study.ask()
        settings = suggest(trial)
        target = self._folder / TRIALS / _fingerprint(trial.params)
        target.mkdir(exist_ok=True)
        trial.set_user_attr("folder", target.name)
        if locks.enter_context(folder_lock(target)):
            return Attempt(trial, settings, target)
        self._study.tell(trial, state=TrialState.PRUNED)
        return None

    def end(self, attempt: Attempt[Settings], score: float | None) -> None:
        """Say what came of a trial: a score, or nothing if it was given up."""
        from optuna.trial import TrialState

        self._study.tell(attempt.trial, score, state=TrialState.PRUNED if score is None else None)

    def finished(self) -> list[FrozenTrial]:
        """Trials that came to their end or were given up."""
        from optuna.trial import TrialState

        return self._study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))

    def best(self) -> Path | None:
        """The folder of the best trial that came to its end, if there is one."""
        from optuna.trial import TrialState

        complete = self._study.get_trials(states=(TrialState.COMPLETE,))
        best = max(complete, key=lambda trial: trial.value or 0.0, default=None)
        return self._folder / TRIALS / best.user_attrs["folder"] if best else None

    def _is_alive(self, trial: FrozenTrial) -> bool:
        """Whether a process holds the lock of a trial's folder."""
        target = self._folder / TRIALS / trial.user_attrs.get("folder", "none")
        if not target.is_dir():
            return False
        with folder_lock(target) as free:
            return not free


def open_study(journal: Path) -> Study:
    """Open a search's journal."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal))),
        study_name="search",
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1),
        load_if_exists=True,
    )


def judge(trial: Trial, epoch: int, score: float) -> None:
    """Report the score of an epoch, and stop the trial if those before it were better by then."""
    import optuna

    trial.report(score, epoch)
    if trial.should_prune():
        raise optuna.TrialPruned


def _fingerprint(parameters: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:12]
