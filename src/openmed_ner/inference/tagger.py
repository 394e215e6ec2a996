"""Tag text with a bundle: the class that users work with."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Self

import numpy as np

from openmed_ner.bundle import Bundle, Manifest
from openmed_ner.bundle.suite import join_manifests, open_bundles
from openmed_ner.errors import BundleError, InputError, RunError, suggest
from openmed_ner.formats.tolerance import OnBad, fail
from openmed_ner.inference.backends import Workers, load_backends
from openmed_ner.inference.parts import ModelPart, check_outputs, read_tokenizer
from openmed_ner.inference.texts import describe, iter_blocks, iter_documents, raise_last
from openmed_ner.tagging import SubwordTokenizer, WindowReader, predict
from openmed_ner.tagging.batching import MULTIPLE, LongArray
from openmed_ner.tagging.document_decoding import DocumentMode
from openmed_ner.tagging.entity_types import CASE_REPORTS, DETAILS, find_main_types
from openmed_ner.tagging.heads import FloatArray
from openmed_ner.tagging.parallel import ReadingPool
from openmed_ner.tagging.prediction import BUDGET, ModelFunction
from openmed_ner.tagging.type_merging import TypeMerge
from openmed_ner.terminologies import Matcher
from openmed_ner.text import Document, Span

GPU_MULTIPLE = 64
"""Divisor of padded lengths on a GPU, which has time to spare but should see few shapes."""


def embedded_bundle() -> Path:
    """The folder of the bundle that comes with the package.

    Raises:
        BundleError: this installation has none.
    """
    folder = Path(str(files("openmed_ner") / "data" / "model"))
    if not folder.is_dir():
        raise BundleError(
            "this installation has no embedded bundle; install openmed-ner again, or name a bundle"
        )
    return folder


class Tagger:
    """A loaded model that turns text into documents with entity spans.

    >>> from openmed_ner import load
    >>> tagger = load()
    >>> document = tagger("Cisplatin caused nephrotoxicity in 3 of 40 patients.")
    >>> [(document.mention(span), span.label) for span in document.spans if span.label != "Species"]
    [('Cisplatin', 'Chemical'), ('nephrotoxicity', 'Disease')]
    >>> document = tagger(document.text, layers=True)
    >>> [document.mention(span) for span in document.spans if span.corpus == "ncbi-disease"]
    ['nephrotoxicity']
    """

    def __init__(
        self,
        manifest: Manifest,
        tokenizer: SubwordTokenizer,
        parts: Sequence[ModelPart],
        *,
        backend: str = "torch",
        workers: int = 1,
        matcher: Matcher | None = None,
        processes: int = 1,
        budget: int = BUDGET,
        multiple: int = MULTIPLE,
    ) -> None:
        self.manifest = manifest
        self.backend = backend
        self._parts = parts
        self._reader = WindowReader(
            tokenizer,
            manifest.heads,
            manifest.window,
            manifest.overlap,
            budget=budget,
            multiple=multiple,
            workers=workers,
            matcher=matcher,
        )
        self._pool = ReadingPool(self._reader, processes) if processes > 1 else None

    @classmethod
    def load(
        cls,
        bundle: Path | str | Bundle | None = None,
        *,
        backend: str | None = None,
        threads: int | None = None,
        workers: Workers = None,
        document_decoding: bool = True,
        device: str = "auto",
        processes: int = 1,
    ) -> Self:
        """Load a bundle, or a suite: a folder of bundles that are used together.

        Args:
            bundle: folder of the bundle or suite; the embedded bundle if ``None``.
            backend: engine for a runtime bundle, ``onnxruntime`` or ``openvino``; the one it was certified
                with if ``None``.
            threads: processor threads to use; all of them if ``None``.
            workers: batches to compute at the same time, among which the threads are divided; one for each
                thread if ``None``; the fastest number here, after seconds of trying, if ``auto``. It changes
                speed, never results.
            document_decoding: if false, the tagger never uses document-level decoding, see :meth:`pipe`.
            device: ``cpu``, ``cuda``, or ``auto``: a GPU for bundles that torch loads if there is one, else
                the processor. With ``cuda``, torch also computes a runtime bundle, in bfloat16.
            processes: processes that read texts and decode scores, beside this one, which computes the model:
                one per core keeps a GPU busy. They start with the first text and end with :meth:`close`.

        Raises:
            BundleError: a bundle is missing, damaged, tampered with or unsafe, or the bundles of a suite
                read text in different ways.
            InputError: there are more workers than threads, or the backend cannot compute this bundle.
            MissingExtraError: torch or OpenVINO is needed, and not installed.
            RunError: no GPU is visible.
        """
        if isinstance(bundle, Bundle):
            bundles = [bundle]
        else:
            bundles = open_bundles(Path(bundle) if bundle is not None else embedded_bundle())
        tokenizer = read_tokenizer(bundles[0])
        backends, workers = load_backends(
            bundles, backend=backend, threads=threads, workers=workers, device=device
        )

        parts = []
        for opened, loaded in zip(bundles, backends, strict=True):
            check_outputs(opened, loaded, tokenizer)
            parts.append(ModelPart(opened.manifest.heads, loaded))

        manifest = join_manifests(bundles)
        if not document_decoding:
            manifest = replace(manifest, document_decoding={})
        by_torch = manifest.kind != "runtime" or (device == "cuda" and backend is None)
        subwords = max(getattr(loaded, "subwords", 0) for loaded in backends)
        return cls(
            manifest,
            tokenizer,
            parts,
            backend="torch" if by_torch else backend or manifest.backend,
            workers=workers,
            matcher=bundles[0].read_matcher(),
            processes=processes,
            budget=subwords or BUDGET,
            multiple=GPU_MULTIPLE if subwords else MULTIPLE,
        )

    def close(self) -> None:
        """End the processes that read texts, if there are any."""
        if self._pool is not None:
            self._pool.close()

    @property
    def tokenizer(self) -> SubwordTokenizer:
        """The tokenizer of the model."""
        return self._reader.tokenizer

    @property
    def encoder(self) -> SubwordTokenizer:
        """Deprecated name of :attr:`tokenizer`."""
        warnings.warn("Tagger.encoder is now Tagger.tokenizer", DeprecationWarning, stacklevel=2)
        return self.tokenizer

    @property
    def corpora(self) -> tuple[str, ...]:
        """The annotation guidelines of this model, one head each."""
        return tuple(head.corpus for head in self.manifest.heads)

    @property
    def types(self) -> tuple[str, ...]:
        """The entity types of this model."""
        return tuple(dict.fromkeys(label for head in self.manifest.heads for label in head.labels))

    @property
    def main_types(self) -> tuple[str, ...]:
        """The entity types that are kept by default: without those that are part of another one."""
        # A type that users annotated themselves is what they want, whatever its name.
        own = {label for head in self.manifest.heads if head.corpus != CASE_REPORTS for label in head.labels}
        return find_main_types(self.types, details=DETAILS - own)

    def __call__(
        self,
        text: str | Document,
        *,
        corpora: Sequence[str] | None = None,
        types: Sequence[str] | None = None,
        layers: bool = False,
        threshold: float = 0.0,
        document_decoding: bool = True,
    ) -> Document:
        """Tag one text.

        Args:
            text: plain string, or a document whose spans are replaced.
            corpora: heads to use, each with a layer of its own; all, merged by type, if ``None``.
            types: entity types to keep; :attr:`main_types` if ``None``, or all types of the heads in use if
                ``corpora`` or ``layers`` are given.
            layers: if true, keep a layer for each head instead of one for each type.
            threshold: lowest score of a span to keep, between 0 and 1.
            document_decoding: if false, every span is decided by its own place in the text, see :meth:`pipe`.

        Returns:
            The text with its spans; ``meta["coverage"]`` is the account of the text read.

        Raises:
            InputError: a corpus or type is unknown to this model, or the threshold is out of range.
        """
        if not isinstance(text, str | Document):
            raise InputError(f"expected one text, found {describe(text)}; pipe() takes several")
        (document,) = self.pipe(
            [text],
            corpora=corpora,
            types=types,
            layers=layers,
            threshold=threshold,
            document_decoding=document_decoding,
        )
        return document

    def pipe(
        self,
        texts: Iterable[str | Document],
        *,
        corpora: Sequence[str] | None = None,
        types: Sequence[str] | None = None,
        layers: bool = False,
        threshold: float = 0.0,
        document_decoding: bool = True,
        on_bad: OnBad = fail,
        block: int | None = None,
    ) -> Iterator[Document]:
        """Tag a stream of texts, in order, in constant memory.

        Args:
            texts: plain strings, which are numbered, or documents, whose spans are replaced.
            corpora: heads to use, each with a layer of its own; all if ``None``, and then the spans of each
                type become one layer by the rules of the bundle's manifest (``merges``).
            types: entity types to keep; :attr:`main_types` if ``None``, or all types of the heads in use if
                ``corpora`` or ``layers`` are given.
            layers: if true, keep a layer for each head instead of one for each type.
            threshold: lowest score of a span to keep, between 0 and 1.
            document_decoding: if true, definitions of abbreviations and repeated names decide spans anywhere
                in the text, in the modes of the bundle's manifest (``document_decoding``); if false, every
                span is decided by its own place in the text.
            on_bad: called with the error of each text that is no text, such as an empty cell of a table. If
                it returns, the text is left out and the others keep their numbers. By default the error is
                raised once the texts before are tagged.
            block: number of texts to read before their results are returned, 1 for a stream whose next text
                depends on the last result; some hundred, which is fastest, if ``None``. It changes no result.

        Returns:
            One document per text; ``meta["coverage"]`` is the account of the text read.

        Raises:
            InputError: a corpus or type is unknown to this model, no corpus is named, the threshold or the
                block is out of range, or a text is not a string or holds half of a surrogate pair.
        """
        if isinstance(texts, str | bytes | Mapping | Document):
            raise InputError(f"expected several texts, found {describe(texts)}; name one in a list: [text]")
        if block is not None and block < 1:
            raise InputError(f"block {block}: expected a number above 0")
        if not 0.0 <= threshold <= 1.0:
            raise InputError(f"threshold {threshold}: expected a number between 0 and 1")
        types = _read_names(types, self.types, "type")
        corpora = _read_names(corpora, self.corpora, "corpus")
        if corpora is not None and not corpora:
            raise InputError("corpora is empty; name a head of this bundle, or leave it out")

        merges: dict[str, TypeMerge] = {}
        if corpora is None and not layers:
            types = self.main_types if types is None else types
            merges = {label: self.manifest.merge_of(label) for label in types}
        needed = self._needed_corpora(corpora, merges)
        parts = [part.select(needed) for part in self._parts if part.has(needed)]
        heads = tuple(head for part in parts for head in part.heads)

        def run(*inputs: LongArray) -> FloatArray:
            logits = [part.run(*inputs) for part in parts]
            return logits[0] if len(logits) == 1 else np.concatenate(logits, axis=-1)

        errors: list[InputError] = []
        documents = iter_documents(texts, on_bad, errors)
        modes = self.manifest.document_modes if document_decoding else {}
        tagged = self._predict(documents, run, replace(self._reader, heads=heads), modes, block)
        selected = (
            document.with_spans(_select_spans(document.spans, types, merges, threshold))
            for document in tagged
        )
        return raise_last(selected, errors)

    def _predict(
        self,
        documents: Iterable[Document],
        run: ModelFunction,
        reader: WindowReader,
        modes: Mapping[str, DocumentMode],
        block: int | None,
    ) -> Iterator[Document]:
        """Tag in this thread and compute in others, which end with the stream; or read in processes."""
        pool = ThreadPoolExecutor(reader.workers, thread_name_prefix="openmed-ner")
        try:
            for texts in iter_blocks(documents, block):
                if self._pool is None:
                    yield from predict(texts, run=run, reader=reader, modes=modes, submit=pool.submit)
                else:
                    heads, submit = reader.heads, pool.submit
                    yield from self._pool.predict(texts, run=run, heads=heads, modes=modes, submit=submit)
        except MemoryError as error:
            raise RunError("there is not enough memory; use fewer threads") from error
        except RuntimeError as error:
            if "start new thread" not in str(error):
                raise
            raise RunError(f"{error}: there is not enough memory; use fewer threads") from error
        finally:
            pool.shutdown(cancel_futures=True)

    def _needed_corpora(self, corpora: Sequence[str] | None, merges: Mapping[str, TypeMerge]) -> set[str]:
        """The corpora whose heads have to be computed."""
        if corpora is not None:
            return set(corpora)
        return {corpus for merge in merges.values() for corpus in merge.used} or set(self.corpora)


def _read_names(names: Iterable[str] | None, choices: Sequence[str], kind: str) -> Sequence[str] | None:
    """Return names as a sequence, which can be read more than once, after a check."""
    if isinstance(names, str):
        raise InputError(f"expected a list of names, such as [{names!r}], found the string {names!r}")
    names = None if names is None else tuple(names)
    for name in names or ():
        if name not in choices:
            near = suggest(name, choices) or f"; this bundle knows: {', '.join(choices)}"
            raise InputError(f"unknown {kind} {name!r}{near}")
    return names


def _select_spans(
    spans: Iterable[Span],
    types: Sequence[str] | None,
    merges: Mapping[str, TypeMerge],
    threshold: float,
) -> Iterable[Span]:
    """Apply the options of :meth:`Tagger.pipe`: threshold, then types, then one layer per merged type."""
    confident = [span for span in spans if (span.score or 0.0) >= threshold]
    if types is None:
        return confident

    by_type = {label: [span for span in confident if span.label == label] for label in types}
    layers = (merges[label](by_type[label]) if label in merges else by_type[label] for label in by_type)
    return sorted(chain.from_iterable(layers), key=lambda span: (span.start, span.end))
