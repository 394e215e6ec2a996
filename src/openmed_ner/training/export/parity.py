"""How far an exported model agrees with the one it came from, on real text."""

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
    """Compare what two models found.

    Args:
        reference: documents as tagged by the original, in fp32; no text twice.
        exported: the same documents as tagged by what is to be shipped.
        gold: for each head's corpus, documents with gold spans, which may be none.
        texts: what the documents are, for the reader of the certificate.

    Returns:
        ``span_agreement``: F1 of the exported model's spans against the reference's, over all heads;
        ``corpora``: per corpus the strict mention-level F1 of both, and their difference.
    """
    pairs = list(zip(reference, exported, strict=True))
    agreement = total(score_document(_by_head(left), _by_head(right)) for left, right in pairs)
    before, after = ({pair[side].text: pair[side] for pair in pairs} for side in (0, 1))
    corpora = {}
    for corpus, documents_of in gold.items():
        if any(document.spans for document in documents_of):
            f1 = [_score(corpus, documents_of, predicted) for predicted in (before, after)]
            corpora[corpus] = {
                "f1_reference": f1[0],
                "f1_exported": f1[1],
                "f1_difference": f1[1] - f1[0],
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


def _score(corpus: str, gold: Sequence[Document], predicted: Mapping[str, Document]) -> float:
    scores = (
        score_document(
            document,
            Document(document.id, document.text, tuple(_of_head(predicted[document.text], corpus))),
        )
        for document in gold
    )
    return total(scores).micro.f1


def _of_head(document: Document, corpus: str) -> list[Span]:
    return [span for span in document.spans if span.corpus == corpus]
