"""What became of the passages of each source, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
"""Why a passage may be dropped, in the order in which it is asked."""
LEFT_OUT = ("licence", "source")
"""Reasons to leave a whole source out; its subwords are not even counted."""


@dataclass(frozen=True, slots=True)
class SourceAccount:
    """What became of the passages of one source.

    Attributes:
        read: passages that were read.
        kept: those of which something is in the set; the others are in ``dropped``.
        split: those of ``kept`` that were cut into several pieces.
        held_out: those of ``kept`` that are set aside for evaluation.
        dropped: passages dropped, by reason.
        pieces: pieces in the set, those held out included.
        subwords_read: subwords of all passages read, but for sources that are left out.
        subwords: subwords in the set, those held out included.
        subwords_held_out: of those, in passages set aside.
        subwords_dropped: by reason; ``short`` and ``near-duplicate`` include such pieces of passages that
            were kept.
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
        """Whether all that was read is accounted for."""
        return self.read == self.kept + sum(
            self.dropped.values()
        ) and self.subwords_read == self.subwords + sum(self.subwords_dropped.values())

    def __add__(self, other: SourceAccount) -> SourceAccount:
        theirs = other.to_json()
        total: dict[str, Any] = {
            key: _add(value, theirs[key]) if isinstance(value, Mapping) else value + theirs[key]
            for key, value in self.to_json().items()
        }
        return SourceAccount(**total)

    def to_json(self) -> dict[str, Any]:
        """The account as a JSON object."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_counts(cls, counts: Mapping[str, int]) -> SourceAccount:
        """Build from counts by the attribute's name, those of reasons by ``name:reason``."""
        plain: dict[str, Any] = {key: value for key, value in counts.items() if ":" not in key}
        groups: dict[str, dict[str, int]] = {"dropped": {}, "subwords_dropped": {}}
        for name, found in groups.items():
            for reason in REASONS:
                if count := counts.get(f"{name}:{reason}", 0):
                    found[reason] = count
        return cls(**plain, dropped=groups["dropped"], subwords_dropped=groups["subwords_dropped"])


def _add(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    total = Counter(one) + Counter(other)
    return {reason: total[reason] for reason in REASONS if reason in total}
