"""Trials of a search, shared by any number of processes through one folder.

Optuna's journal holds the trials and their results. Processes take turns to choose settings, so each draw
takes all earlier ones into account; then they train side by side. A trial belongs to the process that holds
the lock of its folder. A lock ends with its process, so a running trial without a lock is dead and is queued
again. To search on several machines, the file system must support locks between them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from openmed_ner.storage import folder_lock, sha256

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

SettingsT = TypeVar("SettingsT")
JOURNAL = "search.log"
TURN = "search.lock"
TRIALS = "trials"
WAIT = 1.0
"""Seconds between two looks at the other processes."""


@dataclass(frozen=True, slots=True)
class Trial(Generic[SettingsT]):
    """A running trial of this process.

    Attributes:
        handle: the trial in Optuna's study.
        settings: settings to train with.
        folder: folder of the run.
    """

    handle: optuna.Trial
    settings: SettingsT
    folder: Path


class TrialStore:
    """Finished, running and queued trials in the folder of a search."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / TRIALS).mkdir(parents=True, exist_ok=True)
        self._study = open_study(folder / JOURNAL)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Be the only process that begins or ends trials, for the length of a block."""
        while True:
            with folder_lock(self._folder, TURN) as is_locked:
                if is_locked:
                    yield
                    return
            time.sleep(0.05)

    def propose(self, parameters: Mapping[str, Any]) -> None:
        """Queue settings to try before all others, once per search; missing ones are drawn."""
        self._study.enqueue_trial(dict(parameters), skip_if_exists=True)

    def requeue_dead(self) -> int:
        """Queue the trials of killed processes again; the same settings lead to the same folder.

        Returns:
            Number of trials that run in other processes.
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
        self, suggest: Callable[[optuna.Trial], SettingsT], seed: int, locks: ExitStack
    ) -> Trial[SettingsT] | None:
        """Choose the settings of a new trial and lock its folder.

        Args:
            suggest: function from a trial of Optuna to settings.
            seed: seed of the search; the number of the trial is added.
            locks: stack that holds the lock of the folder.

        Returns:
            The trial; ``None`` if another process is trying the same settings.
        """
        from optuna.samplers import TPESampler
        from optuna.trial import TrialState

        # A new sampler per trial: a draw depends on the journal and this seed, not on the process.
        self._study.sampler = TPESampler(seed=seed * 1_000_003 + len(self._study.trials))
        handle = self._study.ask()
        settings = suggest(handle)

        target = self._folder / TRIALS / _fingerprint(handle.params)
        target.mkdir(exist_ok=True)
        handle.set_user_attr("folder", target.name)
        if locks.enter_context(folder_lock(target)):
            return Trial(handle, settings, target)
        self._study.tell(handle, state=TrialState.PRUNED)
        return None

    def end(self, trial: Trial[SettingsT], score: float | None) -> None:
        """Record the score of a trial; ``None`` if it was stopped early."""
        from optuna.trial import TrialState

        self._study.tell(trial.handle, score, state=TrialState.PRUNED if score is None else None)

    def finished(self) -> list[FrozenTrial]:
        """Trials that were completed or stopped early."""
        from optuna.trial import TrialState

        return self._study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))

    def best(self) -> Path | None:
        """Folder of the best completed trial, if there is one."""
        from optuna.trial import TrialState

        complete = self._study.get_trials(states=(TrialState.COMPLETE,))
        best = max(complete, key=lambda trial: trial.value or 0.0, default=None)
        return self._folder / TRIALS / best.user_attrs["folder"] if best else None

    def _is_alive(self, trial: FrozenTrial) -> bool:
        """True if a process holds the lock of a trial's folder."""
        target = self._folder / TRIALS / trial.user_attrs.get("folder", "none")
        if not target.is_dir():
            return False
        with folder_lock(target) as is_free:
            return not is_free


def open_study(journal: Path) -> optuna.Study:
    """Open the journal of a search."""
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


def report_epoch(trial: optuna.Trial, epoch: int, score: float) -> None:
    """Report the score of an epoch.

    Raises:
        TrialPruned: the median of earlier trials was better at this epoch.
    """
    import optuna

    trial.report(score, epoch)
    if trial.should_prune():
        raise optuna.TrialPruned


def _fingerprint(parameters: Mapping[str, Any]) -> str:
    return sha256(json.dumps(parameters, sort_keys=True).encode())[:12]
