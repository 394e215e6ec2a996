"""``openmed-ner bench``: how fast bundles are on this machine, what they take, and what they are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openmed_ner.cli.options import AsJson, Backend, Threads, WorkersOption, read_workers
from openmed_ner.cli.output import print_json
from openmed_ner.errors import InputError
from openmed_ner.plots import bench_name, plot_bench
from openmed_ner.text import Document

if TYPE_CHECKING:
    from openmed_ner.bundle import Bundle
    from openmed_ner.inference.tagger import Tagger

LONG_ENOUGH = 3.0
"""Seconds that energy is measured for at least: the meter looks once a second at best."""
COPIES = 5
"""How often the example abstracts are taken, where no documents are named."""


def bench(
    bundles: Annotated[
        list[Path] | None, typer.Argument(help="Folders of bundles; the embedded one if left out.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="File or folder of documents to tag, as for tag; the example abstracts by default."
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often all documents are tagged.")] = 5,
    energy: Annotated[
        bool, typer.Option("--energy", help="Also measure watt hours per 1,000 documents (needs CodeCarbon).")
    ] = False,
    chart: Annotated[
        Path | None,
        typer.Option(help="Draw F1 against speed, with --energy against watt hours, into this .svg or .png."),
    ] = None,
    backend: Backend = None,
    threads: Threads = None,
    workers: WorkersOption = None,
    as_json: AsJson = False,
) -> None:
    """Measure the speed of bundles on this machine.

    For comparisons with other libraries see the folder benchmarks of the project.
    """
    from openmed_ner.bundle import open_bundle
    from openmed_ner.bundle.record import provenance
    from openmed_ner.inference.speed import measure_speed
    from openmed_ner.inference.tagger import Tagger, embedded_bundle

    texts = _read_texts(data)
    rows = []
    for folder in bundles or [embedded_bundle()]:
        opened = open_bundle(folder)
        opened.require_heads()

        def load(opened: Bundle = opened) -> Tagger:
            return Tagger.load(opened, backend=backend, threads=threads, workers=read_workers(workers))

        speed, tagger = measure_speed(load, texts, rounds=rounds)
        row: dict[str, Any] = {
            "bundle": opened.manifest.name,
            "kind": opened.manifest.kind,
            "precision": opened.manifest.precision,
            "backend": tagger.backend,
            "sha256": opened.sha256,
            "f1": _mean_f1(opened),
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
    from openmed_ner.data import read_examples
    from openmed_ner.inference.jobs.inputs import find_inputs, iter_items

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
    """Watt hours per 1,000 documents, and how they were measured."""
    from time import monotonic

    from openmed_ner.training.engine.energy import measure_energy

    with measure_energy() as meter:
        begin, count = monotonic(), 0
        while monotonic() - begin < LONG_ENOUGH:
            count += sum(1 for _ in tagger.pipe(texts))
        spent = meter.read()
    wh = None if spent.kwh is None else 1e6 * spent.kwh / count
    return {**spent.to_json(), "documents": count, "wh_per_1000_documents": wh}


def _mean_f1(bundle: Bundle) -> float | None:
    """Mean of the test F1 of all corpora that a bundle was scored on."""
    from openmed_ner.bundle.registry import RegistryEntry

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
        lines.append(
            "  energy not measured: " + "pip install 'openmed-ner[train]'"
            if wh is None
            else f"  {wh:.3f} Wh per 1,000 documents (mode: {mode})"
        )
    if row["f1"] is not None:
        lines.append(f"  mean test F1 {100 * row['f1']:.2f}")
    return "\n".join(lines)
