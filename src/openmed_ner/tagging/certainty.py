"""Words that are certainly outside of any mention, whatever the rest of the best tag sequence is.

Suppose a word had another tag than ``O``. Writing ``O`` instead, and beginning anew a mention that went on
behind the word (in IOBES also: ending one before it), gives another well-formed sequence. The scores of the
word and of its two neighbours, and the transitions around them, bound what the change may cost. If it gains
in any case, no best sequence has another tag there. So most words are decided by arithmetic over all words
at once, and a search has to decide only the rest. Bounds over whole mentions instead of single words left
five times as many words to the search, since a confident mention made its neighbours uncertain
(EXPERIMENTS.md, 2026-11-28).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openmed_ner.tagging.heads import FloatArray, Head

BoolArray = NDArray[np.bool_]
TagArray = NDArray[np.intp]
MARGIN = 1e-3
"""Least gain that counts, far above the rounding of sums of scores."""
_AFTER = {"I": "B", "E": "S"}
"""Positions behind a word, and those that replace them if the word becomes ``O``."""
_BEFORE = {"I": "E", "B": "S"}
"""Positions before it, likewise; only IOBES has the replacements."""


class _Pair(NamedTuple):
    """A tag of a neighbouring word, and the one that replaces it."""

    old: int
    new: int


class _Case(NamedTuple):
    """A tag of a word, how its neighbours change with it, and most that the transitions give it."""

    tag: int
    before: _Pair | None
    after: _Pair | None
    gain: float


class _Group(NamedTuple):
    """Cases whose same neighbours change, at most one for each column.

    Attributes:
        before: columns of the tag before and of its replacement, each ``(n_columns,)``, or ``None``.
        after: columns of the tag behind it and of its replacement, each ``(n_columns,)``, or ``None``.
        gains: most that the transitions give a tag, ``(n_columns, 1)``; minus infinity for no case.
    """

    before: tuple[TagArray, TagArray] | None
    after: tuple[TagArray, TagArray] | None
    gains: FloatArray


class OutsideTest:
    """Finds the words that are ``O`` in every best tag sequence, for several heads."""

    def __init__(self, heads: Sequence[Head]) -> None:
        sizes = np.array([len(head.tags) for head in heads], dtype=np.intp)
        firsts = np.cumsum(sizes) - sizes
        # Columns are read head by head, those of one size together, so that their largest are found at once.
        self._order: TagArray = np.argsort(sizes, kind="stable")
        self._columns: TagArray = np.concatenate(
            [np.arange(firsts[number], firsts[number] + sizes[number]) for number in self._order]
        )
        self._sizes = Counter(sizes[self._order].tolist())
        self._may_precede = [np.isfinite(head.transition_costs[:, 0]) for head in heads]

        grouped: dict[tuple[bool, bool, int], list[tuple[int, _Case]]] = defaultdict(list)
        begins = np.cumsum(sizes[self._order]) - sizes[self._order]
        for number, begin in zip(self._order.tolist(), begins.tolist(), strict=True):
            seen: Counter[tuple[bool, bool, int]] = Counter()
            for case in _iter_cases(heads[number]):
                changes = case.before is not None, case.after is not None
                grouped[*changes, seen[*changes, case.tag]].append((begin, case))
                seen[*changes, case.tag] += 1
        self._groups = [_join(cases, len(self._columns)) for cases in grouped.values()]

    def find(self, scores: FloatArray, previous: TagArray) -> BoolArray:
        """Find the words that are certainly ``O``.

        Args:
            scores: logits or log-probabilities, ``(n_words, n_columns)``.
            previous: tag of each head before the first word, ``(n_heads,)``.

        Returns:
            True where a word is proven to be ``O``, ``(n_words, n_heads)``.
        """
        # Columns are rows here, so that operations on words read memory in order.
        columns = scores.T[self._columns]
        gains = np.full_like(columns, -np.inf)
        for group in self._groups:
            begin, end = int(group.before is not None), len(scores) - (group.after is not None)
            if begin >= end:
                continue
            gain = group.gains
            if group.before is not None:
                gain = gain + (columns[group.before[0], : end - 1] - columns[group.before[1], : end - 1])
            if group.after is not None:
                gain = gain + (columns[group.after[0], begin + 1 :] - columns[group.after[1], begin + 1 :])
            np.maximum(gains[:, begin:end], gain, out=gains[:, begin:end])
        rivals = gains + columns

        certain = np.empty((len(self._order), len(scores)), dtype=np.bool_)
        head = column = 0
        for size, count in self._sizes.items():
            rows = slice(column, column + size * count)
            highest = rivals[rows].reshape(count, size, len(scores)).max(axis=1)
            certain[self._order[head : head + count]] = columns[rows][::size] > highest
            head, column = head + count, rows.stop
        # In IOBES, a mention that the words before left open must go on, so O cannot follow.
        for head, (tag, may_precede) in enumerate(zip(previous.tolist(), self._may_precede, strict=True)):
            if not may_precede[tag] and len(scores):
                certain[head, 0] = False
        return certain.T


def _iter_cases(head: Head) -> Iterator[_Case]:
    """Yield the tags but ``O`` of a head with every change of their neighbours."""
    scores, numbers = head.transition_scores, {tag: number for number, tag in enumerate(head.tags)}
    allowed = np.isfinite(scores)

    def pairs(tag: str, places: str, changes: dict[str, str]) -> list[_Pair]:
        if tag[0] not in places:
            return []
        names = ((old + tag[1:], new + tag[1:]) for old, new in changes.items())
        return [_Pair(numbers[old], numbers[new]) for old, new in names if old in numbers and new in numbers]

    def largest(first: FloatArray, second: FloatArray, mask: BoolArray) -> float:
        return float((first[mask] - second[mask]).max(initial=-np.inf))

    for name, tag in list(numbers.items())[1:]:
        befores: list[tuple[_Pair | None, float]] = [
            (None, largest(scores[:, tag], scores[:, 0], allowed[:, tag] & allowed[:, 0]))
        ]
        for pair in pairs(name, "IE", _BEFORE):
            gain = largest(scores[:, pair.old], scores[:, pair.new], allowed[:, pair.old])
            befores.append((pair, gain + float(scores[pair.old, tag] - scores[pair.new, 0])))

        # Nothing need follow: the words may end.
        afters: list[tuple[_Pair | None, float]] = [
            (None, max(0.0, largest(scores[tag], scores[0], allowed[tag] & allowed[0])))
        ]
        for pair in pairs(name, "BI", _AFTER):
            gain = max(0.0, largest(scores[pair.old], scores[pair.new], allowed[pair.old]))
            afters.append((pair, gain + float(scores[tag, pair.old] - scores[0, pair.new])))

        for before, gain_before in befores:
            for after, gain_after in afters:
                if gain_before + gain_after > -np.inf:
                    yield _Case(tag, before, after, gain_before + gain_after + MARGIN)


def _join(cases: Sequence[tuple[int, _Case]], n_columns: int) -> _Group:
    """Lay cases, each with the first column of its head, side by side."""
    before, after = np.tile(np.arange(n_columns, dtype=np.intp), (2, 2, 1))
    gains = np.full((n_columns, 1), -np.inf, dtype=np.float32)
    for begin, case in cases:
        column = begin + case.tag
        gains[column] = case.gain
        for changes, pair in ((before, case.before), (after, case.after)):
            if pair is not None:
                changes[:, column] = begin + pair.old, begin + pair.new
    _, first = cases[0]
    return _Group(
        tuple(before) if first.before is not None else None,
        tuple(after) if first.after is not None else None,
        gains,
    )
