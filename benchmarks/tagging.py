"""Our tagger against the transformers pipeline: the same weights, the same texts, a process each, in turn.

    python benchmarks/tagging.py ADAPTER_BUNDLE [--rounds 5] [--data FILE.jsonl]

ADAPTER_BUNDLE is exported to ONNX in fp32 and int8 and, with its first head, to the transformers
format. Every engine then tags the same texts in a process of its own, round after round, so that a
machine whose speed drifts slows all of them alike. The pipeline computes one head and cuts texts at
512 subwords; ours computes every head and reads everything. Texts are the dev abstracts of NCBI
Disease where the archives are at hand, else the example abstracts. The last line is JSON: medians,
and ratios to the pipeline within each round. Energy is what CodeCarbon finds, at a constant power where there
is no meter.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import peak_megabytes
from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.bundle.record import provenance
from openmed_ner.corpora import load_split
from openmed_ner.errors import CorpusError
from openmed_ner.examples import read_examples
from openmed_ner.formats import read_documents
from openmed_ner.training.energy import measure_energy

REFERENCE = "pipeline-batch1"
ENGINES = (REFERENCE, "pipeline-batch8", "ours-fp32", "ours-int8-1-worker", "ours-int8", "ours-int8-openvino")
ALONE = 50
"""Texts that are tagged one by one, for the time that one takes; and again together, for their energy."""


def write_transformers(bundle: Bundle, folder: Path) -> None:
    """Write the merged encoder and its first head as transformers' own token classifier."""
    from transformers import AutoConfig, AutoModelForTokenClassification, PreTrainedTokenizerFast

    from openmed_ner.export.onnx import merge_adapter
    from openmed_ner.model.bundles import load_model

    model = merge_adapter(load_model(bundle))
    head = model.heads[0]
    config = AutoConfig.for_model(**model.encoder.config.to_dict())
    config.id2label = dict(enumerate(head.tags))
    config.label2id = {tag: number for number, tag in enumerate(head.tags)}
    classifier = AutoModelForTokenClassification.from_config(config)
    getattr(classifier, classifier.base_model_prefix).load_state_dict(model.encoder.state_dict())
    classifier.classifier.load_state_dict(model.layers[0].state_dict())
    classifier.save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(bundle.folder / "tokenizer.json"),
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=512,
    )
    tokenizer.save_pretrained(folder)


def load_texts(data: Path | None) -> list[str]:
    """Return the texts to tag."""
    if data is not None:
        return [document.text for document in read_documents(data)]
    try:
        return [document.text for document in load_split("ncbi-disease", "dev").documents]
    except CorpusError:
        return [document.text for document in read_examples()] * 20


def measure(engine: str, folder: Path, texts_file: Path) -> dict[str, float]:
    """Load an engine, tag one text, then all of them; runs in a process of its own."""
    texts = json.loads(texts_file.read_text(encoding="utf-8"))
    begin = time.perf_counter()
    if engine.startswith("pipeline"):
        import warnings

        import transformers

        warnings.simplefilter("ignore")
        transformers.logging.set_verbosity_error()
        pipe = transformers.pipeline(
            "token-classification", model=str(folder / "transformers"), aggregation_strategy="first"
        )
        size = int(engine.removeprefix("pipeline-batch"))

        def tag(texts: list[str]) -> int:
            return sum(len(found) for found in pipe(texts, batch_size=size))
    else:
        from openmed_ner.inference.tagger import Tagger

        name, _, how = engine.removeprefix("ours-").partition("-")
        backend = "openvino" if how == "openvino" else None
        workers = 1 if how == "1-worker" else None
        tagger = Tagger.load(folder / f"ours-{name}", backend=backend, workers=workers)

        def tag(texts: list[str]) -> int:
            return sum(len(document.spans) for document in tagger.pipe(texts))

    tag(texts[:1])
    start_up = time.perf_counter() - begin
    begin = time.perf_counter()
    n_spans = tag(texts)
    seconds = time.perf_counter() - begin
    peak = peak_megabytes()  # the meter's own libraries are larger than some engines
    alone = []
    for text in texts[:ALONE]:
        begin = time.perf_counter()
        tag([text])
        alone.append(1000 * (time.perf_counter() - begin))
    with measure_energy() as meter:
        tag(texts[:ALONE])
        energy = meter.read()
    return {
        "documents_per_second": len(texts) / seconds,
        "milliseconds_p50": statistics.median(alone),
        "milliseconds_p99": statistics.quantiles(alone, n=100)[98],
        "wh_per_1000_documents": 1e6 * (energy.kwh or 0.0) / len(texts[:ALONE]),
        "start_up_seconds": start_up,
        "peak_megabytes": peak,
        "spans": n_spans,
    }


def count_subwords(bundle: Bundle, texts: list[str]) -> int:
    from openmed_ner.alignment import SubwordEncoder

    encoder = SubwordEncoder.from_json(bundle.read("tokenizer.json").decode("utf-8"))
    return sum(len(encoding.ids) for text in texts for encoding in encoder.iter_encodings(text))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("adapter", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--texts", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        print(json.dumps(measure(options.engine, options.adapter, options.texts)))
        return

    from openmed_ner.export.runtime import export_runtime

    bundle = open_bundle(options.adapter)
    texts = load_texts(options.data)
    n_subwords = count_subwords(bundle, texts)
    rounds: list[dict[str, dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_transformers(bundle, folder / "transformers")
        gold = {bundle.manifest.heads[0].corpus: read_examples()}
        for precision in ("fp32", "int8"):
            target = folder / f"ours-{precision}"
            export_runtime(bundle, target, precision=precision, gold=gold, texts="the example abstracts")
        texts_file = folder / "texts.json"
        texts_file.write_text(json.dumps(texts), encoding="utf-8")
        for number in range(options.rounds):
            rounds.append({})
            for engine in ENGINES:
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
    for engine in ENGINES:
        row = {key: statistics.median(each[engine][key] for each in rounds) for key in rounds[0][engine]}
        row["ratio_range"] = [
            choose(
                each[engine]["documents_per_second"] / each[REFERENCE]["documents_per_second"]
                for each in rounds
            )
            for choose in (min, max)
        ]
        row["subwords_per_second"] = row["documents_per_second"] * n_subwords / len(texts)
        row["ratio_to_pipeline"] = statistics.median(
            each[engine]["documents_per_second"] / each[REFERENCE]["documents_per_second"] for each in rounds
        )
        engines[engine] = row
    result = {
        "benchmark": "tagging",
        "bundle": bundle.manifest.name,
        "documents": len(texts),
        "subwords": n_subwords,
        "rounds": options.rounds,
        "engines": engines,
        **provenance(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
