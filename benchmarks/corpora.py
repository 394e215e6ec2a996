"""Read every corpus of the catalog, count it, compare it with all others; time and memory of both.

    OPENMED_NER_CORPORA=… python benchmarks/corpora.py

One run. The last line is JSON; it is also what the tables of docs/corpora.md are made from.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict

from common import peak_megabytes
from openmed_ner.bundle.record import provenance
from openmed_ner.corpora import CATALOG, load_split
from openmed_ner.corpora.overlap import find_overlaps
from openmed_ner.corpora.statistics import describe_split


def main() -> None:
    begin = time.perf_counter()
    splits = [load_split(name, split) for name, corpus in CATALOG.items() for split in corpus.splits]
    reading = time.perf_counter() - begin
    begin = time.perf_counter()
    overlaps = find_overlaps({f"{each.corpus.name}/{each.name}": each.documents for each in splits})
    comparing = time.perf_counter() - begin
    peak = peak_megabytes()
    for each in splits:
        print(each.corpus.name, each.name, len(each.documents), flush=True)
    record = {
        "benchmark": "corpora",
        "seconds": {"reading": reading, "comparing": comparing},
        "peak_megabytes": peak,
        "splits": [describe_split(each) for each in splits],
        "overlaps": [asdict(each) for each in overlaps],
        **provenance(),
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main()
