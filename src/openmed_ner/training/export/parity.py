"""Certify on real text that an exported model agrees with its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from openmed_ner.evaluation import score_document, total
from openmed_ner.text import Document, Span


def certify(
    reference: Sequence[Document],
    exported: Sequence[Document],
    *,
    gold: Mapping[str, Sequence[Document]],
    texts: str,
) -> dict[str, Any]:
    """Compare the spans of two models.

    Args:
        reference: documents tagged by the source in fp32, without duplicates.
        exported: the same documents tagged by the exported model.
        gold: for each head's corpus, documents with gold spans, if any.
        texts: description of the documents, for the reader of the certificate.

    Returns:
        ``span_agreement``: F1 of the exported model's spans against the reference's, over all heads;
        ``corpora``: per corpus the strict mention-level F1 of both, and their difference.
    """
    pairs = list(zip(reference, exported, strict=True))
    agreement = total(score_document(_by_head(left), _by_head(right)) for left, right in pairs)
    by_text = [{document.text: document for document in documents} for documents in (reference, exported)]

    corpora = {}
    for corpus, documents in gold.items():
        if any(document.spans for document in documents):
            f1_reference, f1_exported = (_f1(corpus, documents, predicted) for predicted in by_text)
            corpora[corpus] = {
                "f1_reference": f1_reference,
                "f1_exported": f1_exported,
                "f1_difference": f1_exported - f1_reference,
            }

    return {
        "texts": texts,
        "documents": len(pairs),
        "spans": agreement.micro.tp + agreement.micro.fn,
        "span_agreement": agreement.micro.f1 if agreement.per_label else 1.0,
        "corpora": corpora,
    }


def _by_head(document: Document) -> Document:
    """Make the head part of the label, so that spans of different heads never match."""
    return document.with_spans(
        Span(span.start, span.end, f"{span.corpus}/{span.label}") for span in document.spans
    )


def _f1(corpus: str, gold: Sequence[Document], predicted: Mapping[str, Document]) -> float:
    scores = (
        score_document(
            document,
            Document(document.id, document.text, tuple(_head_spans(predicted[document.text], corpus))),
        )
        for document in gold
    )
    return total(scores).micro.f1


def _head_spans(document: Document, corpus: str) -> list[Span]:
    return [span for span in document.spans if span.corpus == corpus]
