"""Offsets in UTF-16 code units, as Java and old JavaScript count, and in characters, as Python does.

A character beyond U+FFFF, such as an emoji, is two code units and one character.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from itertools import accumulate


class CodeUnits:
    """The positions of a text in both units."""

    def __init__(self, text: str) -> None:
        # Most texts have no such character, and their offsets are equal.
        self._units: array[int] | None = None
        self._length = len(text)
        if text and max(text) > "\uffff":
            self._units = array("L", [0])
            self._units.extend(accumulate(1 + (character > "\uffff") for character in text))

    def to_units(self, position: int) -> int:
        """Convert a position in characters."""
        return position if self._units is None else self._units[position]

    def to_characters(self, position: int) -> int:
        """Convert a position in code units.

        Raises:
            ValueError: it lies beyond the text or within a character.
        """
        if self._units is None:
            if 0 <= position <= self._length:
                return position
        elif (index := bisect_left(self._units, position)) <= self._length and self._units[index] == position:
            return index
        raise ValueError(f"offset {position} lies beyond the text or within a character of two code units")
