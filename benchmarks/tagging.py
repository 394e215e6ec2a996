"""Our tagger against the transformers pipeline: same weights, same texts, each in its own process, in turn.

    python benchmarks/tagging.py BUNDLE [--window N] [--smaller BUNDLE] [--rounds 5] [--data FILE.jsonl]

BUNDLE, an adapter or full one, is exported to ONNX in every precision and, with its first head, to the
transformers format. Other engines are torch in bfloat16, one pass per corpus, and spaCy's convolutional
network, trained on the corpus of the first head. --smaller names a model with fewer layers. Every engine
tags the same texts in its own process, in turn within each round, so a drift of the machine's speed affects
all alike. The pipeline computes one head and truncates texts at 512 subwords; ours computes every head and
reads complete texts. mask_cpu.c hides features of the processor, to measure what others with the same
instructions would do. Texts are dev abstracts of NCBI Disease if the archives are available, else the
example abstracts. The last line is JSON: medians, and ratios to the pipeline within each round. The ceiling
is the machine's matrix-multiply rate in half precision, for int8-static that of 8-bit integers by ONNX
Runtime, both measured before each round. Energy is measured by CodeCarbon, at a constant power without a
meter.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from common import count_flops, make_parser, multiply_rate_int8, peak_megabytes
from engines import ENGINES, PASSES, REFERENCE, SMALLER, SPACY, write_engines
from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.bundle.record import provenance
from openmed_ner.corpora import load_split
from openmed_ner.data import read_examples
from openmed_ner.errors import CorpusError
from openmed_ner.formats import read_documents
from openmed_ner.inference.backends import usable_cores
from openmed_ner.training.engine.energy import measure_energy

N_SINGLE = 30
"""Texts to tag one by one, for the latency, and again together, for the energy."""
N_PASSES = 20
"""Texts for the engine with one pass per corpus, which would otherwise take most of the time."""
HALF, INTEGERS = "bf16", "int8"


def load_texts(data: Path | None) -> list[str]:
    """Return the texts to tag."""
    if data is not None:
        return [document.text for document in read_documents(data)]
    try:
        return [document.text for document in load_split("ncbi-disease", "dev").documents]
    except CorpusError:
        return [document.text for document in read_examples()] * 20


def measure(engine: str, folder: Path, texts_file: Path) -> dict[str, float]:
    """Load an engine, tag one text, then all of them; runs in its own process."""
    texts = json.loads(texts_file.read_text(encoding="utf-8"))
    if engine == PASSES:
        texts = texts[:N_PASSES]
    begin = time.perf_counter()
    tag = ENGINES[engine](folder)
    tag(texts[:1])
    start_up = time.perf_counter() - begin

    begin = time.perf_counter()
    n_spans = tag(texts)
    seconds = time.perf_counter() - begin
    peak = peak_megabytes()  # the meter's own libraries are larger than some engines

    milliseconds = []
    for text in texts[:N_SINGLE]:
        begin = time.perf_counter()
        tag([text])
        milliseconds.append(1000 * (time.perf_counter() - begin))
    with measure_energy() as meter:
        tag(texts[:N_SINGLE])
        energy = meter.read()

    return {
        "documents_per_second": len(texts) / seconds,
        "milliseconds_p50": statistics.median(milliseconds),
        "milliseconds_p99": statistics.quantiles(milliseconds, n=100, method="inclusive")[98],
        "wh_per_1000_documents": 1e6 * (energy.kwh or 0.0) / len(texts[:N_SINGLE]),
        "start_up_seconds": start_up,
        "peak_megabytes": peak,
        "spans": n_spans,
    }


def count_subwords(bundle: Bundle, texts: list[str]) -> tuple[int, int]:
    """Count the subwords that the texts have, and those that a model computes for them.

    The second number holds special subwords, and twice what two windows share, but no padding.
    """
    from openmed_ner.tagging import WindowReader

    manifest, tokenizer = bundle.manifest, bundle.read_tokenizer()
    reader = WindowReader(tokenizer, manifest.heads, manifest.window, manifest.overlap)
    n_read = sum(len(encoding.ids) for text in texts for encoding in tokenizer.iter_encodings(text))
    n_computed = sum(len(window.ids) + 2 for text in texts for window in reader.windows(text))
    return n_read, n_computed


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("--window", type=int, help="window length of ours (default: the model's own)")
    parser.add_argument("--smaller", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--without", action="append", default=[], help="engine to leave out; repeatable")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--texts", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        print(json.dumps(measure(options.engine, options.adapter, options.texts)))
        return

    # not above: most engines are measured without torch
    from openmed_ner.training.study.cost import multiply_rate

    bundle = open_bundle(options.adapter)
    if options.window:
        bundle = replace(bundle, manifest=replace(bundle.manifest, window=options.window))
    smaller = open_bundle(options.smaller) if options.smaller else None
    names = [name for name in ENGINES if smaller or not name.startswith(SMALLER)]
    names = [name for name in names if name not in options.without]
    texts = load_texts(options.data)
    n_subwords, n_computed = count_subwords(bundle, texts)
    windows = f"windows of {bundle.manifest.window}, overlap {bundle.manifest.overlap}"
    print(f"{n_computed / n_subwords:.3f} subwords computed per subword read ({windows})", flush=True)

    rounds: list[dict[str, dict[str, float]]] = []
    ceilings: dict[str, list[float]] = {HALF: [], INTEGERS: []}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_engines(bundle, folder, smaller)
        texts_file = folder / "texts.json"
        texts_file.write_text(json.dumps(texts), encoding="utf-8")
        for number in range(options.rounds):
            rounds.append({})
            ceilings[HALF].append(multiply_rate(1024, 1024, 1024))
            ceilings[INTEGERS].append(multiply_rate_int8(usable_cores()))
            for engine in names:
                command = [
                    sys.executable,
                    __file__,
                    str(folder),
                    "--engine",
                    engine,
                    "--texts",
                    str(texts_file),
                ]
                output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                rounds[-1][engine] = json.loads(output.splitlines()[-1])
                print(f"round {number + 1} {engine}: {rounds[-1][engine]}", flush=True)

    engines = {}
    ceiling = {name: statistics.median(rates) for name, rates in ceilings.items()}
    for engine in names:
        row = {
            key: statistics.median(results[engine][key] for results in rounds) for key in rounds[0][engine]
        }
        row["ratio_range"] = [
            extreme(
                results[engine]["documents_per_second"] / results[REFERENCE]["documents_per_second"]
                for results in rounds
            )
            for extreme in (min, max)
        ]
        row["subwords_per_second"] = row["documents_per_second"] * n_subwords / len(texts)
        row["ratio_to_pipeline"] = statistics.median(
            results[engine]["documents_per_second"] / results[REFERENCE]["documents_per_second"]
            for results in rounds
        )
        if engine != SPACY:  # its operations are not counted
            model = smaller if smaller and engine.startswith(SMALLER) else bundle
            rate = ceiling[INTEGERS if "int8-static" in engine else HALF]
            row["share_of_ceiling"] = row["subwords_per_second"] * count_flops(model) / rate / 1e12
        engines[engine] = row

    result = {
        "benchmark": "tagging",
        "bundle": bundle.manifest.name,
        "smaller": smaller and smaller.manifest.name,
        "documents": len(texts),
        "subwords": n_subwords,
        "computed_per_subword": n_computed / n_subwords,
        "rounds": options.rounds,
        "engines": engines,
        "matrix_multiply_tflops": ceiling[HALF],
        "integer_multiply_tops": ceiling[INTEGERS],
        "hidden_features": os.environ.get("MASK_CPU", ""),
        **provenance(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
