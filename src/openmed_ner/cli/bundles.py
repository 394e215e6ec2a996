"""``openmed-ner bundles``: list, inspect, verify and collect bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.bundle.files import MANIFEST
from openmed_ner.bundle.manifest import PARITY, RECORD, SCORES, Manifest
from openmed_ner.bundle.registry import RegistryEntry, read_registry
from openmed_ner.cli.options import INPUT, OUTPUT, AsJson, BundleFolder
from openmed_ner.cli.output import print_json
from openmed_ner.errors import InputError, require_extra
from openmed_ner.inference.tagger import Tagger, embedded_bundle

_RULES = {
    "score": "the higher score of {}",
    "fill": "in this order, where the former found nothing: {}",
    "first": "only {}",
}
"""What a merge rule does with the layers of a type."""


def list_bundles(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="PATH", help="Folder to search for bundles (default: the published bundles)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List bundles with their test scores.

    Example:
        openmed-ner bundles list runs/
    """
    if folder is None:
        entries = read_registry()
    else:
        paths = sorted(path.parent for path in folder.glob(f"**/{MANIFEST}"))
        if not paths:
            raise InputError(f"{folder}: there is no bundle in it")
        entries = [RegistryEntry.of(open_bundle(path), str(path)) for path in paths]
    if as_json:
        print_json([entry.to_json() for entry in entries])
        return

    for entry in entries:
        typer.echo(f"{entry.place}: {entry.name}, {entry.kind}, {entry.precision}, {entry.size / 1e6:.1f} MB")
        for corpus, score in entry.scores.items():
            interval = f"95 %: {100 * score.low:.1f} to {100 * score.high:.1f}"
            typer.echo(f"  {corpus}: test F1 {100 * score.f1:.2f}  ({interval})")
        if not entry.scores:
            typer.echo("  no test scores: openmed-ner evaluate --attach measures them")


def info(bundle: BundleFolder = None, as_json: AsJson = False) -> None:
    """Show what a bundle contains.

    Example:
        openmed-ner bundles info runs/ncbi-disease/bundle
    """
    opened = open_bundle(bundle or embedded_bundle())
    manifest = opened.manifest
    if as_json:
        print_json({**manifest.to_json(), "sha256": opened.sha256})
        return

    typer.echo(f"{manifest.name}: {manifest.kind} bundle, {manifest.precision}, {_megabytes(opened)}")
    typer.echo(f"from {manifest.backbone.name} by openmed-ner {manifest.version}, licence {manifest.licence}")
    typer.echo(f"reads windows of {manifest.window} subwords that overlap by {manifest.overlap}")
    if manifest.adaptation is not None:
        typer.echo(f"adapted before: {manifest.adaptation.name} ({manifest.adaptation.mode})")
    if not manifest.heads:
        typer.echo("an adapted encoder without heads: fine-tune it with openmed-ner train --adapted")
    for head in manifest.heads:
        typer.echo(f"  {head.corpus}: {', '.join(head.labels)} ({head.scheme.value})")
    _print_merges(manifest)
    typer.echo(f"sha256 {opened.sha256}")


def verify(bundle: BundleFolder = None, as_json: AsJson = False) -> None:
    """Verify the files of a bundle and run its model.

    Example:
        openmed-ner bundles verify runs/ncbi-disease/bundle
    """
    opened = open_bundle(bundle or embedded_bundle())
    manifest = opened.manifest
    for name in (RECORD, PARITY, SCORES):
        if name in manifest.files:
            opened.read_json(name)
    RegistryEntry.of(opened, "")
    # An adapted encoder has no heads, so there is nothing to run. The text fills more than a window.
    text = "A test. " * manifest.window
    runs = bool(Tagger.load(opened)(text).meta["coverage"]["complete"]) if manifest.heads else None
    if as_json:
        print_json({"bundle": manifest.name, "files": len(manifest.files), "runs": runs})
        return
    state = "the model runs" if manifest.heads else "an adapted encoder without heads"
    typer.echo(f"{manifest.name}: {len(manifest.files)} files match the manifest; {state}")


def collect(
    study: Annotated[
        Path, typer.Argument(metavar="PATH", help="Folder of a study from openmed-ner reproduce.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="PATH", help="New folder for the bundles.", rich_help_panel=OUTPUT
        ),
    ],
    leave_out: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Model to leave out, such as one whose heads other models have; repeatable.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    prefix: Annotated[
        str,
        typer.Option(metavar="TEXT", help="Prefix for the name of each bundle.", rich_help_panel=OUTPUT),
    ] = "",
) -> None:
    """Collect the best bundles of a study in a suite.

    Of each model, the bundle with the best dev score is used. tag --bundle and serve --bundle take the
    folder and use all heads over one backbone.

    Example:
        openmed-ner bundles collect studies/suite -o suite
    """
    suite = require_extra("openmed_ner.training.study.suite", "train")
    for bundle in suite.collect(study, output, leave_out=leave_out or (), prefix=prefix):
        heads = ", ".join(head.corpus for head in bundle.manifest.heads)
        typer.echo(f"{bundle.folder}: {bundle.manifest.name}, {heads}, {_megabytes(bundle)}")


def average(
    bundles: Annotated[
        list[Path],
        typer.Argument(metavar="BUNDLE...", help="Full bundles to average; one named twice counts twice."),
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="PATH", help="New folder.", rich_help_panel=OUTPUT),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name of the new bundle (default: name of the folder).",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """Average the weights of models.

    The mean of models that were trained further from the same weights, a model soup, is often better than
    each of them. The bundles need the same heads, layers and lexicon, and method = full.

    Example:
        openmed-ner bundles average runs/one/bundle runs/two/bundle -o runs/mean
    """
    averaging = require_extra("openmed_ner.training.averaging", "train")
    sources = [open_bundle(folder) for folder in bundles]
    bundle = averaging.average_bundles(sources, output, name=name)
    typer.echo(f"{bundle.folder}: {bundle.manifest.name}, {_megabytes(bundle)}")


def _print_merges(manifest: Manifest) -> None:
    """Print how the layers of each type become one, for types of several heads."""
    labels = dict.fromkeys(label for head in manifest.heads for label in head.labels)
    merges = {label: manifest.merge_of(label) for label in labels}
    shared = {label: merge for label, merge in merges.items() if len(manifest.corpora_of(label)) > 1}
    if shared:
        typer.echo("one layer per type, of several heads:")
    for label, merge in shared.items():
        doubt = f", scores from {merge.threshold:g}" if merge.threshold else ""
        typer.echo(f"  {label}: {_RULES[merge.rule].format(', '.join(merge.order))}{doubt}")


def _megabytes(bundle: Bundle) -> str:
    size = sum(file.size for file in bundle.manifest.files.values())
    return f"{size / 1e6:.1f} MB"
