"""Strict mention-level scores: a prediction counts if its boundaries and label are those of a gold span.

Counts are kept per label and add, so that any split of a corpus gives the same F1. A span given
twice by the same guideline counts once, on either side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from openmed_ner.errors import InputError
from openmed_ner.text import Document


@dataclass(frozen=True, slots=True)
class Counts:
    """Matched, spurious and missed entities. Counts add, so any split of a corpus gives one F1."""

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def precision(self) -> float:
        """Share of predictions that are right; 0 if there are none."""
        return self.tp / (self.tp + self.fp) if self.tp else 0.0

    @property
    def recall(self) -> float:
        """Share of gold entities that were found; 0 if there are none."""
        return self.tp / (self.tp + self.fn) if self.tp else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 if nothing matched."""
        return 2 * self.tp / (2 * self.tp + self.fp + self.fn) if self.tp else 0.0


@dataclass(frozen=True, slots=True)
class Scores:
    """Counts per label. Scores add."""

    per_label: Mapping[str, Counts] = field(default_factory=dict)

    @property
    def micro(self) -> Counts:
        """Counts over all labels."""
        return sum(self.per_label.values(), Counts())

    def __add__(self, other: Scores) -> Scores:
        labels = sorted({*self.per_label, *other.per_label})
        nothing = Counts()
        return Scores(
            {
                label: self.per_label.get(label, nothing) + other.per_label.get(label, nothing)
                for label in labels
            }
        )


def score_document(gold: Document, predicted: Document) -> Scores:
    """Compare two annotations of one text.

    Raises:
        InputError: the documents differ in id or text.
    """
    if gold.id != predicted.id or gold.text != predicted.text:
        raise InputError(
            f"gold document {gold.id!r} and predicted document {predicted.id!r} are not annotations of "
            "one text; only those can be compared"
        )
    wanted = {span.key for span in gold.spans}
    found = {span.key for span in predicted.spans}
    groups = {"tp": wanted & found, "fp": found - wanted, "fn": wanted - found}
    labels = sorted({key[2] for key in wanted | found})
    return Scores(
        {
            label: Counts(**{name: sum(key[2] == label for key in keys) for name, keys in groups.items()})
            for label in labels
        }
    )


def score_documents(gold: Iterable[Document], predicted: Iterable[Document]) -> list[Scores]:
    """Compare two sequences of documents pair by pair.

    Raises:
        InputError: one sequence is longer, or two documents do not belong together.
    """
    try:
        return [score_document(left, right) for left, right in zip(gold, predicted, strict=True)]
    except ValueError as error:
        raise InputError("there are not as many predicted documents as gold ones") from error


def total(scores: Iterable[Scores]) -> Scores:
    """Add the scores of some documents."""
    return sum(scores, Scores())


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
    counts = np.array([(each.micro.tp, each.micro.fp, each.micro.fn) for each in scores], dtype=np.int64)
    draws = np.random.default_rng(seed).multinomial(len(counts), [1 / len(counts)] * len(counts), size=rounds)
    tp, fp, fn = (draws @ counts).T
    doubled = 2 * tp + fp + fn
    f1 = 2 * tp[doubled > 0] / doubled[doubled > 0]
    if not f1.size:
        return 0.0, 0.0
    tail = (1 - confidence) / 2
    low, high = np.quantile(f1, [tail, 1 - tail])
    return float(low), float(high)
