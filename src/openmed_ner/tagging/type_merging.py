"""One layer of an entity type out of the layers of several guidelines.

Corpora that annotate the same type disagree about what counts and where it ends. Who thinks in types wants
one answer: spans are taken in an order of preference, and one that overlaps a span already taken is
left out. Nothing is cut, joined or moved, and each span keeps the name of its guideline.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Literal, get_args

from openmed_ner.text import Span

Rule = Literal["score", "fill", "first"]
RULES: tuple[Rule, ...] = get_args(Rule)
MANY = 4
"""Guidelines of one type from which not every order is a candidate, only who comes first."""


@dataclass(frozen=True, slots=True)
class TypeMerge:
    """How the layers of a type become one.

    Attributes:
        order: the guidelines, the preferred one first.
        rule: ``score`` prefers the span with the higher score, whoever it is from; ``fill`` takes all spans
            of the first guideline, and of the next what overlaps none of them; ``first`` takes the first
            guideline's only.
    """

    order: tuple[str, ...]
    rule: Rule = "score"

    def __post_init__(self) -> None:
        if self.rule not in RULES or not self.order:
            raise ValueError(f"a merge needs guidelines and a rule of {', '.join(RULES)}, not {self}")

    def __call__(self, spans: Iterable[Span]) -> list[Span]:
        """TypeMerge the spans of one type; those of guidelines outside ``order`` are left out.

        Returns:
            Spans that do not overlap, in the order of the text.
        """
        ranks = {
            corpus: rank for rank, corpus in enumerate(self.order[: 1 if self.rule == "first" else None])
        }
        own = [(span, ranks[span.corpus]) for span in spans if span.corpus in ranks]
        if self.rule == "score":
            own.sort(key=lambda each: (-(each[0].score or 0.0), each[1], each[0].start))
        else:
            own.sort(key=lambda each: (each[1], each[0].start))
        taken: list[Span] = []
        for span, _ in own:
            place = bisect_left(taken, span.end, key=lambda other: other.start)
            if place == 0 or taken[place - 1].end <= span.start:
                taken.insert(place, span)
        return taken


def iter_merges(corpora: Sequence[str]) -> Iterator[TypeMerge]:
    """Every merge to choose from on dev."""
    yield TypeMerge(tuple(corpora))
    orders = (
        permutations(corpora)
        if len(corpora) < MANY
        else ((first, *(each for each in corpora if each != first)) for first in corpora)
    )
    yield from (TypeMerge(tuple(order), "fill") for order in orders)
    yield from (TypeMerge((corpus,), "first") for corpus in corpora)
