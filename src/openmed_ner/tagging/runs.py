"""Runs of words that may belong to mentions, and those whose best tags need no search.

Nearly always, the tags that are best for each word alone make the best sequence. Another sequence loses the
leads of these tags over the second best at the words that it changes. It gains at most what the transitions
around these words lack, compared with the best ones. If every word leads by more than its share of that, no
other sequence is as good. A tenth of the runs is left to a search.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from openmed_ner.tagging.certainty import MARGIN, BoolArray, TagArray
from openmed_ner.tagging.heads import FloatArray, Head


class Runs(NamedTuple):
    """Runs of neighbouring words, each of one head and between words that are ``O``.

    Attributes:
        heads: head of each run, ``(n_runs,)`` as all arrays.
        firsts: its first word.
        ends: the word after its last.
        before: tag before it.
        at_end: true if it ends with the words, and no break follows.
    """

    heads: TagArray
    firsts: TagArray
    ends: TagArray
    before: TagArray
    at_end: BoolArray

    def select(self, chosen: BoolArray) -> Runs:
        """Return some of the runs."""
        heads, firsts, ends, before = (array[chosen] for array in self[:4])
        return Runs(heads, firsts, ends, before, self.at_end[chosen])


class LeadTest:
    """Finds the runs whose words all have tags that no other sequence can make up for, for several heads."""

    def __init__(self, heads: Sequence[Head]) -> None:
        sizes = np.array([len(head.tags) for head in heads], dtype=np.intp)
        width = int(sizes.max())
        transitions = np.full((len(heads), width, width), -np.inf, dtype=np.float32)
        self._end_costs = np.full((len(heads), width), np.inf, dtype=np.float32)
        for number, (head, size) in enumerate(zip(heads, sizes.tolist(), strict=True)):
            transitions[number, :size, :size] = head.transition_scores
            self._end_costs[number, :size] = -head.end_costs

        # What a transition lacks if only its second word changes, only its first, or both, which share it.
        with np.errstate(invalid="ignore"):  # tags that cannot be
            second = transitions.max(axis=2, keepdims=True) - transitions
            first = transitions.max(axis=1, keepdims=True) - transitions
            both = (transitions.max(axis=(1, 2), keepdims=True) - transitions) / 2
        self._of_opening = np.where(np.isfinite(transitions), second, np.inf)
        self._of_second = np.where(np.isfinite(transitions), np.maximum(second, both), np.inf)
        self._of_first = np.where(np.isfinite(transitions), np.maximum(first, both), np.inf)
        self._of_last = np.where(np.isfinite(transitions), first, np.inf)[:, :, 0]

        # Beyond its own tags, a head has tags that cannot be, whatever score is read for them.
        begins = np.cumsum(sizes) - sizes
        self._columns: TagArray = np.minimum(begins[:, None] + np.arange(width), sizes.sum() - 1)
        self._padding = np.where(np.arange(width) < sizes[:, None], 0, -np.inf).astype(np.float32)

    def find(self, scores: FloatArray, runs: Runs, *, last: bool) -> tuple[TagArray, TagArray, BoolArray]:
        """Find the best tags of single words, and the runs for which they are proven to be the best sequence.

        Args:
            scores: logits or log-probabilities, ``(n_words, n_columns)``.
            runs: at least one run.
            last: if true, the text ends after these words.

        Returns:
            Word and best tag of each place of the runs, run by run, ``(n_places,)`` each. Also true for the
            runs that are proven, ``(n_runs,)``.
        """
        lengths = runs.ends - runs.firsts
        ends = np.cumsum(lengths)
        opens, closes = ends - lengths, ends - 1
        heads = np.repeat(runs.heads, lengths)
        places = np.arange(len(heads))
        words = places + np.repeat(runs.firsts - opens, lengths)

        # With one index, which takes half of the time of two.
        cells = (words * scores.shape[1])[:, None] + self._columns.take(heads, axis=0)
        single = scores.ravel().take(cells) + self._padding.take(heads, axis=0)
        tags = single.argmax(axis=1)
        leads = single[places, tags]
        single[places, tags] = -np.inf
        leads -= single.max(axis=1)

        costs = np.empty_like(leads)
        inner = heads[1:], tags[:-1], tags[1:]
        costs[1:] = self._of_second[inner]
        costs[opens] = self._of_opening[runs.heads, runs.before, tags[opens]]
        leads -= costs
        costs[:-1] = self._of_first[inner]
        costs[closes] = self._of_last[runs.heads, tags[closes]]
        if runs.at_end.any():
            at_end = closes[runs.at_end]
            costs[at_end] = self._end_costs[heads[at_end], tags[at_end]] if last else 0
        return words, tags, np.logical_and.reduceat(leads > costs + MARGIN, opens)
