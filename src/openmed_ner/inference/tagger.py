"""Tag text with a bundle: the object that users hold."""

from __future__ import annotations

import warnings
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Self

import numpy as np

from openmed_ner.bundle import Bundle, Manifest
from openmed_ner.bundle.manifest import TOKENIZER
from openmed_ner.bundle.suite import join_manifests, open_bundles
from openmed_ner.errors import BundleError, InputError
from openmed_ner.inference.backends import Backend, Workers, load_backends
from openmed_ner.tagging import Head, SubwordTokenizer, WindowReader, predict
from openmed_ner.tagging.batching import LongArray
from openmed_ner.tagging.heads import FloatArray
from openmed_ner.tagging.prediction import ModelFunction
from openmed_ner.tagging.type_merging import TypeMerge
from openmed_ner.text import Document, Span


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
    >>> [document.mention(span) for span in document.spans if span.corpus == "bc5cdr-disease"]
    ['nephrotoxicity']
    >>> document = tagger(document.text, types=["Chemical", "Disease"])
    >>> [(document.mention(span), span.label) for span in document.spans]
    [('Cisplatin', 'Chemical'), ('nephrotoxicity', 'Disease')]
    """

    def __init__(
        self,
        manifest: Manifest,
        tokenizer: SubwordTokenizer,
        parts: Sequence[ModelPart],
        *,
        backend: str = "torch",
        workers: int = 1,
    ) -> None:
        self.manifest = manifest
        self.backend = backend
        self._parts = parts
        self._reader = WindowReader(
            tokenizer, manifest.heads, manifest.window, manifest.overlap, workers=workers
        )

    @classmethod
    def load(
        cls,
        bundle: Path | str | Bundle | None = None,
        *,
        backend: str | None = None,
        threads: int | None = None,
        workers: Workers = None,
    ) -> Self:
        """Load a bundle, or a suite: a folder of bundles that are used together.

        Args:
            bundle: its folder; the embedded bundle if ``None``.
            backend: what computes a runtime bundle, ``onnxruntime`` or ``openvino``; if ``None`` what it
                was certified with.
            threads: processor threads to use; all of them if ``None``.
            workers: batches to compute at the same time, among which the threads are divided; one for each
                thread if ``None``; what is fastest here, after seconds of trying, if ``auto``. It changes
                speed, never results.

        Raises:
            BundleError: a bundle is missing, damaged, tampered with or unsafe, or those of a suite read
                text in different ways.
            InputError: there are more workers than threads, or the backend cannot compute this bundle.
            MissingExtraError: torch or OpenVINO is needed, and not installed.
        """
        if isinstance(bundle, Bundle):
            bundles = [bundle]
        else:
            bundles = open_bundles(Path(bundle) if bundle is not None else embedded_bundle())
        try:
            content = bundles[0].read(TOKENIZER).decode("utf-8")
        except UnicodeDecodeError as error:
            raise BundleError(f"{bundles[0].folder}: {TOKENIZER} is not UTF-8") from error
        tokenizer = SubwordTokenizer.from_json(content)
        frame = np.array([[tokenizer.prefix, tokenizer.suffix]], dtype=np.int64)
        parts = []
        backends, workers = load_backends(bundles, backend=backend, threads=threads, workers=workers)
        for each, loaded in zip(bundles, backends, strict=True):
            heads = each.manifest.heads
            n_found = loaded.run(frame, np.ones_like(frame)).shape[-1]
            n_tags = sum(len(head.tags) for head in heads)
            if n_found != n_tags:
                raise BundleError(
                    f"{each.folder}: the model has {n_found} outputs, its heads have {n_tags} tags"
                )
            parts.append(ModelPart(heads, loaded))
        manifest = join_manifests(bundles)
        name = "torch" if manifest.kind != "runtime" else backend or manifest.backend
        return cls(manifest, tokenizer, parts, backend=name, workers=workers)

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
        """The annotation guidelines this model knows, one head each."""
        return tuple(head.corpus for head in self.manifest.heads)

    @property
    def types(self) -> tuple[str, ...]:
        """The entity types this model finds."""
        return tuple(dict.fromkeys(label for head in self.manifest.heads for label in head.labels))

    def __call__(self, text: str, **options: object) -> Document:
        """Tag one text; options as in :meth:`pipe`."""
        (document,) = self.pipe([text], **options)  # type: ignore[arg-type]
        return document

    def pipe(
        self,
        texts: Iterable[str | Document],
        *,
        corpora: Sequence[str] | None = None,
        types: Sequence[str] | None = None,
        threshold: float = 0.0,
    ) -> Iterator[Document]:
        """Tag a stream of texts, in order, in constant memory.

        Args:
            texts: plain strings, which are numbered, or documents, whose spans are replaced.
            corpora: heads to use; all if ``None``.
            types: entity types to keep; all if ``None``. If ``corpora`` is ``None``, the layers of each
                type become one, as the bundle's manifest says (``merges``).
            threshold: lowest score of a span that is kept, between 0 and 1.

        Returns:
            One document per text, its ``meta["coverage"]`` saying what was read.

        Raises:
            InputError: a corpus or type is unknown to this model, or the threshold is out of range.
        """
        if not 0.0 <= threshold <= 1.0:
            raise InputError(f"threshold {threshold}: expected a number between 0 and 1")
        _check_known(types, self.types, "type")
        _check_known(corpora, self.corpora, "corpus")
        merges = {label: self.manifest.merge_of(label) for label in types or ()} if corpora is None else {}
        wanted = self._wanted(corpora, merges)
        parts = [part.select(wanted) for part in self._parts if part.has(wanted)]
        heads = tuple(head for part in parts for head in part.heads)

        def run(ids: LongArray, mask: LongArray) -> FloatArray:
            return np.concatenate([part.run(ids, mask) for part in parts], axis=-1)

        def keep(spans: Iterable[Span]) -> Iterable[Span]:
            sure = [span for span in spans if (span.score or 0.0) >= threshold]
            if types is None:
                return sure
            layers = {label: [span for span in sure if span.label == label] for label in types}
            kept = (merges[label](layers[label]) if label in merges else layers[label] for label in layers)
            return sorted(chain.from_iterable(kept), key=lambda span: (span.start, span.end))

        documents = (
            text if isinstance(text, Document) else Document(str(number), text)
            for number, text in enumerate(texts)
        )
        tagged = self._predict(documents, run, replace(self._reader, heads=heads))
        return (document.with_spans(keep(document.spans)) for document in tagged)

    def _predict(
        self, documents: Iterable[Document], run: ModelFunction, reader: WindowReader
    ) -> Iterator[Document]:
        """Tag in this thread, compute in others, which end with the stream."""
        pool = ThreadPoolExecutor(reader.workers, thread_name_prefix="openmed-ner")
        try:
            yield from predict(documents, run=run, reader=reader, submit=pool.submit)
        finally:
            pool.shutdown(cancel_futures=True)

    def _wanted(self, corpora: Sequence[str] | None, merges: Mapping[str, TypeMerge]) -> set[str]:
        """The corpora whose heads have to be computed."""
        if corpora is not None:
            return set(corpora)
        return {corpus for merge in merges.values() for corpus in merge.order} or set(self.corpora)


@dataclass(frozen=True, slots=True)
class ModelPart:
    """A model and some of its heads.

    Attributes:
        heads: what its outputs mean, in order.
        backend: computes them.
        columns: which of the outputs these heads own; all if ``None``.
    """

    heads: tuple[Head, ...]
    backend: Backend
    columns: LongArray | None = None

    def has(self, corpora: Container[str]) -> bool:
        """Whether a head of one of these corpora is among them."""
        return any(head.corpus in corpora for head in self.heads)

    def select(self, corpora: Container[str]) -> ModelPart:
        """The same model with the heads of some corpora only."""
        bounds = np.cumsum([0, *(len(head.tags) for head in self.heads)])
        chosen = [index for index, head in enumerate(self.heads) if head.corpus in corpora]
        if len(chosen) == len(self.heads):
            return self
        columns = np.concatenate([np.arange(bounds[index], bounds[index + 1]) for index in chosen])
        return ModelPart(tuple(self.heads[index] for index in chosen), self.backend, columns)

    def run(self, ids: LongArray, mask: LongArray) -> FloatArray:
        """Compute the logits of these heads."""
        logits = self.backend.run(ids, mask)
        return logits if self.columns is None else logits[..., self.columns]


def _check_known(names: Sequence[str] | None, known: Sequence[str], what: str) -> None:
    for name in names or ():
        if name not in known:
            raise InputError(f"unknown {what} {name!r}; this bundle knows: {', '.join(known)}")
