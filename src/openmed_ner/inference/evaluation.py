"""Score the heads of a tagger on gold documents, each text being tagged once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from openmed_ner.errors import InputError
from openmed_ner.evaluation import Counts, bootstrap_f1, score_documents, total
from openmed_ner.inference.tagger import Tagger
from openmed_ner.text import Document


@dataclass(frozen=True, slots=True)
class Gold:
    """What a head is scored on.

    Attributes:
        corpus: the head.
        split: what the documents are, for the record.
        documents: with gold spans.
        training: what the head was trained on, if known: mentions whose surface form occurs there are then
            also scored apart from those whose form does not.
    """

    corpus: str
    split: str
    documents: Sequence[Document]
    training: Sequence[Document] | None = None


def evaluate(tagger: Tagger, golds: Sequence[Gold]) -> Iterator[dict[str, Any]]:
    """Tag documents and compare strictly, mention by mention.

    Yields:
        For each head the object that ``evaluate --json`` documents.

    Raises:
        InputError: there are no documents, or they have a label that the head does not know.
    """
    for gold in golds:
        _check(tagger, gold)
    texts = {document.text: document for gold in golds for document in gold.documents}
    corpora = [gold.corpus for gold in golds]
    tagged = {document.text: document for document in tagger.pipe(texts.values(), corpora=corpora)}
    for gold in golds:
        predicted = [
            Document(
                document.id,
                document.text,
                tuple(span for span in tagged[document.text].spans if span.corpus == gold.corpus),
                tagged[document.text].meta,
            )
            for document in gold.documents
        ]
        yield _score(gold, predicted)


def _check(tagger: Tagger, gold: Gold) -> None:
    if not gold.documents:
        raise InputError(f"{gold.corpus}, {gold.split}: there are no documents to score")
    labels = next(head.labels for head in tagger.manifest.heads if head.corpus == gold.corpus)
    for document in gold.documents:
        for span in document.spans:
            if span.label not in labels:
                raise InputError(
                    f"document {document.id!r}: the head {gold.corpus} has no label {span.label!r}; "
                    f"it knows: {', '.join(labels)}"
                )


def _score(gold: Gold, predicted: Sequence[Document]) -> dict[str, Any]:
    scores = score_documents(gold.documents, predicted)
    overall = total(scores)
    result = {
        "corpus": gold.corpus,
        "split": gold.split,
        "protocol": "mention",
        "documents": len(predicted),
        "micro": {**_to_json(overall.micro), "ci95": list(bootstrap_f1(scores))},
        "per_label": {label: _to_json(counts) for label, counts in overall.per_label.items()},
        "coverage_complete": all(document.meta["coverage"]["complete"] for document in predicted),
    }
    if gold.training is not None:
        surfaces = {document.mention(span).lower() for document in gold.training for span in document.spans}
        for name, wanted in (("seen", True), ("unseen", False)):
            sides = [_restrict(documents, surfaces, wanted) for documents in (gold.documents, predicted)]
            result[name] = _to_json(total(score_documents(*sides)).micro)
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
