"""Sources of passages: their licences, and an account of their passages.

The licence class of a source is the strictest of the terms of its texts and of its compilers. If nobody
states any terms it is ``unknown``, never a guess. A source that is not listed is ``unknown`` unless its user
states a class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast, get_args

from openmed_ner.errors import InputError

LicenceClass = Literal["permissive", "non-commercial", "unknown"]


@dataclass(frozen=True, slots=True)
class PassageSource:
    """Source of passages, with its licence.

    Attributes:
        name: name of the source in the passages.
        licence: terms of use, as far as they are stated.
        licence_class: class of these terms.
        home: URL of the publication; empty if unknown.
    """

    name: str
    licence: str
    licence_class: LicenceClass
    home: str = ""


_BMC = "articles CC BY (BioMed Central); the compilation asks for non-commercial academic use"
_SUMPUBMED = "https://github.com/vgupta123/sumpubmed"
_GOVERNMENT = "United States Government publication"
_PUBMED = "abstracts under the terms of PubMed"

SOURCES: Mapping[str, PassageSource] = {
    source.name: source
    for source in (
        PassageSource("sumpubmed-text", _BMC, "non-commercial", _SUMPUBMED),
        PassageSource("sumpubmed-abstract", _BMC, "non-commercial", _SUMPUBMED),
        PassageSource("aci-bench-notes", "CC BY 4.0", "permissive", "https://github.com/wyim/aci-bench"),
        PassageSource("clinical-trials-criteria", _GOVERNMENT, "permissive", "https://clinicaltrials.gov"),
        PassageSource("clinicaltrials", _GOVERNMENT, "permissive", "https://clinicaltrials.gov"),
        PassageSource("cord19-100", "none stated; terms of CORD-19 and PubMed", "unknown"),
        PassageSource(
            "e3c-english",
            "Creative Commons, file by file; some non-commercial",
            "non-commercial",
            "https://github.com/hltfbk/E3C-Corpus",
        ),
        PassageSource("litcovid-test", "none stated; " + _PUBMED, "unknown"),
        PassageSource("medquad", "CC BY 4.0", "permissive", "https://github.com/abachaa/MedQuAD"),
        PassageSource("pubmed", "none stated; " + _PUBMED, "unknown", "https://pubmed.ncbi.nlm.nih.gov"),
        PassageSource(
            "pubmedqa-test", f"MIT; {_PUBMED}", "permissive", "https://github.com/pubmedqa/pubmedqa"
        ),
        PassageSource(
            "tac-drug-labels", _GOVERNMENT, "permissive", "https://bionlp.nlm.nih.gov/tac2017adversereactions"
        ),
        PassageSource(
            "train-split-texts", f"training splits of the benchmark corpora: {_PUBMED} and PMC", "permissive"
        ),
    )
}


def find_source(name: str, licences: Mapping[str, LicenceClass]) -> PassageSource:
    """Look a source up; the user's licence classes override those of the table."""
    source = SOURCES.get(name, PassageSource(name, "none stated", "unknown"))
    if name not in licences:
        return source
    licence = source.licence if name in SOURCES else "as stated by the user"
    return replace(source, licence=licence, licence_class=licences[name])


def read_licences(pairs: list[str]) -> dict[str, LicenceClass]:
    """Read ``NAME=CLASS`` pairs.

    Raises:
        InputError: a pair has another form or an unknown class.
    """
    classes = get_args(LicenceClass)
    licences: dict[str, LicenceClass] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if not name or value not in classes:
            raise InputError(f"licence {pair!r}: expected NAME=CLASS with a class of {', '.join(classes)}")
        licences[name] = cast(LicenceClass, value)
    return licences


REASONS = (
    "licence",
    "source",
    "empty",
    "placeholders",
    "short",
    "duplicate",
    "language",
    "held-out",
    "near-duplicate",
)
"""Reasons to drop a passage, in the order of the checks."""


@dataclass(frozen=True, slots=True)
class SourceAccount:
    """Numbers of passages, pieces and subwords of one source, kept and dropped.

    Attributes:
        read: passages read.
        kept: passages with at least one piece in the set.
        split: kept passages that were cut into several pieces.
        held_out: kept passages that are set aside for evaluation.
        dropped: dropped passages, by reason.
        pieces: pieces in the set, held-out ones included.
        subwords_read: subwords of all passages read, except for sources that are left out.
        subwords: subwords in the set, held-out ones included.
        subwords_held_out: subwords of the held-out passages.
        subwords_dropped: dropped subwords, by reason; ``short`` and ``near-duplicate`` include pieces of kept
            passages.
    """

    read: int = 0
    kept: int = 0
    split: int = 0
    held_out: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    pieces: int = 0
    subwords_read: int = 0
    subwords: int = 0
    subwords_held_out: int = 0
    subwords_dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """True if every passage and subword that was read is kept or dropped."""
        return self.read == self.kept + sum(
            self.dropped.values()
        ) and self.subwords_read == self.subwords + sum(self.subwords_dropped.values())

    def __add__(self, other: SourceAccount) -> SourceAccount:
        addend = other.to_json()
        total: dict[str, Any] = {
            key: _add(value, addend[key]) if isinstance(value, Mapping) else value + addend[key]
            for key, value in self.to_json().items()
        }
        return SourceAccount(**total)

    def to_json(self) -> dict[str, Any]:
        """The account as a JSON object."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_counts(cls, counts: Mapping[str, int]) -> SourceAccount:
        """Build from counts named ``attribute`` or ``attribute:reason``."""
        plain: dict[str, Any] = {key: value for key, value in counts.items() if ":" not in key}
        groups: dict[str, dict[str, int]] = {"dropped": {}, "subwords_dropped": {}}
        for name, by_reason in groups.items():
            for reason in REASONS:
                if count := counts.get(f"{name}:{reason}", 0):
                    by_reason[reason] = count
        return cls(**plain, dropped=groups["dropped"], subwords_dropped=groups["subwords_dropped"])


def _add(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    total = Counter(one) + Counter(other)
    return {reason: total[reason] for reason in REASONS if reason in total}
