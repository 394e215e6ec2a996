"""Read, count and compare all corpora of the catalog; measure time and memory.

    OPENMED_NER_CORPORA=… python benchmarks/corpora.py

One run. The last line is JSON, from which the tables of docs/corpora.md are made.
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
    overlaps = find_overlaps({f"{split.corpus.name}/{split.name}": split.documents for split in splits})
    comparing = time.perf_counter() - begin
    peak = peak_megabytes()

    for split in splits:
        print(split.corpus.name, split.name, len(split.documents), flush=True)
    record = {
        "benchmark": "corpora",
        "seconds": {"reading": reading, "comparing": comparing},
        "peak_megabytes": peak,
        "splits": [describe_split(split) for split in splits],
        "overlaps": [asdict(overlap) for overlap in overlaps],
        **provenance(),
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main()
