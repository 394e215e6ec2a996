"""Test whether one system is better than another on the same documents.

Approximate randomisation (Noreen, Computer-Intensive Methods for Testing Hypotheses, 1989): if the systems
were equal, the results of a document could be swapped. The p-value is the share of random swaps after which
micro F1 differs at least as much as before. Documents are swapped whole, since mentions of one text are not
independent. The test assumes no distribution of F1. It takes 10,000 rounds, half a second for 1,000
documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openmed_ner.errors import InputError
from openmed_ner.evaluation.scores import Scores, f1_fractions

_BATCH = 500
"""Rounds at a time, to bound the memory."""
_ROUNDING = 1e-12
"""Differences of F1 closer than this are equal: the same counts in another order."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two systems on the same documents.

    Attributes:
        f1_first: micro F1 of the first system.
        f1_second: micro F1 of the second.
        p_value: chance of a difference this large, in either direction, if the systems were equal.
        ci95: paired bootstrap interval of the difference, from the 2.5th to the 97.5th percentile.
    """

    f1_first: float
    f1_second: float
    p_value: float
    ci95: tuple[float, float]

    @property
    def difference(self) -> float:
        """Micro F1 of the first system minus that of the second."""
        return self.f1_first - self.f1_second


def paired_randomisation(
    first: Sequence[Scores], second: Sequence[Scores], *, rounds: int = 10_000, seed: int = 0
) -> Comparison:
    """Compare the scores of two systems, document by document.

    The p-value is ``(n + 1) / (rounds + 1)``, with n the rounds that differ as much; so it is never 0,
    and exactly 1 for systems that do not differ.

    Raises:
        InputError: the systems were not scored on the same documents.
    """
    _require_same_gold(first, second)
    one, two = f1_fractions(first), f1_fractions(second)
    f1_first, f1_second = (float(_f1(fractions.sum(axis=0))) for fractions in (one, two))
    if not len(one):
        return Comparison(f1_first, f1_second, 1.0, (0.0, 0.0))

    rng = np.random.default_rng(seed)
    swapped = np.concatenate([_swap(one, two, size, rng) for size in _batches(rounds)])
    redrawn = np.concatenate([_redraw(one, two, size, rng) for size in _batches(rounds)])

    # Sums in another order may differ in the last bit, and count as equal.
    n_extreme = int((np.abs(swapped) >= abs(f1_first - f1_second) - _ROUNDING).sum())
    low, high = np.quantile(redrawn, [0.025, 0.975])
    return Comparison(f1_first, f1_second, (n_extreme + 1) / (rounds + 1), (float(low), float(high)))


def _require_same_gold(first: Sequence[Scores], second: Sequence[Scores]) -> None:
    if len(first) != len(second):
        raise InputError(
            f"the first system was scored on {len(first)} documents and the second on {len(second)}; "
            "only scores of the same documents, in the same order, can be compared"
        )
    for number, pair in enumerate(zip(first, second, strict=True)):
        n_first, n_second = (row.micro.tp + row.micro.half + row.micro.fn for row in pair)
        if n_first != n_second:
            raise InputError(
                f"document number {number}: {n_first} gold entities in the scores of the first system, "
                f"{n_second} in those of the second; only scores of the same documents, in the same order, "
                "can be compared"
            )


def _batches(rounds: int) -> Iterator[int]:
    for done in range(0, rounds, _BATCH):
        yield min(_BATCH, rounds - done)


def _swap(
    one: NDArray[np.int64], two: NDArray[np.int64], n_rounds: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Differences of F1 after random swaps: (n_rounds,)."""
    swaps = rng.integers(2, size=(n_rounds, len(one)), dtype=np.int8).astype(np.float64)
    # A swap moves a document's counts from one system to the other.
    moved = swaps @ (two - one)
    return _f1(one.sum(axis=0) + moved) - _f1(two.sum(axis=0) - moved)


def _redraw(
    one: NDArray[np.int64], two: NDArray[np.int64], n_rounds: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Differences of F1 over documents drawn with replacement: (n_rounds,)."""
    draws = rng.multinomial(len(one), [1 / len(one)] * len(one), size=n_rounds).astype(np.float64)
    return _f1(draws @ one) - _f1(draws @ two)


def _f1(fractions: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
    """Micro F1 from summed fractions, 0 where there is no entity: (..., 2) to (...)."""
    doubled, entities = fractions[..., 0], fractions[..., 1]
    return np.divide(doubled, entities, out=np.zeros(entities.shape), where=entities > 0)
