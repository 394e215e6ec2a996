"""Export a bundle with the documents that are available: what certifies it, and what calibrates it."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from openmed_ner.bundle import Bundle
from openmed_ner.bundle.manifest import RECORD, RUNTIMES, Precision
from openmed_ner.bundle.record import corpora_with_dev_learnt
from openmed_ner.bundle.values import N_SPECIAL
from openmed_ner.corpora import CATALOG, load_split
from openmed_ner.corpora.archive import ENVIRONMENT
from openmed_ner.data import read_examples
from openmed_ner.errors import InputError
from openmed_ner.tagging import Head
from openmed_ner.text import Document
from openmed_ner.training.export.runtime import export_runtime
from openmed_ner.training.export.token_classification import Comparison, export_pipelines

SAMPLE = 25
"""Number of dev documents on which the pipeline of transformers is compared."""
PRECISIONS: tuple[str, ...] = get_args(Precision)


def export_bundle(
    source: Bundle,
    target: Path,
    *,
    precision: Precision = "int8",
    backend: str | None = None,
    name: str | None = None,
    choices: Bundle | None = None,
    calibration: Sequence[Document] | None = None,
    dev_documents: int | None = None,
    window: int | None = None,
    sample: Sequence[Document] = (),
) -> Bundle:
    """Export an adapter or full bundle to ONNX and certify how far it agrees with the original.

    The certificate is made on the sample if there is one, else on the dev splits of the heads' corpora if
    their archives are available, and on the example abstracts otherwise.

    Args:
        source: an adapter or full bundle.
        target: folder of the new bundle; must not exist.
        precision: precision of the linear layers and embeddings.
        backend: engine that runs the bundle and is certified; ``onnxruntime`` if ``None``.
        name: name of the new bundle; the original's if ``None``.
        choices: bundle whose type merges and document-level decoding are copied where dev cannot choose them.
        calibration: documents that fix the scales of ``int8-static``; if ``None``, the training splits of the
            heads' corpora, or the example abstracts.
        dev_documents: largest number of dev documents of a corpus, drawn at random with a fixed seed; all if
            ``None``.
        window: window length of the new bundle in subwords; the original's if ``None``.
        sample: annotated documents for the heads that are not of the catalog, or for the first head if there
            is none. They also choose its document-level decoding.

    Raises:
        InputError: an unknown precision or backend, calibration documents for another precision, or a window
            longer than the original's or shorter than twice its overlap.
        BundleError: the source is a runtime bundle already, or has no heads.
        RunError: the target exists.
    """
    if precision not in PRECISIONS:
        raise InputError(f"unknown precision {precision!r}; expected one of {', '.join(PRECISIONS)}")
    is_static = precision == "int8-static"
    if calibration is not None and not is_static:
        raise InputError(f"calibration is for int8-static; {precision} has no scales to fix")
    backend = backend or RUNTIMES[0]
    if backend not in RUNTIMES:
        raise InputError(f"unknown backend {backend!r}; expected one of {', '.join(RUNTIMES)}")
    source.require_heads()
    if window is not None:
        source = _shorten_windows(source, window)

    names = [head.corpus for head in source.manifest.heads if head.corpus in CATALOG]
    if sample:
        heads = [head for head in source.manifest.heads if head.corpus not in CATALOG]
        gold = {head.corpus: _of_head(sample, head) for head in heads or source.manifest.heads[:1]}
        texts = "a sample of the user"
    elif os.environ.get(ENVIRONMENT) and names:
        gold = {name: _draw(load_split(name, "dev").documents, dev_documents) for name in names}
        learnt = corpora_with_dev_learnt(source.read_json(RECORD))
        trained_on = [name for name in names if name in learnt]
        texts = f"dev splits of {', '.join(names)}"
        if trained_on:
            some = "" if len(trained_on) == len(names) else f" ({', '.join(trained_on)})"
            texts += f", which were trained on{some}"
        if dev_documents:
            texts = f"at most {dev_documents} documents of each of the {texts}"
    else:
        gold, texts = {source.manifest.heads[0].corpus: read_examples()}, "the example abstracts"

    if calibration is None:
        calibration = _training_documents(names) if is_static else ()
    return export_runtime(
        source,
        target,
        precision=precision,
        backend=backend,
        gold=gold,
        texts=texts,
        calibration=calibration,
        choices=choices,
        name=name,
    )


def _shorten_windows(source: Bundle, window: int) -> Bundle:
    manifest = source.manifest
    shortest = 2 * manifest.overlap + N_SPECIAL
    if not shortest <= window <= manifest.window:
        raise InputError(f"window {window}: expected {shortest} to {manifest.window}, the model's own")
    return replace(source, manifest=replace(manifest, window=window))


def _of_head(documents: Sequence[Document], head: Head) -> list[Document]:
    """Keep the spans of the types of a head."""
    return [
        document.with_spans(span for span in document.spans if span.label in head.labels)
        for document in documents
    ]


def export_to_transformers(
    source: Bundle,
    target: Path,
    *,
    heads: Sequence[str] = (),
    sample: Sequence[Document] | None = None,
) -> dict[str, Comparison]:
    """Export heads as folders that transformers opens, and compare its pipeline with this package.

    Args:
        source: a bundle with heads.
        target: folder of the new folders; must not exist.
        heads: corpora of the heads; all heads if empty.
        sample: documents to compare on, with gold mentions if there are any. If ``None``, some dev documents
            of the head's corpus if its archive is available, and the example abstracts otherwise.

    Returns:
        How far the pipeline agrees, by corpus.

    Raises:
        InputError: the bundle has no such head, or pipelines cannot read its tag scheme or architecture.
        RunError: the target exists.
    """
    names = list(heads) or [head.corpus for head in source.manifest.heads]
    if sample is not None:
        return export_pipelines(
            source, target, heads=heads, samples=dict.fromkeys(names, sample), texts="a sample of the user"
        )
    if not os.environ.get(ENVIRONMENT) or any(name not in CATALOG for name in names):
        examples = dict.fromkeys(names, read_examples())
        return export_pipelines(source, target, heads=heads, samples=examples, texts="the example abstracts")
    samples = {name: _draw(load_split(name, "dev").documents, SAMPLE) for name in names}
    learnt = corpora_with_dev_learnt(source.read_json(RECORD))
    texts = "dev documents of its corpus"
    texts += ", which the model was trained on" if learnt.intersection(names) else ""
    return export_pipelines(source, target, heads=heads, samples=samples, texts=texts)


def _draw(documents: Sequence[Document], limit: int | None) -> list[Document]:
    if limit is None or limit >= len(documents):
        return list(documents)
    return random.Random(0).sample(documents, limit)


def _training_documents(names: Sequence[str]) -> list[Document]:
    """Documents to calibrate on: the training splits of some corpora, or the example abstracts."""
    if not os.environ.get(ENVIRONMENT) or not names:
        return read_examples()
    return [document for name in names for document in load_split(name, "train").documents]
