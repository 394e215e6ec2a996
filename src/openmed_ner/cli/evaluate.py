"""``openmed-ner evaluate``: score a bundle on a corpus or on one's own gold documents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openmed_ner.cli.output import open_output
from openmed_ner.corpora import find_corpus, load_split
from openmed_ner.errors import InputError
from openmed_ner.formats import FORMATS, read_documents

if TYPE_CHECKING:
    from openmed_ner.bundle import Bundle
    from openmed_ner.inference.evaluation import Gold

PROTOCOLS = ("mention",)


def evaluate(
    bundle: Annotated[
        Path | None, typer.Argument(help="Folder of the bundle; the embedded one if left out.")
    ] = None,
    corpus: Annotated[
        list[str] | None, typer.Option(help="A corpus of the catalog; every head's own by default.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, dev or test.")] = "test",
    data: Annotated[Path | None, typer.Option(help="Your own gold documents, instead of a corpus.")] = None,
    source: Annotated[
        str | None, typer.Option("--from", help=f"{', '.join(FORMATS)}; told from the name by default.")
    ] = None,
    head: Annotated[
        str | None, typer.Option(help="Head to score on your documents; needed if there are several.")
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="mention: strict boundaries and label, on characters.")
    ] = "mention",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the scores to this file.")] = None,
    attach: Annotated[bool, typer.Option(help="Also put the scores into the bundle and its card.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads; all by default.")] = None,
) -> None:
    """Score a bundle with strict mention-level F1 and a 95 % interval."""
    import json

    from openmed_ner.bundle import open_bundle
    from openmed_ner.inference.evaluation import evaluate as evaluate_heads
    from openmed_ner.inference.tagger import Tagger, embedded_bundle

    if protocol not in PROTOCOLS:
        raise InputError(f"unknown protocol {protocol!r}; known: {', '.join(PROTOCOLS)}")
    opened = open_bundle(bundle or embedded_bundle())
    tagger = Tagger.load(opened, threads=threads)
    golds = _load_gold(tagger.corpora, corpus, split, data, source, head)
    results = []
    for result in evaluate_heads(tagger, golds):
        typer.echo(_describe(result))
        results.append(result)
    record = {"bundle": opened.manifest.name, "sha256": opened.sha256, "results": results}
    if json_file:
        with open_output(json_file) as file:
            json.dump({**record, **_provenance(opened)}, file, indent=1, ensure_ascii=False)
            file.write("\n")
    if attach:
        _attach(opened, results)


def _load_gold(
    known: Sequence[str],
    corpora: list[str] | None,
    split: str,
    data: Path | None,
    source: str | None,
    head: str | None,
) -> list[Gold]:
    from openmed_ner.inference.evaluation import Gold

    if data is not None:
        if corpora:
            raise InputError("name corpora of the catalog or your own --data, not both")
        if head is None and len(known) > 1:
            raise InputError(f"--data needs --head, one of: {', '.join(known)}")
        name = head or known[0]
        _check_head(name, known)
        return [Gold(name, data.name, list(read_documents(data, format=source)))]
    names = corpora or known
    for name in names:
        find_corpus(name)
        _check_head(name, known)
    return [
        Gold(name, split, load_split(name, split).documents, load_split(name, "train").documents)
        for name in names
    ]


def _check_head(name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise InputError(f"this bundle has no head for {name!r}; it has: {', '.join(known)}")


def _describe(result: dict[str, Any]) -> str:
    micro = result["micro"]
    low, high = micro["ci95"]
    names = (("P", "precision"), ("R", "recall"), ("F1", "f1"))
    values = "  ".join(f"{name} {100 * micro[key]:.2f}" for name, key in names)
    interval = f"95 %: {100 * low:.1f} to {100 * high:.1f}; {result['documents']} documents"
    return f"{result['corpus']} {result['split']}: {values}  ({interval})"


def _provenance(bundle: Bundle) -> dict[str, Any]:
    from openmed_ner.bundle.manifest import RECORD
    from openmed_ner.bundle.record import provenance

    record: dict[str, Any] = {"precision": bundle.manifest.precision, **provenance()}
    if RECORD in bundle.manifest.files:
        run = bundle.read_json(RECORD)
        history = run["history"]
        record["training"] = {
            "commit": run["commit"],
            "recipe": run["recipe"],
            "parameters": run["parameters"],
            "best_epoch": history["best_epoch"],
            "epochs": len(history["scores"]),
            "dev": history["scores"][history["best_epoch"]],
            "seconds": history["seconds"],
            "energy": run["energy"],
            "host": run["host"],
        }
    return record


def _attach(bundle: Bundle, results: list[dict[str, Any]]) -> None:
    from openmed_ner.bundle import seal
    from openmed_ner.bundle.card import write_card
    from openmed_ner.bundle.manifest import CARD, PARITY, RECORD, SCORES, write_json

    files = bundle.manifest.files
    record, parity = (bundle.read_json(name) if name in files else None for name in (RECORD, PARITY))
    write_json(bundle.folder / SCORES, {"results": results})
    write_card(bundle.folder / CARD, bundle.manifest, record=record or {}, scores=results, parity=parity)
    seal(bundle.folder, bundle.manifest)
