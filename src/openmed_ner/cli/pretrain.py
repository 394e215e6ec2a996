"""``openmed-ner pretrain``: adapt a backbone to unlabelled text before it is fine-tuned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from openmed_ner.cli.options import (
    AsJson,
    Backbone,
    Device,
    Name,
    Overrides,
    RecipeFile,
    Resume,
    RunFolder,
    Seed,
)
from openmed_ner.cli.output import print_json
from openmed_ner.cli.progress import TrainingProgress
from openmed_ner.errors import MissingExtraError


def pretrain(
    passages: Annotated[Path, typer.Argument(help="Folder that openmed-ner passages wrote.")],
    output: RunFolder,
    recipe: RecipeFile = None,
    backbone: Backbone = None,
    method: Annotated[str | None, typer.Option(help="lora, or full: train every parameter.")] = None,
    subwords: Annotated[int | None, typer.Option(help="How many to read in all.")] = None,
    licences: Annotated[
        str | None, typer.Option(help="Licence classes of sources to read: all, or permissive.")
    ] = None,
    seed: Seed = None,
    name: Name = None,
    set_: Overrides = None,
    device: Device = "auto",
    resume: Resume = False,
    as_json: AsJson = False,
) -> None:
    """Adapt a backbone to prepared passages by masked language modelling."""
    try:
        from openmed_ner.training.config import PretrainRecipe
        from openmed_ner.training.engine.processes import join
        from openmed_ner.training.pretrain import pretrain as run_pretraining
        from openmed_ner.training.recipes import read_recipe
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "train") from error

    processes = join(device)
    values: dict[str, Any] = {
        "backbone": backbone,
        "method": method,
        "subwords": subwords,
        "licences": licences,
        "seed": seed,
    }
    given = {key: value for key, value in values.items() if value is not None}
    settings = read_recipe(recipe, set_ or [], kind=PretrainRecipe, **given)
    titles = {"head": "teaching the head", "encoder": "adapting"}
    with TrainingProgress(_describe, quiet=as_json or not processes.is_main) as progress:
        bundle = run_pretraining(
            settings,
            passages,
            output,
            name=name or output.resolve().name,
            resume=resume,
            on_step=lambda stage, report: progress.show(report, title=titles[stage]),
            processes=processes,
        )
    if not processes.is_main:
        return
    record = bundle.read_json("run.json")
    held_out, parameters = record["held_out"], record["parameters"]
    if as_json:
        result = {"bundle": str(bundle.folder), "held_out": held_out, "parameters": parameters}
        print_json({**result, "subwords": record["history"]["subwords"], "energy": record["energy"]})
        return
    typer.echo(f"{parameters['trained']:,} parameters trained ({100 * parameters['share']:.2f} %)")
    typer.echo(
        f"perplexity on {held_out['passages']:,} held-out pieces: {held_out['before']['perplexity']:.2f} "
        f"before, {held_out['after']['perplexity']:.2f} after {record['history']['subwords']:,} subwords"
    )
    typer.echo(f"bundle: {bundle.folder}")


def _describe(scores: Mapping[str, float]) -> str:
    return f"held-out perplexity {scores['perplexity']:.2f}"
