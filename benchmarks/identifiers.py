"""Score the identifiers of gold mentions on public corpora, and of the mentions that a model finds.

    python benchmarks/identifiers.py COMPILED --split dev -o results/identifiers.json

COMPILED is a folder of compiled terminologies without learnt identifiers. Each corpus is scored twice: with
names alone, and with the identifiers of its own other splits. Thresholds and rules were chosen on dev and
train splits. With --end-to-end, documents of BC5CDR and NCBI Disease are tagged by a bundle, too, and their
sets of concepts are scored. With --keep, rows of the output that this run does not make stay, with their
commit.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from openmed_ner.bundle import open_bundle
from openmed_ner.bundle.record import describe_bundle, provenance
from openmed_ner.cli.identifiers import score_identifiers
from openmed_ner.inference.tagger import Tagger, embedded_bundle
from openmed_ner.storage import read_json, sha256_file, write_json
from openmed_ner.text import Document

GENES = ("NCBIGene", "MGI", "RGD")
SCORED = (
    ("bc5cdr-disease", "Disease", ("MESH",)),
    ("bc5cdr-chemical", "Chemical", ("MESH",)),
    ("ncbi-disease", "Disease", ("MESH", "OMIM")),
    ("biored", "Disease", ("MESH", "OMIM")),
    ("biored", "Chemical", ("MESH",)),
    ("biored", "Species", ("NCBITaxon",)),
    ("biored", "Gene", GENES),
    ("biored", "CellLine", ()),
    ("linnaeus", "Species", ("NCBITaxon",)),
    ("species-800", "Species", ("NCBITaxon",)),
    ("nlm-gene", "Gene", GENES),
    ("gnormplus", "Gene", GENES),
)
"""Corpora with a type, and the terminologies to link to: the annotators', and those of further species."""
LEARNT = {"test": ("train", "dev"), "dev": ("train",)}


END_TO_END = ("bc5cdr-disease", "bc5cdr-chemical", "ncbi-disease")
"""Corpora whose documents are also tagged: every mention of their type is annotated with identifiers."""


class CachedTagger:
    """A tagger that tags the documents of a corpus once."""

    def __init__(self, tagger: Tagger) -> None:
        self.corpora = tagger.corpora
        self._tagger = tagger
        self._tagged: dict[tuple[str, ...], list[Document]] = {}

    def pipe(
        self, documents: Sequence[Document], *, corpora: Sequence[str], types: Sequence[str]
    ) -> list[Document]:
        """The documents with the spans of a head."""
        key = (*corpora, *types)
        if key not in self._tagged:
            self._tagged[key] = list(self._tagger.pipe(documents, corpora=corpora, types=types))
        return self._tagged[key]


def keep_rows(earlier: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Rows of a run and those of an earlier record that it did not make, in the order of ``SCORED``."""
    rows = {
        (row["corpus"], row["type"], bool(row["learnt"])): {"commit": earlier.get("commit"), **row}
        for row in (*earlier["results"], *results)
    }
    order = [(name, label, learnt) for name, label, _ in SCORED for learnt in (False, True)]
    return [rows[place] for place in order if place in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("compiled", help="folder of compiled terminologies")
    parser.add_argument("--split", choices=LEARNT, default="dev")
    parser.add_argument("--corpus", action="append", help="corpus to score (default: all); repeatable")
    parser.add_argument("--end-to-end", action="store_true", help="also score concepts that a bundle finds")
    parser.add_argument("--bundle", type=Path, help="bundle that tags (default: the embedded one)")
    parser.add_argument("--keep", action="store_true", help="keep other rows of the output")
    parser.add_argument("--limit", type=int, help="documents of each corpus to score (default: all)")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()

    bundle = open_bundle(arguments.bundle or embedded_bundle()) if arguments.end_to_end else None
    tagger = CachedTagger(Tagger.load(bundle)) if bundle else None
    results = []
    begin = time.process_time()
    for name, label, within in SCORED:
        if arguments.corpus and name not in arguments.corpus:
            continue
        for learnt in ((), LEARNT[arguments.split]):
            results += score_identifiers(
                [name],
                arguments.split,
                arguments.compiled,
                learnt=learnt,
                tagger=tagger if name in END_TO_END else None,  # type: ignore[arg-type]
                within=within,
                types=[label],
                limit=arguments.limit,
            )
    manifest = Path(arguments.compiled, "manifest.json")
    origin = provenance()
    for row in results:
        row["commit"] = origin["commit"]
    earlier = read_json(arguments.output) if arguments.keep else {"results": [], "bundle": None}
    record = {
        "results": keep_rows(earlier, results),
        "bundle": describe_bundle(bundle) if bundle else earlier["bundle"],
        "sources": read_json(manifest)["sources"],
        "terminologies": sha256_file(manifest),
        "seconds": round(time.process_time() - begin, 1),
        **origin,
    }
    write_json(arguments.output, record)


if __name__ == "__main__":
    main()
