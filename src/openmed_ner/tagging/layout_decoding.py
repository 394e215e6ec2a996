"""Layout in decoding: mentions end at the breaks of a text.

The scores of a word tell how probable it is that a mention begins there, and that one continues. After a
break none continues, so both together are the probability that one begins. Where lines may merely be
wrapped, the line ends of a paragraph are weighed together, those between two words of mentions. Each counts
with the log-odds of continuing a mention against beginning one. A known name of the lexicon that goes on
across the line end speaks for a wrapped line, and one that begins after it for a list. Mentions continue if
the mean is high enough. Scores of a window without a mention across a break are left as they are, to the
last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from openmed_ner.tagging.certainty import BoolArray, TagArray
from openmed_ner.tagging.heads import FloatArray, Head
from openmed_ner.tagging.subwords import IntArray
from openmed_ner.terminologies import PLACES, TAGS
from openmed_ner.text.hyphenation import Reading
from openmed_ner.text.layout import Break, find_layout

WRAPPED = 2.75
"""Least mean for which short lines count as wrapped.

Chosen on dev splits, like ``KNOWN``, with ``benchmarks/line_breaks.py`` (EXPERIMENTS.md, 2026-11-29). Bounds
between 2.5 and 3 give nearly the same result.
"""
KNOWN = 2.0
"""What a known name adds to the log-odds if it goes on across a line end, and takes away if it begins there.

Names go on across 33 to 63 of 100 line ends inside mentions that the model finds, and across 1 to 4 between
items that it joins. They begin at 7 to 13 of the first, and at 43 to 57 of the second.
"""
_BEGINS = np.array([tag.startswith("B") for tag in TAGS])
_GOES_ON = np.array([tag.startswith("I") for tag in TAGS])
"""Tags of the lexicon by whether a name begins with a word, or goes on, ``(n_tags,)``."""
_NEVER = np.float32(-1e4)
"""Score of a tag that cannot be; a finite number, so that sums of scores stay numbers."""


class WordBreaks(NamedTuple):
    """The breaks before each of some words, and after the last one.

    Attributes:
        found: true where there is a break, ``(n_words + 1,)``.
        certain: true where it is certain, ``(n_words + 1,)``.
        paragraphs: number of the paragraph of each break, ``(n_words + 1,)``.
        marks: true for the words of bullets and the like, ``(n_words,)``.
    """

    found: BoolArray
    certain: BoolArray
    paragraphs: IntArray
    marks: BoolArray


class TextBreaks:
    """The breaks of a text, to be looked up by words of its reading."""

    def __init__(self, reading: Reading) -> None:
        text, place_of = reading.original, reading.place_of
        layout = find_layout(text)
        # A break that no word touches spares the search for special cases.
        breaks = [*layout.breaks, Break(len(text) + 1, len(text) + 1, certain=False)]
        self._starts = np.array([place_of(place.start) for place in breaks], dtype=np.int32)
        self._ends = np.array([place_of(place.end) for place in breaks], dtype=np.int32)
        self._certain = np.array([place.certain for place in breaks], dtype=np.bool_)
        self._paragraphs = np.array([place.paragraph for place in breaks], dtype=np.int32)
        marks = ((place_of(start), place_of(end)) for start, end in layout.marks)
        self._marks = np.array([(-1, -1), *marks], dtype=np.int32)
        self._is_plain = not layout.breaks and not layout.marks

    def __bool__(self) -> bool:
        return not self._is_plain

    def find(self, starts: IntArray, ends: IntArray) -> WordBreaks:
        """Find the breaks before each of some consecutive words, and after the last one.

        Args:
            starts: first character of each word, ``(n_words,)``.
            ends: one past the last character of each word, ``(n_words,)``.
        """
        places = np.append(np.searchsorted(self._ends, starts), np.searchsorted(self._starts, ends[-1]))
        marks = starts < self._marks[np.searchsorted(self._marks[:, 0], starts, side="right") - 1, 1]
        found = np.append(self._ends[places[:-1]] == starts, self._starts[places[-1]] == ends[-1])
        return WordBreaks(found, found & self._certain[places], self._paragraphs[places], marks)


class HeadLayout:
    """The columns of the scores of some heads, by the position that a tag stands for."""

    def __init__(self, heads: Sequence[Head]) -> None:
        tags = [(number, tag) for number, head in enumerate(heads) for tag in head.tags]
        columns = {pair: column for column, pair in enumerate(tags)}
        self._owners: TagArray = np.array([number for number, _ in tags], dtype=np.intp)
        self._continues: BoolArray = np.array([tag[0] in "IE" for _, tag in tags])
        self._begins: BoolArray = np.array([tag[0] in "BS" for _, tag in tags])
        self._is_open: BoolArray = np.array(
            [tag[0] in "BI" and (n, f"E{tag[1:]}") in columns for n, tag in tags]
        )
        self._first_columns: TagArray = np.flatnonzero(np.diff(self._owners, prepend=-1))

        # In IOBES, a mention that may not continue has its last word there.
        self._after = self._pair(columns, {"I": "B", "E": "S"})
        self._before = self._pair(columns, {"I": "E", "B": "S"})

    @staticmethod
    def _pair(columns: dict[tuple[int, str], int], changes: dict[str, str]) -> tuple[TagArray, TagArray]:
        """List columns, and those of the tags that replace theirs."""
        pairs = [
            (column, columns[number, changes[tag[0]] + tag[1:]])
            for (number, tag), column in columns.items()
            if tag[0] in changes and (number, changes[tag[0]] + tag[1:]) in columns
        ]
        old, new = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
        return old, new

    def choose_breaks(
        self,
        scores: FloatArray,
        tags: TagArray,
        previous: TagArray,
        breaks: WordBreaks,
        lexicon_tags: IntArray | None = None,
    ) -> tuple[BoolArray, BoolArray]:
        """Choose the places where each head must end its mentions.

        Args:
            scores: logits, ``(n_words, n_columns)``.
            tags: tags that disregard breaks, ``(n_words, n_heads)``.
            previous: tag of each head before the first word, ``(n_heads,)``.
            breaks: the breaks before and after these words.
            lexicon_tags: lexicon tags of each word, ``(n_words,)``; ``None`` without a lexicon.

        Returns:
            True for the breaks of heads with a mention across one, or with a mark in it,
            ``(n_words + 1, n_heads)``; and true for such heads, ``(n_heads,)``.
        """
        columns = tags + self._first_columns
        crosses = self._continues[columns[breaks.found[:-1]]].any(axis=0)
        crosses |= (tags[breaks.marks] > 0).any(axis=0)
        if breaks.found[-1]:
            crosses |= self._is_open[columns[-1]]
        if not crosses.any():  # whatever breaks are chosen, as in most windows
            return np.zeros((len(tags) + 1, tags.shape[1]), dtype=np.bool_), crosses

        continued = self._continues[columns]
        chosen = np.repeat(breaks.certain[:, None], tags.shape[1], axis=1)
        if len(possible := np.flatnonzero(breaks.found[:-1] & ~breaks.certain[:-1])):
            before = np.concatenate([previous[None], tags[:-1]])
            between = (before[possible] > 0) & (tags[possible] > 0)
            leads = self._maxima(scores[possible], self._continues)
            leads -= self._maxima(scores[possible], self._begins)
            if lexicon_tags is not None:
                leads += _weigh_names(lexicon_tags[possible])[:, None]
            _, paragraphs = np.unique(breaks.paragraphs[possible], return_inverse=True)
            chosen[possible] = _mean(leads, between, paragraphs)[paragraphs] < WRAPPED
        # In IOBES, a mention that was left open by the words before has to go on.
        chosen[0] &= ~self._is_open[previous + self._first_columns]

        crosses = (chosen[:-1] & continued).any(axis=0)
        crosses |= chosen[-1] & self._is_open[columns[-1]]
        crosses |= (tags[breaks.marks] > 0).any(axis=0)
        return chosen & crosses, crosses

    def _maxima(self, scores: FloatArray, columns: BoolArray) -> FloatArray:
        """Largest score of each head among some columns, ``(n_words, n_heads)``."""
        masked: FloatArray = np.where(columns, scores, np.float32(-np.inf))
        maxima: FloatArray = np.maximum.reduceat(masked, self._first_columns, axis=1)
        return maxima

    def end_mentions(
        self, scores: FloatArray, breaks: BoolArray, marks: BoolArray, heads: BoolArray
    ) -> FloatArray:
        """Give the scores of tags that cross a break to those that respect it.

        Args:
            scores: logits, ``(n_words, n_columns)``.
            breaks: places where each head must end its mentions, ``(n_words + 1, n_heads)``.
            marks: true for words that no mention may hold, ``(n_words,)``.
            heads: heads that heed them, ``(n_heads,)``.
        """
        changed = scores.copy()
        changed[np.ix_(marks, heads[self._owners] & (self._continues | self._begins))] = _NEVER
        for (old, new), places in ((self._after, breaks[:-1]), (self._before, breaks[1:])):
            here = places[:, self._owners[old]]
            changed[:, new] = np.where(here, np.logaddexp(changed[:, old], changed[:, new]), changed[:, new])
            changed[:, old] = np.where(here, _NEVER, changed[:, old])
        return changed


def _weigh_names(lexicon_tags: IntArray) -> FloatArray:
    """What the lexicon adds to the log-odds that a mention continues with each word, ``(n_words,)``."""
    tags = lexicon_tags[:, None] // PLACES % len(TAGS)
    goes_on, begins = _GOES_ON[tags].any(axis=1), _BEGINS[tags].any(axis=1)
    return np.where(goes_on, KNOWN, np.where(begins, -KNOWN, 0)).astype(np.float32)


def _mean(leads: FloatArray, counted: BoolArray, paragraphs: TagArray) -> FloatArray:
    """Means of each paragraph and head over the breaks that count, ``(n_paragraphs, n_heads)``.

    Args:
        leads: log-odds at each break, ``(n_breaks, n_heads)``.
        counted: true for the breaks that count, ``(n_breaks, n_heads)``.
        paragraphs: index of the paragraph of each break, ``(n_breaks,)``.
    """
    sums = np.zeros((paragraphs.max() + 1, counted.shape[1]), dtype=np.float32)
    counts = np.zeros_like(sums)
    np.add.at(sums, paragraphs, np.where(counted, leads, 0))
    np.add.at(counts, paragraphs, counted)
    return (sums / np.maximum(counts, 1)).astype(np.float32)
