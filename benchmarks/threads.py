"""How to divide the threads of a machine: batches side by side, threads for each, and the size of a batch.

    python benchmarks/threads.py [BUNDLE] [--rounds 5] [--data FILE.jsonl]

One process tags the same documents in every layout, one after the other in each round, so that a machine
whose speed drifts treats all alike. The ratio is to the default layout of the same round. Every layout must
give the same entities. Texts are the example abstracts in pairs, unless --data names others. The output is
JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common import load_texts, make_parser
from openmed_ner.bundle.record import provenance
from openmed_ner.inference.backends import usable_cores
from openmed_ner.inference.tagger import Tagger, embedded_bundle
from openmed_ner.tagging.prediction import BUDGET
from openmed_ner.text import Document

BUDGETS = (BUDGET // 2, 2 * BUDGET, 4 * BUDGET)
"""Subwords of a batch, besides the default."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A division of threads, and the size of a batch."""

    threads: int
    workers: int
    subwords: int

    def load(self, bundle: Path) -> Tagger:
        """Load a tagger that computes in this layout."""
        tagger = Tagger.load(bundle, threads=self.threads, workers=self.workers)
        tagger._reader = replace(tagger._reader, budget=self.subwords)
        return tagger


def list_layouts(cores: int) -> list[Layout]:
    """Divisions of all cores, then other sizes of batches, then one core; the default is the first."""
    workers = [number for number in range(cores, 0, -1) if cores % number == 0]
    layouts = [Layout(cores, number, BUDGET) for number in workers]
    layouts += [Layout(cores, cores, subwords) for subwords in BUDGETS]
    return [*layouts, *([Layout(1, 1, BUDGET)] if cores > 1 else [])]


def measure(taggers: Sequence[Tagger], texts: Sequence[str], rounds: int) -> list[list[float]]:
    """Documents per second of each tagger in each round, after a round that does not count.

    Raises:
        AssertionError: two layouts give different entities.
    """
    rates: list[list[float]] = [[] for _ in taggers]
    expected: list[Document] | None = None
    for number in range(rounds + 1):
        for tagger, row in zip(taggers, rates, strict=True):
            begin = time.perf_counter()
            result = list(tagger.pipe(texts))
            if number:
                row.append(len(texts) / (time.perf_counter() - begin))
            assert expected is None or result == expected
            expected = result
        print(f"round {number}", [round(row[-1], 1) for row in rates if row], file=sys.stderr, flush=True)
    return rates


def describe(layout: Layout, rates: Sequence[float], reference: Sequence[float]) -> dict[str, Any]:
    """Medians over the rounds, and the range of the ratio to the default layout."""
    ratios = sorted(rate / base for rate, base in zip(rates, reference, strict=True))
    return {
        "threads": layout.threads,
        "workers": layout.workers,
        "subwords": layout.subwords,
        "documents_per_second": statistics.median(rates),
        "ratio": statistics.median(ratios),
        "ratio_range": [ratios[0], ratios[-1]],
    }


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("bundle", type=Path, nargs="?", default=embedded_bundle())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()

    texts = load_texts(options.data)
    layouts = list_layouts(usable_cores())
    taggers = [layout.load(options.bundle) for layout in layouts]
    rates = measure(taggers, texts, options.rounds)
    result = {
        "benchmark": "threads",
        "bundle": taggers[0].manifest.name,
        "documents": len(texts),
        "rounds": options.rounds,
        "layouts": [describe(layout, row, rates[0]) for layout, row in zip(layouts, rates, strict=True)],
        **provenance(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
