"""Choose on gold documents how the span layers of an entity type are merged into one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from openmed_ner.evaluation import score_document, total
from openmed_ner.tagging import Head
from openmed_ner.tagging.type_merging import TypeMerge, iter_merges
from openmed_ner.text import Document


def choose_merges(
    heads: Sequence[Head], gold: Mapping[str, Sequence[Document]], predicted: Sequence[Document]
) -> dict[str, TypeMerge]:
    """Choose a merge for each type of several heads: the one whose layer serves all guidelines best.

    Args:
        heads: heads of the model.
        gold: for each head's corpus, documents with gold spans, which no head was trained on.
        predicted: the same texts with the spans of all heads.

    Returns:
        Per type the merge with the highest mean, over the guidelines, of the F1 of its layer against that
        guideline's gold spans; the simplest of equals. Types with gold of fewer than two are left out.
    """
    by_text = {document.text: document for document in predicted}
    merges = {}
    for label in dict.fromkeys(label for head in heads for label in head.labels):
        corpora = [head.corpus for head in heads if label in head.labels]
        annotated = {corpus: gold[corpus] for corpus in corpora if corpus in gold}
        if len(annotated) > 1:  # with gold of one guideline, its own head would always win
            merges[label] = max(
                iter_merges(corpora), key=lambda merge: _mean_f1(label, merge, annotated, by_text)
            )
    return merges


def _mean_f1(
    label: str,
    merge: TypeMerge,
    gold: Mapping[str, Sequence[Document]],
    predicted: Mapping[str, Document],
) -> float:
    f1 = []
    for documents in gold.values():
        scores = total(
            score_document(
                document.with_spans(span for span in document.spans if span.label == label),
                document.with_spans(
                    merge(span for span in predicted[document.text].spans if span.label == label)
                ),
            )
            for document in documents
        )
        f1.append(scores.micro.f1)
    return sum(f1) / len(f1)
