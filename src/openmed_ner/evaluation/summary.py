"""The scores of one system on one set of documents, as ``evaluate --json`` writes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
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
    """Put predicted documents in the order of the gold ones, by id, and give them the ids of these.

    Many files have no ids, and documents are then named after their file and line. If no id occurs on both
    sides and the numbers of documents are equal, documents are paired by their order. Their texts must be
    equal either way.

    Raises:
        InputError: an id is missing or a duplicate, or the texts of two paired documents differ.
    """
    by_id: dict[str, Document] = {}
    for document in predicted:
        if document.id in by_id:
            raise InputError(f"duplicate predicted document {document.id!r}")
        by_id[document.id] = document

    ids = [document.id for document in gold]
    if len(set(ids)) < len(ids):
        duplicate = next(identifier for index, identifier in enumerate(ids) if identifier in ids[:index])
        raise InputError(f"duplicate gold document {duplicate!r}")

    if len(gold) == len(predicted) and by_id.keys().isdisjoint(ids):
        paired = [*predicted]
    else:
        _require_same_ids(set(ids), by_id.keys())
        paired = [by_id[identifier] for identifier in ids]

    for document, other in zip(gold, paired, strict=True):
        if document.text != other.text:
            pair = "" if document.id == other.id else f" and its counterpart in order, {other.id!r}"
            raise InputError(
                f"document {document.id!r}{pair}: gold and predicted texts differ, first at character "
                f"{_first_difference(document.text, other.text)}; offsets cannot be compared"
            )
    return [replace(other, id=document.id) for document, other in zip(gold, paired, strict=True)]


def pair_valid_documents(
    gold: Sequence[Document],
    predicted: Sequence[Document],
    *,
    n_gold_left_out: int,
    n_predicted_left_out: int,
) -> tuple[list[Document], list[Document]]:
    """Pair documents of two files of which bad ones were left out, and leave out their counterparts.

    If no id occurs on both sides, documents of equal texts belong together.

    Args:
        gold: gold documents.
        predicted: predicted documents.
        n_gold_left_out: number of gold documents that were left out.
        n_predicted_left_out: number of predicted documents that were left out.

    Returns:
        Gold documents, and predicted ones in the same order and with the same ids.

    Raises:
        InputError: more documents have no counterpart than were left out, or as for :func:`pair_documents`.
    """
    ids = {document.id for document in gold}
    by_id = not ids.isdisjoint(document.id for document in predicted)
    keys = [[document.id if by_id else document.text for document in side] for side in (gold, predicted)]
    counts = Counter(keys[0]), Counter(keys[1])
    kept, others = (
        [document for document, key in zip(side, names, strict=True) if counts[0][key] == counts[1][key]]
        for side, names in zip((gold, predicted), keys, strict=True)
    )
    if len(gold) - len(kept) > n_predicted_left_out or len(predicted) - len(others) > n_gold_left_out:
        return [*gold], pair_documents(gold, predicted)

    if not by_id:
        # A stable sort by the place of the text in the gold keeps repeated texts in order.
        places = {text: place for place, text in reversed([*enumerate(d.text for d in kept)])}
        others.sort(key=lambda document: places[document.text])
        kept.sort(key=lambda document: places[document.text])
    return kept, pair_documents(kept, others)


def _require_same_ids(gold: Set[str], predicted: Set[str]) -> None:
    for missing, origin, other in (
        (gold - predicted, "gold", "predictions"),
        (predicted - gold, "predicted", "gold"),
    ):
        if missing:
            raise InputError(
                f"{origin} document {min(missing)!r} has no counterpart among the {other} "
                f"({len(missing)} such documents); gold and predictions need the same documents"
            )


def _first_difference(one: str, other: str) -> int:
    shorter = min(len(one), len(other))
    return next((index for index in range(shorter) if one[index] != other[index]), shorter)


def check_labels(documents: Sequence[Document], labels: Sequence[str], *, owner: str) -> None:
    """Refuse labels that cannot match.

    Args:
        documents: documents to check.
        labels: labels that can match.
        owner: source of the labels, for messages.

    Raises:
        InputError: a span has another label; the message names the document.
    """
    for document in documents:
        for span in document.spans:
            if span.label not in labels:
                raise InputError(
                    f"document {document.id!r}: {owner} has no label {span.label!r}; "
                    f"available: {', '.join(labels)}"
                )


def describe(counts: Counts) -> dict[str, float]:
    """Convert counts to a JSON object, with precision, recall and F1."""
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
    **entries: str,
) -> dict[str, Any]:
    """Score predicted against gold documents: strictly, and in short by every other rule of matching.

    Args:
        gold: documents with gold spans.
        predicted: the same documents with predicted spans, in the same order.
        training: training documents of the system, if known; mentions are then also scored by their surface
            form: those that occur in training apart from those that do not.
        alternatives: the same documents with the spans that the corpus's official scorer also accepts.
        **entries: first entries of the result, such as corpus, split and protocol.

    Raises:
        InputError: the documents do not belong together.
    """
    scores = score_documents(gold, predicted)
    overall = total(scores)
    result: dict[str, Any] = {
        **entries,
        "documents": len(gold),
        "micro": {**describe(overall.micro), "ci95": list(bootstrap_f1(scores))},
        "macro": {"f1": overall.macro_f1},
        "per_label": {label: describe(counts) for label, counts in overall.per_label.items()},
        "matching": {
            mode: describe(
                # The strict scores are computed above.
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
        for name, seen in (("seen", True), ("unseen", False)):
            scores = score_documents(_restrict(gold, surfaces, seen), _restrict(predicted, surfaces, seen))
            result[name] = describe(total(scores).micro)
    return result


def _restrict(documents: Sequence[Document], surfaces: set[str], seen: bool) -> list[Document]:
    """Keep the spans whose surface form is among the given ones, or else the rest."""
    return [
        document.with_spans(
            span for span in document.spans if (document.mention(span).lower() in surfaces) is seen
        )
        for document in documents
    ]


def rename_labels(documents: Sequence[Document], names: Mapping[str, str]) -> list[Document]:
    """Rename labels; spans whose label becomes empty are dropped."""
    return [
        document.with_spans(
            replace(span, label=names.get(span.label, span.label))
            for span in document.spans
            if names.get(span.label, span.label)
        )
        for document in documents
    ]
