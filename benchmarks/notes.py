"""Score bundles on sixteen clinic notes, which were written and annotated for this and follow no corpus.

    python benchmarks/notes.py [BUNDLE ...]

A bundle tags with its default settings. Only the five annotated types count: predictions of other types, such
as ``Anatomy``, are ignored. ``type`` matching asks for the right label and one character in common.
The annotation guideline is in docs/evaluation.md. The last line is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from common import parse_bundles
from openmed_ner.bundle.record import provenance
from openmed_ner.evaluation import Counts, MatchMode, bootstrap_f1, score_documents, total
from openmed_ner.evaluation.errors import count_errors, find_errors
from openmed_ner.evaluation.summary import describe
from openmed_ner.formats import read_documents
from openmed_ner.inference.tagger import Tagger
from openmed_ner.storage import sha256_file
from openmed_ner.text import Document

NOTES = Path(__file__).with_suffix(".jsonl")
TYPES = ("Disease", "Chemical", "Gene", "Variant", "Species")
MODES: tuple[MatchMode, ...] = ("strict", "type")


def main() -> None:
    gold = list(read_documents(NOTES))
    systems = []
    for bundle in parse_bundles(__doc__):
        tagger = Tagger.load(bundle)
        predicted = [_annotated_types(tagger(note.text), note) for note in gold]
        print(bundle.manifest.name)
        systems.append({"bundle": bundle.manifest.name, "sha256": bundle.sha256, **_compare(gold, predicted)})

    mentions = sum(len(note.spans) for note in gold)
    sizes = {"notes": len(gold), "mentions": mentions, "gold_sha256": sha256_file(NOTES)}
    print(json.dumps({"benchmark": "notes", **sizes, **provenance(), "systems": systems}))


def _annotated_types(result: Document, note: Document) -> Document:
    return note.with_spans(span for span in result.spans if span.label in TYPES)


def _compare(gold: Sequence[Document], predicted: Sequence[Document]) -> dict[str, object]:
    """Scores per type and rule, and the number of errors of each kind; prints them."""
    rules: dict[str, object] = {}
    for mode in MODES:
        scores = score_documents(gold, predicted, mode=mode)
        per_label = total(scores).per_label
        rows = {label: describe(per_label.get(label, Counts())) for label in TYPES}
        rows["all"] = describe(total(scores).micro)
        for label, row in rows.items():
            print(f"  {mode} {label}: " + ", ".join(f"{key} {value:.4g}" for key, value in row.items()))
        rules[mode] = {"scores": rows, "interval": bootstrap_f1(scores)}

    errors = count_errors(error for pair in zip(gold, predicted, strict=True) for error in find_errors(*pair))
    print(f"  errors: {dict(errors.most_common())}")
    return {"rules": rules, "errors": dict(errors.most_common())}


if __name__ == "__main__":
    main()
