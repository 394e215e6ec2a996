"""Calibration: the confidence of a model compared with its precision.

A prediction is right if strict matching accepts it. Its confidence is the score of its span. A mention
predicted twice counts once, with its higher score. Missed mentions have no score, so a well calibrated model
may still miss many.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from openmed_ner.errors import InputError
from openmed_ner.evaluation.matching import distinct_spans
from openmed_ner.evaluation.scores import score_documents, total
from openmed_ner.text import Document


@dataclass(frozen=True, slots=True)
class Bin:
    """Predictions of similar confidence.

    Attributes:
        low: lowest score.
        high: lowest score of the next bin; the last bin includes its ``high``, 1.
        count: number of predictions.
        confidence: mean score of the predictions; 0 if there are none.
        precision: share of right predictions; 0 if there are none.
    """

    low: float
    high: float
    count: int
    confidence: float
    precision: float


@dataclass(frozen=True, slots=True)
class Threshold:
    """Precision and recall of the predictions with a score of at least ``threshold``.

    Attributes:
        threshold: lowest score of a remaining prediction.
        precision: share of right predictions among the remaining ones.
        recall: share of the gold mentions that the remaining predictions match.
        kept: number of remaining predictions.
    """

    threshold: float
    precision: float
    recall: float
    kept: int


def reliability(
    gold: Sequence[Document], predicted: Sequence[Document], *, n_bins: int = 10
) -> tuple[Bin, ...]:
    """Sort predictions into bins of equal width, and compare confidence with precision in each.

    Raises:
        InputError: a predicted span has no score, or the documents do not belong together.
    """
    edges = [number / n_bins for number in range(n_bins + 1)]
    judged: list[list[tuple[float, bool]]] = [[] for _ in range(n_bins)]
    for score, right in _judge(gold, predicted):
        judged[min(bisect_right(edges, score), n_bins) - 1].append((score, right))
    return tuple(
        Bin(low, high, len(pairs), _mean([score for score, _ in pairs]), _mean([right for _, right in pairs]))
        for (low, high), pairs in zip(pairwise(edges), judged, strict=True)
    )


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """Mean distance between confidence and precision, weighted by the predictions; 0 without any.

    Naeini and others, Obtaining well calibrated probabilities using Bayesian binning, 2015.
    """
    n_predictions = sum(row.count for row in bins)
    distances = (row.count * abs(row.precision - row.confidence) for row in bins)
    return sum(distances) / n_predictions if n_predictions else 0.0


def threshold_for_precision(
    gold: Sequence[Document], predicted: Sequence[Document], precision: float
) -> Threshold | None:
    """Find the lowest score such that the predictions with it or a higher one reach a precision.

    Precision need not rise with the threshold: a higher threshold than the one returned may fall below
    ``precision`` again. The lowest keeps the most predictions. Select it on development documents: its
    precision on the documents that it was selected on is too optimistic.

    Returns:
        The threshold, or ``None`` if no score reaches the precision.

    Raises:
        InputError: ``precision`` is not a share, a predicted span has no score, or the documents do not
            belong together.
    """
    if not 0.0 <= precision <= 1.0:
        raise InputError(f"expected a precision between 0 and 1, found {precision}")

    # From the most to the least confident.
    ranked = sorted(_judge(gold, predicted), reverse=True)
    overall = total(score_documents(gold, predicted)).micro
    n_right = list(accumulate(right for _, right in ranked))

    for count in range(len(ranked), 0, -1):
        score, hits = ranked[count - 1][0], n_right[count - 1]
        # A threshold cannot tell predictions of one score apart: only the last of them ends a group.
        ends_group = count == len(ranked) or ranked[count][0] < score
        if ends_group and hits / count >= precision:
            recall = hits / (overall.tp + overall.fn) if hits else 0.0
            return Threshold(score, hits / count, recall, count)
    return None


def _judge(gold: Sequence[Document], predicted: Sequence[Document]) -> list[tuple[float, bool]]:
    """Pair the score of every prediction with its correctness."""
    score_documents(gold, predicted)
    judged = []
    for left, right in zip(gold, predicted, strict=True):
        _check_scores(right)
        gold_keys = {span.key for span in left.spans}
        judged += [(span.score or 0.0, span.key in gold_keys) for span in distinct_spans(right)]
    return judged


def _check_scores(document: Document) -> None:
    for span in document.spans:
        if span.score is None:
            raise InputError(
                f"document {document.id!r}: the predicted span {span.start}..{span.end} ({span.label}) has "
                "no score. Calibration needs the scores that tagging writes."
            )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
