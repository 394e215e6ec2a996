"""``openmed-ner cards``: write down what is recorded of a model, a corpus or a set of passages."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openmed_ner.cli.options import AsJson
from openmed_ner.cli.output import open_output
from openmed_ner.errors import InputError

if TYPE_CHECKING:
    from openmed_ner.bundle import Bundle
    from openmed_ner.publish.cards.energy import ModelEnergy

Folder = Annotated[Path | None, typer.Argument(help="Folder of the bundle; the embedded one if left out.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="File to write; the screen by default.")]
MAX_FILE = 64 << 20
"""Largest results file that is read, in bytes."""


def model(
    bundle: Folder = None,
    output: Output = None,
    attach: Annotated[
        bool, typer.Option("--attach", help="Also put it into the bundle, as its card.")
    ] = False,
) -> None:
    """Write the model card of a bundle."""
    from openmed_ner.publish.cards import attach as attach_card
    from openmed_ner.publish.cards import describe_model, read_records

    opened = _open(bundle)
    with _reading(opened.folder):
        text = describe_model(opened.manifest, **read_records(opened))
    if attach:
        attach_card(opened)
    if output or not attach:
        _write(text, output)


def documentation(bundle: Folder = None, output: Output = None) -> None:
    """Write the technical documentation of a bundle.

    A help, not legal advice.
    """
    from openmed_ner.publish.cards import read_records
    from openmed_ner.publish.cards.documentation import list_open_points, write_documentation

    opened = _open(bundle)
    with _reading(opened.folder):
        text = write_documentation(opened.manifest, **read_records(opened))
    _write(text, output)
    typer.echo(f"to be added by the provider: {len(list_open_points(text))} points", err=True)


def licences(bundle: Folder = None, as_json: AsJson = False, output: Output = None) -> None:
    """List the sources of a bundle with their licences."""
    from openmed_ner.publish.cards import find_sources, read_records
    from openmed_ner.publish.cards.markdown import table

    opened = _open(bundle)
    with _reading(opened.folder):
        sources = find_sources(opened.manifest, read_records(opened)["record"])
    if as_json:
        _write_json([source.to_json() for source in sources], output)
        return
    columns = ("name", "role", "licence", "licence_class", "home", "citation")
    _write(table(columns, [[getattr(source, column) for column in columns] for source in sources]), output)


def data(
    corpus: Annotated[str, typer.Argument(help="A corpus of the catalog.")],
    statistics: Annotated[
        Path | None,
        typer.Option(help="Counts of all corpora, as benchmarks/corpora.py prints them; else counted here."),
    ] = None,
    output: Output = None,
) -> None:
    """Write the data card of a corpus."""
    from openmed_ner.corpora import find_corpus
    from openmed_ner.publish.cards.data import describe_corpus

    row = find_corpus(corpus)
    counted = _read(statistics) if statistics else _count(corpus)
    splits, overlaps = counted.get("splits") or (), counted.get("overlaps")
    with _reading(statistics):
        text = describe_corpus(row, statistics=splits, overlaps=overlaps)
    _write(text, output)


def passages(
    folder: Annotated[Path, typer.Argument(help="Folder that openmed-ner passages wrote.")],
    output: Output = None,
) -> None:
    """Write the data card of a pretraining set."""
    from openmed_ner.publish.cards.data import describe_passage_set
    from openmed_ner.training.passages.shards import read_manifest

    account = read_manifest(folder)
    with _reading(folder):
        text = describe_passage_set(account, folder.resolve().name)
    _write(text, output)


def energy(
    models: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Folders of bundles, and results of evaluate --json; the embedded bundle by default."
        ),
    ] = None,
    benchmark: Annotated[
        Path | None, typer.Option(help="Energy of tagging, as benchmarks/tagging.py prints it.")
    ] = None,
    as_json: AsJson = False,
    output: Output = None,
) -> None:
    """Report the energy of training and tagging."""
    from openmed_ner.publish.cards.energy import report_energy, write_energy

    consumers = [each for path in models or (None,) for each in _consumers(path)]
    tagging = _read(benchmark) if benchmark else None
    with _reading(benchmark):
        report = report_energy(consumers, tagging)
        text = write_energy(report)
    if as_json:
        _write_json(report, output)
    else:
        _write(text, output)


def _open(folder: Path | None) -> Bundle:
    from openmed_ner.bundle import open_bundle
    from openmed_ner.inference.tagger import embedded_bundle

    return open_bundle(folder or embedded_bundle())


def _consumers(path: Path | None) -> list[ModelEnergy]:
    """A bundle, what ``evaluate --json`` says of one, or the models of what ``reproduce --results`` wrote."""
    from openmed_ner.publish.cards import read_records
    from openmed_ner.publish.cards.energy import ModelEnergy, find_steps, list_models

    if path is None or path.is_dir():
        bundle = _open(path)
        heads = tuple(head.corpus for head in bundle.manifest.heads)
        with _reading(path):
            return [
                ModelEnergy(bundle.manifest.name, heads, tuple(find_steps(read_records(bundle)["record"])))
            ]
    results = _read(path)
    with _reading(path):
        if "runs" in results:
            return list_models(results)
        training = results["training"]
        corpora = tuple(training["recipe"].get("corpora", ()))
        return [ModelEnergy(str(results.get("bundle", path.stem)), corpora, tuple(find_steps(training)))]


def _count(corpus: str) -> dict[str, Any]:
    """Count a corpus and compare its splits, where its archive is at hand."""
    from openmed_ner.corpora import find_corpus, load_split
    from openmed_ner.corpora.archive import ENVIRONMENT
    from openmed_ner.corpora.overlap import find_overlaps
    from openmed_ner.corpora.statistics import describe_split

    if not os.environ.get(ENVIRONMENT):
        return {}
    splits = [load_split(corpus, name) for name in find_corpus(corpus).splits]
    sets = {f"{corpus}/{split.name}": split.documents for split in splits}
    return {
        "splits": [describe_split(split) for split in splits],
        "overlaps": [asdict(each) for each in find_overlaps(sets)],
    }


@contextmanager
def _reading(path: Path | None) -> Iterator[None]:
    """Say where it was if a record is not as this package writes it."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: its records are not as this version writes them ({type(error).__name__}: {error}); "
            "make them again, or use the version that wrote them"
        ) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_FILE:
            raise InputError(f"{path} is larger than {MAX_FILE} bytes, which no results file is")
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} holds a {type(found).__name__} where an object is expected")
    return found


def _write(text: str, output: Path | None) -> None:
    with open_output(output) as file:
        file.write(text)


def _write_json(record: Mapping[str, Any] | Sequence[Any], output: Path | None) -> None:
    _write(json.dumps(record, indent=1, ensure_ascii=False) + "\n", output)
