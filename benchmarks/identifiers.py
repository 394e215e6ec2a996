"""Score the identifiers of gold mentions on public corpora, and the concepts that a model finds in documents.

    python benchmarks/identifiers.py TERMINOLOGIES --work runs/identifiers -o runs/identifiers/dev.json
    python benchmarks/identifiers.py TERMINOLOGIES --work runs/identifiers --split test --end-to-end \
        -o results/identifiers.json

TERMINOLOGIES is a folder with all files of the terminologies. They are compiled twice: the files that the
package contains, and all of them. Each corpus is scored with both, by names alone and with the identifiers of
its own other splits. Thresholds and rules were chosen on dev and train splits. With --end-to-end, a bundle
also tags the documents of BC5CDR and NCBI Disease, and their sets of concepts are scored.

What is done is kept in the folder of --work, by commit and bundle, so the same command goes on after an
interruption. With --corpus, a part is done. The output has all rows that are done.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common import make_parser
from openmed_ner.bundle import open_bundle
from openmed_ner.bundle.record import describe_bundle, provenance
from openmed_ner.cli.identifiers import score_identifiers
from openmed_ner.inference.tagger import Tagger, embedded_bundle
from openmed_ner.storage import read_json, write_json
from openmed_ner.terminologies import build
from openmed_ner.terminologies.catalog import packaged_tables
from openmed_ner.terminologies.store import MANIFEST
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
PACKAGED, ALL = "packaged", "all"
FILES = (PACKAGED, ALL)
"""Files of terminologies that are compiled: those in the package, or all."""


class CachedTagger:
    """A tagger that is loaded when it is needed, and tags the documents of a corpus once."""

    def __init__(self, load: Callable[[], Tagger]) -> None:
        self._load = load
        self._tagger: Tagger | None = None
        self._tagged: dict[tuple[str, ...], list[Document]] = {}

    @property
    def corpora(self) -> Sequence[str]:
        """Corpora of the model's heads."""
        self._tagger = self._tagger or self._load()
        return self._tagger.corpora

    def pipe(
        self, documents: Sequence[Document], *, corpora: Sequence[str] = (), types: Sequence[str]
    ) -> list[Document]:
        """The documents with the spans of a head."""
        self._tagger = self._tagger or self._load()
        key = (*corpora, *types)
        if key not in self._tagged:
            self._tagged[key] = list(self._tagger.pipe(documents, corpora=corpora, types=types))
        return self._tagged[key]


def compile_files(sources: Path, work: Path) -> dict[str, Path]:
    """Compile the files of the package and all files, each unless it was done."""
    folders = {PACKAGED: work / PACKAGED, ALL: work / ALL}
    for files, folder in folders.items():
        if not (folder / MANIFEST).exists():
            print(f"compiling {files}", flush=True)
            build([packaged_tables() if files == PACKAGED else sources], folder)
    return folders


def score(
    name: str, label: str, within: Sequence[str], folder: Path, options: argparse.Namespace, tagger: Any
) -> list[dict[str, Any]]:
    """Rows of a corpus and a type: by names alone, and with the identifiers of its own other splits."""
    return [
        row
        for learnt in ((), LEARNT[options.split])
        for row in score_identifiers(
            [name],
            options.split,
            str(folder),
            learnt=learnt,
            tagger=tagger,
            within=within,
            types=[label],
            limit=options.limit,
        )
    ]


def parse() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("sources", type=Path, help="folder with all files of the terminologies")
    parser.add_argument("--work", type=Path, required=True, help="folder for what is compiled and done")
    parser.add_argument("--split", choices=LEARNT, default="dev")
    parser.add_argument("--corpus", action="append", help="corpus to score (default: all); repeatable")
    parser.add_argument("--files", choices=FILES, action="append", help="files to score with (default: both)")
    parser.add_argument("--end-to-end", action="store_true", help="also score concepts that a bundle finds")
    parser.add_argument("--bundle", type=Path, help="bundle that tags (default: the embedded one)")
    parser.add_argument("--limit", type=int, help="documents of each corpus to score (default: all)")
    parser.add_argument("-o", "--output", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    options = parse()
    origin = provenance()
    bundle = open_bundle(options.bundle or embedded_bundle()) if options.end_to_end else None
    tagger = CachedTagger(lambda: Tagger.load(bundle)) if bundle else None
    work = options.work / str(origin["commit"])[:8]
    folders = compile_files(options.sources, work)

    parts: list[Mapping[str, Any]] = []
    for name, label, within in SCORED:
        for files in FILES:
            tagged = tagger if name in END_TO_END else None
            system = bundle.sha256[:8] if bundle and tagged else "gold"
            done = work / f"{options.split}-{options.limit or 'all'}-{system}"
            path = done / f"{name}-{label}-{files}.json"
            wanted = name in (options.corpus or [name]) and files in (options.files or [files])
            if wanted and not path.exists():
                begin = time.process_time()
                rows = score(name, label, within, folders[files], options, tagged)
                rows = [{"files": files, "commit": origin["commit"], **row} for row in rows]
                done.mkdir(exist_ok=True)
                write_json(path, {"results": rows, "seconds": round(time.process_time() - begin, 1)})
            if path.exists():
                parts.append(read_json(path))

    record = {
        "results": [row for part in parts for row in part["results"]],
        "bundle": describe_bundle(bundle) if bundle else None,
        "sources": {files: read_json(folder / MANIFEST)["sources"] for files, folder in folders.items()},
        "seconds": round(sum(part["seconds"] for part in parts), 1),
        **origin,
    }
    write_json(options.output, record)


if __name__ == "__main__":
    main()
