"""``openmed-ner train``: fine-tune a backbone on corpora of the catalog or on one's own documents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openmed_ner.bundle import open_bundle
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
from openmed_ner.cli.output import complain, print_json
from openmed_ner.cli.progress import TrainingProgress, describe_f1
from openmed_ner.errors import MissingExtraError, RecipeError
from openmed_ner.formats import FORMATS, read_documents
from openmed_ner.inference.tagger import embedded_bundle
from openmed_ner.text import Account

if TYPE_CHECKING:
    from openmed_ner.bundle import Bundle
    from openmed_ner.tagging import Head
    from openmed_ner.training.finetune import Splits


def train(
    output: RunFolder,
    recipe: RecipeFile = None,
    corpus: Annotated[
        list[str] | None, typer.Option(help="A corpus of the catalog; may be given several times.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Your own training documents, instead of a corpus.")
    ] = None,
    dev: Annotated[Path | None, typer.Option(help="Your own dev documents, to choose the epoch by.")] = None,
    source: Annotated[
        str | None, typer.Option("--from", help=f"{', '.join(FORMATS)}; told from the name by default.")
    ] = None,
    backbone: Backbone = None,
    adapted: Annotated[
        str | None, typer.Option(help="Bundle of an adapted encoder (openmed-ner pretrain) to start from.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="BUNDLE",
            help="Go on from a trained bundle: its encoder, and its heads of the same corpora; embedded: the "
            "one that comes with the package. Without a recipe its backbone and windows are taken, too, and "
            "every parameter is trained, at a learning rate of 2e-4.",
        ),
    ] = None,
    seed: Seed = None,
    name: Name = None,
    set_: Overrides = None,
    search: Annotated[
        int | None,
        typer.Option(help="Try so many settings, see [search] in the recipe; keep the best."),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Begin no new trial of a search after so many minutes.")
    ] = None,
    device: Device = "auto",
    resume: Resume = False,
    as_json: AsJson = False,
) -> None:
    """Fine-tune a backbone with LoRA and write an adapter bundle."""
    try:
        from openmed_ner.training.config import Recipe
        from openmed_ner.training.engine.processes import join
        from openmed_ner.training.finetune import build_corpora, finetune, load_corpora
        from openmed_ner.training.recipes import read_recipe
        from openmed_ner.training.search import search as run_search
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "train") from error

    processes = join(device)
    overrides = set_ or []
    if start is not None:
        origin = open_bundle(embedded_bundle() if start == "embedded" else Path(start))
        start = str(origin.folder)
        overrides = [*([] if recipe else _go_on_from(origin)), *overrides]
    values: dict[str, Any] = {
        "backbone": backbone,
        "adapted": adapted,
        "start": start,
        "seed": seed,
        "corpora": corpus or None,
    }
    settings = read_recipe(
        recipe, overrides, kind=Recipe, **{key: value for key, value in values.items() if value is not None}
    )
    if data is not None:
        if settings.corpora:
            raise RecipeError("name corpora of the catalog or your own --data, not both")
        corpora = build_corpora(_read_own(data, dev, source), settings)
    else:
        corpora = load_corpora(settings)
    left_out = {each.head.corpus: len(each.left_out) for each in corpora if each.left_out}
    for corpus_name, count in left_out.items() if processes.is_main else ():
        complain(f"{corpus_name}: {count} training documents stand in a dev or test split and are left out")
    how: dict[str, Any] = {"name": name or output.resolve().name, "resume": resume, "processes": processes}
    with TrainingProgress(describe_f1, quiet=as_json or not processes.is_main) as progress:
        if search is None:
            bundle = finetune(settings, corpora, output, **how, on_step=progress.show)
        else:
            limit = settings.search.minutes if minutes is None else minutes
            settings = replace(settings, search=replace(settings.search, trials=search, minutes=limit))
            bundle = run_search(
                settings,
                corpora,
                output,
                **how,
                on_step=lambda trial, report: progress.show(report, title=trial),
            )
    if not processes.is_main:
        return
    record = bundle.read_json("run.json")
    history, parameters = record["history"], record["parameters"]
    scores = history["scores"][history["best_epoch"]]
    if as_json:
        print_json(
            {
                "bundle": str(bundle.folder),
                "dev": scores,
                "parameters": parameters,
                "accounts": record["accounts"],
                "left_out": left_out,
            }
        )
        return
    for corpus_name, account in record["accounts"].items():
        typer.echo(f"{corpus_name}: gold entities of the training documents: {Account(**account)}")
    typer.echo(f"{parameters['trained']:,} parameters trained ({100 * parameters['share']:.2f} %)")
    chosen = describe_f1(scores) if scores else "the last one; dev was learnt from"
    typer.echo(f"after epoch {history['best_epoch'] + 1}: {chosen}")
    typer.echo(f"bundle: {bundle.folder}")


def _go_on_from(origin: Bundle) -> list[str]:
    """Settings by which a model is trained further: it reads as before, and forgets little."""
    manifest = origin.manifest
    return [
        f"backbone={manifest.backbone.name}",
        f"window={manifest.window}",
        f"overlap={manifest.overlap}",
        f"layers={list(manifest.encoder_layers)}",
        "method=full",
        "schedule.learning_rate=2e-4",
    ]


def _read_own(data: Path, dev: Path | None, source: str | None) -> dict[Head, Splits]:
    from openmed_ner.training.finetune import infer_head

    if dev is None:
        raise RecipeError("--data needs --dev: documents to choose the best epoch by")
    places = {"train": data, "dev": dev}
    splits = {split: tuple(read_documents(path, format=source)) for split, path in places.items()}
    return {infer_head(data.stem, splits, places): splits}
