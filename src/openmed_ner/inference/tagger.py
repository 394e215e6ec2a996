"""Tag text with a bundle: the class that users work with."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from openmed_ner.bundle import Bundle, Manifest
from openmed_ner.bundle.suite import bundle_digest, join_manifests
from openmed_ner.errors import BundleError, InputError, RunError
from openmed_ner.formats.tolerance import OnBad, fail
from openmed_ner.inference.backends import Workers
from openmed_ner.inference.loading import load_models, open_quickly
from openmed_ner.inference.origin import Origin
from openmed_ner.inference.parts import ModelPart
from openmed_ner.inference.selection import SpanSelection, read_names
from openmed_ner.inference.texts import describe, iter_blocks, iter_documents, raise_last
from openmed_ner.inference.threads import start_threads
from openmed_ner.tagging import SubwordTokenizer, WindowReader, collect_scores, predict
from openmed_ner.tagging.batching import MULTIPLE, LongArray
from openmed_ner.tagging.entity_types import CASE_REPORTS, DETAILS, find_main_types
from openmed_ner.tagging.heads import FloatArray
from openmed_ner.tagging.prediction import BUDGET, tagged_document
from openmed_ner.terminologies import Matcher
from openmed_ner.text import Document

if TYPE_CHECKING:
    from openmed_ner.tagging.margins import Candidate
    from openmed_ner.tagging.parallel import ReadingPool

Result = TypeVar("Result")

EMBEDDED = "embedded"
"""Name of the embedded bundle where a path may stand."""


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
        self._origin: Origin | None = None
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
        self._pool: ReadingPool | None = None
        if processes > 1:
            from openmed_ner.tagging.parallel import ReadingPool  # Python in a browser has no processes

            self._pool = ReadingPool(self._reader, processes)

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
                thread if ``None`` or ``auto``. It changes speed, never results.
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
            folder, bundles = bundle.folder, [bundle]
        else:
            folder = Path(bundle) if bundle is not None else embedded_bundle()
            bundles = open_quickly(folder, backend)
        loaded = load_models(bundles, backend=backend, threads=threads, workers=workers, device=device)
        manifest = join_manifests(bundles)
        if not document_decoding:
            manifest = replace(manifest, document_decoding={})
        by_torch = manifest.kind != "runtime" or (device == "cuda" and backend is None)
        tagger = cls(
            manifest,
            loaded.tokenizer,
            loaded.parts,
            backend="torch" if by_torch else backend or manifest.backend,
            workers=loaded.workers,
            matcher=loaded.matcher,
            processes=processes,
            budget=loaded.subwords or BUDGET,
            multiple=loaded.multiple,
        )
        options = {"backend": backend, "threads": threads, "workers": workers, "device": device}
        options |= {"document_decoding": document_decoding, "processes": processes}
        tagger._origin = Origin(folder.absolute() if bundle else None, bundle_digest(folder), options)
        return tagger

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy the origin, from which the model is loaded again."""
        if self._origin is None:
            raise InputError("a tagger that was not loaded from a folder cannot be pickled or copied")
        return self._origin.load, (type(self).load, embedded_bundle)

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
        stop: Callable[[], bool] | None = None,
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
            block: number of texts to read before their results are returned. If ``None``, a few at first and
                then some hundred, which is fastest. 1 is for a stream whose next text depends on the last
                result. It changes no result.
            stop: asked before each batch, in any thread. Once it returns true, tagging ends with an error,
                also within a long text.

        Returns:
            One document per text; ``meta["coverage"]`` is the account of the text read.

        Raises:
            InputError: a corpus or type is unknown to this model, no corpus is named, the threshold or the
                block is out of range, or a text is not a string or holds half of a surrogate pair.
            RunError: ``stop`` returned true, or the model failed.
        """
        selection = self._select(texts, corpora, types, layers, threshold)
        modes = self.manifest.document_modes if document_decoding else {}

        def tag(documents: Iterable[Document], reader: WindowReader, **model: Any) -> Iterator[Document]:
            if self._pool is None:
                tagged = predict(documents, reader=reader, modes=modes, **model)
            else:
                tagged = self._pool.predict(documents, heads=reader.heads, modes=modes, **model)
            for document in tagged:
                yield document.with_spans(selection.keep(document.spans))

        return self._read(texts, selection, tag, on_bad, block, stop)

    def pipe_candidates(
        self,
        texts: Iterable[str | Document],
        *,
        corpora: Sequence[str] | None = None,
        types: Sequence[str] | None = None,
        layers: bool = False,
        on_bad: OnBad = fail,
    ) -> Iterator[tuple[Document, tuple[Candidate, ...]]]:
        """Tag a stream of texts, and tell how sure the model is of each place that may be a mention.

        Arguments and errors are those of :meth:`pipe`. Texts are read in this process.

        Returns:
            Each document as :meth:`pipe` returns it, with its mentions and possible mentions in the order of
            the text, see :class:`~openmed_ner.tagging.margins.Candidate`.
        """
        from openmed_ner.tagging.margins import MarginDecoder

        selection = self._select(texts, corpora, types, layers)
        modes = self.manifest.document_modes

        def tag(
            documents: Iterable[Document], reader: WindowReader, **model: Any
        ) -> Iterator[tuple[Document, tuple[Candidate, ...]]]:
            make_decoder = partial(MarginDecoder, heads=reader.heads, modes=modes)
            for document, decoder in collect_scores(documents, make_decoder, reader=reader, **model):
                spans = selection.keep(decoder.spans)
                places = decoder.candidates(spans)
                kept = (place for place in places if selection.allows(place.label, place.corpus))
                yield tagged_document(document, decoder).with_spans(spans), tuple(kept)

        return self._read(texts, selection, tag, on_bad)

    def _select(
        self,
        texts: object,
        corpora: Sequence[str] | None,
        types: Sequence[str] | None,
        layers: bool,
        threshold: float = 0.0,
    ) -> SpanSelection:
        """Check the arguments of :meth:`pipe`, and find the spans to keep and the heads that they need."""
        if isinstance(texts, str | bytes | Mapping | Document):
            raise InputError(f"expected several texts, found {describe(texts)}; name one in a list: [text]")
        if not isinstance(texts, Iterable):
            raise InputError(f"expected several texts, such as a list, found {describe(texts)}")
        types, corpora = read_names(types, self.types, "type"), read_names(corpora, self.corpora, "corpus")
        if corpora is None and not layers and types is None:
            types = self.main_types
        return SpanSelection.make(self.manifest, corpora, types, layers=layers, threshold=threshold)

    def _read(
        self,
        texts: Iterable[str | Document],
        selection: SpanSelection,
        tag: Callable[..., Iterator[Result]],
        on_bad: OnBad,
        block: int | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> Iterator[Result]:
        """Read texts with the heads of a selection.

        Args:
            texts: the texts.
            selection: the heads.
            tag: yields a result for each document, given the documents, ``reader``, ``run`` and ``submit``.
            on_bad: called with the error of each text that is no text.
            block: number of texts to read before their results are returned.
            stop: asked before each batch; once it returns true, tagging ends with an error.
        """
        if block is not None and block < 1:
            raise InputError(f"block {block}: expected a number above 0")
        # Heads do not influence each other, so those that the result does not need are not computed.
        needed = selection.corpora
        parts = [part.select(needed) for part in self._parts if part.has(needed)]
        reader = replace(self._reader, heads=tuple(head for part in parts for head in part.heads))

        def run(*inputs: LongArray) -> FloatArray:
            if stop is not None and stop():
                raise RunError("tagging was stopped")
            logits = [part.run(*inputs) for part in parts]
            return logits[0] if len(logits) == 1 else np.concatenate(logits, axis=-1)

        errors: list[InputError] = []
        documents = iter_documents(texts, on_bad, errors)
        return raise_last(self._compute(documents, partial(tag, reader=reader, run=run), block), errors)

    def _compute(
        self, documents: Iterable[Document], tag: Callable[..., Iterator[Result]], block: int | None
    ) -> Iterator[Result]:
        """Tag in this thread and compute in others, which end with the stream; or read in processes."""
        with start_threads(self._reader.workers) as submit:
            for texts in iter_blocks(documents, block):
                yield from tag(texts, submit=submit)
