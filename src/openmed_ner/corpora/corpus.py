"""A row of the catalog: files, labels, licence, and notes for those who read scores on the corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from openmed_ner.corpora.archive import ArchiveMember

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class SplitFiles:
    """The files of a split, and their layout (a key of ``releases.LAYOUTS``)."""

    layout: str
    members: tuple[ArchiveMember, ...]


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
