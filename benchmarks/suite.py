"""Peak memory of a suite of adapters over one backbone, against one of its adapters alone.

    python benchmarks/suite.py FOLDER

FOLDER holds adapter bundles. Each measurement loads its bundles in its own process and tags the example
abstracts with all heads. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import openmed_ner
from common import make_parser, peak_megabytes
from openmed_ner.bundle.record import provenance
from openmed_ner.bundle.suite import open_bundles
from openmed_ner.data import read_examples


def measure(folder: str) -> dict[str, float]:
    begin = time.perf_counter()
    tagger = openmed_ner.load(folder)
    loaded = time.perf_counter()
    documents = list(tagger.pipe(read_examples(), layers=True))
    return {
        "heads": len(tagger.corpora),
        "spans": sum(len(document.spans) for document in documents),
        "start_up_seconds": loaded - begin,
        "seconds": time.perf_counter() - loaded,
        "peak_megabytes": peak_megabytes(),
    }


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(str(options.folder))))
        return

    bundles = open_bundles(options.folder)
    rows = {}
    for name, folder in (("one adapter", bundles[0].folder), ("all adapters", options.folder)):
        command = [sys.executable, __file__, "--measure", str(folder)]
        rows[name] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(name, rows[name], flush=True)

    ratio = rows["all adapters"]["peak_megabytes"] / rows["one adapter"]["peak_megabytes"]
    result = {"benchmark": "suite", "adapters": len(bundles), "ratio": ratio, "measured": rows}
    print(json.dumps({**result, **provenance()}))


if __name__ == "__main__":
    main()
