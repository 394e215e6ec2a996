"""Compare how sure a model was with how often it was right.

A prediction is right if strict matching says so; its confidence is the score of its span. A mention
predicted twice counts once, with its higher score. Only predictions are looked at: what a model missed
has no score, so a well calibrated model may still miss much.
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
        high: where the next bin begins; the last bin holds its ``high``, 1, as well.
        count: number of predictions.
        confidence: their mean score; 0 if there are none.
        precision: the share of them that is right; 0 if there are none.
    """

    low: float
    high: float
    count: int
    confidence: float
    precision: float


@dataclass(frozen=True, slots=True)
class Threshold:
    """What remains if only predictions with a score of at least ``threshold`` are kept.

    Attributes:
        threshold: the lowest score that is kept.
        precision: share of the kept predictions that is right.
        recall: share of all gold mentions that is found among the kept.
        kept: number of predictions kept.
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
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(n_bins)]
    for score, right in _judge(gold, predicted):
        bins[min(bisect_right(edges, score), n_bins) - 1].append((score, right))
    return tuple(
        Bin(low, high, len(pairs), _mean([score for score, _ in pairs]), _mean([right for _, right in pairs]))
        for (low, high), pairs in zip(pairwise(edges), bins, strict=True)
    )


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """Mean distance between confidence and precision, weighted by the predictions; 0 without any.

    Naeini and others, Obtaining well calibrated probabilities using Bayesian binning, 2015.
    """
    n_predictions = sum(each.count for each in bins)
    distances = (each.count * abs(each.precision - each.confidence) for each in bins)
    return sum(distances) / n_predictions if n_predictions else 0.0


def threshold_for_precision(
    gold: Sequence[Document], predicted: Sequence[Document], wanted: float
) -> Threshold | None:
    """Find the lowest score such that the predictions with it or a higher one reach a precision.

    Precision need not rise with the threshold: a higher threshold than the one returned may fall
    below ``wanted`` again. The lowest is the one that keeps most. Choose it on development
    documents: on the documents it was chosen on, its precision is flattering.

    Returns:
        The threshold, or ``None`` if no score reaches the precision.

    Raises:
        InputError: ``wanted`` is no share, a predicted span has no score, or the documents do not
            belong together.
    """
    if not 0.0 <= wanted <= 1.0:
        raise InputError(f"a wanted precision lies between 0 and 1, not at {wanted}")
    ranked = sorted(_judge(gold, predicted), reverse=True)
    overall = total(score_documents(gold, predicted)).micro
    n_right = list(accumulate(right for _, right in ranked))
    for kept in range(len(ranked), 0, -1):
        score = ranked[kept - 1][0]
        is_last_of_its_score = kept == len(ranked) or ranked[kept][0] < score
        if is_last_of_its_score and n_right[kept - 1] / kept >= wanted:
            recall = n_right[kept - 1] / (overall.tp + overall.fn) if n_right[kept - 1] else 0.0
            return Threshold(score, n_right[kept - 1] / kept, recall, kept)
    return None


def _judge(gold: Sequence[Document], predicted: Sequence[Document]) -> list[tuple[float, bool]]:
    """The score of every prediction, and whether it is right."""
    score_documents(gold, predicted)
    judged = []
    for left, right in zip(gold, predicted, strict=True):
        _check_scores(right)
        wanted = {span.key for span in left.spans}
        judged += [(span.score or 0.0, span.key in wanted) for span in distinct_spans(right)]
    return judged


def _check_scores(document: Document) -> None:
    for span in document.spans:
        if span.score is None:
            raise InputError(
                f"document {document.id!r}: the predicted span {span.start}..{span.end} ({span.label}) has "
                "no score. Calibration compares scores: keep those that tagging gives."
            )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
