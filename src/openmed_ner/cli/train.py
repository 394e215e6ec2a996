"""``openmed-ner train``: fine-tune a backbone on corpora of the catalog or on one's own documents.

Torch is imported when a run starts, not here: ``train --help`` is quick, and works without torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.bundle.manifest import RECORD
from openmed_ner.cli.gain import Gain, measure_gain
from openmed_ner.cli.invalid import InvalidDocuments
from openmed_ner.cli.options import (
    INPUT,
    MODEL,
    TRAINING,
    AsJson,
    Backbone,
    BundleName,
    Device,
    DocumentFormat,
    IdColumn,
    LabelColumn,
    Overrides,
    RecipeFile,
    Resume,
    RunFolder,
    Seed,
    SkipInvalid,
    TextColumn,
    choose_columns,
    drop_none,
)
from openmed_ner.cli.output import complain, print_json
from openmed_ner.cli.progress import TrainingProgress, describe_f1
from openmed_ner.cli.slips import find_slips
from openmed_ner.errors import RecipeError, require_extra
from openmed_ner.evaluation.gold import require_mentions
from openmed_ner.formats import FORMATS, read_documents, read_valid_documents
from openmed_ner.inference.tagger import EMBEDDED, embedded_bundle
from openmed_ner.text import Account, Document
from openmed_ner.training.config import Recipe
from openmed_ner.training.data_size import choose_settings
from openmed_ner.training.recipes import read_recipe

if TYPE_CHECKING:
    from openmed_ner.training.objectives.token_tags import TrainingCorpus

_BOTH = "name corpora of the catalog or your own --data, not both"
_POOR = 0.1
"""Mean dev F1 below which a model is said to have learnt hardly anything."""


def train(
    output: RunFolder,
    recipe: RecipeFile = None,
    corpus: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Corpus of the catalog to train on; repeatable.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Your own training documents, instead of a corpus.", rich_help_panel=INPUT
        ),
    ] = None,
    dev: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Your own dev documents, to select the best epoch.", rich_help_panel=INPUT
        ),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Your own test documents, to score the new model and its start on.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    source: Annotated[
        DocumentFormat | None,
        typer.Option(
            "--from",
            metavar="FORMAT",
            help=f"Format of your documents: {', '.join(FORMATS)} (default: inferred from the file name).",
            rich_help_panel=INPUT,
        ),
    ] = None,
    text_column: TextColumn = None,
    id_column: IdColumn = None,
    label_column: LabelColumn = None,
    skip_invalid: SkipInvalid = False,
    backbone: Backbone = None,
    adapted: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Bundle of an adapted encoder to start from, written by openmed-ner pretrain.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Trained bundle to start from, or embedded. Its encoder and its heads of the same corpora "
            "are trained further. Without a recipe, its backbone and windows are used and all parameters are "
            "trained at a learning rate of 2e-4.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    keep_heads: Annotated[
        bool,
        typer.Option(
            "--keep-heads",
            help="Keep the heads of the start beside the new ones. The start is their teacher on your "
            "documents.",
            rich_help_panel=MODEL,
        ),
    ] = False,
    seed: Seed = None,
    name: BundleName = None,
    set_: Overrides = None,
    search: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Run N search trials over the ranges in the recipe's [search] table and keep the "
            "best model.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            metavar="N", help="Start no new search trial after N minutes.", rich_help_panel=TRAINING
        ),
    ] = None,
    device: Device = "auto",
    resume: Resume = False,
    as_json: AsJson = False,
) -> None:
    """Fine-tune a backbone with LoRA and write an adapter bundle.

    Example:
        openmed-ner train --corpus ncbi-disease -o runs/ncbi-disease
    """
    # Documents are read before torch is imported, which takes longer: a fault in them is told at once.
    invalid = InvalidDocuments() if skip_invalid else None
    source, columns = choose_columns(source, text=text_column, identifier=id_column, label=label_column)
    paths = {"train": data, "dev": dev, "test": test}
    splits = _read_splits(paths, source, columns, corpus, invalid)
    processes = require_extra("openmed_ner.training.engine.processes", "train").join(device)
    overrides = set_ or []
    if splits and data and recipe is None:
        # Before the user's own settings, so that these win.
        overrides = [*choose_settings(splits["train"], data.stem), *overrides]
    if start is not None:
        origin = open_bundle(embedded_bundle() if start == EMBEDDED else Path(start))
        start = str(origin.folder)
        if recipe is None:
            # A recipe says itself how to start. These defaults are for commands without one.
            warm_start = require_extra("openmed_ner.training.warm_start", "train")
            overrides = [*warm_start.default_overrides(origin), *overrides]
    values: dict[str, Any] = {"backbone": backbone, "adapted": adapted, "start": start, "seed": seed}
    # A flag that was not given must not override the recipe.
    if keep_heads:
        values["keep_heads"] = True
    if corpus:
        values["corpora"] = corpus
    settings = read_recipe(recipe, overrides, kind=Recipe, **drop_none(values))

    corpora = _load_corpora(settings, paths, splits)
    excluded = {part.head.corpus: len(part.left_out) for part in corpora if part.left_out}
    # A launcher runs this command once per process; one of them speaks for all.
    if processes.is_main:
        if invalid is not None:
            invalid.report()
        for slip in find_slips(splits):
            complain(f"warning: {slip}")
        for corpus_name, count in excluded.items():
            complain(f"{corpus_name}: {count} training documents appear in a dev or test split; excluded")

    run = {"name": name or output.resolve().name, "resume": resume, "processes": processes}
    with TrainingProgress(describe_f1, quiet=as_json or not processes.is_main) as progress:
        if search is None:
            finetuning = require_extra("openmed_ner.training.finetune", "train")
            bundle = finetuning.finetune(settings, corpora, output, **run, on_step=progress.show)
        else:
            bundle = _search(settings, corpora, output, search, minutes, run, progress)

    if processes.is_main:
        gain = None
        if data and test:
            before = open_bundle(Path(settings.start)) if settings.start else None
            gain = measure_gain(before, bundle, data.stem, splits["test"])
        _report(bundle, excluded, gain, as_json=as_json)


def _read_splits(
    paths: Mapping[str, Path | None],
    source: str | None,
    columns: Mapping[str, str],
    corpora: Sequence[str] | None,
    invalid: InvalidDocuments | None,
) -> dict[str, tuple[Document, ...]]:
    """Read the user's own documents, by split; none without ``--data``.

    Raises:
        RecipeError: corpora of the catalog are named, too, or the dev documents are missing; or invalid
            documents, columns or test documents are named without documents to train on.
    """
    if paths["train"] is None:
        if paths["test"] is not None:
            raise RecipeError("--test is for your own documents; score corpora with openmed-ner evaluate")
        if invalid is not None:
            raise RecipeError("--skip-invalid is for your own documents; name them with --data and --dev")
        if columns:
            raise RecipeError("names of columns are for your own tables; name them with --data and --dev")
        return {}
    if corpora:
        raise RecipeError(_BOTH)
    if paths["dev"] is None:
        raise RecipeError("--data needs --dev: documents to select the best epoch")
    options = {"columns": columns} if columns else {}
    splits = {
        split: tuple(
            read_documents(path, format=source, options=options)
            if invalid is None
            else read_valid_documents(path, format=source, on_invalid=invalid.add, options=options)
        )
        for split, path in paths.items()
        if path is not None
    }
    if "test" in splits:
        require_mentions(splits["test"], source=str(paths["test"]))
    return splits


def _load_corpora(
    settings: Recipe, paths: Mapping[str, Path | None], splits: Mapping[str, Sequence[Document]]
) -> Sequence[TrainingCorpus]:
    """Load the corpora of the recipe, or take the user's own documents.

    Raises:
        RecipeError: there are both.
    """
    loading = require_extra("openmed_ner.training.corpora", "train")
    corpora: Sequence[TrainingCorpus]
    data = paths["train"]
    if data is None:
        corpora = loading.load_corpora(settings)
        return corpora
    if settings.corpora:
        raise RecipeError(_BOTH)
    head = loading.infer_head(data.stem, splits, paths)
    corpora = loading.build_corpora({head: splits}, settings)
    return corpora


def _search(
    settings: Recipe,
    corpora: Sequence[TrainingCorpus],
    output: Path,
    n_trials: int,
    minutes: float | None,
    run: Mapping[str, Any],
    progress: TrainingProgress,
) -> Bundle:
    """Search over settings; the command line overrides the limits of the recipe."""
    searching = require_extra("openmed_ner.training.search", "train")
    limit = settings.search.minutes if minutes is None else minutes
    limited = replace(settings.search, trials=n_trials, minutes=limit)
    bundle: Bundle = searching.search(
        replace(settings, search=limited),
        corpora,
        output,
        **run,
        on_step=lambda trial, report: progress.show(report, title=trial),
    )
    return bundle


def _report(bundle: Bundle, excluded: Mapping[str, int], gain: Gain | None, *, as_json: bool) -> None:
    """Print the result of a run from its record, and a warning if the model is of no use."""
    record = bundle.read_json(RECORD)
    history = record["history"]
    scores = history["scores"][history["best_epoch"]]
    _report_result(bundle, record, scores, excluded, gain, as_json=as_json)
    if scores and scores["score"] < _POOR:
        complain(
            f"warning: {describe_f1(scores)} of 100: the model has learnt hardly anything and is of no use "
            "yet. Check that the types are annotated alike in the training and dev documents, annotate more "
            "documents, or train for longer (--set schedule.epochs=30)"
        )


def _report_result(
    bundle: Bundle,
    record: Mapping[str, Any],
    scores: Mapping[str, float],
    excluded: Mapping[str, int],
    gain: Gain | None,
    *,
    as_json: bool,
) -> None:
    history, parameters = record["history"], record["parameters"]
    if as_json:
        print_json(
            {
                "bundle": str(bundle.folder),
                "dev": scores,
                "parameters": parameters,
                "accounts": record["accounts"],
                "left_out": excluded,
                **({} if gain is None else {"test": gain.to_json()}),
            }
        )
        return

    for corpus_name, account in record["accounts"].items():
        typer.echo(f"{corpus_name}: gold entities of the training documents: {Account(**account)}")
    typer.echo(f"{parameters['trained']:,} parameters trained ({100 * parameters['share']:.2f} %)")
    selected = describe_f1(scores) if scores else "the last epoch, since dev was trained on"
    typer.echo(f"after epoch {history['best_epoch'] + 1}: {selected}")
    if gain is not None:
        typer.echo(f"test: {gain.describe()}")
    typer.echo(f"bundle: {bundle.folder}")
