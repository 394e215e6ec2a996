"""Mention-level scores, by default strict: a prediction counts if it has a gold span's boundaries and label.

:mod:`.matching` has the other rules. Counts are per label and add, so any split of a corpus gives the same
F1. A duplicate span of one guideline counts once, in gold and in predictions.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from openmed_ner.errors import InputError
from openmed_ner.evaluation.matching import (
    Key,
    MatchMode,
    boundaries,
    match_keys,
    overlapping,
    require_one_text,
)
from openmed_ner.text import Document


@dataclass(frozen=True, slots=True)
class Counts:
    """Matched, spurious and missed entities. Counts add, so any split of a corpus gives one F1.

    Attributes:
        tp: number of gold entities that were found.
        fp: number of predictions that match nothing.
        fn: number of gold entities that were missed.
        half: number of gold entities that were found in part; they count half (mode ``partial``).
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    half: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.half + other.half)

    @property
    def credit(self) -> float:
        """Total credit of the matches."""
        return self.tp + self.half / 2

    @property
    def precision(self) -> float:
        """Share of predictions that are right; 0 if there are none."""
        return self.credit / (self.tp + self.half + self.fp) if self.credit else 0.0

    @property
    def recall(self) -> float:
        """Share of gold entities that were found; 0 if there are none."""
        return self.credit / (self.tp + self.half + self.fn) if self.credit else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 if nothing matched."""
        doubled, entities = self.f1_fraction
        return doubled / entities if doubled else 0.0

    @property
    def f1_fraction(self) -> tuple[int, int]:
        """Numerator and denominator of F1; those of a corpus are the sums of its documents'."""
        return 2 * self.tp + self.half, 2 * (self.tp + self.half) + self.fp + self.fn


@dataclass(frozen=True, slots=True)
class Scores:
    """Counts per label. Scores add."""

    per_label: Mapping[str, Counts] = field(default_factory=dict)

    @property
    def micro(self) -> Counts:
        """Counts over all labels."""
        return sum(self.per_label.values(), Counts())

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the labels, each with the same weight; 0 if there are none.

        As in seqeval, a label that was only predicted is one of them, with F1 = 0.
        """
        return statistics.fmean(counts.f1 for counts in self.per_label.values()) if self.per_label else 0.0

    def __add__(self, other: Scores) -> Scores:
        labels = sorted({*self.per_label, *other.per_label})
        nothing = Counts()
        return Scores(
            {
                label: self.per_label.get(label, nothing) + other.per_label.get(label, nothing)
                for label in labels
            }
        )


def score_document(gold: Document, predicted: Document, *, mode: MatchMode = "strict") -> Scores:
    """Compare two annotations of one text.

    A pair counts under its gold label, an unmatched span under its own. If labels may differ (``boundary``,
    ``overlap``, ``partial``), precision is meaningful over all labels only.

    Raises:
        InputError: the documents differ in id or text, or the mode is unknown.
    """
    require_one_text(gold, predicted)
    gold_keys, predicted_keys = _keys(gold), _keys(predicted)
    pairs = match_keys(gold_keys, predicted_keys, mode=mode)
    half = {
        left for left, right in pairs.items() if mode == "partial" and boundaries(left) != boundaries(right)
    }
    return _count(
        tp=pairs.keys() - half,
        fp=predicted_keys.difference(pairs.values()),
        fn=gold_keys - pairs.keys(),
        half=half,
    )


def score_with_alternatives(gold: Document, predicted: Document, alternatives: Document) -> Scores:
    """Compare strictly, but accept some other spans, as BioCreative II does (``alt_eval.perl``).

    A gold span is found if it was predicted, or if an alternative of its label that overlaps it was; it
    counts once. A prediction is spurious if it is neither gold nor an alternative. So two predictions for one
    gold span count as one, one prediction for two gold spans counts as two, and an alternative to nothing
    does not count. That script counts duplicate lines twice; here they count once.

    Args:
        gold: the text with its gold spans.
        predicted: the same text with the predicted spans.
        alternatives: the same text with further accepted spans (``ALTGENE.eval``).

    Raises:
        InputError: the documents differ in id or text.
    """
    require_one_text(gold, predicted)
    require_one_text(gold, alternatives)
    gold_keys, predicted_keys, accepted = _keys(gold), _keys(predicted), _keys(alternatives)
    # The gold span is credited, not the alternative that was predicted.
    replaced = overlapping(gold_keys, predicted_keys & accepted, same_label=True).keys()
    hits = (gold_keys & predicted_keys) | replaced
    return _count(tp=hits, fp=predicted_keys - gold_keys - accepted, fn=gold_keys - hits)


def _keys(document: Document) -> set[Key]:
    return {span.key for span in document.spans}


def _count(**keys: Iterable[Key]) -> Scores:
    per_label = {name: Counter(key[2] for key in group) for name, group in keys.items()}
    return Scores(
        {
            label: Counts(**{name: counter[label] for name, counter in per_label.items()})
            for label in sorted(set().union(*per_label.values()))
        }
    )


def score_documents(
    gold: Iterable[Document], predicted: Iterable[Document], *, mode: MatchMode = "strict"
) -> list[Scores]:
    """Compare two sequences of documents pair by pair.

    Raises:
        InputError: one sequence is longer, two documents do not belong together, or the mode is unknown.
    """
    try:
        return [score_document(left, right, mode=mode) for left, right in zip(gold, predicted, strict=True)]
    except ValueError as error:
        raise InputError("there are not as many predicted documents as gold ones") from error


def total(scores: Iterable[Scores]) -> Scores:
    """Add the scores of some documents."""
    return sum(scores, Scores())


def f1_fractions(scores: Iterable[Scores]) -> NDArray[np.int64]:
    """Numerator and denominator of micro F1 by document: (n_documents, 2)."""
    return np.array([row.micro.f1_fraction for row in scores], dtype=np.int64).reshape(-1, 2)


def bootstrap_f1(
    scores: Sequence[Scores], *, rounds: int = 1000, seed: int = 0, confidence: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of micro F1, drawing whole documents with replacement.

    Documents, not mentions, are the unit: mentions of one text repeat each other and are not
    independent (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). A draw
    without any entity, gold or predicted, has no F1 and is left out.
    """
    if not scores:
        return 0.0, 0.0

    fractions = f1_fractions(scores)
    n_documents = len(fractions)
    # Multiplicities instead of indices: one matrix product gives the sums of all draws.
    draws = np.random.default_rng(seed).multinomial(n_documents, [1 / n_documents] * n_documents, size=rounds)
    doubled, entities = (draws @ fractions).T
    f1 = doubled[entities > 0] / entities[entities > 0]
    if not f1.size:
        return 0.0, 0.0

    tail = (1 - confidence) / 2
    low, high = np.quantile(f1, [tail, 1 - tail])
    return float(low), float(high)


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation of a score over seeds; one seed has no deviation (``nan``).

    Raises:
        InputError: there are no values.
    """
    if not values:
        raise InputError("a mean needs at least one value")
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else math.nan
