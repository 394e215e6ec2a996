"""A time limit is divided among the steps of a study, with a clock that the test moves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.errors import RunError
from openmed_ner.training.engine.steps import StepReport
from openmed_ner.training.study.progress import PROGRESS, ProgressLog, TimeBudget, read_progress
from openmed_ner.training.study.reproduce import StepRunner, StudyStep


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class FakeStudy:
    """Steps that use all of their time, and some for scoring."""

    def __init__(
        self, folder: Path, shares: Mapping[str, float], minutes: float, scoring: float = 0.0
    ) -> None:
        self.folder, self.clock, self.scoring = folder, FakeClock(), scoring
        self.stop_after: float | None = None
        budget = TimeBudget(folder, minutes, shares)
        self.runner = StepRunner(
            folder, lambda name: True, lambda name, state: None, budget, False, self.clock
        )
        self.steps = [StudyStep(name, "done", self.train, share=share) for name, share in shares.items()]

    def train(self, folder: Path, log: ProgressLog) -> None:
        left = 60 * log.progress.minutes - log.progress.seconds
        if self.stop_after is not None:
            self.clock.seconds += 60 * self.stop_after
            log.note(StepReport(7, 100, 0, 1.5, 0.1))
            raise KeyboardInterrupt
        self.clock.seconds += max(0.0, left) + 60 * self.scoring
        (folder / "done").touch()

    def run(self) -> list[float]:
        """Run all steps; return the minutes of training of each."""
        for step in self.steps:
            self.runner.run(step)
        return [read_progress(self.folder / step.name).minutes for step in self.steps]


@given(
    shares=st.lists(st.floats(0.5, 4), min_size=1, max_size=4),
    minutes=st.floats(1, 20),
    scoring=st.floats(0, 0.05),
)
def test_a_study_ends_in_its_time(
    tmp_path_factory: pytest.TempPathFactory, shares: list[float], minutes: float, scoring: float
) -> None:
    """Scoring takes up to a twentieth of the study for each step, and the last step still ends in time."""
    names = {f"models/{number}": share for number, share in enumerate(shares)}
    study = FakeStudy(tmp_path_factory.mktemp("study"), names, minutes, scoring * minutes / len(shares))
    allotted = study.run()
    assert study.clock.seconds <= 60 * minutes + 1e-6
    assert sum(allotted) >= 0.8 * minutes - scoring * minutes
    assert all(
        a >= 0.7 * minutes * s / sum(shares) - scoring * minutes
        for a, s in zip(allotted, shares, strict=True)
    )


def test_a_step_that_was_stopped_keeps_its_time_and_says_how_far_it_came(tmp_path: Path) -> None:
    study = FakeStudy(tmp_path, {"models/a": 1.0, "models/b": 1.0}, 10.0)
    study.stop_after = 2.0
    with pytest.raises(KeyboardInterrupt):
        study.run()
    progress = read_progress(tmp_path / "models/a")
    assert (progress.step, progress.n_steps, progress.loss, progress.seconds) == (7, 100, 1.5, 120.0)
    assert not progress.finished and progress.minutes == pytest.approx(4.5)

    study.stop_after = None
    study.clock.seconds += 3600  # an hour until it is resumed, which does not count
    first, second = study.run()
    assert first == pytest.approx(4.5) and second == pytest.approx(0.9 * 5.5)
    assert read_progress(tmp_path / "models/b").finished


def test_a_study_whose_time_is_over_says_so(tmp_path: Path) -> None:
    study = FakeStudy(tmp_path, {"models/a": 1.0, "models/b": 1.0}, 1.0, scoring=5.0)
    with pytest.raises(RunError, match=r"models/b: the 1 minutes of the study are over; .*--finish"):
        study.run()
    (tmp_path / "models/b").mkdir(exist_ok=True)
    (tmp_path / "models/b" / PROGRESS).write_text('{"other": 1}')
    with pytest.raises(RunError, match="is damaged"):
        read_progress(tmp_path / "models/b")
