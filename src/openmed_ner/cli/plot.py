"""``openmed-ner plot``: learning curves of runs, as SVG or PNG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from openmed_ner.cli.options import MOST, OUTPUT
from openmed_ner.errors import InputError
from openmed_ner.training.curves import SMOOTH, Axis, plot_curves

AXES = "Axes"
"""Title of the group that help shows options in."""


def plot(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Folders of runs, finished or not.")],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="PATH", help="File to write: .svg or .png.", rich_help_panel=OUTPUT
        ),
    ],
    x: Annotated[Axis, typer.Option("--x", help="Unit of the x axis.", rich_help_panel=AXES)] = "subwords",
    y: Annotated[
        str,
        typer.Option(
            "--y", metavar="NAME", help="Value on the y axis: loss, score, or a score.", rich_help_panel=AXES
        ),
    ] = "loss",
    smooth: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MOST,
            metavar="N",
            help="Number of steps in the running mean of the loss (default: a tenth of them, at most "
            f"{SMOOTH}).",
            rich_help_panel=AXES,
        ),
    ] = None,
) -> None:
    """Draw the loss or a score of one or more runs.

    Example:
        openmed-ner plot runs/ncbi-disease -o curve.svg
    """
    plot_curves(name_runs(runs), output, x=x, y=y, smooth_steps=smooth)


def name_runs(folders: Sequence[Path]) -> dict[str, Path]:
    """Name each run by its folder, with as many of the parent folders as make the names unique.

    Raises:
        InputError: a run appears twice.
    """
    paths = [folder.resolve() for folder in folders]
    if len({*paths}) < len(paths):
        duplicate, count = Counter(paths).most_common(1)[0]
        raise InputError(f"{duplicate} is given {count} times; name every run once")

    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len({*names}) == len(names):
            break
    return dict(zip(names, folders, strict=True))
