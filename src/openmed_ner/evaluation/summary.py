"""The scores of one system on one set of documents, as ``evaluate --json`` writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from openmed_ner.errors import InputError
from openmed_ner.evaluation.matching import MatchMode
from openmed_ner.evaluation.scores import (
    Counts,
    bootstrap_f1,
    score_documents,
    score_with_alternatives,
    total,
)
from openmed_ner.text import Document


def pair_documents(gold: Sequence[Document], predicted: Sequence[Document]) -> list[Document]:
    """Put predicted documents in the order of the gold ones, by id.

    Raises:
        InputError: an id is missing on either side or there twice, or two texts under one id differ.
    """
    by_id: dict[str, Document] = {}
    for document in predicted:
        if document.id in by_id:
            raise InputError(f"predicted document {document.id!r} is there twice")
        by_id[document.id] = document
    ids = [document.id for document in gold]
    if len(set(ids)) < len(ids):
        twice = next(each for place, each in enumerate(ids) if each in ids[:place])
        raise InputError(f"gold document {twice!r} is there twice")
    for missing, where, other in (
        (set(ids) - by_id.keys(), "gold", "predictions"),
        (by_id.keys() - set(ids), "predicted", "gold"),
    ):
        if missing:
            raise InputError(
                f"{where} document {min(missing)!r} has no counterpart among the {other} "
                f"({len(missing)} such documents); both sides need the same documents"
            )
    for document in gold:
        if by_id[document.id].text != document.text:
            raise InputError(
                f"document {document.id!r}: gold and predicted texts differ, first at character "
                f"{_first_difference(document.text, by_id[document.id].text)}; offsets cannot be compared"
            )
    return [by_id[identifier] for identifier in ids]


def _first_difference(one: str, other: str) -> int:
    shorter = min(len(one), len(other))
    return next((place for place in range(shorter) if one[place] != other[place]), shorter)


def check_labels(documents: Sequence[Document], known: Sequence[str], *, owner: str) -> None:
    """Refuse labels that cannot match.

    Raises:
        InputError: a span has a label that is not known, which names the document.
    """
    for document in documents:
        for span in document.spans:
            if span.label not in known:
                raise InputError(
                    f"document {document.id!r}: {owner} has no label {span.label!r}; "
                    f"it knows: {', '.join(known)}"
                )


def describe(counts: Counts) -> dict[str, float]:
    """Precision, recall and F1 beside the counts they come from."""
    half = {"half": counts.half} if counts.half else {}
    return {
        "precision": counts.precision,
        "recall": counts.recall,
        "f1": counts.f1,
        "tp": counts.tp,
        "fp": counts.fp,
        "fn": counts.fn,
        **half,
    }


def summarise(
    gold: Sequence[Document],
    predicted: Sequence[Document],
    *,
    training: Sequence[Document] | None = None,
    alternatives: Sequence[Document] | None = None,
    **what: str,
) -> dict[str, Any]:
    """Score predicted against gold documents: strictly, and in short by every other rule of matching.

    Args:
        gold: the documents with gold spans.
        predicted: the same documents with predicted spans, in the same order.
        training: what the system was trained on, if known: mentions whose surface form occurs there are
            then also scored apart from those whose form does not.
        alternatives: the same documents with the spans that the corpus's official scorer also accepts.
        **what: entries to put in front, such as corpus, split and protocol.

    Raises:
        InputError: the documents do not belong together.
    """
    scores = score_documents(gold, predicted)
    overall = total(scores)
    result: dict[str, Any] = {
        **what,
        "documents": len(gold),
        "micro": {**describe(overall.micro), "ci95": list(bootstrap_f1(scores))},
        "macro": {"f1": overall.macro_f1},
        "per_label": {label: describe(counts) for label, counts in overall.per_label.items()},
        "matching": {
            mode: describe(
                overall.micro
                if mode == "strict"
                else total(score_documents(gold, predicted, mode=mode)).micro
            )
            for mode in get_args(MatchMode)
        },
    }
    if alternatives is not None:
        triples = zip(gold, predicted, alternatives, strict=True)
        accepted = total(score_with_alternatives(*triple) for triple in triples)
        result["with_alternatives"] = describe(accepted.micro)
    if training is not None:
        surfaces = {document.mention(span).lower() for document in training for span in document.spans}
        for name, wanted in (("seen", True), ("unseen", False)):
            sides = [_restrict(documents, surfaces, wanted) for documents in (gold, predicted)]
            result[name] = describe(total(score_documents(*sides)).micro)
    return result


def _restrict(documents: Sequence[Document], surfaces: set[str], wanted: bool) -> list[Document]:
    return [
        document.with_spans(
            span for span in document.spans if (document.mention(span).lower() in surfaces) is wanted
        )
        for document in documents
    ]


def rename_labels(documents: Sequence[Document], names: Mapping[str, str]) -> list[Document]:
    """Give labels other names; spans whose label becomes empty are left out."""
    return [
        document.with_spans(
            replace(span, label=names.get(span.label, span.label))
            for span in document.spans
            if names.get(span.label, span.label)
        )
        for document in documents
    ]
