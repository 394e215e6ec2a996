"""Score the embedded model without its lexicon, without document-level decoding, and without both.

    OPENMED_NER_CORPORA=DIR python benchmarks/effects.py [BUNDLE] [--split test]

The weights stay the same: without the lexicon, no word has the tag of a name. A model that was trained
without a lexicon might do better than this one does without it. Each head is scored on its own corpus. The
last line is JSON.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from common import make_parser
from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.bundle.record import describe_bundle, read_training_splits
from openmed_ner.evaluation.gold import load_gold
from openmed_ner.evaluation.summary import summarise
from openmed_ner.inference.loading import load_models
from openmed_ner.inference.tagger import Tagger, embedded_bundle

CORPORA = (
    "ncbi-disease",
    "bc5cdr-chemical",
    "bc5cdr-disease",
    "chemprot",
    "bc2gm",
    "jnlpba",
    "linnaeus",
    "species-800",
    "anatem",
    "bionlp13-cg",
    "cll",
    "gellus",
)
PARTS = {
    "neither": (False, False),
    "document": (False, True),
    "lexicon": (True, False),
    "both": (True, True),
}
KEPT = ("corpus", "parts", "documents", "micro", "seen", "unseen")
"""Entries of a score that the results keep."""


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("bundle", nargs="?", type=Path, default=embedded_bundle(), help="folder of a bundle")
    parser.add_argument("--split", default="test", choices=("dev", "test"))
    parser.add_argument("--corpus", action="append", help="corpus to score on; repeatable")
    arguments = parser.parse_args()

    bundle = open_bundle(arguments.bundle)
    taggers = {name: load_part(bundle, *parts) for name, parts in PARTS.items()}
    training_splits = read_training_splits(bundle)
    results = []
    for corpus in arguments.corpus or CORPORA:
        gold = load_gold(corpus, arguments.split, training_splits)
        for name, tagger in taggers.items():
            predicted = list(tagger.pipe(gold.documents, corpora=[corpus]))
            summary = summarise(gold.documents, predicted, training=gold.training, corpus=corpus, parts=name)
            results.append({key: summary[key] for key in KEPT if key in summary})
            print(f"{corpus}, {name}: F1 {100 * summary['micro']['f1']:.2f}", flush=True)

    origin = {"split": arguments.split, **describe_bundle(bundle)}
    print(json.dumps({"benchmark": "effects", **origin, "results": results}))


def load_part(bundle: Bundle, lexicon: bool, document: bool) -> Tagger:
    """Load a bundle with or without its lexicon and document-level decoding."""
    manifest = bundle.manifest if document else replace(bundle.manifest, document_decoding={})
    loaded = load_models([bundle], backend=None, threads=None, workers=None, device="cpu")
    return Tagger(
        manifest,
        loaded.tokenizer,
        loaded.parts,
        backend=manifest.backend or "",
        workers=loaded.workers,
        multiple=loaded.multiple,
        matcher=loaded.matcher if lexicon else None,
    )


if __name__ == "__main__":
    main()
