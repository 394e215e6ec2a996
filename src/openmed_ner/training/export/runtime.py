"""Make a runtime bundle out of an adapter or full bundle."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from openmed_ner.bundle import Bundle, open_bundle, seal
from openmed_ner.bundle.manifest import CARD, MODEL, PARITY, RECORD, RUNTIMES, TOKENIZER, Precision
from openmed_ner.bundle.record import describe_host, training_splits, version
from openmed_ner.errors import BundleError, InputError, RunError
from openmed_ner.inference.backends import load_runtime
from openmed_ner.model.bundles import load_model, make_reader, merge_adapter
from openmed_ner.publish.cards import write_card
from openmed_ner.storage import write_json
from openmed_ner.tagging import WindowReader, predict
from openmed_ner.tagging.prediction import ModelFunction
from openmed_ner.text import Document
from openmed_ner.training.export.onnx import export_onnx
from openmed_ner.training.export.parity import certify
from openmed_ner.training.export.quantise import quantise
from openmed_ner.training.export.static import quantise_static
from openmed_ner.training.export.type_merges import choose_merges


def export_runtime(
    source: Bundle,
    target: Path,
    *,
    precision: Precision,
    backend: str = RUNTIMES[0],
    gold: Mapping[str, Sequence[Document]],
    texts: str,
    calibration: Sequence[Document] = (),
    merges: Bundle | None = None,
    name: str | None = None,
) -> Bundle:
    """TypeMerge, export, quantise, certify and seal.

    Args:
        source: an adapter or full bundle.
        target: folder of the new bundle; must not exist.
        precision: of the linear layers and embeddings.
        backend: what the bundle is certified with, and computed by unless asked otherwise.
        gold: per head's corpus, documents to certify on, and to choose by how the layers of a type become
            one; see :func:`openmed_ner.training.export.parity.certify`.
        texts: what those documents are.
        calibration: documents like those to be tagged, on which ``int8-static`` measures ranges.
        merges: a bundle with the same heads whose choice of how the layers of a type become one is taken. If
            ``None``, ``gold`` chooses, unless the source has learnt from dev: then nothing is chosen.
        name: of the new bundle; that of the original if ``None``.

    Raises:
        InputError: there is no text to calibrate on, or the bundle to take merges from has other heads.
        BundleError: the source is a runtime bundle already.
        RunError: the target exists.
    """
    if source.manifest.kind == "runtime":
        raise BundleError(f"{source.folder} is a runtime bundle already; export from the adapter bundle")
    if target.exists():
        raise RunError(f"{target} exists already; choose another folder, or remove it")
    record = source.read_json(RECORD)
    if merges is not None and _labels(merges) != _labels(source):
        raise InputError(f"{merges.folder} has other heads than {source.folder}: its merges do not fit")
    original = load_model(source)
    heads = source.manifest.heads
    reader = make_reader(source)
    content = export_onnx(merge_adapter(load_model(source)))
    if precision == "int8":
        content = quantise(content)
    elif precision == "int8-static":
        content = quantise_static(content, calibration, reader)
    documents = {document.text: document for each in gold.values() for document in each}.values()
    (before, slow), (after, fast) = (
        _tag(documents, run, reader) for run in (original.run, load_runtime(content, backend).run)
    )
    speed = {"documents_per_second_reference": slow, "documents_per_second_exported": fast}
    agreement = certify(before, after, gold=gold, texts=texts)
    if merges is not None:
        chosen = dict(merges.manifest.merges)
    else:
        chosen = {} if "dev" in training_splits(record) else choose_merges(heads, gold, after)
    parity = {"backend": backend, **agreement, **speed, "host": describe_host()}
    manifest = replace(
        source.manifest,
        name=name or source.manifest.name,
        kind="runtime",
        version=version(),
        precision=precision,
        backend=backend,
        merges=chosen,
        files={},
    )
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    (partial / MODEL).write_bytes(content)
    (partial / TOKENIZER).write_bytes(source.read(TOKENIZER))
    write_json(partial / RECORD, record)
    write_json(partial / PARITY, parity)
    write_card(partial / CARD, manifest, record=record, parity=parity)
    seal(partial, manifest)
    partial.rename(target)
    return open_bundle(target)


def _labels(bundle: Bundle) -> list[tuple[str, tuple[str, ...]]]:
    return [(head.corpus, head.labels) for head in bundle.manifest.heads]


def _tag(
    documents: Collection[Document], run: ModelFunction, reader: WindowReader
) -> tuple[list[Document], float]:
    """Tag documents, a batch at a time on all threads; return them, and how many it did in a second."""
    begin = time.perf_counter()
    tagged = list(predict(documents, run=run, reader=reader))
    return tagged, len(documents) / (time.perf_counter() - begin)
