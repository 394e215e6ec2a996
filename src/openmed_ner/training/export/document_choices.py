"""Choose on gold documents how far the whole document decides the mentions of each head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from openmed_ner.evaluation import score_document, total
from openmed_ner.tagging.document_decoding import DOCUMENT_MODES, OFF, DocumentChoice, DocumentMode
from openmed_ner.text import Document


def choose_document_modes(
    gold: Mapping[str, Sequence[Document]], predicted: Mapping[DocumentMode, Sequence[Document]]
) -> dict[str, DocumentChoice]:
    """Choose a mode of document-level decoding for each head: the one with the highest F1.

    Args:
        gold: for each head's corpus, documents with gold spans, which no head was trained on.
        predicted: for each mode, the same texts with the spans of all heads in this mode.

    Returns:
        Per corpus the mode, the simplest of equals, and its gain. Corpora without gold spans are left out.
    """
    by_text = {
        mode: {document.text: document for document in documents} for mode, documents in predicted.items()
    }
    choices = {}
    for corpus, documents in gold.items():
        if any(document.spans for document in documents):
            f1 = {mode: _f1(corpus, documents, by_text[mode]) for mode in DOCUMENT_MODES}
            best = max(DOCUMENT_MODES, key=f1.__getitem__)
            choices[corpus] = DocumentChoice(best, f1[best] - f1[OFF])
    return choices


def _f1(corpus: str, gold: Sequence[Document], predicted: Mapping[str, Document]) -> float:
    return total(
        score_document(
            document,
            document.with_spans(span for span in predicted[document.text].spans if span.corpus == corpus),
        )
        for document in gold
    ).micro.f1
