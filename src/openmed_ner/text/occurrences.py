"""Occurrences of names in a text: places where a name stands as whole words.

One pass over the text notes where the first words of the names stand. So the cost is that of the text plus
that of these places, whatever the number of names, and nothing else of the text is kept.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from unicodedata import category

_RUN = re.compile(r"[^\W_]+")
"""Letters and digits. Words of :mod:`openmed_ner.text.words` begin and end such runs, if marks are heeded."""


class OccurrenceIndex:
    """Finds occurrences of names whose first words were announced."""

    def __init__(self, text: str, names: Iterable[str]) -> None:
        self._text = text
        firsts = {run[0] for name in names if (run := _RUN.search(name))}
        self._places: dict[str, list[int]] = defaultdict(list)
        if firsts:
            for run in _RUN.finditer(text):
                if run[0] in firsts:
                    self._places[run[0]].append(run.start())

    def find(self, names: Iterable[str]) -> list[tuple[int, int]]:
        """Find occurrences of names, exactly as they are written.

        Args:
            names: some of the names of this index.

        Returns:
            Ranges in the order of the text that do not overlap: of occurrences that do, the first counts, and
            of those with one start, the longest. Names without letters and digits have none.
        """
        by_run: dict[str, dict[tuple[int, int], set[str]]] = defaultdict(lambda: defaultdict(set))
        for name in names:
            if run := _RUN.search(name):
                by_run[run[0]][run.start(), len(name)].add(name)

        # Names are looked up by their length, so that a thousand names with one first word cost no more than
        # their lengths.
        ranges = [
            (place - offset, place - offset + length)
            for run, by_shape in by_run.items()
            for (offset, length), alike in by_shape.items()
            for place in self._places.get(run, ())
            if place >= offset
            and self._text[place - offset : place - offset + length] in alike
            and self._is_whole(place - offset, place - offset + length)
        ]
        ranges.sort(key=lambda place: (place[0], -place[1]))
        disjoint: list[tuple[int, int]] = []
        for start, end in ranges:
            if not disjoint or disjoint[-1][1] <= start:
                disjoint.append((start, end))
        return disjoint

    def _is_whole(self, start: int, end: int) -> bool:
        """True if no word crosses the bounds of a range."""
        text = self._text
        if end < len(text) and category(text[end])[0] == "M":
            return False
        return not (self._is_inside_word(start) or self._is_inside_word(end))

    def _is_inside_word(self, bound: int) -> bool:
        """True if a word goes on across a place."""
        text = self._text
        return 0 < bound < len(text) and text[bound].isalnum() and _is_inside(text[bound - 1])


def _is_inside(letter: str) -> bool:
    """True for a letter, a digit and a combining mark, which a letter may continue."""
    return letter.isalnum() or category(letter)[0] == "M"
