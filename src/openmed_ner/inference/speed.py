"""How fast a tagger is on this machine: many documents, one document, and how long until the first."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from openmed_ner.inference.tagger import Tagger

ALONE = 20
"""Documents that are tagged one by one, in each round."""


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured; medians over the rounds.

    Attributes:
        documents: of a round.
        subwords: of these, special ones and overlaps not counted.
        rounds: how often.
        start_up: seconds until the first document is tagged, loading included.
        seconds: for all documents together.
        p50: milliseconds for one document alone, the median of all rounds.
        p99: the same, of which one in a hundred takes longer.
    """

    documents: int
    subwords: int
    rounds: int
    start_up: float
    seconds: float
    p50: float
    p99: float

    @property
    def documents_per_second(self) -> float:
        """Documents tagged in a second, many together."""
        return self.documents / self.seconds

    @property
    def subwords_per_second(self) -> float:
        """Subwords read in a second, many documents together."""
        return self.subwords / self.seconds

    def to_json(self) -> dict[str, Any]:
        """All of it, for a program."""
        rates = {name: getattr(self, name) for name in ("documents_per_second", "subwords_per_second")}
        return {**asdict(self), **rates}


def measure_speed(
    load: Callable[[], Tagger], texts: Sequence[str], *, rounds: int = 5
) -> tuple[Speed, Tagger]:
    """Load a tagger and time it.

    Args:
        load: makes the tagger.
        texts: at least one.
        rounds: how often all of them are tagged.

    Returns:
        What was measured, and the tagger.
    """
    begin = time.perf_counter()
    tagger = load()
    tagger(texts[0])
    start_up = time.perf_counter() - begin
    together, alone = [], []
    for _ in range(rounds):
        begin = time.perf_counter()
        for _ in tagger.pipe(texts):
            pass
        together.append(time.perf_counter() - begin)
        for text in texts[:ALONE]:
            begin = time.perf_counter()
            tagger(text)
            alone.append(1000 * (time.perf_counter() - begin))
    subwords = sum(len(piece.ids) for text in texts for piece in tagger.tokenizer.iter_encodings(text))
    p99 = statistics.quantiles(alone, n=100, method="inclusive")[98] if len(alone) > 1 else alone[0]
    seconds = statistics.median(together)
    return Speed(len(texts), subwords, rounds, start_up, seconds, statistics.median(alone), p99), tagger
