"""Time of tagging by stage, on one thread, one stage after the other.

    python benchmarks/stages.py [BUNDLE ...] [--rounds 5] [--data FILE.jsonl]

Reading makes tokens and windows, the model is the runtime's work on full batches, decoding makes words, tags
and spans of all heads. In use the stages overlap. The floor is the time of the model's multiplications and
additions at the rate at which this thread multiplies large matrices in half precision. Texts are the example
abstracts in pairs, unless --data names others. The last line is JSON.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from common import count_flops, load_texts, make_parser
from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.bundle.record import provenance
from openmed_ner.inference.backends import Backend, length_multiple, load_backends
from openmed_ner.inference.tagger import embedded_bundle
from openmed_ner.model.bundles import make_reader
from openmed_ner.tagging import WindowReader
from openmed_ner.tagging.prediction import compute_scores, iter_with_last
from openmed_ner.tagging.viterbi import DocumentDecoder
from openmed_ner.training.study.cost import multiply_rate


def measure(texts: Sequence[str], reader: WindowReader, backend: Backend) -> dict[str, float]:
    """Seconds of each stage."""
    clock = [time.perf_counter()]
    windows = [list(reader.windows(text)) for text in texts]
    clock.append(time.perf_counter())

    flat = [window for group in windows for window in group]
    scores = iter(compute_scores(flat, backend.run, reader))
    clock.append(time.perf_counter())

    for text, group in zip(texts, windows, strict=True):
        decoder = DocumentDecoder(text, reader.heads)
        for window, last in iter_with_last(group):
            decoder.add(window, next(scores), last=last)
    clock.append(time.perf_counter())

    names = "reading", "model", "decoding"
    return {name: after - before for name, before, after in zip(names, clock, clock[1:], strict=False)}


def profile(bundle: Bundle, texts: Sequence[str], *, rounds: int, tflops: float) -> dict[str, Any]:
    """Milliseconds per document: medians over rounds, after a warm-up."""
    manifest = bundle.manifest
    (backend,), _ = load_backends([bundle], backend=None, threads=1, workers=1)
    reader = replace(make_reader(bundle), multiple=length_multiple([backend]))
    results = [measure(texts, reader, backend) for _ in range(rounds + 1)][1:]
    subwords = sum(len(window.ids) + 2 for text in texts for window in reader.windows(text)) / len(texts)
    return {
        "bundle": manifest.name,
        "precision": manifest.precision,
        "backend": manifest.backend,
        "subwords": subwords,
        "milliseconds": {
            name: 1000 * statistics.median(row[name] for row in results) / len(texts) for name in results[0]
        },
        "floor": 1000 * subwords * count_flops(bundle) / tflops / 1e12,
    }


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("bundles", type=Path, nargs="*", default=[embedded_bundle()])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()

    torch.set_num_threads(1)
    texts = load_texts(options.data)
    tflops = multiply_rate(1024, 1024, 1024)
    rows = []
    for folder in options.bundles:
        rows.append(profile(open_bundle(folder), texts, rounds=options.rounds, tflops=tflops))
        print(rows[-1], flush=True)

    result = {
        "benchmark": "stages",
        "documents": len(texts),
        "rounds": options.rounds,
        "matrix_multiply_tflops": tflops,
        "bundles": rows,
        **provenance(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
