"""Score the identifiers of gold mentions on public corpora, and of the mentions that a model finds.

    python benchmarks/identifiers.py COMPILED --split dev -o results/identifiers.json

COMPILED is a folder of compiled terminologies without learnt identifiers. Each corpus is scored twice: with
names alone, and with the identifiers of its own other splits. Thresholds and rules were chosen on dev and
train splits. End to end, the concepts of documents are scored that were tagged beforehand:

    openmed-ner tag CORPUS.jsonl --corpora CORPUS --to jsonl -o TAGGED/CORPUS.jsonl
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from openmed_ner.bundle.record import provenance
from openmed_ner.cli.identifiers import score_identifiers
from openmed_ner.formats import read_documents
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


class TaggedDocuments:
    """Documents that a model tagged beforehand, in the place of a tagger."""

    def __init__(self, path: Path) -> None:
        self.corpora = [path.stem]
        self._documents = list(read_documents(path))

    def pipe(
        self, documents: Sequence[Document], *, corpora: Sequence[str], types: Sequence[str]
    ) -> Iterable[Document]:
        """The tagged documents, with the spans of a corpus.

        Raises:
            ValueError: they are other documents.
        """
        if [document.text for document in documents] != [document.text for document in self._documents]:
            raise ValueError(f"{corpora[0]}: other documents were tagged")
        for document in self._documents:
            yield document.with_spans(span for span in document.spans if span.corpus in corpora)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("compiled", help="folder of compiled terminologies")
    parser.add_argument("--split", choices=LEARNT, default="dev")
    parser.add_argument("--corpus", action="append", help="corpus to score (default: all); repeatable")
    parser.add_argument("--tagged", type=Path, help="folder of tagged documents, a file for each corpus")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()

    results = []
    begin = time.process_time()
    for name, label, within in SCORED:
        if arguments.corpus and name not in arguments.corpus:
            continue
        path = arguments.tagged / f"{name}.jsonl" if arguments.tagged else None
        tagger = TaggedDocuments(path) if path is not None and path.is_file() else None
        for learnt in ((), LEARNT[arguments.split]):
            results += score_identifiers(
                [name],
                arguments.split,
                arguments.compiled,
                learnt=learnt,
                tagger=tagger,  # type: ignore[arg-type]
                within=within,
                types=[label],
            )
    manifest = Path(arguments.compiled, "manifest.json")
    record = {
        "results": results,
        "bundle": read_json(arguments.tagged / "bundle.json") if arguments.tagged else None,
        "sources": read_json(manifest)["sources"],
        "terminologies": sha256_file(manifest),
        "seconds": round(time.process_time() - begin, 1),
        **provenance(),
    }
    write_json(arguments.output, record)


if __name__ == "__main__":
    main()
