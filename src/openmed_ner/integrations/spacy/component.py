"""The pipeline component: tags documents in batches and writes entities into them.

Entities begin and end with our words, and spaCy's tokens are different ones. No boundary is moved unless a
setting says so: ``doc._.openmed_ner`` is always the exact document, ``doc.spans`` and ``doc.ents`` hold the
entities that fit the tokens, and ``doc._.openmed_ner_unaligned`` counts the rest. spaCy's English tokens cut
through some mentions (docs/spacy.md counts them); ours (:func:`openmed_ner.integrations.spacy.use_words`)
cut through none.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
from spacy.language import Language
from spacy.scorer import get_ner_prf
from spacy.tokens import Doc, SpanGroup
from spacy.training import Example
from spacy.util import raise_error

from openmed_ner.bundle.files import MANIFEST
from openmed_ner.bundle.manifest import read_manifest
from openmed_ner.errors import InputError
from openmed_ner.inference.attributes import IdentifierOptions, add_attributes
from openmed_ner.inference.selection import check_threshold, read_names
from openmed_ner.inference.tagger import Tagger, embedded_bundle
from openmed_ner.integrations.spacy.bundle import copy_folder, pack, read_files, unpack, write_files
from openmed_ner.integrations.spacy.results import KEY, add_extensions, flatten, store_document
from openmed_ner.text import Document

BUNDLE = "bundle"
ErrorHandler = Callable[[str, Any, list[Doc], Exception], Any]


@dataclass(frozen=True, slots=True)
class ComponentSettings:
    """Settings of the component; spaCy keeps them in ``nlp.config``.

    Attributes:
        bundle: folder of a bundle or a suite; the embedded bundle if ``None``.
        corpora: heads to use, as for :meth:`Tagger.pipe`.
        types: entity types to keep, as for :meth:`Tagger.pipe`.
        layers: if true, or if ``ents`` names corpora, keep a layer for each head instead of one for
            each type.
        threshold: lowest score of a span that is kept.
        threads: processor threads; if ``None`` all of them, but one in a worker of ``nlp.pipe(n_process=…)``.
        ents: corpora for ``doc.ents``, the preferred one first; all, none preferred, if ``None``.
        overwrite_ents: if true, our entities replace those of earlier components that they overlap.
        spans_key: key of the layers in ``doc.spans``.
        alignment: ``strict`` leaves out entities that do not fit the tokens, ``expand`` and ``contract``
            move their boundaries to the next tokens outside or inside.
        document_decoding: if true, the whole document may decide a span, as for :meth:`Tagger.pipe`.
        add: attributes to add, such as ``identifiers``, which also become ``span.kb_id_``.
        terminologies: folder of compiled terminologies; that of the environment if ``None``.
        link: folders of your own compiled vocabularies, whose identifiers come first.
        match: folders of vocabularies whose names become layers of their own.
        nested: if true, names within longer ones of their type count in these layers.
        under: identifiers of concepts; only mentions of these and of concepts below them are kept.
        species: species of all genes, as a number of the NCBI Taxonomy; the text decides if ``None``.
    """

    bundle: str | None = None
    corpora: list[str] | None = None
    types: list[str] | None = None
    layers: bool = False
    threshold: float = 0.0
    threads: int | None = None
    ents: list[str] | None = None
    overwrite_ents: bool = False
    spans_key: str = KEY
    alignment: Literal["strict", "expand", "contract"] = "strict"
    document_decoding: bool = True
    add: list[str] = field(default_factory=list)
    terminologies: str | None = None
    link: list[str] = field(default_factory=list)
    match: list[str] = field(default_factory=list)
    nested: bool = False
    under: list[str] = field(default_factory=list)
    species: int | None = None

    @property
    def identifiers(self) -> IdentifierOptions:
        """Terminologies and vocabularies.

        Raises:
            InputError: the options do not fit together.
        """
        return IdentifierOptions(
            self.terminologies,
            tuple(self.link),
            tuple(self.match),
            self.nested,
            tuple(self.under),
            self.species,
        )


def check_names(settings: ComponentSettings) -> None:
    """Refuse names that the bundle of a new component lacks, from its manifest alone, and a wrong threshold.

    A bundle that is not there may still come with the files of a pipeline, and is not checked.

    Raises:
        BundleError: the manifest cannot be read.
        InputError: a type or a corpus is unknown, or the threshold is no share.
    """
    check_threshold(settings.threshold)
    folder = embedded_bundle() if settings.bundle is None else Path(settings.bundle)
    paths = [folder / MANIFEST] if (folder / MANIFEST).exists() else sorted(folder.glob(f"*/{MANIFEST}"))
    heads = [head for path in paths for head in read_manifest(path.read_bytes(), path.parent).heads]
    if not heads:
        return

    types = tuple(dict.fromkeys(label for head in heads for label in head.labels))
    corpora = tuple(head.corpus for head in heads)
    read_names(settings.types, types, "type")
    read_names(settings.corpora, corpora, "corpus")
    read_names(settings.ents, corpora, "corpus")


class EntityTagger:
    """The component: tags documents in batches and writes the entities into them.

    The model is loaded on first use, once per process: neither a fork nor a pickle carries a session over.
    """

    hide_labels = True  # spaCy asks for the labels of a saved pipeline before its bundle is in place

    def __init__(self, name: str, settings: ComponentSettings) -> None:
        self.name = name
        self.settings = settings
        self._files: dict[str, bytes] | None = None
        self._taggers: dict[int, Tagger] = {}
        self._error_handler: ErrorHandler = raise_error

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_taggers": {}}

    @property
    def tagger(self) -> Tagger:
        """The tagger of this process.

        One inherited by a fork stays referenced but unused: its threads are gone, and freeing it might wait
        for them.

        Raises:
            BundleError: the bundle is missing, damaged, tampered with or unsafe.
            InputError: ``ents`` names a corpus that is not in the bundle.
        """
        if os.getpid() not in self._taggers:
            tagger = self._load()
            if unknown := set(self.settings.ents or ()) - set(tagger.corpora):
                raise InputError(
                    f"{self.name}: ents names the unknown corpus {min(unknown)!r}; corpora of this bundle: "
                    + ", ".join(tagger.corpora)
                )
            self._taggers[os.getpid()] = tagger
        return self._taggers[os.getpid()]

    @property
    def labels(self) -> tuple[str, ...]:
        """Entity types of this component's entities."""
        if self.settings.types:
            return tuple(self.settings.types)
        is_merged = self.settings.corpora is None and not self._has_layers
        return self.tagger.main_types if is_merged else self.tagger.types

    @property
    def _has_layers(self) -> bool:
        return self.settings.layers or bool(self.settings.ents)

    def __call__(self, doc: Doc) -> Doc:
        """Tag one document."""
        (document,) = self._tag([doc])
        return self._annotate(doc, document)

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Tag a stream of documents, in order, ``batch_size`` at a time.

        Only a document that cannot be tagged goes to the error handler (``nlp.set_error_handler``); the
        others of its batch are tagged.
        """
        docs = iter(stream)
        while batch := list(islice(docs, batch_size)):
            yield from self._pipe_batch(batch)

    def score(self, examples: Iterable[Example], **options: Any) -> dict[str, Any]:
        """Score ``doc.ents`` against those of gold documents, as ``nlp.evaluate`` asks of each component."""
        scores: dict[str, Any] = get_ner_prf(examples)
        return scores

    def set_error_handler(self, error_handler: ErrorHandler) -> None:
        """Set the handler of documents that cannot be tagged; the default raises the error."""
        self._error_handler = error_handler

    def get_error_handler(self) -> ErrorHandler:
        """The handler of documents that cannot be tagged."""
        return self._error_handler

    def to_disk(self, path: Path | str, *, exclude: Sequence[str] = ()) -> None:
        """Copy the bundle, the embedded one too: a saved pipeline then tags the same for ever."""
        self._check()
        with self._folder() as folder:
            copy_folder(folder, Path(path) / BUNDLE)

    def from_disk(self, path: Path | str, *, exclude: Sequence[str] = ()) -> EntityTagger:
        """Use the bundle that :meth:`to_disk` wrote; it is checked now, and again by every process.

        Raises:
            BundleError: it is missing, damaged, tampered with or unsafe.
        """
        return self._use(replace(self.settings, bundle=str(Path(path) / BUNDLE)), None)

    def to_bytes(self, *, exclude: Sequence[str] = ()) -> bytes:
        """The files of the bundle, packed."""
        self._check()
        with self._folder() as folder:
            return pack(read_files(folder))

    def from_bytes(self, data: bytes, *, exclude: Sequence[str] = ()) -> EntityTagger:
        """Use the bundle that :meth:`to_bytes` packed, checked like any other.

        Raises:
            BundleError: it is damaged, tampered with or unsafe.
        """
        return self._use(self.settings, unpack(data))

    def _use(self, settings: ComponentSettings, files: dict[str, bytes] | None) -> EntityTagger:
        self.settings, self._files, self._taggers = settings, files, {}
        self._check()
        return self

    def _check(self) -> None:
        """Load the model now: a damaged bundle or a wrong setting shall not wait for a document."""
        self._tag([])

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        """The folder of the bundle; a temporary one if it came as bytes."""
        if self._files is None:
            yield Path(self.settings.bundle) if self.settings.bundle is not None else embedded_bundle()
            return
        with TemporaryDirectory() as folder:
            write_files(self._files, Path(folder))
            yield Path(folder)

    def _load(self) -> Tagger:
        # workers already share the cores between them
        is_worker = multiprocessing.parent_process() is not None
        with self._folder() as folder:
            return Tagger.load(folder, threads=self.settings.threads or (1 if is_worker else None))

    def _tag(self, docs: Sequence[Doc]) -> Iterator[Document]:
        """Tag some texts. A wrong setting raises at once: no error handler sees it."""
        settings = self.settings
        tagged = self.tagger.pipe(
            (doc.text for doc in docs),
            corpora=settings.corpora,
            types=settings.types,
            layers=self._has_layers,
            threshold=settings.threshold,
            document_decoding=settings.document_decoding,
        )
        return add_attributes(tagged, settings.add, settings.identifiers)

    def _pipe_batch(self, docs: list[Doc]) -> Iterator[Doc]:
        documents = self._tag(docs)
        try:
            annotated = [self._annotate(doc, document) for doc, document in zip(docs, documents, strict=True)]
        except Exception as error:
            if len(docs) == 1:
                self._error_handler(self.name, self, docs, error)
                return
            # halving isolates one bad document of 128 in 14 more batches, not 128
            half = len(docs) // 2
            yield from self._pipe_batch(docs[:half])
            yield from self._pipe_batch(docs[half:])
        else:
            yield from annotated

    def _annotate(self, doc: Doc, document: Document) -> Doc:
        """Write the entities of a document into a ``Doc``: exactly, as layers and as flat entities."""
        settings = self.settings
        positions = [
            doc.char_span(
                span.start,
                span.end,
                label=span.label,
                span_id=span.corpus or "",
                kb_id=str(dict(span.attributes).get("identifier", "")),
                alignment_mode=settings.alignment,
            )
            for span in document.spans
        ]
        pairs = zip(positions, document.spans, strict=True)
        aligned = [(position, span) for position, span in pairs if position]

        doc.spans[settings.spans_key] = SpanGroup(
            doc,
            name=settings.spans_key,
            attrs={"scores": np.array([span.score for _, span in aligned], dtype=np.float64)},
            spans=[position for position, _ in aligned],
        )
        store_document(doc, document, positions, key=settings.spans_key)

        doc.ents = flatten(
            aligned,
            earlier=doc.ents,
            corpora=settings.ents,
            overwrite=settings.overwrite_ents,
        )
        return doc


@Language.factory(
    "openmed_ner", assigns=["doc.ents", "doc.spans"], default_config=asdict(ComponentSettings())
)
def make_component(
    nlp: Language,
    name: str,
    bundle: str | None,
    corpora: list[str] | None,
    types: list[str] | None,
    layers: bool,
    threshold: float,
    threads: int | None,
    ents: list[str] | None,
    overwrite_ents: bool,
    spans_key: str,
    alignment: Literal["strict", "expand", "contract"],
    document_decoding: bool,
    add: list[str],
    terminologies: str | None,
    link: list[str],
    match: list[str],
    nested: bool,
    under: list[str],
    species: int | None,
) -> EntityTagger:
    """Factory behind ``nlp.add_pipe("openmed_ner", config={…})``; see :class:`ComponentSettings`."""
    add_extensions()
    settings = ComponentSettings(
        bundle,
        corpora,
        types,
        layers,
        threshold,
        threads,
        ents,
        overwrite_ents,
        spans_key,
        alignment,
        document_decoding,
        add,
        terminologies,
        link,
        match,
        nested,
        under,
        species,
    )
    # A saved pipeline lists its components. Its bundle comes with its files, which are read after this.
    if name not in nlp._meta.get("components", ()):
        check_names(settings)
    return EntityTagger(name, settings)
