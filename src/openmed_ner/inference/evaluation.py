"""Score one head of a tagger on gold documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from openmed_ner.errors import InputError
from openmed_ner.evaluation import Counts, bootstrap_f1, score_documents, total
from openmed_ner.inference.tagger import Tagger
from openmed_ner.text import Document


def evaluate_head(
    tagger: Tagger,
    corpus: str,
    gold: Sequence[Document],
    *,
    split: str,
    training: Sequence[Document] | None = None,
) -> dict[str, Any]:
    """Tag documents with one head and compare strictly, mention by mention.

    Args:
        tagger: a loaded bundle.
        corpus: the head.
        gold: documents with gold spans.
        split: what they are, for the record.
        training: what the head was trained on; if given, mentions whose surface form occurs there are also
            scored apart from those whose form does not.

    Returns:
        The object that ``evaluate --json`` documents.

    Raises:
        InputError: there are no documents, or they have a label that the head does not know.
    """
    if not gold:
        raise InputError(f"{corpus}, {split}: there are no documents to score")
    labels = next(head.labels for head in tagger.manifest.heads if head.corpus == corpus)
    for document in gold:
        for span in document.spans:
            if span.label not in labels:
                raise InputError(
                    f"document {document.id!r}: the head {corpus} has no label {span.label!r}; "
                    f"it knows: {', '.join(labels)}"
                )
    predicted = list(tagger.pipe(gold, corpora=[corpus]))
    scores = score_documents(gold, predicted)
    overall = total(scores)
    result = {
        "corpus": corpus,
        "split": split,
        "protocol": "mention",
        "documents": len(gold),
        "micro": {**_to_json(overall.micro), "ci95": list(bootstrap_f1(scores))},
        "per_label": {label: _to_json(counts) for label, counts in overall.per_label.items()},
        "coverage_complete": all(document.meta["coverage"]["complete"] for document in predicted),
    }
    if training is not None:
        surfaces = {document.mention(span).lower() for document in training for span in document.spans}
        for name, wanted in (("seen", True), ("unseen", False)):
            pairs = [_restrict(documents, surfaces, wanted) for documents in (gold, predicted)]
            result[name] = _to_json(total(score_documents(*pairs)).micro)
    return result


def _restrict(documents: Sequence[Document], surfaces: set[str], wanted: bool) -> list[Document]:
    return [
        document.with_spans(
            span for span in document.spans if (document.mention(span).lower() in surfaces) is wanted
        )
        for document in documents
    ]


def _to_json(counts: Counts) -> dict[str, float]:
    return {
        "precision": counts.precision,
        "recall": counts.recall,
        "f1": counts.f1,
        "tp": counts.tp,
        "fp": counts.fp,
        "fn": counts.fn,
    }
