"""The performance of a bundle, from its scores and its certificate: no figure is computed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from openmed_ner.bundle import Manifest
from openmed_ner.evaluation.errors import KINDS
from openmed_ner.publish.cards.markdown import NOT_RECORDED, dig, percent, show, table

UNSCORED = "Not evaluated yet.\n"
PROTOCOL = (
    "A mention counts if its boundaries and its type are right, on characters. Intervals are 95 % bootstraps "
    "over documents.\n"
)
RULES = ("strict", "boundary", "type", "overlap", "partial")
"""Rules of matching, from the strictest to the mildest."""


def describe_scores(scores: Sequence[Mapping[str, Any]]) -> str:
    """Write precision, recall and F1 with their intervals."""
    if not scores:
        return UNSCORED
    columns = ("corpus", "split", "protocol", "precision", "recall", "F1", "95 % interval", "documents")
    rows = [
        [
            *(show(score.get(key)) for key in ("corpus", "split", "protocol")),
            *(percent(dig(score, "micro", key)) for key in ("precision", "recall", "f1")),
            _interval(dig(score, "micro", "ci95")),
            show(score.get("documents"), ","),
        ]
        for score in scores
    ]
    return f"{table(columns, rows)}\n{PROTOCOL}"


def _interval(limits: Sequence[float] | None) -> str:
    return " to ".join(percent(limit, ".1f") for limit in limits) if limits else NOT_RECORDED


def describe_seen(scores: Sequence[Mapping[str, Any]]) -> str:
    """Write the F1 of surface forms that occur in the training split, and of those that do not."""
    rows = [
        [
            show(score.get("corpus")),
            show(score.get("split")),
            *(percent(dig(score, key, "f1"), ".1f") for key in ("seen", "unseen")),
        ]
        for score in scores
    ]
    return table(("corpus", "split", "F1 of forms seen in training", "F1 of unseen forms"), rows)


def describe_errors(scores: Sequence[Mapping[str, Any]]) -> str:
    """Write the counts of each kind of error, and F1 by rule of matching."""
    return f"{_kinds(scores)}\n{_rules(scores)}"


def _kinds(scores: Sequence[Mapping[str, Any]]) -> str:
    counted = [score for score in scores if score.get("errors") is not None]
    if not counted:
        return f"Kinds of errors: {NOT_RECORDED}; `openmed-ner evaluate --attach` counts them.\n"
    # Evaluations leave out kinds that did not occur: a missing count is 0 here, not unknown.
    rows = [
        [f"{kind}: {meaning}", *(show(dig(score, "errors", kind) or 0, ",") for score in counted)]
        for kind, meaning in KINDS.items()
        if any(dig(score, "errors", kind) for score in counted)
    ]
    return table(("kind of error", *map(_name, counted)), rows)


def _rules(scores: Sequence[Mapping[str, Any]]) -> str:
    if not any(score.get("matching") for score in scores):
        return f"F1 by milder rules of matching: {NOT_RECORDED}.\n"
    rows = [
        [
            _name(score),
            *(percent(dig(score, "matching", rule, "f1"), ".1f") for rule in RULES),
            percent(dig(score, "calibration", "ece"), ".1f"),
        ]
        for score in scores
    ]
    return table(("F1 by rule of matching", *RULES, "expected calibration error, points"), rows)


def _name(score: Mapping[str, Any]) -> str:
    return f"{show(score.get('corpus'))} {show(score.get('split'))}"


def describe_document_decoding(manifest: Manifest) -> str:
    """Write the mode of document-level decoding of each head, and its gain on dev."""
    rows = [
        [corpus, choice.mode, show(choice.gain, "+.2f", scale=100)]
        for corpus, choice in manifest.document_decoding.items()
    ]
    return (
        "Abbreviations that a text defines, and names that it repeats, decide mentions in the whole text. "
        "The mode of each head was chosen on dev; `--no-document-decoding` turns it off.\n\n"
        + table(("head", "mode", "difference in dev F1, points"), rows)
    )


def describe_parity(parity: Mapping[str, Any] | None) -> str:
    """Write the agreement of an exported model with the original in fp32."""
    if not parity:
        return f"Certificate of the export: {NOT_RECORDED}.\n"
    differences = "; ".join(
        f"{name} {show(row.get('f1_difference'), '+.2f', scale=100)}"
        for name, row in (parity.get("corpora") or {}).items()
    )
    exported, original = (
        show(parity.get(f"documents_per_second_{name}"), ".1f") for name in ("exported", "reference")
    )
    return (
        f"Spans that agree: {percent(parity.get('span_agreement'))} % over "
        f"{show(parity.get('documents'), ',')} documents ({show(parity.get('texts'))}). "
        f"Difference in dev F1, in points: {differences or NOT_RECORDED}. "
        f"Documents per second where it was exported, a batch at a time: {exported}; the original: "
        f"{original}.\n"
    )
