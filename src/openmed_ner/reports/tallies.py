"""Counts of many distinct keys in bounded memory.

The counts are exact as long as the table holds all keys. If it gets too many, it forgets the rarer half of
them (lossy counting, after Manku and Motwani 2002). From then on a count may be too low, by at most
:attr:`TallyTable.undercount`, and a key that is forgotten was no more frequent than that.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from statistics import median_low
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


@dataclass(slots=True)
class Tally:
    """Counts of a key.

    Attributes:
        shown: form of the key that people read.
        mentions: number of mentions.
        documents: number of documents with a mention.
    """

    shown: str
    mentions: int = 0
    documents: int = 0


class TallyTable(Generic[Key]):
    """Counts of keys, of which the rarer ones may be forgotten."""

    def __init__(self, capacity: int) -> None:
        """Make an empty table.

        Args:
            capacity: most keys that the table holds.
        """
        self._capacity = capacity
        self._tallies: dict[Key, Tally] = {}
        self.undercount = 0

    def __len__(self) -> int:
        return len(self._tallies)

    def add(self, key: Key, shown: str, mentions: int = 1) -> None:
        """Count the mentions of a key in one more document."""
        tally = self._tallies.get(key)
        if tally is None:
            if len(self._tallies) >= self._capacity:
                self._forget()
            tally = self._tallies[key] = Tally(shown)
        tally.mentions += mentions
        tally.documents += 1

    def documents_of(self, key: Key) -> int:
        """Number of documents with a key; 0 if it is unknown or forgotten."""
        tally = self._tallies.get(key)
        return tally.documents if tally else 0

    def shown(self, key: Key) -> str:
        """Form of a key that people read; empty if it is unknown or forgotten."""
        tally = self._tallies.get(key)
        return tally.shown if tally else ""

    def items(self) -> Iterator[tuple[Key, Tally]]:
        """Yield the keys with their counts, the most frequent first, and equal ones in order of the keys."""
        yield from sorted(self._tallies.items(), key=lambda item: (-item[1].mentions, item[0]))

    def _forget(self) -> None:
        limit = median_low(tally.mentions for tally in self._tallies.values())
        self._tallies = {key: tally for key, tally in self._tallies.items() if tally.mentions > limit}
        self.undercount += limit
