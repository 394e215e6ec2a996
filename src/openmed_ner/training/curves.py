"""Learning curves: read the log of a run, and plot it.

``log.jsonl`` has a line per step, with its loss, and a line per evaluation, with its scores. A run killed
while writing leaves half a line at the end, which is skipped and noted; anything else is an error.

A loss is plotted as a running mean over a stated number of steps, on top of the raw values; scores are
plotted as they are. The same logs give the same bytes, whatever matplotlib's configuration on the machine.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from sys import float_info
from typing import TYPE_CHECKING, Any, Literal, get_args

from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.plots import COLOURS, printable, save_figure
from openmed_ner.training.engine.log import LOG

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Axis = Literal["subwords", "step", "seconds"]
SMOOTH = 100
"""Most steps in the running mean of the loss, if none are named: a tenth of the longest run."""
MAX_LINE = 1 << 20
STYLES = ("-", "--", ":", "-.")
_UNITS: dict[Axis, tuple[tuple[float, str], ...]] = {
    "step": ((1, "training steps"),),
    "subwords": ((1, "training subwords"), (1e6, "training subwords (millions)")),
    "seconds": ((1, "time (seconds)"), (60, "time (minutes)"), (3600, "time (hours)")),
}
"""Units of an axis, from the smallest; the largest with a maximum of 2 or more is used."""


@dataclass(frozen=True, slots=True)
class Point:
    """Values logged after a step or an evaluation.

    Attributes:
        step: number of finished steps.
        epoch: epoch of the step, from 0.
        subwords: subwords trained on so far.
        seconds: time spent so far, over all sessions of the run.
        values: ``loss`` and ``learning_rate`` of the step, or the scores of an evaluation.
    """

    step: int
    epoch: int
    subwords: int
    seconds: float
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Curve:
    """Log of one run.

    Attributes:
        steps: logged steps, in order.
        evaluations: logged evaluations, in order.
        truncated: true if the log ends within a line, because the run was killed.
    """

    steps: tuple[Point, ...]
    evaluations: tuple[Point, ...]
    truncated: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the values: ``loss`` and the scores."""
        scores = {name for point in self.evaluations for name in point.values}
        return (*(["loss"] if self.steps else []), *sorted(scores))

    def points(self, name: str) -> tuple[Point, ...]:
        """Points with a value of this name: steps for ``loss``, evaluations for anything else."""
        return tuple(
            point for point in (self.steps if name == "loss" else self.evaluations) if name in point.values
        )


def read_log(folder: Path) -> Curve:
    """Read the log of a run.

    Raises:
        InputError: the folder has no log.
        CorpusFormatError: a line, other than an unfinished last one, is not of the format that a run writes.
    """
    path = folder / LOG
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; name the folder of a run") from error

    steps: list[Point] = []
    evaluations: list[Point] = []
    last = 0
    with file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE), b""), start=1):
            try:
                point, is_step = _read_point(line, after=last)
            except ValueError as error:
                # A run killed while writing leaves an incomplete last line.
                if not line.endswith(b"\n") and len(line) < MAX_LINE:
                    return Curve(tuple(steps), tuple(evaluations), truncated=True)
                raise CorpusFormatError(f"{path}, line {number}: {error}") from error
            (steps if is_step else evaluations).append(point)
            last = point.step
    return Curve(tuple(steps), tuple(evaluations))


def smooth(points: Sequence[Point], name: str, *, steps: int) -> list[float]:
    """The running mean of a value: at each point, over the points of the last so many ``steps``."""
    window: deque[Point] = deque()
    total, means = 0.0, []
    for point in points:
        window.append(point)
        total += point.values[name]
        while window[0].step <= point.step - steps:
            total -= window.popleft().values[name]
        means.append(total / len(window))
    return means


def plot_curves(
    runs: Mapping[str, Path],
    target: Path,
    *,
    x: Axis = "subwords",
    y: str = "loss",
    smooth_steps: int | None = None,
) -> None:
    """Plot one line per run into an SVG or a PNG. The best score of a run has a ring.

    Args:
        runs: folders of the runs, by the name in the legend.
        target: file to write; its suffix decides the format.
        x: quantity of the x axis.
        y: ``loss``, ``score``, or the name of another score of every run.
        smooth_steps: steps in the running mean of the loss; 1 for the raw values. If ``None``, a tenth of
            those of the longest run, 100 at most.

    Raises:
        MissingExtraError: matplotlib is not installed.
        InputError: there is no run, an option is unknown, a run has no such score, or the file cannot be
            written.
        CorpusFormatError: as for :func:`read_log`.
    """
    if x not in get_args(Axis):
        raise InputError(f"unknown axis {x!r}; expected one of {', '.join(get_args(Axis))}")
    if smooth_steps is not None and smooth_steps < 1:
        raise InputError(f"expected a running mean over 1 step or more, found {smooth_steps}")
    if not runs:
        raise InputError("there is no run to plot")
    lines = {name: _points(folder, y) for name, folder in runs.items()}
    if smooth_steps is None:
        longest = max(points[-1].step for points in lines.values())
        smooth_steps = min(SMOOTH, max(1, longest // 10))
    save_figure(partial(_draw, lines, x=x, y=y, smooth_steps=smooth_steps), target)


def _read_point(line: bytes, *, after: int) -> tuple[Point, bool]:
    """Read a line; return its point, and true if it is of a step.

    Raises:
        ValueError: it is neither a step nor an evaluation, or its step is before that of the last line.
    """
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"expected a JSON object, found {line[:40]!r}") from error
    if not isinstance(record, dict):
        raise ValueError(f"expected a JSON object, found {line[:40]!r}")

    is_step = "scores" not in record
    values = {name: record.get(name) for name in ("loss", "learning_rate")} if is_step else record["scores"]
    if not isinstance(values, dict):
        raise ValueError(f'expected an object under "scores", found {values!r:.40}')

    point = Point(
        step=_require_count(record, "step"),
        epoch=_require_count(record, "epoch"),
        subwords=_require_count(record, "subwords"),
        seconds=_require_number(record.get("seconds"), "seconds"),
        values={name: _require_number(value, name) for name, value in values.items()},
    )
    if point.step < after:
        raise ValueError(f"step {point.step} follows step {after}; two runs wrote into this log")
    return point, is_step


def _require_count(record: Mapping[str, Any], name: str) -> int:
    value = record.get(name)
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError(f'expected a whole number under "{name}", found {value!r:.40}')
    return value


def _require_number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= float_info.max:
        raise ValueError(f'expected a finite number under "{name}", found {value!r:.40}')
    return float(value)


def _points(folder: Path, name: str) -> tuple[Point, ...]:
    curve = read_log(folder)
    if not (points := curve.points(name)):
        raise InputError(f"{folder / LOG} has no {name!r}; it has {', '.join(curve.names) or 'nothing yet'}")
    return points


# --- Plotting


def _draw(lines: Mapping[str, Sequence[Point]], axes: Axes, *, x: Axis, y: str, smooth_steps: int) -> None:
    unit, label = _unit(x, max(getattr(points[-1], x) for points in lines.values()))
    handles = []
    for number, points in enumerate(lines.values()):
        colour = COLOURS[number % len(COLOURS)]
        style = STYLES[number // len(COLOURS) % len(STYLES)]
        xs = [getattr(point, x) / unit for point in points]
        values = [point.values[y] for point in points]
        if y == "loss" and smooth_steps > 1:
            axes.plot(xs, values, color=colour, linewidth=0.5, alpha=0.3)
            values = smooth(points, y, steps=smooth_steps)
        marker = "o" if y != "loss" or len(points) == 1 else ""
        handles += axes.plot(xs, values, style, color=colour, linewidth=1.6, marker=marker, markersize=3.5)
        if y != "loss":
            best = max(range(len(values)), key=values.__getitem__)  # the first of equals, as in training
            axes.plot(xs[best], values[best], "o", color=colour, fillstyle="none", markersize=9)

    axes.set_xlabel(label)
    axes.set_ylabel(_describe(y, smooth_steps))
    if len(lines) > 1:
        axes.legend(handles, [printable(name) for name in lines], frameon=False)


def _unit(axis: Axis, largest: float) -> tuple[float, str]:
    units = _UNITS[axis]
    return next((unit for unit in reversed(units) if largest >= 2 * unit[0]), units[0])


def _describe(y: str, smooth_steps: int) -> str:
    if y != "loss":
        return "held-out score" if y == "score" else f"held-out {y}"
    mean = f", mean of the last {smooth_steps} steps" if smooth_steps > 1 else ""
    return f"training loss (nats{mean})"
