"""What the catalog says of a corpus: its files, its labels, and what to know before trusting a score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from openmed_ner.corpora.archive import ArchiveMember

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class SplitFiles:
    """The files a split is made of, and how they are laid out (a key of ``releases.LAYOUTS``)."""

    layout: str
    members: tuple[ArchiveMember, ...]


@dataclass(frozen=True, slots=True)
class Correction:
    """A line of a release that contradicts itself: what it says, what it must say, and why."""

    member: str
    line: str
    replacement: str
    reason: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """A row of the catalog.

    Attributes:
        name: how commands and heads call it.
        title: how its authors call it.
        splits: the files of each split.
        official: the splits that are the authors' own.
        labels: native label to canonical type.
        licence: terms of the annotations, as the release states them.
        citation: the paper to cite.
        home: where the authors publish it.
        note: what a reader of its scores must know.
        corrections: lines of the release that are put right before reading.
        complete: whether all of the corpus is read; if not, the note says what is.
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
        """The canonical entity types, each once, in the order of the label map."""
        return tuple(dict.fromkeys(self.labels.values()))

    @property
    def members(self) -> tuple[ArchiveMember, ...]:
        """The files of all splits and alternatives, each once."""
        files = (*self.splits.values(), *self.alternatives.values())
        return tuple(dict.fromkeys(member for each in files for member in each.members))
