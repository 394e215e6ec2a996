"""Scores of ``openmed-ner evaluate`` as lines and pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from openmed_ner.cli.output import open_output
from openmed_ner.evaluation.comparison import HeadComparison
from openmed_ner.evaluation.predictions import Predictions
from openmed_ner.evaluation.report import System, write_comparison, write_report
from openmed_ner.formats.jsonl import write_jsonl


def describe_result(result: dict[str, Any]) -> str:
    """Describe the scores of one head on one line."""
    micro = result["micro"]
    low, high = micro["ci95"]
    names = (("P", "precision"), ("R", "recall"), ("F1", "f1"))
    values = "  ".join(f"{name} {100 * micro[key]:.2f}" for name, key in names)
    interval = f"95 %: {100 * low:.1f} to {100 * high:.1f}; {result['documents']} documents"
    unit = "" if result["protocol"] == "mention" else f" by {result['protocol']}"
    return f"{result['corpus']} {result['split']}{unit}: {values}  ({interval})"


def describe_threshold(precision: float, threshold: dict[str, float] | None) -> str:
    """Describe the threshold that reaches a precision, as an option of ``tag``."""
    if threshold is None:
        return f"  no threshold reaches a precision of {precision}"
    return (
        f"  --threshold {threshold['threshold']:.4f} reaches a precision of "
        f"{100 * threshold['precision']:.2f} "
        f"at a recall of {100 * threshold['recall']:.2f}"
    )


def write_predictions(path: Path, by_head: Sequence[Predictions]) -> None:
    """Write the predictions for every head to one file, as JSON lines."""
    with open_output(path) as file:
        write_jsonl((document for predictions in by_head for document in predictions.predicted), file)


def write_reports(path: Path, by_head: Sequence[Predictions], results: Sequence[dict[str, Any]]) -> None:
    """Write one page per head; with several, the head's name goes into the file's."""
    for predictions in by_head:
        gold = predictions.gold
        rows = (row for row in results if (row["corpus"], row["protocol"]) == (gold.corpus, "mention"))
        result = next(rows, None) or predictions.score()
        target = path if len(by_head) == 1 else path.with_stem(f"{path.stem}-{gold.corpus}")
        with open_output(target) as file:
            write_report(file, result, gold.documents, predictions.predicted, training=gold.training)
        typer.echo(f"report: {target}")


def report_comparison(
    systems: tuple[Path, Path], comparisons: Sequence[HeadComparison], report: Path | None
) -> dict[str, Any]:
    """Print the differences between two systems, and write a page for each head."""
    for comparison in comparisons:
        gold, difference = comparison.first.gold, comparison.difference
        low, high = difference.ci95
        typer.echo(
            f"{gold.corpus} {gold.split}: F1 {100 * difference.f1_first:.2f} against "
            f"{100 * difference.f1_second:.2f}, difference {100 * difference.difference:+.2f} "
            f"(95 %: {100 * low:+.2f} to {100 * high:+.2f}), p = {difference.p_value:.4f}"
        )
        if report:
            path = report if len(comparisons) == 1 else report.with_stem(f"{report.stem}-{gold.corpus}")
            first = System(str(systems[0]), comparison.results[0], comparison.first.predicted)
            second = System(str(systems[1]), comparison.results[1], comparison.second.predicted)
            with open_output(path) as file:
                write_comparison(file, gold.documents, first, second, comparison=difference)
            typer.echo(f"report: {path}")
    return {
        "systems": [str(system) for system in systems],
        "comparisons": [comparison.to_json() for comparison in comparisons],
    }
