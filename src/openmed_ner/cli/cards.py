"""``openmed-ner cards``: write cards and reports of models, corpora and pretraining sets."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.cli.options import INPUT, OUTPUT, AsJson, BundleFolder
from openmed_ner.cli.output import write_output
from openmed_ner.corpora import find_corpus
from openmed_ner.corpora.archive import ENVIRONMENT
from openmed_ner.corpora.statistics import describe_splits
from openmed_ner.errors import InputError
from openmed_ner.inference.tagger import embedded_bundle
from openmed_ner.publish.cards import attach as attach_card
from openmed_ner.publish.cards import describe_model, find_sources, read_records
from openmed_ner.publish.cards.data import describe_corpus, describe_passage_set
from openmed_ner.publish.cards.documentation import list_open_points, write_documentation
from openmed_ner.publish.cards.energy import (
    ModelEnergy,
    find_steps,
    list_models,
    report_energy,
    write_energy,
)
from openmed_ner.publish.cards.markdown import table
from openmed_ner.storage import read_json
from openmed_ner.training.passages.shards import read_manifest

Output = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="PATH",
        help="File to write (default: standard output).",
        rich_help_panel=OUTPUT,
    ),
]
MAX_RESULTS = 64 << 20
"""Largest size of a results file, in bytes."""
SOURCE_COLUMNS = ("name", "role", "licence", "licence_class", "home", "citation")


def model(
    bundle: BundleFolder = None,
    output: Output = None,
    attach: Annotated[
        bool,
        typer.Option("--attach", help="Also write the card into the bundle.", rich_help_panel=OUTPUT),
    ] = False,
) -> None:
    """Write the model card of a bundle.

    Example:
        openmed-ner cards model runs/ncbi-disease/bundle -o card.md
    """
    opened = _open(bundle)
    with _explain_records(opened.folder):
        text = describe_model(opened.manifest, **read_records(opened))
    if attach:
        attach_card(opened)
    if output or not attach:
        write_output(text, output)


def documentation(bundle: BundleFolder = None, output: Output = None) -> None:
    """Write the technical documentation of a bundle.

    It follows Annex IV of the EU AI Act, describes the training content, and marks what the provider has to
    add. It helps to write the documentation, and is not legal advice.

    Example:
        openmed-ner cards documentation runs/ncbi-disease/bundle -o documentation.md
    """
    opened = _open(bundle)
    with _explain_records(opened.folder):
        text = write_documentation(opened.manifest, **read_records(opened))
    write_output(text, output)
    typer.echo(f"to be added by the provider: {len(list_open_points(text))} points", err=True)


def licences(bundle: BundleFolder = None, as_json: AsJson = False, output: Output = None) -> None:
    """List the sources of a bundle with their licences.

    Example:
        openmed-ner cards licences runs/ncbi-disease/bundle
    """
    opened = _open(bundle)
    with _explain_records(opened.folder):
        sources = find_sources(opened.manifest, read_records(opened)["record"])
    if as_json:
        _write_json([source.to_json() for source in sources], output)
        return
    rows = [[getattr(source, column) for column in SOURCE_COLUMNS] for source in sources]
    write_output(table(SOURCE_COLUMNS, rows), output)


def data(
    corpus: Annotated[str, typer.Argument(metavar="NAME", help="Corpus of the catalog.")],
    statistics: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Counts of all corpora, as benchmarks/corpora.py of the project prints them (default: count "
            "the archive if it is available).",
            rich_help_panel=INPUT,
        ),
    ] = None,
    output: Output = None,
) -> None:
    """Write the data card of a corpus.

    Example:
        openmed-ner cards data ncbi-disease -o ncbi-disease.md
    """
    row = find_corpus(corpus)
    # The corpora are not redistributable: without an archive, the card says that nothing was counted.
    if statistics:
        counts = _read_results(statistics)
    else:
        counts = describe_splits(row) if os.environ.get(ENVIRONMENT) else {}
    with _explain_records(statistics):
        text = describe_corpus(row, statistics=counts.get("splits") or (), overlaps=counts.get("overlaps"))
    write_output(text, output)


def passages(
    folder: Annotated[
        Path, typer.Argument(metavar="PATH", help="Folder of a pretraining set from openmed-ner passages.")
    ],
    output: Output = None,
) -> None:
    """Write the data card of a pretraining set.

    Example:
        openmed-ner cards passages passages -o passages.md
    """
    manifest = read_manifest(folder)
    with _explain_records(folder):
        text = describe_passage_set(manifest, folder.resolve().name)
    write_output(text, output)


def energy(
    models: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH",
            help="Folders of bundles, and results of evaluate --json or reproduce --results (default: the "
            "embedded bundle).",
        ),
    ] = None,
    benchmark: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Energy of tagging, as benchmarks/tagging.py of the project prints it.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    as_json: AsJson = False,
    output: Output = None,
) -> None:
    """Report the energy of training and tagging.

    Example:
        openmed-ner cards energy runs/ncbi-disease/bundle
    """
    records = [record for path in models or (None,) for record in _read_energy(path)]
    tagging = _read_results(benchmark) if benchmark else None
    with _explain_records(benchmark):
        report = report_energy(records, tagging)
        text = write_energy(report)
    if as_json:
        _write_json(report, output)
    else:
        write_output(text, output)


def _open(folder: Path | None) -> Bundle:
    return open_bundle(folder or embedded_bundle())


def _read_energy(path: Path | None) -> list[ModelEnergy]:
    """Read the energy of a bundle, of the results of its evaluation, or of the models of a study."""
    if path is None or path.is_dir():
        bundle = _open(path)
        heads = tuple(head.corpus for head in bundle.manifest.heads)
        with _explain_records(path):
            steps = find_steps(read_records(bundle)["record"])
            return [ModelEnergy(bundle.manifest.name, heads, tuple(steps))]

    results = _read_results(path)
    with _explain_records(path):
        if "runs" in results:
            return list_models(results)
        training = results["training"]
        corpora = tuple(training["recipe"].get("corpora", ()))
        return [ModelEnergy(str(results.get("bundle", path.stem)), corpora, tuple(find_steps(training)))]


@contextmanager
def _explain_records(path: Path | None) -> Iterator[None]:
    """Explain an error from records that this version did not write.

    Raises:
        InputError: a record lacks a field, or a field has another type.
    """
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: unexpected records ({type(error).__name__}: {error}); write them again with this "
            "version, or use the version that wrote them"
        ) from error


def _read_results(path: Path) -> dict[str, Any]:
    try:
        return read_json(path, max_bytes=MAX_RESULTS)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def _write_json(record: Mapping[str, Any] | Sequence[Any], output: Path | None) -> None:
    write_output(json.dumps(record, indent=1, ensure_ascii=False) + "\n", output)
