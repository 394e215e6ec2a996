"""Engines of the tagging benchmark: written into a folder, and loaded from it."""

from __future__ import annotations

import random
import shutil
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import get_args

from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.bundle.manifest import RUNTIMES, Precision
from openmed_ner.corpora import load_split
from openmed_ner.data import read_examples
from openmed_ner.errors import CorpusError
from openmed_ner.text import Document

Tag = Callable[[list[str]], int]
"""Tags texts and returns the number of spans."""
ADAPTER, TRANSFORMERS = "adapter", "transformers"
OURS, SMALLER, SPACY, PASSES = "ours", "smaller", "spacy-cnn", "ours-int8-static-pass-per-corpus"
SPACY_PASSES = 3
"""Passes over the training documents of one corpus; few, since speed does not depend on quality."""


def write_engines(bundle: Bundle, folder: Path, smaller: Bundle | None) -> None:
    """Write the models of all engines: ours in ONNX, transformers', and a pipeline of spaCy."""
    from openmed_ner.training.export.runtime import export_runtime

    shutil.copytree(bundle.folder, folder / ADAPTER)
    write_transformers(bundle, folder / TRANSFORMERS)
    write_spacy(bundle.manifest.heads[0].corpus, folder / SPACY)

    samples = read_examples()
    gold = {bundle.manifest.heads[0].corpus: samples}
    models = {OURS: bundle, **({SMALLER: smaller} if smaller else {})}
    kinds = [(precision, RUNTIMES[0]) for precision in get_args(Precision)]
    for name, model in models.items():
        for precision, backend in (*kinds, ("int8-static", "openvino")):
            export_runtime(
                model,
                folder / f"{name}-{precision}-{backend}",
                precision=precision,
                backend=backend,
                gold=gold,
                texts="the example abstracts",
                calibration=samples,
            )


def write_transformers(bundle: Bundle, folder: Path) -> None:
    """Write the merged encoder and its first head as transformers' own token classifier."""
    from transformers import AutoConfig, AutoModelForTokenClassification, PreTrainedTokenizerFast

    from openmed_ner.model.bundles import load_model, merge_adapter

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


def write_spacy(corpus: str, folder: Path) -> None:
    """Train spaCy's own entity recogniser, a convolutional network, on one corpus."""
    import spacy
    from spacy.training import Example

    try:
        documents = load_split(corpus, "train").documents
    except CorpusError:
        documents = ()
    nlp = spacy.blank("en")
    nlp.add_pipe("ner").add_label("Disease")
    examples = [Example.from_dict(nlp.make_doc(row.text), describe(row)) for row in documents]
    optimizer = nlp.initialize(lambda: examples or [Example.from_dict(nlp.make_doc("A test."), {})])

    order = random.Random(0)
    for _ in range(SPACY_PASSES):
        order.shuffle(examples)
        for start in range(0, len(examples), 16):
            with warnings.catch_warnings():  # some gold spans do not fit its tokens
                warnings.simplefilter("ignore")
                nlp.update(examples[start : start + 16], sgd=optimizer)
    nlp.to_disk(folder)


def describe(document: Document) -> dict[str, list[tuple[int, int, str]]]:
    """The gold spans without overlaps, in spaCy's format."""
    entities: list[tuple[int, int, str]] = []
    for span in sorted(document.spans, key=lambda span: span.start):
        if not entities or span.start >= entities[-1][1]:
            entities.append((span.start, span.end, span.label))
    return {"entities": entities}


def load_pipeline(folder: Path, *, batch: int) -> Tag:
    """The usual wrapper: one head, texts cut at 512 subwords."""
    import transformers

    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    pipe = transformers.pipeline(
        "token-classification", model=str(folder / TRANSFORMERS), aggregation_strategy="first"
    )
    return lambda texts: sum(len(entities) for entities in pipe(texts, batch_size=batch))


def load_spacy(folder: Path) -> Tag:
    """A convolutional network for one corpus, as many pipelines use."""
    import spacy

    nlp = spacy.load(folder / SPACY)
    return lambda texts: sum(len(document.ents) for document in nlp.pipe(texts))


def load_torch(folder: Path) -> Tag:
    """Every head, complete texts, by torch in bfloat16."""
    import torch

    from openmed_ner.model.bundles import load_model, make_reader
    from openmed_ner.tagging import predict
    from openmed_ner.tagging.batching import LongArray
    from openmed_ner.tagging.heads import FloatArray

    bundle = open_bundle(folder / ADAPTER)
    model, reader = load_model(bundle).eval(), make_reader(bundle)

    def run(*inputs: LongArray) -> FloatArray:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return model.run(*inputs)

    def tag(texts: list[str]) -> int:
        documents = [Document(str(number), text) for number, text in enumerate(texts)]
        return sum(len(document.spans) for document in predict(documents, run=run, reader=reader))

    return tag


def load_ours(
    folder: Path,
    *,
    precision: str,
    name: str = OURS,
    made_for: str = RUNTIMES[0],
    backend: str | None = None,
    workers: int | None = None,
) -> Tag:
    """Every head, complete texts, one pass."""
    from openmed_ner.inference.tagger import Tagger

    tagger = Tagger.load(folder / f"{name}-{precision}-{made_for}", backend=backend, workers=workers)
    return lambda texts: sum(len(document.spans) for document in tagger.pipe(texts, layers=True))


def load_passes(folder: Path) -> Tag:
    """The same model, one pass per corpus, as separate models would need."""
    from openmed_ner.inference.tagger import Tagger

    tagger = Tagger.load(folder / f"{OURS}-int8-static-{RUNTIMES[0]}")
    corpora = [head.corpus for head in tagger.manifest.heads]
    return lambda texts: sum(
        len(document.spans) for corpus in corpora for document in tagger.pipe(texts, corpora=[corpus])
    )


REFERENCE = "pipeline-batch1"
ENGINES: Mapping[str, Callable[[Path], Tag]] = {
    REFERENCE: partial(load_pipeline, batch=1),
    "pipeline-batch8": partial(load_pipeline, batch=8),
    SPACY: load_spacy,
    "torch-bf16": load_torch,
    "ours-fp32": partial(load_ours, precision="fp32"),
    "ours-int8": partial(load_ours, precision="int8"),
    "ours-int8-static-1-worker": partial(load_ours, precision="int8-static", workers=1),
    "ours-int8-static": partial(load_ours, precision="int8-static"),
    PASSES: load_passes,
    "ours-int8-openvino": partial(load_ours, precision="int8", backend="openvino"),
    "ours-int8-static-openvino": partial(load_ours, precision="int8-static", made_for="openvino"),
    "smaller-int8-static": partial(load_ours, precision="int8-static", name=SMALLER),
    "smaller-int8-static-openvino": partial(
        load_ours, precision="int8-static", name=SMALLER, made_for="openvino"
    ),
}
