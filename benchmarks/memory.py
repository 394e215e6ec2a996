"""Peak memory of tagging one long document, or many documents, each run in its own process.

    python benchmarks/memory.py [BUNDLE] [--pages 2 20 200] [--documents 1000 10000 100000] [--backend NAME]

A page is 3,000 characters of the example abstracts. Many documents are these abstracts, repeated. Memory must
not grow with the text, beyond one document and its entities. Every process uses all cores. The last line is
JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

from common import make_parser, peak_megabytes
from openmed_ner.bundle import open_bundle
from openmed_ner.bundle.record import provenance
from openmed_ner.data import read_examples
from openmed_ner.inference.tagger import Tagger, embedded_bundle

PAGE = 3_000


def texts(kind: str, count: int) -> Iterator[str]:
    """One text of ``count`` pages, or ``count`` abstracts."""
    abstracts = [document.text for document in read_examples()]
    if kind == "pages":
        yield " ".join(abstracts)[:PAGE] * count
    else:
        yield from islice(cycle(abstracts), count)


def measure(bundle: Path, backend: str | None, kind: str, count: int) -> dict[str, float | bool]:
    """Tag without keeping results; runs in its own process."""
    tagger = Tagger.load(bundle, backend=backend)
    characters = spans = windows = 0
    complete = True
    begin = time.perf_counter()
    for document in tagger.pipe(texts(kind, count), layers=True):
        characters += len(document.text)
        spans += len(document.spans)
        windows += document.meta["coverage"]["windows"]
        complete &= document.meta["coverage"]["complete"]
    return {
        "characters": characters,
        "spans": spans,
        "windows": windows,
        "complete": complete,
        "seconds": time.perf_counter() - begin,
        "peak_megabytes": peak_megabytes(),
    }


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("bundle", type=Path, nargs="?", default=embedded_bundle())
    parser.add_argument("--pages", type=int, nargs="*", default=[2, 20, 200])
    parser.add_argument("--documents", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--backend")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        kind, count = options.measure
        print(json.dumps(measure(options.bundle, options.backend, kind, int(count))))
        return

    manifest = open_bundle(options.bundle).manifest
    results: dict[str, dict[int, dict[str, float]]] = {"pages": {}, "documents": {}}
    for kind, rows in results.items():
        for count in getattr(options, kind):
            command = [sys.executable, __file__, str(options.bundle), "--measure", kind, str(count)]
            command += ["--backend", options.backend] if options.backend else []
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            rows[count] = json.loads(output.splitlines()[-1])
            print(kind, count, rows[count], flush=True)

    model = {"bundle": manifest.name, "precision": manifest.precision, "heads": len(manifest.heads)}
    backend = options.backend or manifest.backend
    print(json.dumps({"benchmark": "memory", **model, "backend": backend, **results, **provenance()}))


if __name__ == "__main__":
    main()
