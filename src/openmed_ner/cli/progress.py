"""Progress bars on standard error, for training runs and for tagging files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from time import monotonic
from typing import TYPE_CHECKING, TextIO

from openmed_ner.formats.files import tell_bytes
from openmed_ner.inference.jobs.inputs import Problem, Skipped
from openmed_ner.inference.jobs.receipt import JobCounts, JobProgress

if TYPE_CHECKING:
    from rich.progress import Progress

    from openmed_ner.training.engine.loop import StepReport


_SHOWN = 3
"""Messages of a kind that are shown; a file may hold thousands."""


def describe_f1(scores: Mapping[str, float]) -> str:
    """Describe dev F1 per corpus, in percent; a single corpus, often called after a file, is not named."""
    f1 = {name: f"{100 * value:.2f}" for name, value in scores.items() if name != "score"}
    return "dev F1 " + (", ".join(map(" ".join, f1.items())) if len(f1) != 1 else next(iter(f1.values())))


class TrainingProgress:
    """A bar over all steps, with a line per evaluation above it.

    Args:
        describe: function that describes the scores of an evaluation.
        quiet: if true, nothing is shown.
    """

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
        """Show the step and the loss of a run, and the scores after an evaluation."""
        note = f"loss {report.loss:.4f}"
        self._bar.update(
            self._task, description=title, completed=report.step, total=report.n_steps, note=note
        )
        if report.scores:
            line = f"epoch {report.epoch + 1}: {note}, {self._describe(report.scores)}"
            self._bar.console.print(line, highlight=False)


class TaggingProgress(JobProgress):
    """A bar over the bytes of the input, with documents, their rate and the time left.

    The bytes of files with a reader of their own, such as PubMed's, count once the file is done.

    Args:
        sizes: sizes of the inputs, in bytes.
        quiet: if true, nothing is shown.
        on_problem: called with the reason of each problem.
        on_skip: called with the message of the first things of each kind that are passed over.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        quiet: bool,
        on_problem: Callable[[str], None],
        on_skip: Callable[[str], None] = lambda message: None,
    ) -> None:
        self._offsets = [0, *accumulate(sizes)]
        self._on_problem = on_problem
        self._on_skip = on_skip
        self._n_skipped: Counter[str] = Counter()
        self._number = 0
        self._file: TextIO | None = None
        self._n_documents = self._n_errors = 0
        self._start = self._shown = monotonic()
        self._bar = None if quiet else _make_tagging_bar(self._offsets[-1])

    def __enter__(self) -> TaggingProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *details: object) -> None:
        if self._bar is not None:
            self._show(self._bar)
            self._bar.stop()

    def open(self, number: int, file: TextIO | None = None) -> None:
        """Note the file that is now read."""
        self._number, self._file = number, file

    def count(self, counts: JobCounts) -> None:
        """Count a document, and refresh the bar at most ten times a second."""
        self._n_documents += 1
        if self._bar is not None and monotonic() - self._shown >= 0.1:
            self._show(self._bar)

    def _show(self, bar: Progress) -> None:
        self._shown = monotonic()
        rate = self._n_documents / max(self._shown - self._start, 1e-9)
        errors = f", {self._n_errors:,} errors" if self._n_errors else ""
        note = f"{self._n_documents:,} documents, {rate:.1f}/s{errors}"
        bar.update(bar.task_ids[0], description=note, completed=self._n_bytes())

    def note(self, problem: Problem) -> None:
        """Count a problem, and report its reason."""
        self._n_errors += 1
        self._on_problem(problem.reason)

    def skip(self, skipped: Skipped) -> None:
        """Report the first things of a kind; the others are counted at the end of the run."""
        self._n_skipped[skipped.reason] += 1
        if skipped.detail and self._n_skipped[skipped.reason] <= _SHOWN:
            self._on_skip(skipped.detail)

    def _n_bytes(self) -> int:
        n_read = tell_bytes(self._file) if self._file and not self._file.closed else 0
        return self._offsets[self._number] + n_read


def _make_tagging_bar(n_bytes: int) -> Progress:
    """Make a bar with one task, whose length is unknown without bytes. Only a bar needs rich."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    bar.add_task("starting", total=n_bytes or None)
    return bar
