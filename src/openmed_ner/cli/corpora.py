"""``openmed-ner corpora``: list, fetch, verify, count and compare the corpora of the catalog."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from openmed_ner.cli.options import INPUT, OUTPUT, AsJson, CorpusNames
from openmed_ner.cli.output import complain, print_json
from openmed_ner.corpora import CATALOG, Corpus, corpora_folder, find_corpus, load_split
from openmed_ner.corpora.archive import ENVIRONMENT, read_members
from openmed_ner.corpora.fetch import fetch as fetch_corpus
from openmed_ner.corpora.overlap import find_overlaps
from openmed_ner.corpora.statistics import describe_row, describe_split
from openmed_ner.errors import CorpusError, InputError, OpenMedError


def list_corpora(as_json: AsJson = False) -> None:
    """List the corpora with their types, splits and licences.

    Example:
        openmed-ner corpora list
    """
    value = os.environ.get(ENVIRONMENT)
    rows = [describe_row(corpus, Path(value) if value else None) for corpus in CATALOG.values()]
    if as_json:
        print_json(rows)
        return

    for row in rows:
        typer.echo(f"{row['name']}  ({row['title']}; {'available' if row['here'] else 'not available'})")
        typer.echo(f"  types: {', '.join(row['types'])}")
        typer.echo(f"  splits: {', '.join(row['splits'])}; official: {', '.join(row['official']) or 'none'}")
        typer.echo(f"  licence: {row['licence']}")
        if row["note"]:
            typer.echo(f"  {row['note']}")


def fetch(
    names: CorpusNames = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="PATH",
            help="Folder to copy the archives from, instead of the network.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            help=f"Folder for the archives (default: {ENVIRONMENT}).",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch corpora and check their digests.

    They come from their publishers. A corpus that is not available is reported and the others are still
    fetched; the exit status is then not 0.

    Example:
        openmed-ner corpora fetch ncbi-disease -o corpora/
    """
    if source is not None and not source.is_dir():
        raise InputError(f"{source} is not a folder")
    folder = output or corpora_folder()

    results: list[dict[str, Any]] = []
    status = 0
    for corpus in _rows(names):
        try:
            written = [str(path) for path in fetch_corpus(corpus, folder, source=source)]
        except OpenMedError as error:
            complain(f"{corpus.name}: {error}")
            results.append({"name": corpus.name, "error": str(error)})
            status = max(status, error.exit_status)
        else:
            results.append({"name": corpus.name, "written": written})
            if not as_json:
                typer.echo(f"{corpus.name}: {', '.join(written) or 'already available and verified'}")

    if as_json:
        print_json(results)
    if status:
        raise typer.Exit(status)


def verify(names: CorpusNames = None, as_json: AsJson = False) -> None:
    """Compare the available archives with the catalog.

    Their SHA-256 digests must be those of the releases that the catalog describes.

    Example:
        openmed-ner corpora verify ncbi-disease
    """
    folder = corpora_folder()
    results: list[dict[str, Any]] = []
    for corpus in _rows(names):
        try:
            read_members(folder, corpus.members)
        except CorpusError as error:
            complain(f"{corpus.name}: {error}")
            results.append({"name": corpus.name, "error": str(error)})
        else:
            results.append({"name": corpus.name, "members": len(corpus.members)})
            if not as_json:
                typer.echo(f"{corpus.name}: {len(corpus.members)} files or folders match the catalog")

    if as_json:
        print_json(results)
    if any("error" in result for result in results):
        raise typer.Exit(2)


def stats(names: CorpusNames = None, as_json: AsJson = False) -> None:
    """Count documents, words and mentions of each split.

    Example:
        openmed-ner corpora stats ncbi-disease
    """
    rows = [
        describe_split(load_split(corpus.name, split)) for corpus in _rows(names) for split in corpus.splits
    ]
    if as_json:
        print_json(rows)
        return

    for row in rows:
        types = ", ".join(f"{label} {count}" for label, count in row["mentions"].items())
        typer.echo(
            f"{row['corpus']} {row['split']}: {row['documents']} documents, {row['words']} words; {types}"
        )
        special = {key: row[key] for key in ("nested", "discontinuous", "unrepresentable") if row[key]}
        if special:
            typer.echo("  " + ", ".join(f"{key} {value}" for key, value in special.items()))
        if row["reading"]["lost"]:
            typer.echo(f"  not read: {row['reading']['lost']} ({', '.join(row['reading']['reasons'])})")


def overlap(names: CorpusNames = None, as_json: AsJson = False) -> None:
    """List documents that appear in more than one split.

    These are repetitions within a split, leaks between splits, and texts that corpora share.

    Example:
        openmed-ner corpora overlap ncbi-disease bc5cdr-disease
    """
    sets = {
        f"{corpus.name}/{split}": load_split(corpus.name, split).documents
        for corpus in _rows(names)
        for split in corpus.splits
    }
    overlaps = find_overlaps(sets)
    if as_json:
        print_json([asdict(pair) for pair in overlaps])
        return

    for pair in overlaps:
        size = len(sets[pair.first])
        verb = "are repeated within it" if pair.first == pair.second else f"appear in {pair.second}"
        typer.echo(
            f"{pair.first}: {pair.documents} of {size} documents {verb} ({pair.sentences} shared sentences)"
        )


def _rows(names: Sequence[str] | None) -> list[Corpus]:
    return [find_corpus(name) for name in names] if names else list(CATALOG.values())
