"""``openmed-ner plot``: the learning curves of runs, as SVG or PNG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from openmed_ner.errors import InputError
from openmed_ner.training.curves import SMOOTH, Axis, plot_curves


def plot(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs, finished or not.", metavar="RUN")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write: .svg or .png.")],
    x: Annotated[
        str, typer.Option("--x", help=f"What runs from left to right: {', '.join(get_args(Axis))}.")
    ] = "subwords",
    y: Annotated[str, typer.Option("--y", help="loss, score, or the name of a score.")] = "loss",
    smooth: Annotated[
        int, typer.Option(min=1, help="Steps that the running mean of the loss is taken over.")
    ] = SMOOTH,
) -> None:
    """Draw the loss or a score of one or more runs."""
    plot_curves(name_runs(runs), output, x=cast(Axis, x), y=y, smooth_steps=smooth)


def name_runs(folders: Sequence[Path]) -> dict[str, Path]:
    """Call each run by its folder, by the folder above it too where that is not enough.

    Raises:
        InputError: a run is given twice.
    """
    paths = [folder.resolve() for folder in folders]
    if len({*paths}) < len(paths):
        again = next(path for path, count in Counter(paths).items() if count > 1)
        raise InputError(f"{again} is given {paths.count(again)} times; name every run once")
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len({*names}) == len(names):
            break
    return dict(zip(names, folders, strict=True))
