"""Prepare a pretraining set, and time its steps.

    OPENMED_NER_CORPORA=… python benchmarks/passages.py PATH… [--tokenizer minilm-l6] [--guard catalog]

One run in one process. Stages and steps are timed in seconds of CPU time, which a busy machine affects less.
A step includes its callees; reading is the rest of the pass over the files. Peak memory is read when a stage
ends. The set is written to a temporary folder and deleted. The last line is JSON.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from common import make_parser, peak_megabytes
from openmed_ner.bundle.record import provenance
from openmed_ner.model.backbones import find_backbone
from openmed_ner.training.passages import PassageSettings, Progress, prepare
from openmed_ner.training.passages import filter as passage_filter
from openmed_ner.training.passages.duplicates import NearDuplicates, WordHasher
from openmed_ner.training.passages.guard import Guard
from openmed_ner.training.passages.subwords import PassageTokenizer
from openmed_ner.training.passages.summary import summarise

seconds: Counter[str] = Counter()
STEPS = {
    "clean": (passage_filter, "clean"),
    "subwords": (PassageTokenizer, "encode"),
    "duplicates": (passage_filter, "text_digest"),
    "language": (passage_filter, "is_english"),
    "guard": (Guard, "find"),
    "hashing words": (WordHasher, "__call__"),
    "near duplicates": (NearDuplicates, "add"),
    "near duplicates of held-out pieces": (NearDuplicates, "__contains__"),
    "cutting": (passage_filter, "cut"),
}


def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        begin = time.process_time()
        try:
            return function(*arguments, **options)
        finally:
            seconds[name] += time.process_time() - begin

    return call


class Stages:
    """Seconds and peak memory of the guard, the pass over the files, and the writing."""

    def __init__(self) -> None:
        self.results: dict[str, dict[str, float]] = {}
        self._name = "start"
        self._begin = time.process_time()

    def show(self, progress: Progress) -> None:
        name = progress.stage.split()[0] if progress.stage.startswith("guard ") else "passing"
        name = "writing" if progress.stage == "writing" else name
        if name != self._name:
            self.end(name)

    def end(self, name: str) -> None:
        now = time.process_time()
        self.results[self._name] = {"seconds": now - self._begin, "peak_megabytes": peak_megabytes()}
        print(self._name, self.results[self._name], flush=True)
        self._name, self._begin = name, now


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--tokenizer", default="minilm-l6")
    parser.add_argument("--guard", default="catalog")
    options = parser.parse_args()

    tokenizer = (find_backbone(options.tokenizer) / "tokenizer.json").read_bytes().decode("utf-8")
    for name, (owner, function) in STEPS.items():
        setattr(owner, function, timed(name, getattr(owner, function)))

    stages = Stages()
    begin, computing = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(
            options.paths,
            Path(folder) / "set",
            tokenizer_json=tokenizer,
            settings=PassageSettings(guard=options.guard),
            on_progress=stages.show,
        )
        stages.end("done")
    total, computing = time.perf_counter() - begin, time.process_time() - computing

    print(*summarise(prepared)[:-1], sep="\n")
    record = {
        "benchmark": "passages",
        "seconds": total,
        "seconds_computing": computing,
        "peak_megabytes": peak_megabytes(),
        "stages": stages.results,
        "steps": dict(seconds),
        "sources": prepared.manifest["sources"],
        "without_pieces": prepared.manifest["without_pieces"],
        "total": prepared.manifest["total"],
        "guard": prepared.manifest["guard"],
        "settings": prepared.manifest["settings"],
        "shards": prepared.manifest["shards"],
        **provenance(),
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main()
