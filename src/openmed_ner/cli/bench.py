"""``openmed-ner bench``: speed of bundles on this machine, with their energy and F1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Annotated, Any

import typer

from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.bundle.record import provenance
from openmed_ner.bundle.registry import RegistryEntry
from openmed_ner.cli.options import (
    INPUT,
    MOST,
    OUTPUT,
    AsJson,
    Backend,
    InferenceDevice,
    Processes,
    Threads,
    WorkersOption,
    read_workers,
)
from openmed_ner.cli.output import print_json
from openmed_ner.data import read_examples
from openmed_ner.errors import InputError
from openmed_ner.inference.jobs.inputs import find_inputs, iter_items
from openmed_ner.inference.speed import measure_speed
from openmed_ner.inference.tagger import Tagger, embedded_bundle
from openmed_ner.plots import bench_name, plot_bench
from openmed_ner.text import Document
from openmed_ner.training.engine.energy import measure_energy

ENERGY_SECONDS = 3.0
"""Shortest time to measure energy over: the meter reads at most once a second."""
COPIES = 5
"""Number of copies of the example abstracts, if no documents are named."""


def bench(
    bundles: Annotated[
        list[Path] | None,
        typer.Argument(metavar="BUNDLE", help="Folders of bundles (default: the embedded one)."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="File or folder of documents to tag (default: the example abstracts).",
            rich_help_panel=INPUT,
        ),
    ] = None,
    rounds: Annotated[
        int,
        typer.Option(
            min=1, max=MOST, metavar="N", help="Number of times to tag all documents.", rich_help_panel=INPUT
        ),
    ] = 5,
    energy: Annotated[
        bool,
        typer.Option(
            "--energy",
            help="Also measure watt hours per 1,000 documents (needs CodeCarbon).",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    chart: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Plot F1 against speed, or against energy with --energy, to this .svg or .png file.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    backend: Backend = None,
    threads: Threads = None,
    workers: WorkersOption = None,
    device: InferenceDevice = "auto",
    processes: Processes = 1,
    as_json: AsJson = False,
) -> None:
    """Measure the speed of bundles on this machine.

    Example:
        openmed-ner bench --rounds 3
    """
    n_workers = read_workers(workers)
    texts = _read_texts(data)
    rows = []
    for folder in bundles or [embedded_bundle()]:
        bundle = open_bundle(folder)
        bundle.require_heads()

        # The default binds the bundle of this round.
        def load(bundle: Bundle = bundle) -> Tagger:
            return Tagger.load(
                bundle,
                backend=backend,
                threads=threads,
                workers=n_workers,
                device=device,
                processes=processes,
            )

        speed, tagger = measure_speed(load, texts, rounds=rounds)
        row: dict[str, Any] = {
            "bundle": bundle.manifest.name,
            "kind": bundle.manifest.kind,
            "precision": bundle.manifest.precision,
            "backend": tagger.backend,
            "sha256": bundle.sha256,
            "f1": _mean_f1(bundle),
            **speed.to_json(),
        }
        if energy:
            row["energy"] = _measure_energy(tagger, texts)
        rows.append(row)
        if not as_json:
            typer.echo(_describe(row))

    if chart:
        plot_bench(rows, chart, axis="energy" if energy else "speed")
    if as_json:
        print_json({"bundles": rows, **provenance()})


def _read_texts(data: Path | None) -> list[str]:
    """Read the texts to tag.

    Raises:
        InputError: there are none, or one of them cannot be read.
    """
    if data is None:
        return [document.text for document in read_examples()] * COPIES
    texts = []
    for item in iter_items(find_inputs([data])):
        if isinstance(item.content, Exception):
            raise item.content
        if isinstance(item.content, Document):
            texts.append(item.content.text)
    if not texts:
        raise InputError(f"{data}: there is no document to tag")
    return texts


def _measure_energy(tagger: Tagger, texts: Sequence[str]) -> dict[str, Any]:
    """Measure the watt hours per 1,000 documents."""
    with measure_energy() as meter:
        start, n_documents = monotonic(), 0
        while monotonic() - start < ENERGY_SECONDS:
            n_documents += sum(1 for _ in tagger.pipe(texts, layers=True))
        spent = meter.read()
    wh = None if spent.kwh is None else 1e6 * spent.kwh / n_documents
    return {**spent.to_json(), "documents": n_documents, "wh_per_1000_documents": wh}


def _mean_f1(bundle: Bundle) -> float | None:
    """Mean of the test F1 over the corpora that a bundle was scored on."""
    scores = [score.f1 for score in RegistryEntry.of(bundle, "").scores.values()]
    return sum(scores) / len(scores) if scores else None


def _describe(row: Mapping[str, Any]) -> str:
    lines = [
        f"{bench_name(row)}: {row['documents_per_second']:.1f} documents/s, "
        f"{row['subwords_per_second']:,.0f} subwords/s; one document {row['p50']:.0f} ms "
        f"(99 %: {row['p99']:.0f}); first after {row['start_up']:.2f} s"
    ]
    if "energy" in row:
        wh, mode = row["energy"]["wh_per_1000_documents"], row["energy"]["mode"]
        if wh is None:
            lines.append("  energy not measured: pip install 'openmed-ner[train]'")
        else:
            lines.append(f"  {wh:.3f} Wh per 1,000 documents (mode: {mode})")
    if row["f1"] is not None:
        lines.append(f"  mean test F1 {100 * row['f1']:.2f}")
    return "\n".join(lines)
