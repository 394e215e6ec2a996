"""Load a split of a catalogued corpus from its original release."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from openmed_ner.corpora.archive import ArchiveMember, TextFiles, corpora_folder, read_members
from openmed_ner.corpora.catalog import find_corpus
from openmed_ner.corpora.corpus import Corpus, Correction
from openmed_ner.corpora.identifiers import identify
from openmed_ner.corpora.releases import LAYOUTS
from openmed_ner.errors import CorpusError
from openmed_ner.text import Account, Document

REPEATED_DOCUMENT = "stands in a document that is there twice"
"""Reason in recorded accounts, so it keeps its wording."""


@dataclass(frozen=True, slots=True)
class Split:
    """One split of a corpus, with canonical labels.

    Attributes:
        corpus: row of the catalog.
        name: ``train``, ``dev`` or ``test``.
        documents: documents with distinct ids.
        account: numbers of annotated mentions that were read and lost, with reasons.
    """

    corpus: Corpus
    name: str
    documents: tuple[Document, ...]
    account: Account


@contextmanager
def _without_collection() -> Iterator[None]:
    """Look for no garbage in a block, which makes many objects and hardly any cycles.

    Otherwise all documents are searched again and again, which took two fifths of the time of reading.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_without_collection()
def load_split(
    name: str, split: str, *, folder: str | Path | None = None, identifiers: bool = False
) -> Split:
    """Read one split.

    Args:
        name: name of a corpus in the catalog.
        split: ``train``, ``dev`` or ``test``.
        folder: folder of the archives; the folder named by ``OPENMED_NER_CORPORA`` if ``None``.
        identifiers: if true, mentions have their gold identifiers as attribute ``identifier``.

    Raises:
        CorpusError: the corpus or split is unknown, the archive is missing, or not the known release.
        CorpusFormatError: the release does not follow its format.
    """
    corpus = find_corpus(name)
    if split not in corpus.splits:
        raise CorpusError(
            f"{name} has no split {split!r}; it has: {', '.join(corpus.splits)}. {corpus.note}".rstrip()
        )

    files = corpus.splits[split]
    texts = read_members(Path(folder) if folder else corpora_folder(), files.members)
    corrected = [
        _correct(member, text_files, corpus.corrections)
        for member, text_files in zip(files.members, texts, strict=True)
    ]

    release: Iterable[Document] = LAYOUTS[files.layout](corrected)
    if files.fold:
        release = files.fold.select(list(release))

    documents: dict[str, Document] = {}
    n_read = n_lost = 0
    for raw in release:
        gold = identify(raw, corpus.labels) if identifiers else raw.spans
        spans = [
            replace(span, label=corpus.labels[span.label]) for span in gold if span.label in corpus.labels
        ]
        # A repeated document with the same text is read once, and its mentions are accounted as lost.
        if raw.id not in documents:
            documents[raw.id] = raw.with_spans(spans)
            n_read += len(spans)
        elif documents[raw.id].text == raw.text:
            n_lost += len(spans)
        else:
            raise CorpusError(f"{name} {split}: duplicate document {raw.id}, with another text")

    reasons = {REPEATED_DOCUMENT: n_lost} if n_lost else {}
    return Split(corpus, split, tuple(documents.values()), Account(n_read, 0, n_lost, reasons))


def load_splits(name: str, *, folder: Path | None = None) -> dict[str, tuple[Document, ...]]:
    """Read the documents of every split of a corpus.

    Raises:
        CorpusError: as for :func:`load_split`.
    """
    return {split: load_split(name, split, folder=folder).documents for split in find_corpus(name).splits}


def load_guarded(names: Sequence[str]) -> list[Document]:
    """Read the documents that training on some corpora leaves out beside those of their own held-out splits.

    Raises:
        CorpusError: as for :func:`load_split`.
    """
    guards = dict.fromkeys(guard for name in names for guard in find_corpus(name).guards)
    return [document for guard in guards for split in load_splits(guard).values() for document in split]


def load_alternatives(name: str, split: str, *, folder: Path | None = None) -> list[Document] | None:
    """Read the spans that a corpus's official scorer accepts instead of gold ones.

    Returns:
        The documents of the split with those spans, or ``None`` if the corpus has none.

    Raises:
        CorpusError: as for :func:`load_split`.
    """
    corpus = find_corpus(name)
    if split not in corpus.alternatives:
        return None
    files = corpus.alternatives[split]
    texts = read_members(folder or corpora_folder(), files.members)
    return [
        document.with_spans(
            replace(span, label=corpus.labels[span.label]) for span in dict.fromkeys(document.spans)
        )
        for document in LAYOUTS[files.layout](texts)
    ]


def _correct(member: ArchiveMember, text_files: TextFiles, corrections: Sequence[Correction]) -> TextFiles:
    """Replace the lines that contradict themselves, each exactly once."""
    for correction in corrections:
        if correction.member == member.path:
            ((name, text),) = text_files.items()
            if text.count(f"{correction.line}\n") != 1:
                raise CorpusError(f"{member.path}: expected the line {correction.line!r} exactly once")
            text_files = {name: text.replace(f"{correction.line}\n", f"{correction.replacement}\n")}
    return text_files
