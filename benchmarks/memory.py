"""Peak memory of tagging one document, from a page to a thousand, each in a process of its own.

    python benchmarks/memory.py [--pages 2 20 200]

A page is 3,000 characters of the example abstracts. Reading must not need memory that grows with the
document beyond the text itself and the entities found. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

import openmed_ner
from common import peak_megabytes
from openmed_ner.bundle.record import provenance
from openmed_ner.examples import read_examples

PAGE = 3_000


def measure(n_pages: int) -> dict[str, float | bool]:
    page = " ".join(document.text for document in read_examples())[:PAGE]
    tagger = openmed_ner.load()
    begin = time.perf_counter()
    document = tagger(page * n_pages)
    return {
        "characters": len(document.text),
        "spans": len(document.spans),
        "windows": document.meta["coverage"]["windows"],
        "complete": document.meta["coverage"]["complete"],
        "seconds": time.perf_counter() - begin,
        "peak_megabytes": peak_megabytes(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pages", type=int, nargs="+", default=[2, 20, 200])
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    rows = {}
    for n_pages in options.pages:
        command = [sys.executable, __file__, "--measure", str(n_pages)]
        rows[n_pages] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(n_pages, rows[n_pages], flush=True)
    print(json.dumps({"benchmark": "memory", "pages": rows, **provenance()}))


if __name__ == "__main__":
    main()
