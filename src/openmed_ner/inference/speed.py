"""The speed of a tagger on this machine: many documents, single documents, and the time to the first one."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from openmed_ner.inference.tagger import Tagger

N_SINGLE = 20
"""Documents that are tagged one by one, in each round."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Measured speed; medians over the rounds.

    Attributes:
        documents: number of documents in a round.
        subwords: number of subwords in these documents, without special ones and overlaps.
        rounds: number of rounds.
        start_up: seconds until the first document is tagged, loading included.
        seconds: time for all documents together.
        p50: milliseconds for one document alone, median of all rounds.
        p99: milliseconds for one document alone, exceeded by one in a hundred.
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
        """Documents tagged per second, many together."""
        return self.documents / self.seconds

    @property
    def subwords_per_second(self) -> float:
        """Subwords read per second, many documents together."""
        return self.subwords / self.seconds

    def to_json(self) -> dict[str, Any]:
        """All fields and both rates, ready for JSON."""
        rates = {name: getattr(self, name) for name in ("documents_per_second", "subwords_per_second")}
        return {**asdict(self), **rates}


def measure_speed(
    load: Callable[[], Tagger], texts: Sequence[str], *, rounds: int = 5
) -> tuple[Speed, Tagger]:
    """Load a tagger and time it.

    Args:
        load: makes the tagger.
        texts: at least one text.
        rounds: number of times that all texts are tagged.

    Returns:
        The speed, and the tagger.
    """
    begin = time.perf_counter()
    tagger = load()
    tagger(texts[0], layers=True)
    start_up = time.perf_counter() - begin

    batched, single = [], []
    for _ in range(rounds):
        begin = time.perf_counter()
        for _ in tagger.pipe(texts, layers=True):
            pass
        batched.append(time.perf_counter() - begin)
        for text in texts[:N_SINGLE]:
            begin = time.perf_counter()
            tagger(text, layers=True)
            single.append(1000 * (time.perf_counter() - begin))

    subwords = sum(len(piece.ids) for text in texts for piece in tagger.tokenizer.iter_encodings(text))
    p99 = statistics.quantiles(single, n=100, method="inclusive")[98] if len(single) > 1 else single[0]
    seconds = statistics.median(batched)
    return Speed(len(texts), subwords, rounds, start_up, seconds, statistics.median(single), p99), tagger
