"""Choose on gold documents how the span layers of an entity type are merged into one.

A user's text follows no corpus's guideline. So where a type has more than two heads, a merge is scored on the
documents of a corpus without the head of this corpus, as on text that nobody annotated for training.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from statistics import fmean

from openmed_ner.evaluation import score_document, total
from openmed_ner.tagging import Head
from openmed_ner.tagging.type_merging import TypeMerge, iter_merges
from openmed_ner.text import Document

_LEAST_GAIN = 0.005
"""Least gain in mean F1 over a simpler merge: another head costs time, and dev splits are small."""
_THRESHOLDS = (0.3, 0.35, 0.4, 0.45, 0.5)
"""Candidates. Every dev split is flowing text: doubtful mentions are more often wrong in other text."""


def choose_merges(
    heads: Sequence[Head],
    gold: Mapping[str, Sequence[Document]],
    predicted: Sequence[Document],
    *,
    learnt: Collection[str] = (),
) -> dict[str, TypeMerge]:
    """Choose a merge for each type of several heads: the one whose layer serves all guidelines best.

    The heads of a type are ranked by their F1 above the mean of all heads that are scored on the same
    guideline, in the mean over the guidelines. The candidates are the layers of the best heads, from one to
    all, by every rule.

    Args:
        heads: heads of the model.
        gold: for each head's corpus, documents with gold spans.
        predicted: the same texts with the spans of all heads.
        learnt: corpora whose head was trained on its gold. Their documents are used only where this head is
            left out.

    Returns:
        Per type a merge. Candidates are tried from the simplest on, and a later one has to gain half a point
        of mean F1. So has a threshold, which is chosen last. Types with gold of fewer than two guidelines are
        left out.
    """
    by_text = {document.text: document for document in predicted}
    merges = {}
    for label in dict.fromkeys(label for head in heads for label in head.labels):
        corpora = [head.corpus for head in heads if label in head.labels]
        without_own = len(corpora) > 2
        annotated = {
            corpus: gold[corpus]
            for corpus in corpora
            if corpus in gold and (without_own or corpus not in learnt)
        }
        if len(annotated) < 2:  # with gold of one guideline, its own head would always win
            continue

        scorer = _Scorer(label, annotated, by_text, without_own=without_own)
        ranking = scorer.rank(corpora)
        merges[label] = _choose(ranking, scorer)
    return merges


def _choose(ranking: Sequence[str], scorer: _Scorer) -> TypeMerge:
    """Try the merges from the simplest on, then thresholds; each has to be better by the least gain."""
    best, *candidates = iter_merges(ranking)
    best_f1 = scorer.mean_f1(best, ranking)
    for merge in candidates:
        f1 = scorer.mean_f1(merge, ranking)
        if f1 >= best_f1 + _LEAST_GAIN:
            best, best_f1 = merge, f1

    certain = [replace(best, threshold=threshold) for threshold in _THRESHOLDS]
    most_f1, surest = max(((scorer.mean_f1(merge, ranking), merge) for merge in certain), key=itemgetter(0))
    return surest if most_f1 >= best_f1 + _LEAST_GAIN else best


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
                # Several corpora may contain the same text, by other ids.
                (self._only(document), self._only(document.with_spans(predicted[document.text].spans)))
                for document in documents
            ]
            for corpus, documents in gold.items()
        }

    def _only(self, document: Document) -> Document:
        return document.with_spans(span for span in document.spans if span.label == self._label)

    def rank(self, corpora: Sequence[str]) -> list[str]:
        """Rank heads, the best one first.

        Guidelines differ in difficulty, and not all heads are scored on the same ones. So the F1 of a head
        counts by its difference from the mean on a guideline.
        """
        leads: dict[str, list[float]] = {corpus: [] for corpus in corpora}
        for guideline in self._pairs:
            f1 = {
                corpus: self._f1(guideline, TypeMerge((corpus,), "first"))
                for corpus in self._scored(corpora, guideline)
            }
            for corpus, value in f1.items():
                leads[corpus].append(value - fmean(f1.values()))
        return sorted(corpora, key=lambda corpus: fmean(leads[corpus] or [0.0]), reverse=True)

    def mean_f1(self, merge: TypeMerge, ranking: Sequence[str]) -> float:
        """Mean F1 of a merge over the guidelines.

        Where a guideline's own head is left out, the next one of the ranking takes its place.
        """
        size = len(merge.order)
        return fmean(
            self._f1(guideline, replace(merge, order=tuple(self._scored(ranking, guideline)[:size])))
            for guideline in self._pairs
        )

    def _scored(self, corpora: Sequence[str], guideline: str) -> list[str]:
        return [corpus for corpus in corpora if not (self._without_own and corpus == guideline)]

    def _f1(self, guideline: str, merge: TypeMerge) -> float:
        return total(
            score_document(gold, predicted.with_spans(merge(predicted.spans)))
            for gold, predicted in self._pairs[guideline]
        ).micro.f1
