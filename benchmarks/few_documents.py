"""Measure what 10, 30, 100 or 300 annotated documents give on types that the start has not learnt.

    python benchmarks/few_documents.py START [--corpus maccrobat] [--types A,B] [--sizes 10,30,100]

``openmed-ner train --start START`` runs as for a user's own documents, with its default settings. Documents
are drawn from the training split. A fifth of them selects the epoch, the others are trained on. The model
is then scored on the test split, which nothing else reads. START must not have been trained on the corpus.
Needs the archive of the corpus (``OPENMED_NER_CORPORA``). The last line is JSON.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common import make_parser
from openmed_ner.bundle import open_bundle
from openmed_ner.bundle.record import provenance
from openmed_ner.corpora.split import load_split
from openmed_ner.evaluation import bootstrap_f1, score_documents, total
from openmed_ner.evaluation.summary import describe
from openmed_ner.formats import write_documents
from openmed_ner.inference.tagger import Tagger
from openmed_ner.text import Document

TYPES = "Symptom,Test,Procedure,LabValue,Dosage,Severity"
HEAD = "train"
"""Name of the head: that of the file of training documents."""


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("start", type=Path, help="folder of the bundle to start from")
    parser.add_argument("--corpus", default="maccrobat", help="corpus of the documents")
    parser.add_argument("--types", default=TYPES, help="entity types to learn, separated by commas")
    parser.add_argument("--sizes", default="10,30,100", help="numbers of documents, separated by commas")
    parser.add_argument("--seeds", type=int, default=2, help="draws of documents for each number")
    arguments = parser.parse_args()

    start = open_bundle(arguments.start)
    if arguments.corpus in (head.corpus for head in start.manifest.heads):
        parser.error(f"{start.manifest.name} was trained on {arguments.corpus}")
    types = frozenset(arguments.types.split(","))
    pool, gold = (_read(arguments.corpus, split, types) for split in ("train", "test"))

    runs = []
    for size in map(int, arguments.sizes.split(",")):
        for seed in range(arguments.seeds):
            drawn = random.Random(seed).sample(pool, size)
            with tempfile.TemporaryDirectory() as folder:
                seconds = _train(drawn, Path(folder), arguments.start, seed)
                scores = _score(Path(folder, "run/bundle"), gold)
            mentions = sum(len(document.spans) for document in drawn)
            runs.append({"documents": size, "seed": seed, "mentions": mentions, "seconds": seconds, **scores})
            print(runs[-1], flush=True)

    record = {
        "benchmark": "few documents",
        **provenance(),
        "start": {"bundle": start.manifest.name, "sha256": start.sha256},
        "corpus": arguments.corpus,
        "types": sorted(types),
        "test_documents": len(gold),
        "runs": runs,
    }
    print(json.dumps(record))


def _read(corpus: str, split: str, types: frozenset[str]) -> list[Document]:
    return [
        document.with_spans(span for span in document.spans if span.label in types)
        for document in load_split(corpus, split).documents
    ]


def _train(documents: Sequence[Document], folder: Path, start: Path, seed: int) -> float:
    """Train as a user would, and return the seconds that it took."""
    n_dev = len(documents) // 5
    write_documents(documents[:n_dev], folder / "dev.jsonl")
    write_documents(documents[n_dev:], folder / f"{HEAD}.jsonl")
    command = [sys.executable, "-m", "openmed_ner", "train", "--seed", str(seed), "--start", str(start)]
    command += ["--data", f"{folder / HEAD}.jsonl", "--dev", f"{folder / 'dev.jsonl'}"]

    begin = time.perf_counter()
    subprocess.run([*command, "--json", "-o", f"{folder / 'run'}"], check=True, stdout=subprocess.DEVNULL)
    return round(time.perf_counter() - begin, 1)


def _score(folder: Path, gold: Sequence[Document]) -> dict[str, object]:
    tagger = Tagger.load(open_bundle(folder))
    tagged = tagger.pipe((document.text for document in gold), corpora=[HEAD])
    scores = score_documents(
        gold, [document.with_spans(result.spans) for document, result in zip(gold, tagged, strict=True)]
    )
    counts = total(scores)
    return {
        "micro": {**describe(counts.micro), "ci95": bootstrap_f1(scores)},
        "per_label": {label: describe(row) for label, row in sorted(counts.per_label.items())},
    }


if __name__ == "__main__":
    main()
