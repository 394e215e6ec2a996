"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openmed_ner.bundle.manifest import RUNTIMES

RunFolder = Annotated[Path, typer.Option("-o", "--output", help="Folder for checkpoints and the bundle.")]
RecipeFile = Annotated[Path | None, typer.Option(help="TOML recipe; its values replace the defaults.")]
Backend = Annotated[
    str | None,
    typer.Option(
        help=f"What computes a runtime bundle: {', '.join(RUNTIMES)}; what it was certified with by default."
    ),
]
Threads = Annotated[int | None, typer.Option(min=1, help="Processor threads; all by default.")]
Backbone = Annotated[str | None, typer.Option(help="Backbone name, folder, or owner/model@commit.")]
Device = Annotated[str, typer.Option(help="auto, cpu, or cuda, which fails where there is none.")]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random.")]
Name = Annotated[str | None, typer.Option(help="Name of the bundle; the output folder's by default.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Replace one setting: schedule.epochs=3.", metavar="K=V")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the folder's checkpoint.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
