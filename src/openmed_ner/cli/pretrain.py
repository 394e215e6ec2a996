"""``openmed-ner pretrain``: adapt a backbone to unlabelled text before it is fine-tuned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from openmed_ner.bundle import Bundle
from openmed_ner.bundle.manifest import RECORD
from openmed_ner.cli.options import (
    INPUT,
    TRAINING,
    AsJson,
    Backbone,
    BundleName,
    Device,
    Overrides,
    RecipeFile,
    Resume,
    RunFolder,
    Seed,
    drop_none,
)
from openmed_ner.cli.output import print_json
from openmed_ner.cli.progress import TrainingProgress
from openmed_ner.errors import require_extra
from openmed_ner.training.config import PretrainRecipe
from openmed_ner.training.passages.settings import LicenceFilter
from openmed_ner.training.recipes import read_recipe

TITLES = {"head": "training the head", "encoder": "adapting"}
"""Title of the progress bar by stage."""


def pretrain(
    passages: Annotated[
        Path, typer.Argument(metavar="PATH", help="Folder of a pretraining set from openmed-ner passages.")
    ],
    output: RunFolder,
    recipe: RecipeFile = None,
    backbone: Backbone = None,
    method: Annotated[
        Literal["lora", "full"] | None,
        typer.Option(help="Train LoRA adapters or all parameters.", rich_help_panel=TRAINING),
    ] = None,
    subwords: Annotated[
        int | None,
        typer.Option(metavar="N", help="Number of subwords to train on.", rich_help_panel=TRAINING),
    ] = None,
    licences: Annotated[
        LicenceFilter | None,
        typer.Option(help="Licence classes of the sources to train on.", rich_help_panel=INPUT),
    ] = None,
    seed: Seed = None,
    name: BundleName = None,
    set_: Overrides = None,
    device: Device = "auto",
    resume: Resume = False,
    as_json: AsJson = False,
) -> None:
    """Adapt a backbone to prepared passages by masked language modelling.

    Example:
        openmed-ner pretrain passages --backbone minilm-l6 -o runs/adapted
    """
    pretraining = require_extra("openmed_ner.training.pretrain", "train")
    processes = require_extra("openmed_ner.training.engine.processes", "train").join(device)
    values = {
        "backbone": backbone,
        "method": method,
        "subwords": subwords,
        "licences": licences,
        "seed": seed,
    }
    settings = read_recipe(recipe, set_ or [], kind=PretrainRecipe, **drop_none(values))

    with TrainingProgress(_describe, quiet=as_json or not processes.is_main) as progress:
        bundle: Bundle = pretraining.pretrain(
            settings,
            passages,
            output,
            name=name or output.resolve().name,
            resume=resume,
            on_step=lambda stage, report: progress.show(report, title=TITLES[stage]),
            processes=processes,
        )

    # A launcher runs this command once per process; one of them speaks for all.
    if processes.is_main:
        _report(bundle, as_json=as_json)


def _report(bundle: Bundle, *, as_json: bool) -> None:
    """Print the result of a run from its record."""
    record = bundle.read_json(RECORD)
    held_out, parameters = record["held_out"], record["parameters"]
    n_subwords = record["history"]["subwords"]
    if as_json:
        print_json(
            {
                "bundle": str(bundle.folder),
                "held_out": held_out,
                "parameters": parameters,
                "subwords": n_subwords,
                "energy": record["energy"],
            }
        )
        return

    typer.echo(f"{parameters['trained']:,} parameters trained ({100 * parameters['share']:.2f} %)")
    typer.echo(
        f"perplexity on {held_out['passages']:,} held-out pieces: {held_out['before']['perplexity']:.2f} "
        f"before, {held_out['after']['perplexity']:.2f} after {n_subwords:,} subwords"
    )
    typer.echo(f"bundle: {bundle.folder}")


def _describe(scores: Mapping[str, float]) -> str:
    return f"held-out perplexity {scores['perplexity']:.2f}"
