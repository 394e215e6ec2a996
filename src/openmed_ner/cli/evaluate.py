"""``openmed-ner evaluate``: score a bundle, or the predictions of any system, on gold documents."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.bundle.files import MANIFEST
from openmed_ner.bundle.manifest import TOKENIZER
from openmed_ner.bundle.record import describe_bundle, read_training_splits
from openmed_ner.cli.identifiers import score_identifiers
from openmed_ner.cli.invalid import InvalidDocuments
from openmed_ner.cli.options import (
    INPUT,
    OUTPUT,
    Backend,
    BundleFolder,
    DocumentDecoding,
    DocumentFormat,
    IdColumn,
    LabelColumn,
    SkipInvalid,
    SplitName,
    Terminologies,
    TextColumn,
    Threads,
    choose_columns,
    read_choices,
    split_names,
)
from openmed_ner.cli.output import check_outputs, complain, write_output
from openmed_ner.cli.scores import (
    describe_result,
    describe_threshold,
    report_comparison,
    write_predictions,
    write_reports,
)
from openmed_ner.corpora import SPLITS
from openmed_ner.errors import InputError, suggest
from openmed_ner.evaluation.comparison import compare_predictions
from openmed_ner.evaluation.cross_corpus import score_across_catalog
from openmed_ner.evaluation.gold import GoldSource
from openmed_ner.evaluation.predictions import Predictions, predict_gold, read_predictions
from openmed_ner.evaluation.protocols import PROTOCOLS, ScoringProtocol
from openmed_ner.formats import FORMATS
from openmed_ner.inference.tagger import Tagger, embedded_bundle
from openmed_ner.publish.cards import attach as attach_scores
from openmed_ner.tagging import SubwordTokenizer

SCORES = "Scores"
"""Title of the group of options that decide the scores."""
Load = Callable[[Bundle], Tagger]


def evaluate(
    bundle: BundleFolder = None,
    corpus: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Corpus of the catalog to score on (default: the corpus of each head); repeatable.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    split: Annotated[SplitName, typer.Option(help="Split of the corpora.", rich_help_panel=INPUT)] = "test",
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            "--gold",
            metavar="PATH",
            help="Your own gold documents, instead of a corpus.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    predicted: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Predictions of any system on the gold, instead of a bundle.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    source: Annotated[
        DocumentFormat | None,
        typer.Option(
            "--from",
            metavar="FORMAT",
            help=f"Format of the gold: {', '.join(FORMATS)} (default: inferred from the file name).",
            rich_help_panel=INPUT,
        ),
    ] = None,
    text_column: TextColumn = None,
    id_column: IdColumn = None,
    label_column: LabelColumn = None,
    predicted_source: Annotated[
        DocumentFormat | None,
        typer.Option(
            "--predicted-from",
            metavar="FORMAT",
            help="Format of the predictions (default: inferred from the file name).",
            rich_help_panel=INPUT,
        ),
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="OLD=NEW",
            help="Rename a predicted label; an empty new one drops it; repeatable.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    types: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Entity types of your documents to score, separated by commas (default: all).",
            rich_help_panel=INPUT,
        ),
    ] = None,
    skip_invalid: SkipInvalid = False,
    head: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Head to score on your documents; required if there are several.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help=f"Scoring protocols, separated by commas: {', '.join(PROTOCOLS)}, or all.",
            rich_help_panel=SCORES,
        ),
    ] = "mention",
    precision: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help="Find the score threshold that reaches this precision; use it on dev.",
            rich_help_panel=SCORES,
        ),
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="A B",
            help="Compare two bundles, or two files of predictions, on the same gold.",
            rich_help_panel=SCORES,
        ),
    ] = None,
    across: Annotated[
        bool,
        typer.Option(
            "--across",
            help="Score every head on every corpus that has one of its types.",
            rich_help_panel=SCORES,
        ),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Write an HTML page that explains the errors.", rich_help_panel=OUTPUT
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Write the predictions to this file, as JSON lines.", rich_help_panel=OUTPUT
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json", metavar="PATH", help="Write the scores to this file, as JSON.", rich_help_panel=OUTPUT
        ),
    ] = None,
    attach: Annotated[
        bool,
        typer.Option(help="Also write the scores into the bundle and its card.", rich_help_panel=OUTPUT),
    ] = False,
    ids: Annotated[
        bool,
        typer.Option(
            "--ids",
            help="Score identifiers instead: of gold mentions, and of the bundle's, by document.",
            rich_help_panel=SCORES,
        ),
    ] = False,
    learn: Annotated[
        str | None,
        typer.Option(
            metavar="SPLITS",
            help="With --ids: splits of the corpora whose identifiers are learnt, separated by commas.",
            rich_help_panel=SCORES,
        ),
    ] = None,
    within: Annotated[
        str | None,
        typer.Option(
            metavar="PREFIXES",
            help="With --ids: terminologies to link to, such as MESH, separated by commas (default: all).",
            rich_help_panel=SCORES,
        ),
    ] = None,
    terminologies: Terminologies = None,
    document_decoding: DocumentDecoding = True,
    backend: Backend = None,
    threads: Threads = None,
) -> None:
    """Score a bundle, or the predictions of any system, on gold documents.

    F1 of mentions has a 95 % interval. Words and subwords are scored on the same predictions with --protocol.

    Example:
        openmed-ner evaluate --corpus ncbi-disease --json scores.json
    """
    protocols = PROTOCOLS if protocol == "all" else _read_protocols(protocol)
    if attach and (predicted or compare or across):
        raise InputError("--attach writes a bundle's own scores; omit --predicted, --compare and --across")
    if attach and not document_decoding:
        raise InputError("--attach writes the scores of a bundle as it tags; omit --no-document-decoding")
    if compare and (predicted or bundle):
        raise InputError("--compare names two systems; omit the bundle and --predicted")
    if across and rename:
        raise InputError("--across scores types of equal names; omit --map")
    # Scoring may take an hour. An output that cannot be written is reported before it.
    check_outputs(
        {"--report": report, "--predictions": predictions, "--json": json_file},
        inputs=filter(None, (data, predicted, *(compare or ()))),
    )
    invalid = InvalidDocuments()
    source, columns = choose_columns(source, text=text_column, identifier=id_column, label=label_column)
    gold_source = GoldSource(
        tuple(corpus or ()),
        split,
        data,
        source,
        head,
        types=split_names(types, option="--types") or (),
        on_invalid=invalid.add if skip_invalid else None,
        columns=columns,
    )
    label_names = _read_names(rename or [])

    def load(opened: Bundle) -> Tagger:
        return Tagger.load(opened, backend=backend, threads=threads, document_decoding=document_decoding)

    if ids:
        if not corpus or data or predicted or compare or across or attach:
            raise InputError("--ids scores a bundle on corpora; name them with --corpus, and nothing else")
        opened = _open(bundle)
        identified = score_identifiers(
            corpus,
            split,
            terminologies,
            learnt=read_choices(learn, SPLITS, option="--learn") if learn else (),
            tagger=load(opened),
            within=split_names(within, option="--within") or (),
        )
        record = {"results": identified, **describe_bundle(opened, backend)}
    elif compare:
        # Predictions in brat are a folder, too, so only a manifest tells a bundle.
        systems = [
            predict_bundle(open_bundle(system), gold_source, load, label_names)
            if system.is_dir() and (system / MANIFEST).is_file()
            else _read_predictions(system, gold_source, predicted_source, label_names)
            for system in compare
        ]
        record = report_comparison(compare, list(compare_predictions(*systems)), report)
    elif across:
        record = _score_across(_open(bundle), gold_source, load)
    else:
        opened = None
        if predicted:
            by_head = _read_predictions(predicted, gold_source, predicted_source, label_names)
            identity = {"predicted": str(predicted)}
        else:
            opened = _open(bundle)
            by_head = predict_bundle(opened, gold_source, load, label_names)
            identity = describe_bundle(opened, backend)
        results = _score(by_head, protocols, precision)
        record = {"results": results, **identity}
        if not document_decoding:
            # A record without this key is of the decoding that users get.
            record["document_decoding"] = False
        if predictions:
            write_predictions(predictions, by_head)
        if report:
            write_reports(report, by_head, results)
        # Cards compare models by mentions; scores of the other protocols would be mistaken for them.
        if attach and opened:
            attach_scores(opened, [result for result in results if result["protocol"] == "mention"])

    invalid.report()
    if json_file:
        write_output(json.dumps(record, indent=1, ensure_ascii=False) + "\n", json_file)


def _open(bundle: Path | None) -> Bundle:
    return open_bundle(bundle or embedded_bundle())


def predict_bundle(
    bundle: Bundle, gold_source: GoldSource, load: Load, label_names: Mapping[str, str] | None = None
) -> list[Predictions]:
    """Tag gold documents with a bundle, and warn if it was trained on them."""
    tagger = load(bundle)
    training_splits = read_training_splits(bundle)
    if gold_source.is_training_data(training_splits):
        complain(
            f"{bundle.folder} was trained on the {gold_source.split} split; its scores there are not a valid "
            "evaluation"
        )
    known = {label for head in tagger.manifest.heads for label in head.labels}
    for label in sorted((label_names or {}).keys() - known):
        complain(f"warning: --map: no head of {bundle.folder} has the label {label!r}{suggest(label, known)}")
    golds = gold_source.load_for_heads(tagger.corpora, training_splits)
    return list(predict_gold(tagger, golds, label_names=label_names))


def _read_predictions(
    path: Path, gold_source: GoldSource, format: str | None, label_names: Mapping[str, str]
) -> list[Predictions]:
    """Read a file of predictions, whose subwords are those of the embedded model (bert-uncased)."""
    gold = gold_source.load_for_predictions(path)
    tokenizer = SubwordTokenizer.from_json((embedded_bundle() / TOKENIZER).read_text(encoding="utf-8"))
    predictions = read_predictions(
        path,
        gold,
        format=format,
        label_names=label_names,
        tokenizer=tokenizer,
        on_invalid=gold_source.on_invalid,
    )
    return [predictions]


def _score(
    by_head: Sequence[Predictions], protocols: Sequence[ScoringProtocol], precision: float | None
) -> list[dict[str, Any]]:
    """Score the predictions for every head by every protocol, and print the scores."""
    results = [
        predictions.score(protocol, precision=precision) for predictions in by_head for protocol in protocols
    ]
    for result in results:
        typer.echo(describe_result(result))
        if precision is not None and "threshold" in result:
            typer.echo(describe_threshold(precision, result["threshold"]))
    return results


def _read_protocols(names: str) -> Sequence[ScoringProtocol]:
    protocols = read_choices(names, PROTOCOLS, option="--protocol")
    return cast("Sequence[ScoringProtocol]", protocols)


def _read_names(pairs: Sequence[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    for pair in pairs:
        old, equals, new = map(str.strip, pair.partition("="))
        if not old or not equals:
            raise InputError(f"--map {pair!r}: expected OLD=NEW")
        if names.setdefault(old, new) != new:
            raise InputError(f"--map {pair!r}: {old!r} has two new names, {names[old]!r} and {new!r}")
    return names


def _score_across(bundle: Bundle, gold_source: GoldSource, load: Load) -> dict[str, Any]:
    """Score every head on every corpus that shares a type with it, and print the scores."""
    rows = score_across_catalog(
        load(bundle),
        corpora=gold_source.corpora,
        split=gold_source.split,
        training_splits=read_training_splits(bundle),
    )
    results = []
    for row in rows:
        types, micro = ", ".join(row["types"]), row["micro"]
        typer.echo(
            f"{row['head']} on {row['corpus']} {row['split']} ({types}): F1 {100 * micro['f1']:.2f}; "
            f"{row['documents']} documents, {row['left_out']} left out"
        )
        results.append(row)
    return {"results": results, **describe_bundle(bundle)}
