"""The outputs of a model: one head for each corpus, its tags, and how these may follow each other.

A transition is forbidden or allowed, and an allowed one may have a score of its own, learned from training
documents. :mod:`openmed_ner.tagging.viterbi` decodes by these tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from openmed_ner.text import TagScheme

FloatArray = NDArray[np.float32]

MODEL_SCHEMES = (TagScheme.IOB2, TagScheme.IOBES)
"""Schemes in which any entities side by side can be written, each with its own begin."""
LARGEST = 1000
"""Largest score of a transition, far beyond any that documents give."""


@dataclass(frozen=True)
class Head:
    """The label set of one corpus and the layout of its tags.

    Attributes:
        corpus: the annotation guideline the head was trained on.
        labels: its entity types.
        scheme: tag scheme, IOB2 or IOBES.
        transitions: score of each tag (column) after each tag (row), besides being allowed; empty for none.
    """

    corpus: str
    labels: tuple[str, ...]
    scheme: TagScheme = TagScheme.IOB2
    transitions: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        if self.scheme not in MODEL_SCHEMES:
            raise ValueError(f"a head needs IOB2 or IOBES, not {self.scheme.value}")
        if not all((self.corpus, *self.labels)) or len({*self.labels}) < len(self.labels):
            raise ValueError(
                f"a head needs a corpus and different labels, not {self.corpus!r}, {self.labels}"
            )
        sizes = {len(row) for row in self.transitions} | {len(self.transitions)}
        if self.transitions and sizes != {len(self.tags)}:
            n_tags = len(self.tags)
            raise ValueError(f"{self.corpus}: transitions of {n_tags} tags need {n_tags} rows and columns")
        if not all(abs(value) <= LARGEST for row in self.transitions for value in row):
            raise ValueError(f"{self.corpus}: transitions are numbers from -{LARGEST} to {LARGEST}")

    def __hash__(self) -> int:
        # Without the transitions, which are many numbers: taggers look up tables by their heads.
        return hash((self.corpus, self.labels, self.scheme))

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """All tags, in the order of the model's outputs."""
        return self.scheme.tags(self.labels)

    @cached_property
    def transition_costs(self) -> FloatArray:
        """Cost of each tag (column) after each tag (row): 0 or minus infinity, ``(n_tags, n_tags)``."""
        same_label, other_label = _list_followers(self.scheme)
        n_positions = len(self.scheme.positions)
        numbers = np.arange(len(self.tags)) - 1
        labels, positions = numbers // n_positions, np.where(numbers < 0, 0, numbers % n_positions + 1)
        pairs = np.ix_(positions, positions)
        return _costs(np.where(labels[:, None] == labels, same_label[pairs], other_label[pairs]))

    @cached_property
    def end_costs(self) -> FloatArray:
        """Cost of each tag at the end of a text: 0 or minus infinity, ``(n_tags,)``."""
        return _costs(np.array([self.scheme.may_follow(tag, None) for tag in self.tags]))

    @cached_property
    def transition_scores(self) -> FloatArray:
        """Costs and transitions added up, ``(n_tags, n_tags)``."""
        learned = np.array(self.transitions, dtype=np.float32) if self.transitions else np.float32(0)
        scores: FloatArray = self.transition_costs + learned
        return scores


@cache
def _list_followers(scheme: TagScheme) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether a tag (column) may follow a tag (row) of its label, and of another, by their positions.

    Position 0 is that of ``O``, and the others follow in the order of the scheme.
    """

    def table(before: str, after: str) -> NDArray[np.bool_]:
        rows, columns = scheme.tags([before]), scheme.tags([after])
        return np.array([[scheme.may_follow(row, column) for column in columns] for row in rows])

    return table("x", "x"), table("x", "y")


def _costs(allowed: NDArray[np.bool_]) -> FloatArray:
    return np.where(allowed, 0.0, -np.inf).astype(np.float32)
