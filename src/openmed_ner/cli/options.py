"""Options that every training command has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunFolder = Annotated[Path, typer.Option("-o", "--output", help="Folder for checkpoints and the bundle.")]
RecipeFile = Annotated[Path | None, typer.Option(help="TOML recipe; its values replace the defaults.")]
Backbone = Annotated[str | None, typer.Option(help="Backbone name, folder, or owner/model@commit.")]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random.")]
Name = Annotated[str | None, typer.Option(help="Name of the bundle; the output folder's by default.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Replace one setting: schedule.epochs=3.", metavar="K=V")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the folder's checkpoint.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
