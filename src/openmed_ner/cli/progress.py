"""A progress bar for training runs, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openmed_ner.training.loop import StepReport


def describe_f1(scores: Mapping[str, float]) -> str:
    """Dev F1 per corpus, in percent."""
    return "dev F1 " + ", ".join(
        f"{name} {100 * value:.2f}" for name, value in scores.items() if name != "score"
    )


class TrainingProgress:
    """A bar over all steps, with a line per evaluation above it."""

    def __init__(self, describe: Callable[[Mapping[str, float]], str], *, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._describe = describe
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
            disable=quiet,
        )
        self._task = self._bar.add_task("", total=None, note="")

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._bar.stop()

    def show(self, report: StepReport, *, title: str = "training") -> None:
        """Show where a run stands."""
        note = f"loss {report.loss:.4f}"
        self._bar.update(
            self._task, description=title, completed=report.step, total=report.n_steps, note=note
        )
        if report.scores:
            line = f"epoch {report.epoch + 1}: {note}, {self._describe(report.scores)}"
            self._bar.console.print(line, highlight=False)
