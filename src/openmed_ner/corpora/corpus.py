"""A row of the catalog: files, labels, licence, and notes for those who read scores on the corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from openmed_ner.corpora.archive import ArchiveMember
from openmed_ner.text import Document

SPLITS = ("train", "dev", "test")
N_FOLDS = 10


@dataclass(frozen=True, slots=True)
class Fold:
    """Share of the documents of some files, for a release without a split of its own.

    Attributes:
        numbers: numbers below ten; the share has the documents that are counted by one of them.
        by: ``document`` counts documents in ascending order of their ids, from 0 to 9 in turn. ``article``
            counts the articles of BioID's captions in this way: an id without its last four digits.
            ``place`` divides the files, in their order, into ten parts of equal size, for sentences whose
            abstracts are not known.
    """

    numbers: tuple[int, ...]
    by: Literal["document", "article", "place"] = "document"

    def select(self, documents: Sequence[Document]) -> list[Document]:
        """Select the documents of this share, in their order."""
        if self.by == "place":
            numbers = [place * N_FOLDS // len(documents) for place in range(len(documents))]
        else:
            groups = [document.id[:-4] if self.by == "article" else document.id for document in documents]
            ranks = {group: rank for rank, group in enumerate(sorted(set(groups)))}
            numbers = [ranks[group] % N_FOLDS for group in groups]
        return [
            document for document, number in zip(documents, numbers, strict=True) if number in self.numbers
        ]


FIRST_TENTH = Fold((0,))
OTHER_TENTHS = Fold(tuple(range(1, N_FOLDS)))


@dataclass(frozen=True, slots=True)
class SplitFiles:
    """The files of a split.

    Attributes:
        layout: key of ``releases.LAYOUTS``.
        members: files and folders.
        fold: share of their documents; ``None`` for all.
    """

    layout: str
    members: tuple[ArchiveMember, ...]
    fold: Fold | None = None


@dataclass(frozen=True, slots=True)
class Correction:
    """A line of a release that contradicts itself, its replacement, and the reason."""

    member: str
    line: str
    replacement: str
    reason: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """A row of the catalog.

    Attributes:
        name: name in commands and heads.
        title: name that its authors gave it.
        splits: files by split.
        official: splits that its authors made.
        labels: native label to canonical type.
        licence: terms of the annotations, as the release states them.
        citation: the paper to cite.
        home: address of its authors' release.
        note: remarks for readers of its scores.
        corrections: lines of the release that are corrected before reading.
        complete: false if only a part of the corpus is read, which the note then names.
        guards: names of corpora that are only scored on. Training leaves out their documents, like those of
            the corpus's own dev and test splits.
        alternatives: files of the spans that the official scorer accepts instead of gold ones.
        words: numbers of words in train, dev and test, as ``benchmarks/corpora.py`` counts them, for plans
            made without the archives; 0: no such split.
    """

    name: str
    title: str
    splits: Mapping[str, SplitFiles]
    official: tuple[str, ...]
    labels: Mapping[str, str]
    licence: str
    citation: str
    home: str
    note: str = ""
    corrections: tuple[Correction, ...] = ()
    complete: bool = True
    guards: tuple[str, ...] = ()
    alternatives: Mapping[str, SplitFiles] = field(default_factory=dict)
    words: tuple[int, int, int] = (0, 0, 0)

    @property
    def types(self) -> tuple[str, ...]:
        """Distinct canonical entity types, in the order of the label map."""
        return tuple(dict.fromkeys(self.labels.values()))

    @property
    def members(self) -> tuple[ArchiveMember, ...]:
        """Distinct files of all splits and alternatives."""
        files = (*self.splits.values(), *self.alternatives.values())
        return tuple(dict.fromkeys(member for split_files in files for member in split_files.members))
