"""``openmed-ner corpora``: what there is, fetch it, verify it, count it, and see what leaks into what."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from openmed_ner.cli.output import complain, print_json
from openmed_ner.corpora import CATALOG, Corpus, corpora_folder, find_corpus, load_split
from openmed_ner.corpora.archive import ENVIRONMENT, read_members
from openmed_ner.corpora.statistics import describe_split
from openmed_ner.errors import CorpusError, InputError

Names = Annotated[list[str] | None, typer.Argument(help="Corpora of the catalog; all by default.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _rows(names: Sequence[str] | None) -> list[Corpus]:
    return [find_corpus(name) for name in names] if names else list(CATALOG.values())


def list_corpora(as_json: Json = False) -> None:
    """List the corpora with their types, splits and licences."""
    value = os.environ.get(ENVIRONMENT)
    folder = Path(value) if value else None
    rows = [
        {
            "name": corpus.name,
            "title": corpus.title,
            "types": list(corpus.types),
            "splits": list(corpus.splits),
            "official": list(corpus.official),
            "complete": corpus.complete,
            "here": folder is not None and all((folder / each.archive).is_file() for each in corpus.members),
            "licence": corpus.licence,
            "citation": corpus.citation,
            "home": corpus.home,
            "note": corpus.note,
        }
        for corpus in CATALOG.values()
    ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        here = "here" if row["here"] else "not here"
        typer.echo(f"{row['name']}  ({row['title']}; {here})")
        typer.echo(f"  types: {', '.join(row['types'])}")  # type: ignore[arg-type]
        typer.echo(f"  splits: {', '.join(row['splits'])}; official: {', '.join(row['official']) or 'none'}")  # type: ignore[arg-type]
        typer.echo(f"  licence: {row['licence']}")
        if row["note"]:
            typer.echo(f"  {row['note']}")


def fetch(
    names: Names = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="A folder that has the archives, instead of the network.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help=f"Folder for the archives; {ENVIRONMENT} by default."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Fetch corpora and check their digests.

    A corpus that cannot be had is reported and the others are still fetched; the exit status tells.
    """
    from openmed_ner.corpora.fetch import fetch as fetch_corpus
    from openmed_ner.errors import OpenMedError

    if source is not None and not source.is_dir():
        raise InputError(f"{source} is not a folder")
    folder = output or corpora_folder()
    results: list[dict[str, Any]] = []
    status = 0
    for corpus in _rows(names):
        try:
            written = fetch_corpus(corpus, folder, source=source)
            results.append({"name": corpus.name, "written": [str(path) for path in written]})
            if not as_json:
                typer.echo(
                    f"{corpus.name}: {', '.join(map(str, written)) or 'already there, as the catalog says'}"
                )
        except OpenMedError as error:
            complain(f"{corpus.name}: {error}")
            results.append({"name": corpus.name, "error": str(error)})
            status = max(status, error.exit_status)
    if as_json:
        print_json(results)
    if status:
        raise typer.Exit(status)


def verify(names: Names = None, as_json: Json = False) -> None:
    """Compare the available archives with the catalog."""
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
                typer.echo(f"{corpus.name}: {len(corpus.members)} files or folders as the catalog says")
    if as_json:
        print_json(results)
    if any("error" in result for result in results):
        raise typer.Exit(2)


def stats(names: Names = None, as_json: Json = False) -> None:
    """Count documents, words and mentions of each split."""
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


def overlap(names: Names = None, as_json: Json = False) -> None:
    """List documents that appear in more than one split."""
    from dataclasses import asdict

    from openmed_ner.corpora.overlap import find_overlaps

    sets = {
        f"{corpus.name}/{split}": load_split(corpus.name, split).documents
        for corpus in _rows(names)
        for split in corpus.splits
    }
    overlaps = find_overlaps(sets)
    if as_json:
        print_json([asdict(each) for each in overlaps])
        return
    for each in overlaps:
        size = len(sets[each.first])
        within = "are repeated within it" if each.first == each.second else f"stand in {each.second}"
        typer.echo(
            f"{each.first}: {each.documents} of {size} documents {within} ({each.sentences} shared sentences)"
        )
