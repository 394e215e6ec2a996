"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openmed_ner.bundle.manifest import RUNTIMES
from openmed_ner.errors import InputError

if TYPE_CHECKING:
    from openmed_ner.inference.backends import Workers

RunFolder = Annotated[Path, typer.Option("-o", "--output", help="Folder for checkpoints and the bundle.")]
RecipeFile = Annotated[Path | None, typer.Option(help="TOML recipe; its values replace the defaults.")]
Backend = Annotated[
    str | None,
    typer.Option(
        help=f"What computes a runtime bundle: {', '.join(RUNTIMES)}; what it was certified with by default."
    ),
]
Threads = Annotated[int | None, typer.Option(min=1, help="Processor threads; all by default.")]
WorkersOption = Annotated[
    str | None,
    typer.Option(
        "--workers",
        metavar="N|auto",
        help="Batches computed at the same time; one per thread by default; auto tries some numbers and "
        "takes the fastest.",
    ),
]
Backbone = Annotated[str | None, typer.Option(help="Backbone name, folder, or owner/model@commit.")]
Device = Annotated[str, typer.Option(help="auto, cpu, or cuda, which fails where there is none.")]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random.")]
Name = Annotated[str | None, typer.Option(help="Name of the bundle; the output folder's by default.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Replace one setting: schedule.epochs=3.", metavar="K=V")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the folder's checkpoint.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def read_workers(text: str | None) -> Workers:
    """What ``--workers`` says.

    Raises:
        InputError: it is neither a number above 0 nor ``auto``.
    """
    if text is None:
        return None
    if text == "auto":
        return "auto"
    if not text.isdecimal() or not int(text):
        raise InputError(f"--workers {text}: expected a number above 0, or auto")
    return int(text)
