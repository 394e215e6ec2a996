"""Time scoring, bootstrap and paired test on 5,000 documents with 100,000 gold and predicted mentions.

    python benchmarks/evaluation.py [--documents 5000] [--rounds 3]

Medians of the rounds. The last line is JSON.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable
from typing import get_args

from common import make_parser
from openmed_ner.bundle.record import provenance
from openmed_ner.evaluation import MatchMode, bootstrap_f1, paired_randomisation, score_documents
from openmed_ner.text import Document, Span

MENTIONS, LENGTH = 20, 2_000
LABELS = ("Disease", "Chemical", "Gene")


def make_documents(n: int, seed: int) -> list[Document]:
    """Texts of one letter with random mentions of up to 30 characters, which may nest and overlap."""
    rng = random.Random(seed)
    documents = []
    for number in range(n):
        starts = (rng.randrange(LENGTH - 30) for _ in range(MENTIONS))
        spans = tuple(Span(start, start + rng.randint(1, 30), rng.choice(LABELS)) for start in starts)
        documents.append(Document(str(number), "x" * LENGTH, spans))
    return documents


def blend(gold: list[Document], other: list[Document]) -> list[Document]:
    """Predictions with half of the gold spans."""
    half = MENTIONS // 2
    return [one.with_spans(one.spans[:half] + two.spans[half:]) for one, two in zip(gold, other, strict=True)]


def measure(action: Callable[[], object], rounds: int) -> float:
    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--documents", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    gold = make_documents(options.documents, 0)
    predicted, second = (blend(gold, make_documents(options.documents, seed)) for seed in (1, 2))
    seconds = {
        f"score, {mode}": measure(
            lambda mode=mode: score_documents(gold, predicted, mode=mode), options.rounds
        )
        for mode in get_args(MatchMode)
    }

    one, two = (score_documents(gold, documents) for documents in (predicted, second))
    seconds["bootstrap, 1,000 rounds"] = measure(lambda: bootstrap_f1(one), options.rounds)
    seconds["paired test, 10,000 rounds"] = measure(lambda: paired_randomisation(one, two), options.rounds)
    for name, value in seconds.items():
        print(f"{name}: {value:.2f} s", flush=True)

    sizes = {
        "documents": options.documents,
        "mentions": options.documents * MENTIONS,
        "rounds": options.rounds,
    }
    print(json.dumps({"benchmark": "evaluation", "seconds": seconds, **sizes, **provenance()}))


if __name__ == "__main__":
    main()
