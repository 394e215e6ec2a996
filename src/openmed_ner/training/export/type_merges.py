"""Choose on gold documents how the layers of an entity type become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from openmed_ner.evaluation import score_document, total
from openmed_ner.tagging import Head
from openmed_ner.tagging.type_merging import TypeMerge, iter_merges
from openmed_ner.text import Document


def choose_merges(
    heads: Sequence[Head], gold: Mapping[str, Sequence[Document]], predicted: Sequence[Document]
) -> dict[str, TypeMerge]:
    """For each type of several heads, the merge whose one layer serves all their guidelines best.

    Args:
        heads: of the model.
        gold: for each head's corpus, documents with gold spans, which no head was trained on.
        predicted: the same texts with the spans of all heads.

    Returns:
        Per type the merge with the highest mean, over the guidelines, of the F1 of its layer against that
        guideline's gold spans; the simplest of equals. Types with gold of fewer than two are left out.
    """
    found = {document.text: document for document in predicted}
    chosen = {}
    for label in dict.fromkeys(label for head in heads for label in head.labels):
        corpora = [head.corpus for head in heads if label in head.labels]
        known = {corpus: gold[corpus] for corpus in corpora if corpus in gold}
        if len(known) > 1:
            chosen[label] = max(iter_merges(corpora), key=lambda merge: _mean_f1(label, merge, known, found))
    return chosen


def _mean_f1(
    label: str,
    merge: TypeMerge,
    gold: Mapping[str, Sequence[Document]],
    found: Mapping[str, Document],
) -> float:
    f1 = []
    for documents in gold.values():
        scores = total(
            score_document(
                document.with_spans(span for span in document.spans if span.label == label),
                document.with_spans(
                    merge(span for span in found[document.text].spans if span.label == label)
                ),
            )
            for document in documents
        )
        f1.append(scores.micro.f1)
    return sum(f1) / len(f1)
