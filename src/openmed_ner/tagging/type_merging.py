"""One layer of an entity type out of the layers of several guidelines.

Corpora that annotate the same type disagree about its meaning and its boundaries. A user of types needs one
answer. Spans are accepted in an order of preference, and a span that overlaps an accepted one is left out.
Nothing is cut, joined or moved, and each span keeps the name of its guideline.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from openmed_ner.text import Span

Rule = Literal["score", "fill", "first"]
RULES: tuple[Rule, ...] = get_args(Rule)


@dataclass(frozen=True, slots=True)
class TypeMerge:
    """A rule to make one layer out of the layers of a type.

    Attributes:
        order: the guidelines, the preferred one first.
        rule: ``score`` prefers the span with the higher score, from any guideline; ``fill`` accepts all spans
            of the first guideline, then spans of the next that overlap none of them; ``first`` accepts spans
            of the first guideline only.
        threshold: lowest score of a span in the result, 0 to 1.
    """

    order: tuple[str, ...]
    rule: Rule = "score"
    threshold: float = 0.0

    def __post_init__(self) -> None:
        if self.rule not in RULES or not self.order:
            raise ValueError(f"a merge needs guidelines and a rule of {', '.join(RULES)}, not {self}")
        if not 0.0 <= self.threshold <= 1.0:
            raise ValueError(f"a merge needs a threshold between 0 and 1, not {self.threshold}")

    @property
    def used(self) -> tuple[str, ...]:
        """The guidelines whose spans can be in the result, the preferred one first."""
        return self.order[:1] if self.rule == "first" else self.order

    def __call__(self, spans: Iterable[Span]) -> list[Span]:
        """Merge the spans of one type; guidelines outside :attr:`used` and low scores are left out.

        Returns:
            Spans that do not overlap, in the order of the text.
        """
        ranks = {corpus: rank for rank, corpus in enumerate(self.used)}
        ranked = [
            (span, ranks[span.corpus])
            for span in spans
            if span.corpus in ranks and (span.score or 0.0) >= self.threshold
        ]
        if self.rule == "score":
            ranked.sort(key=lambda pair: (-(pair[0].score or 0.0), pair[1], pair[0].start))
        else:
            ranked.sort(key=lambda pair: (pair[1], pair[0].start))

        accepted: list[Span] = []
        for span, _ in ranked:
            # Accepted spans do not overlap, so only the one before the place can overlap this span.
            place = bisect_left(accepted, span.end, key=lambda other: other.start)
            if place == 0 or accepted[place - 1].end <= span.start:
                accepted.insert(place, span)
        return accepted


def iter_merges(ranking: Sequence[str]) -> Iterator[TypeMerge]:
    """Yield every merge that is a candidate for selection, the simplest first.

    Args:
        ranking: the guidelines, the best one first.
    """
    yield TypeMerge(tuple(ranking[:1]), "first")
    for size in range(2, len(ranking) + 1):
        yield TypeMerge(tuple(ranking[:size]), "fill")
        yield TypeMerge(tuple(ranking[:size]), "score")
