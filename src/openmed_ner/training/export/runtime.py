"""Export an adapter or full bundle to a runtime bundle, which needs no torch.

The steps: merge the adapter, write ONNX, quantise, tag the same documents with both models, choose the modes
of document-level decoding and the type merges, seal. The source model tags in fp32, so the certificate covers
export and quantisation together. It compares what the models find in each place, without document-level
decoding.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from openmed_ner.bundle import Bundle, open_bundle, seal
from openmed_ner.bundle.files import LEXICON
from openmed_ner.bundle.manifest import CARD, MODEL, PARITY, RECORD, RUNTIMES, TOKENIZER, Precision
from openmed_ner.bundle.record import corpora_with_dev_learnt, describe_host, version
from openmed_ner.errors import BundleError, InputError, RunError
from openmed_ner.inference.backends import length_multiple, load_runtime
from openmed_ner.model.bundles import load_model, make_reader, merge_adapter
from openmed_ner.publish.cards import write_card
from openmed_ner.storage import atomic_folder, write_json
from openmed_ner.tagging import DocumentDecoder, WindowReader, collect_scores, predict
from openmed_ner.tagging.document_decoding import (
    DOCUMENT_MODES,
    OFF,
    REPETITION,
    DocumentChoice,
    DocumentMode,
)
from openmed_ner.tagging.prediction import ModelFunction
from openmed_ner.text import Document
from openmed_ner.text.hyphenation import Reading
from openmed_ner.training.export.document_choices import choose_document_modes
from openmed_ner.training.export.integer import quantise_integer
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
    choices: Bundle | None = None,
    name: str | None = None,
) -> Bundle:
    """Merge, export, quantise, certify and seal.

    Args:
        source: an adapter or full bundle.
        target: folder of the new bundle; must not exist.
        precision: precision of the linear layers and embeddings.
        backend: backend to certify with, and the default of the bundle.
        gold: per head's corpus, documents to certify and to choose on; see
            :func:`openmed_ner.training.export.parity.certify`.
        texts: description of those documents.
        calibration: documents like those to be tagged, on which ``int8-static`` measures ranges.
        choices: bundle to copy the document-level decoding from, for heads that were trained on dev, and type
            merges, for types that ``gold`` cannot decide. If ``None``, these are those of the source, which
            has some if it kept the heads of its start. All else is chosen on ``gold``.
        name: name of the new bundle; that of the source if ``None``.

    Raises:
        InputError: no text to calibrate on, or ``choices`` has a head that the source lacks.
        BundleError: the source is a runtime bundle already.
        RunError: the target exists.
    """
    if source.manifest.kind == "runtime":
        raise BundleError(f"{source.folder} is a runtime bundle already; export from the adapter bundle")
    if target.exists():
        raise RunError(f"{target} already exists; choose another folder, or remove it")
    if choices is not None and (other := sorted(_labels(choices) - _labels(source))):
        raise InputError(f"{choices.folder}: its head {other[0][0]} is not one of {source.folder}")

    reader = make_reader(source)
    content = _export_graph(source, precision, backend, calibration, reader)

    record = source.read_json(RECORD)
    distinct = {document.text: document for documents in gold.values() for document in documents}.values()
    reference, reference_speed = _tag(distinct, load_model(source).run, reader)
    exported = load_runtime(content, backend)
    exported_reader = replace(reader, multiple=length_multiple([exported]))
    by_mode, exported_speed = _tag_in_modes(distinct, exported.run, exported_reader)
    parity = {
        "backend": backend,
        **certify(reference, by_mode[OFF], gold=gold, texts=texts),
        "documents_per_second_reference": reference_speed,
        "documents_per_second_exported": exported_speed,
        "host": describe_host(),
    }

    # Gold is dev, which cannot choose the decoding of a head that was trained on it.
    learnt = corpora_with_dev_learnt(record)
    held_out = {corpus: documents for corpus, documents in gold.items() if corpus not in learnt}
    # A model that keeps the heads of its start has the choices of the start.
    chosen = (choices or source).manifest
    document_choices = dict(chosen.document_decoding)
    document_choices |= choose_document_modes(held_out, by_mode)
    type_merges = dict(chosen.merges)
    decoded = _join_modes(by_mode, document_choices)
    type_merges |= choose_merges(source.manifest.heads, gold, decoded, learnt=learnt)

    manifest = replace(
        source.manifest,
        name=name or source.manifest.name,
        kind="runtime",
        version=version(),
        precision=precision,
        backend=backend,
        merges=type_merges,
        document_decoding=document_choices,
        files={},
    )
    with atomic_folder(target) as folder:
        (folder / MODEL).write_bytes(content)
        (folder / TOKENIZER).write_bytes(source.read(TOKENIZER))
        if manifest.lexicon is not None:
            (folder / LEXICON).write_bytes(source.read(LEXICON))
        write_json(folder / RECORD, record)
        write_json(folder / PARITY, parity)
        write_card(folder / CARD, manifest, record=record, parity=parity)
        seal(folder, manifest)
    return open_bundle(target)


def _export_graph(
    source: Bundle,
    precision: Precision,
    backend: str,
    calibration: Sequence[Document],
    reader: WindowReader,
) -> bytes:
    # a model of its own: merging changes it, and the reference is tagged by the unmerged one
    content = export_onnx(merge_adapter(load_model(source)))
    if precision == "int8":
        return quantise(content)
    if precision == "int8-static":
        quantise_fixed = quantise_static if backend == "openvino" else quantise_integer
        return quantise_fixed(content, calibration, reader)
    return content


def _labels(bundle: Bundle) -> set[tuple[str, tuple[str, ...]]]:
    return {(head.corpus, head.labels) for head in bundle.manifest.heads}


def _tag(
    documents: Collection[Document], run: ModelFunction, reader: WindowReader
) -> tuple[list[Document], float]:
    """Tag documents, a batch at a time on all threads; return them and the documents per second."""
    begin = time.perf_counter()
    tagged = list(predict(documents, run=run, reader=reader))
    return tagged, len(documents) / (time.perf_counter() - begin)


def _tag_in_modes(
    documents: Collection[Document], run: ModelFunction, reader: WindowReader
) -> tuple[dict[DocumentMode, list[Document]], float]:
    """Tag documents once and decode them in every mode; return them by mode, and documents per second."""
    corpora = [head.corpus for head in reader.heads]

    def make_decoder(reading: Reading) -> DocumentDecoder:
        return DocumentDecoder(reading, reader.heads, dict.fromkeys(corpora, REPETITION))

    begin = time.perf_counter()
    decoded = list(collect_scores(documents, make_decoder, run=run, reader=reader))
    seconds = time.perf_counter() - begin
    by_mode = {
        mode: [
            document.with_spans(decoder.decode_document(dict.fromkeys(corpora, mode)))
            for document, decoder in decoded
        ]
        for mode in DOCUMENT_MODES
    }
    return by_mode, len(documents) / seconds


def _join_modes(
    by_mode: Mapping[DocumentMode, Sequence[Document]], choices: Mapping[str, DocumentChoice]
) -> list[Document]:
    """Take the spans of each head from the documents in its mode."""
    modes = {corpus: choice.mode for corpus, choice in choices.items()}
    return [
        versions[0].with_spans(
            span
            for mode, version in zip(by_mode, versions, strict=True)
            for span in version.spans
            if modes.get(span.corpus or "", OFF) == mode
        )
        for versions in zip(*by_mode.values(), strict=True)
    ]
