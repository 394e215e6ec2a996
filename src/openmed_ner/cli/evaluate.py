"""``openmed-ner evaluate``: score a bundle, or anybody's predictions, on a corpus or on one's own gold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from openmed_ner.cli.gold import GoldSource, learnt_by
from openmed_ner.cli.options import Backend, Threads
from openmed_ner.cli.output import open_output
from openmed_ner.corpora import CATALOG, load_split
from openmed_ner.errors import InputError
from openmed_ner.formats import FORMATS
from openmed_ner.formats.jsonl import write_jsonl

if TYPE_CHECKING:
    from openmed_ner.bundle import Bundle
    from openmed_ner.cli.gold import Load
    from openmed_ner.evaluation.predictions import Predictions
    from openmed_ner.evaluation.protocols import ScoringProtocol
    from openmed_ner.inference.tagger import Tagger


def evaluate(
    bundle: Annotated[
        Path | None, typer.Argument(help="Folder of the bundle; the embedded one if left out.")
    ] = None,
    corpus: Annotated[
        list[str] | None, typer.Option(help="A corpus of the catalog; every head's own by default.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, dev or test.")] = "test",
    data: Annotated[
        Path | None, typer.Option("--data", "--gold", help="Your own gold documents, instead of a corpus.")
    ] = None,
    predicted: Annotated[
        Path | None,
        typer.Option(help="Predictions of any system on the gold, instead of a bundle."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--from", help=f"Format of gold: {', '.join(FORMATS)}; told from the name by default."),
    ] = None,
    predicted_source: Annotated[
        str | None, typer.Option("--predicted-from", help="Format of the predictions, likewise.")
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option("--map", help="Call a predicted label otherwise; empty drops it.", metavar="OLD=NEW"),
    ] = None,
    head: Annotated[
        str | None, typer.Option(help="Head to score on your documents; needed if there are several.")
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="mention, word or subword; several with commas, or all.")
    ] = "mention",
    precision: Annotated[
        float | None, typer.Option(help="Say which score threshold reaches this precision; use dev.")
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="Two bundles, or two files of predictions, on the same gold.", metavar="A B"),
    ] = None,
    across: Annotated[
        bool, typer.Option("--across", help="Score every head on every corpus that has one of its types.")
    ] = False,
    report: Annotated[Path | None, typer.Option(help="Write an HTML page that explains the errors.")] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Write what was predicted to this file, as JSON lines.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the scores to this file.")] = None,
    attach: Annotated[bool, typer.Option(help="Also put the scores into the bundle and its card.")] = False,
    backend: Backend = None,
    threads: Threads = None,
) -> None:
    """Score mentions, with a 95 % interval; words and sub-words on the same predictions if wanted."""
    protocols = _read_protocols(protocol)
    if attach and (predicted or compare or across):
        raise InputError("--attach puts a bundle's own scores into it; it goes with a bundle alone")
    asked = GoldSource(corpus, split, data, source, head)
    names = _read_names(rename or [])

    def load(opened: Bundle) -> Tagger:
        from openmed_ner.inference.tagger import Tagger

        return Tagger.load(opened, backend=backend, threads=threads)

    if compare is not None:
        if predicted or bundle:
            raise InputError("--compare takes its two systems itself; name no other")
        record = _compare(asked, compare, predicted_source, names, load, report)
    elif across:
        record = _score_across(bundle, corpus, split, load)
    else:
        opened = None if predicted else _open(bundle)
        if opened:
            answers, identity = asked.of_bundle(opened, load), _identify(opened, backend)
        else:
            answers = asked.of_file(cast("Path", predicted), predicted_source, names)
            identity = {"predicted": str(predicted)}
        results = [
            each.score(cast("ScoringProtocol", name), precision=precision)
            for each in answers
            for name in protocols
        ]
        for result in results:
            typer.echo(_describe(result))
            if precision is not None and "threshold" in result:
                typer.echo(_describe_threshold(precision, result["threshold"]))
        record = {"results": results, **identity}
        if predictions:
            _write_predictions(predictions, answers)
        if report:
            _write_reports(report, answers, results)
        if attach and opened:
            from openmed_ner.publish.cards import attach as attach_scores

            attach_scores(opened, [result for result in results if result["protocol"] == "mention"])
    if json_file:
        with open_output(json_file) as file:
            json.dump(record, file, indent=1, ensure_ascii=False)
            file.write("\n")


def _open(bundle: Path | None) -> Bundle:
    from openmed_ner.bundle import open_bundle
    from openmed_ner.inference.tagger import embedded_bundle

    return open_bundle(bundle or embedded_bundle())


def _read_protocols(names: str) -> Sequence[str]:
    from openmed_ner.evaluation.protocols import PROTOCOLS

    chosen: Sequence[str] = PROTOCOLS if names == "all" else [name.strip() for name in names.split(",")]
    for name in chosen:
        if name not in PROTOCOLS:
            raise InputError(f"unknown protocol {name!r}; known: all, {', '.join(PROTOCOLS)}")
    return chosen


def _read_names(pairs: Sequence[str]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise InputError(f"--map {pair!r}: expected OLD=NEW")
    return {old: new for old, _, new in (pair.partition("=") for pair in pairs)}


def _compare(
    asked: GoldSource,
    systems: tuple[Path, Path],
    source: str | None,
    names: dict[str, str],
    load: Load,
    report: Path | None,
) -> dict[str, Any]:
    """Score two systems on the same gold and test the difference."""
    from openmed_ner.evaluation import paired_randomisation, score_documents
    from openmed_ner.evaluation.report import System, write_comparison

    sides = [
        asked.of_bundle(_open(system), load)
        if system.is_dir() and (system / "manifest.json").is_file()
        else asked.of_file(system, source, names)
        for system in systems
    ]
    rows = []
    pairs = _pair(*sides)
    for first, second in pairs:
        gold = first.gold.documents
        scores = [score_documents(gold, each.predicted) for each in (first, second)]
        comparison = paired_randomisation(*scores)
        results = [each.score() for each in (first, second)]
        row = {
            "corpus": first.gold.corpus,
            "split": first.gold.split,
            "first": results[0],
            "second": results[1],
            "difference": comparison.difference,
            "ci95": list(comparison.ci95),
            "p_value": comparison.p_value,
        }
        rows.append(row)
        low, high = comparison.ci95
        typer.echo(
            f"{row['corpus']} {row['split']}: F1 {100 * comparison.f1_first:.2f} against "
            f"{100 * comparison.f1_second:.2f}, difference {100 * comparison.difference:+.2f} "
            f"(95 %: {100 * low:+.2f} to {100 * high:+.2f}), p = {comparison.p_value:.4f}"
        )
        if report:
            path = report if len(pairs) == 1 else report.with_stem(f"{report.stem}-{row['corpus']}")
            one, two = (
                System(str(system), result, each.predicted)
                for system, result, each in zip(systems, results, (first, second), strict=True)
            )
            with open_output(path) as file:
                write_comparison(file, gold, one, two, comparison=comparison)
            typer.echo(f"report: {path}")
    return {"systems": [str(system) for system in systems], "comparisons": rows}


def _pair(
    first: Sequence[Predictions], second: Sequence[Predictions]
) -> list[tuple[Predictions, Predictions]]:
    """The answers of two systems to the same questions: the only ones, or those of the heads both have."""
    if len(first) == len(second) == 1:
        return [(first[0], second[0])]
    by_corpus = {each.gold.corpus: each for each in second}
    pairs = [(each, by_corpus[each.gold.corpus]) for each in first if each.gold.corpus in by_corpus]
    if not pairs:
        raise InputError(
            "the two systems have no head in common; name what to compare with --corpus or --gold"
        )
    return pairs


def _score_across(bundle: Path | None, corpora: list[str] | None, split: str, load: Load) -> dict[str, Any]:
    """Every head on every corpus that shares a type with it."""
    from openmed_ner.evaluation.cross_corpus import score_across

    opened = _open(bundle)
    tagger = load(opened)
    names = corpora or [name for name, row in CATALOG.items() if split in row.splits]
    splits = [load_split(name, split) for name in names]
    training = [
        document
        for name in tagger.corpora
        for learnt in learnt_by(opened)
        if name in CATALOG and learnt in CATALOG[name].splits
        for document in load_split(name, learnt).documents
    ]
    results = []
    for row in score_across(tagger, splits, training):
        types, micro = ", ".join(row["types"]), row["micro"]
        typer.echo(
            f"{row['head']} on {row['corpus']} {split} ({types}): F1 {100 * micro['f1']:.2f}; "
            f"{row['documents']} documents, {row['left_out']} left out"
        )
        results.append(row)
    return {"results": results, **_identify(opened)}


def _describe(result: dict[str, Any]) -> str:
    micro = result["micro"]
    low, high = micro["ci95"]
    names = (("P", "precision"), ("R", "recall"), ("F1", "f1"))
    values = "  ".join(f"{name} {100 * micro[key]:.2f}" for name, key in names)
    interval = f"95 %: {100 * low:.1f} to {100 * high:.1f}; {result['documents']} documents"
    what = "" if result["protocol"] == "mention" else f" by {result['protocol']}"
    return f"{result['corpus']} {result['split']}{what}: {values}  ({interval})"


def _describe_threshold(wanted: float, found: dict[str, float] | None) -> str:
    if found is None:
        return f"  no threshold reaches a precision of {wanted}"
    return (
        f"  --threshold {found['threshold']:.4f} reaches a precision of {100 * found['precision']:.2f} "
        f"at a recall of {100 * found['recall']:.2f}"
    )


def _write_predictions(path: Path, answers: Sequence[Predictions]) -> None:
    with open_output(path) as file:
        write_jsonl((document for each in answers for document in each.predicted), file)


def _write_reports(path: Path, answers: Sequence[Predictions], results: Sequence[dict[str, Any]]) -> None:
    """One page per head; with several, the head's name goes into the file's."""
    from openmed_ner.evaluation.report import write_report

    for each in answers:
        corpus = each.gold.corpus
        own = (row for row in results if (row["corpus"], row["protocol"]) == (corpus, "mention"))
        result = next(own, None)
        target = path if len(answers) == 1 else path.with_stem(f"{path.stem}-{corpus}")
        with open_output(target) as file:
            write_report(
                file,
                result or each.score(),
                each.gold.documents,
                each.predicted,
                training=each.gold.training,
            )
        typer.echo(f"report: {target}")


def _identify(bundle: Bundle, backend: str | None = None) -> dict[str, Any]:
    """Which bundle it was, and how it came about."""
    from openmed_ner.bundle.manifest import RECORD
    from openmed_ner.bundle.record import describe_training, provenance

    record: dict[str, Any] = {
        "bundle": bundle.manifest.name,
        "sha256": bundle.sha256,
        "precision": bundle.manifest.precision,
        **({"backend": backend or bundle.manifest.backend} if bundle.manifest.kind == "runtime" else {}),
        **provenance(),
    }
    if RECORD in bundle.manifest.files:
        record["training"] = describe_training(bundle.read_json(RECORD))
    return record
