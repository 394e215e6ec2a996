"""Score the identifiers of gold mentions on public corpora.

    python benchmarks/identifiers.py COMPILED --split dev -o results/identifiers.json

COMPILED is a folder of compiled terminologies without learnt identifiers. Each corpus is scored twice: with
names alone, and with the identifiers of its own other splits. Thresholds were chosen on dev splits.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from openmed_ner.bundle.record import provenance
from openmed_ner.cli.identifiers import score_identifiers
from openmed_ner.storage import read_json, sha256_file, write_json

SCORED = (
    ("bc5cdr-disease", ("MESH",)),
    ("bc5cdr-chemical", ("MESH",)),
    ("ncbi-disease", ("MESH", "OMIM")),
    ("biored", ()),
    ("linnaeus", ()),
    ("species-800", ()),
    ("nlm-gene", ()),
    ("gnormplus", ()),
)
"""Corpora, and the terminologies that their annotators used, for those that used one of several."""
LEARNT = {"test": ("train", "dev"), "dev": ("train",)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("compiled", help="folder of compiled terminologies")
    parser.add_argument("--split", choices=LEARNT, default="dev")
    parser.add_argument("--corpus", action="append", help="corpus to score (default: all); repeatable")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()

    results = []
    begin = time.process_time()
    for name, within in SCORED:
        if arguments.corpus and name not in arguments.corpus:
            continue
        for learnt in ((), LEARNT[arguments.split]):
            results += score_identifiers(
                [name], arguments.split, arguments.compiled, learnt=learnt, within=within
            )
    manifest = Path(arguments.compiled, "manifest.json")
    record = {
        "results": results,
        "sources": read_json(manifest)["sources"],
        "terminologies": sha256_file(manifest),
        "seconds": round(time.process_time() - begin, 1),
        **provenance(),
    }
    write_json(arguments.output, record)


if __name__ == "__main__":
    main()
