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

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openmed_ner.tagging.heads import FloatArray, Head

BoolArray = NDArray[np.bool_]
TagArray = NDArray[np.intp]
_MARGIN = 1e-3
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
    """Cases of all heads whose same neighbours change, side by side.

    Attributes:
        tags: column of the tag, ``(n_cases,)``.
        before: columns of the tag before and of its replacement, each ``(n_cases,)``, or ``None``.
        after: columns of the tag behind it and of its replacement, each ``(n_cases,)``, or ``None``.
        gains: most that the transitions give the tag, ``(n_cases,)``.
        heads: heads that have cases, in order.
        firsts: index of the first case of each of these.
    """

    tags: TagArray
    before: tuple[TagArray, TagArray] | None
    after: tuple[TagArray, TagArray] | None
    gains: FloatArray
    heads: TagArray
    firsts: TagArray


class OutsideTest:
    """Finds the words that are ``O`` in every best tag sequence, for several heads."""

    def __init__(self, heads: Sequence[Head]) -> None:
        sizes = np.array([len(head.tags) for head in heads], dtype=np.intp)
        self._begins: TagArray = np.cumsum(sizes) - sizes
        self._may_precede = [np.isfinite(head.transition_costs[:, 0]) for head in heads]
        grouped: dict[tuple[bool, bool], list[tuple[int, _Case]]] = defaultdict(list)
        for number, head in enumerate(heads):
            for case in _iter_cases(head):
                grouped[case.before is not None, case.after is not None].append((number, case))
        self._groups = [_join(cases, self._begins) for cases in grouped.values()]

    def find(self, scores: FloatArray, previous: TagArray) -> BoolArray:
        """Find the words that are certainly ``O``.

        Args:
            scores: logits or log-probabilities, ``(n_words, n_columns)``.
            previous: tag of each head before the first word, ``(n_heads,)``.

        Returns:
            True where a word is proven to be ``O``, ``(n_words, n_heads)``.
        """
        # Columns are rows here, so that taking some of them copies memory in order.
        columns = np.ascontiguousarray(scores.T)
        bounds = np.full((len(self._begins), len(scores)), -np.inf, dtype=np.float32)
        for group in self._groups:
            begin, end = int(group.before is not None), len(scores) - (group.after is not None)
            if begin >= end:
                continue
            rivals = columns[group.tags, begin:end] + group.gains[:, None]
            if group.before is not None:
                rivals += columns[group.before[0], : end - 1] - columns[group.before[1], : end - 1]
            if group.after is not None:
                rivals += columns[group.after[0], begin + 1 :] - columns[group.after[1], begin + 1 :]
            highest = np.maximum.reduceat(rivals, group.firsts, axis=0)
            bounds[group.heads, begin:end] = np.maximum(bounds[group.heads, begin:end], highest)

        certain: BoolArray = (columns[self._begins] > bounds).T
        # In IOBES, a mention that the words before left open must go on, so O cannot follow.
        for head, (tag, may_precede) in enumerate(zip(previous.tolist(), self._may_precede, strict=True)):
            if not may_precede[tag] and len(certain):
                certain[0, head] = False
        return certain


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
                    yield _Case(tag, before, after, gain_before + gain_after + _MARGIN)


def _join(cases: Sequence[tuple[int, _Case]], begins: TagArray) -> _Group:
    """Lay cases with the number of their heads, in order, side by side."""
    owners = np.array([number for number, _ in cases], dtype=np.intp)
    offsets = begins[owners]

    def columns(pairs: Sequence[_Pair | None]) -> tuple[TagArray, TagArray] | None:
        changes = [pair for pair in pairs if pair is not None]
        if not changes:
            return None
        old, new = np.array(changes, dtype=np.intp).T
        return old + offsets, new + offsets

    heads, firsts = np.unique(owners, return_index=True)
    return _Group(
        np.array([case.tag for _, case in cases], dtype=np.intp) + offsets,
        columns([case.before for _, case in cases]),
        columns([case.after for _, case in cases]),
        np.array([case.gain for _, case in cases], dtype=np.float32),
        heads.astype(np.intp),
        firsts.astype(np.intp),
    )
