"""Tag text with a bundle: the object that users hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Self

import numpy as np

from openmed_ner.alignment import Head, Reader, SubwordEncoder, predict
from openmed_ner.alignment.batching import LongArray
from openmed_ner.alignment.decoding import FloatArray
from openmed_ner.bundle import Bundle, Manifest, open_bundle
from openmed_ner.bundle.manifest import TOKENIZER
from openmed_ner.errors import BundleError, InputError
from openmed_ner.inference.backends import Backend, load_backend
from openmed_ner.text import Document, Span


def embedded_bundle() -> Path:
    """The folder of the bundle that comes with the package.

    Raises:
        BundleError: this installation has none.
    """
    folder = Path(str(files("openmed_ner") / "embedded"))
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
    >>> [(document.mention(span), span.label) for span in document.spans if span.corpus != "ncbi-disease"]
    [('Cisplatin', 'Chemical'), ('nephrotoxicity', 'Disease')]
    """

    def __init__(self, manifest: Manifest, encoder: SubwordEncoder, backend: Backend) -> None:
        self.manifest = manifest
        self._backend = backend
        self._reader = Reader(encoder, manifest.heads, manifest.window, manifest.overlap)

    @classmethod
    def load(cls, bundle: Path | str | Bundle | None = None, *, threads: int | None = None) -> Self:
        """Load a bundle.

        Args:
            bundle: its folder; the embedded bundle if ``None``.
            threads: processor threads to use; all of them if ``None``.

        Raises:
            BundleError: the bundle is missing, damaged, tampered with or unsafe.
            MissingExtraError: it is not a runtime bundle, and torch is not installed.
        """
        if not isinstance(bundle, Bundle):
            bundle = open_bundle(Path(bundle) if bundle is not None else embedded_bundle())
        try:
            tokenizer = bundle.read(TOKENIZER).decode("utf-8")
        except UnicodeDecodeError as error:
            raise BundleError(f"{bundle.folder}: {TOKENIZER} is not UTF-8") from error
        encoder = SubwordEncoder.from_json(tokenizer)
        backend = load_backend(bundle, threads=threads)
        frame = np.array([[encoder.prefix, encoder.suffix]], dtype=np.int64)
        n_found = backend.run(frame, np.ones_like(frame)).shape[-1]
        n_tags = sum(len(head.tags) for head in bundle.manifest.heads)
        if n_found != n_tags:
            raise BundleError(
                f"{bundle.folder}: the model has {n_found} outputs, its heads have {n_tags} tags"
            )
        return cls(bundle.manifest, encoder, backend)

    @property
    def encoder(self) -> SubwordEncoder:
        """The tokenizer of the model."""
        return self._reader.encoder

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
            types: entity types to keep; all if ``None``.
            threshold: lowest score of a span that is kept, between 0 and 1.

        Returns:
            One document per text, its ``meta["coverage"]`` saying what was read.

        Raises:
            InputError: a corpus or type is unknown to this model, or the threshold is out of range.
        """
        if not 0.0 <= threshold <= 1.0:
            raise InputError(f"threshold {threshold}: expected a number between 0 and 1")
        _check_known(types, self.types, "type")
        columns, heads = self._select(corpora)
        reader = replace(self._reader, heads=heads)

        def run(ids: LongArray, mask: LongArray) -> FloatArray:
            return self._backend.run(ids, mask)[..., columns]

        def keep(span: Span) -> bool:
            return (types is None or span.label in types) and (span.score or 0.0) >= threshold

        documents = (
            text if isinstance(text, Document) else Document(str(number), text)
            for number, text in enumerate(texts)
        )
        tagged = predict(documents, run=run, reader=reader)
        return (document.with_spans(filter(keep, document.spans)) for document in tagged)

    def _select(self, corpora: Sequence[str] | None) -> tuple[np.ndarray | slice, tuple[Head, ...]]:
        if corpora is None:
            return slice(None), self.manifest.heads
        _check_known(corpora, self.corpora, "corpus")
        bounds = np.cumsum([0] + [len(head.tags) for head in self.manifest.heads])
        chosen = [index for index, head in enumerate(self.manifest.heads) if head.corpus in corpora]
        columns = np.concatenate([np.arange(bounds[index], bounds[index + 1]) for index in chosen])
        return columns, tuple(self.manifest.heads[index] for index in chosen)


def _check_known(names: Sequence[str] | None, known: Sequence[str], what: str) -> None:
    for name in names or ():
        if name not in known:
            raise InputError(f"unknown {what} {name!r}; this bundle knows: {', '.join(known)}")
