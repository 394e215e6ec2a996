"""Compare two systems on the same gold documents, head by head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from openmed_ner.errors import InputError
from openmed_ner.evaluation.gold import require_mentions
from openmed_ner.evaluation.predictions import Predictions
from openmed_ner.evaluation.scores import score_documents
from openmed_ner.evaluation.significance import Comparison, paired_randomisation


@dataclass(frozen=True, slots=True)
class HeadComparison:
    """Two systems on the gold documents of one head.

    Attributes:
        first: predictions of the first system.
        second: predictions of the second.
        results: scores of both, as ``evaluate --json`` writes them.
        difference: difference of micro F1, with its interval and p-value.
    """

    first: Predictions
    second: Predictions
    results: tuple[dict[str, Any], dict[str, Any]]
    difference: Comparison

    def to_json(self) -> dict[str, Any]:
        """Return the row that ``evaluate --compare --json`` writes."""
        return {
            "corpus": self.first.gold.corpus,
            "split": self.first.gold.split,
            "first": self.results[0],
            "second": self.results[1],
            "difference": self.difference.difference,
            "ci95": list(self.difference.ci95),
            "p_value": self.difference.p_value,
        }


def compare_predictions(
    first: Sequence[Predictions], second: Sequence[Predictions]
) -> Iterator[HeadComparison]:
    """Compare the predictions of two systems for every head that both have.

    Raises:
        InputError: the systems share no head, or were not run on the same documents.
    """
    for pair in pair_predictions(first, second):
        one, two = _keep_common(*pair)
        gold = one.gold.documents
        difference = paired_randomisation(
            score_documents(gold, one.predicted), score_documents(gold, two.predicted)
        )
        yield HeadComparison(one, two, (one.score(), two.score()), difference)


def _keep_common(first: Predictions, second: Predictions) -> tuple[Predictions, Predictions]:
    """Keep the documents of both systems, if bad ones of either were left out."""
    if first.gold.n_left_out is None:
        return first, second
    common = {document.id for document in first.gold.documents}
    common &= {document.id for document in second.gold.documents}
    require_mentions([one for one in first.gold.documents if one.id in common], source="both systems")
    return _keep(first, common), _keep(second, common)


def _keep(predictions: Predictions, ids: Set[str]) -> Predictions:
    gold = replace(
        predictions.gold, documents=[entry for entry in predictions.gold.documents if entry.id in ids]
    )
    return replace(
        predictions, gold=gold, predicted=[entry for entry in predictions.predicted if entry.id in ids]
    )


def pair_predictions(
    first: Sequence[Predictions], second: Sequence[Predictions]
) -> list[tuple[Predictions, Predictions]]:
    """Pair the predictions of two systems: the only ones, or those for the heads that both have.

    Raises:
        InputError: the systems share no head.
    """
    if len(first) == len(second) == 1:
        return [(first[0], second[0])]

    by_corpus = {predictions.gold.corpus: predictions for predictions in second}
    pairs = [
        (predictions, by_corpus[predictions.gold.corpus])
        for predictions in first
        if predictions.gold.corpus in by_corpus
    ]
    if not pairs:
        raise InputError("the two systems have no head in common; name the gold with --corpus or --gold")
    return pairs
