"""Choose on gold documents how the span layers of an entity type are merged into one.

A user's text follows no corpus's guideline. So where a type has more than two heads, a merge is scored on the
documents of a corpus without the head of this corpus, as on text that nobody annotated for training.
"""

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

    The heads of a type are ranked by their mean F1 over the guidelines. The candidates are the layers of the
    best heads, from one to all, by every rule.

    Args:
        heads: heads of the model.
        gold: for each head's corpus, documents with gold spans, which no head was trained on.
        predicted: the same texts with the spans of all heads.

    Returns:
        Per type the merge with the highest mean F1, the simplest of equals. Types with gold of fewer than two
        guidelines are left out.
    """
    by_text = {document.text: document for document in predicted}
    merges = {}
    for label in dict.fromkeys(label for head in heads for label in head.labels):
        corpora = [head.corpus for head in heads if label in head.labels]
        annotated = {corpus: gold[corpus] for corpus in corpora if corpus in gold}
        if len(annotated) < 2:  # with gold of one guideline, its own head would always win
            continue

        scorer = _Scorer(label, annotated, by_text, without_own=len(corpora) > 2)
        alone = {corpus: scorer.mean_f1(TypeMerge((corpus,), "first"), [corpus]) for corpus in corpora}
        ranking = sorted(corpora, key=alone.__getitem__, reverse=True)
        merges[label] = max(iter_merges(ranking), key=lambda merge: scorer.mean_f1(merge, ranking))
    return merges


class _Scorer:
    """Scores of merges of one type.

    Args:
        label: the type.
        gold: documents with gold spans, by guideline.
        predicted: documents with the spans of all heads, by text.
        without_own: if true, a guideline's documents are scored without its own head.
    """

    def __init__(
        self,
        label: str,
        gold: Mapping[str, Sequence[Document]],
        predicted: Mapping[str, Document],
        *,
        without_own: bool,
    ) -> None:
        self._label, self._without_own = label, without_own
        self._pairs = {
            corpus: [
                # The same text may stand in several corpora, by other ids.
                (self._only(document), self._only(document.with_spans(predicted[document.text].spans)))
                for document in documents
            ]
            for corpus, documents in gold.items()
        }

    def _only(self, document: Document) -> Document:
        return document.with_spans(span for span in document.spans if span.label == self._label)

    def mean_f1(self, merge: TypeMerge, ranking: Sequence[str]) -> float:
        """Mean F1 of a merge over the guidelines.

        Where a guideline's own head is left out, the next one of the ranking takes its place. A guideline
        without another head in the ranking does not count.
        """
        f1 = []
        for corpus, pairs in self._pairs.items():
            others = [name for name in ranking if not (self._without_own and name == corpus)]
            if others:
                reduced = TypeMerge(tuple(others[: len(merge.order)]), merge.rule)
                scores = total(
                    score_document(gold, predicted.with_spans(reduced(predicted.spans)))
                    for gold, predicted in pairs
                )
                f1.append(scores.micro.f1)
        return sum(f1) / len(f1)
