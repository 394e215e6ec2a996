"""From scores per word back to spans: constrained decoding per head, joined across windows.

Each head's best well-formed tag sequence is found by Viterbi search over its scores. A transition is
forbidden or allowed, and an allowed one may have a score of its own, learnt from training documents. Words
that are certainly ``O`` in the best sequence, which most are, are found by arithmetic over all of them at
once; the search goes over the runs of words between. Windows are decoded in order as they arrive, each
starting from the last tag decided, so memory does not grow with the document.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openmed_ner.tagging.windows import Window
from openmed_ner.text import Coverage, Span, TagScheme, count_visible

FloatArray = NDArray[np.float32]
TagArray = NDArray[np.intp]


MODEL_SCHEMES = (TagScheme.IOB2, TagScheme.IOBES)
"""Schemes in which any entities side by side can be written, each with its own begin."""


LARGEST = 1000
"""Largest score of a transition, far beyond what is ever learnt."""


@dataclass(frozen=True)
class Head:
    """One corpus's label set and how its tags are laid out.

    Attributes:
        corpus: the annotation guideline the head was trained on.
        labels: its entity types.
        scheme: how entities are written as tags, IOB2 or IOBES.
        transitions: what a tag (column) scores for following another (row); none: no more than being allowed.
    """

    corpus: str
    labels: tuple[str, ...]
    scheme: TagScheme = TagScheme.IOB2
    transitions: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        if self.scheme not in MODEL_SCHEMES:
            raise ValueError(f"a head writes IOB2 or IOBES, not {self.scheme.value}")
        sizes = {len(row) for row in self.transitions} | {len(self.transitions)}
        if self.transitions and sizes != {len(self.tags)}:
            raise ValueError(f"{self.corpus}: transitions between {len(self.tags)} tags are a square of them")
        if not all(abs(value) <= LARGEST for row in self.transitions for value in row):
            raise ValueError(f"{self.corpus}: transitions are numbers from -{LARGEST} to {LARGEST}")

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """Every tag, in the order of the model's outputs."""
        return self.scheme.tags(self.labels)

    @cached_property
    def forbidden(self) -> FloatArray:
        """Cost of each tag (column) after each tag (row): 0 or minus infinity, ``(n_tags, n_tags)``."""
        return _costs(
            [[self.scheme.may_follow(before, after) for after in self.tags] for before in self.tags]
        )

    @cached_property
    def endings(self) -> FloatArray:
        """Cost of each tag at the end of a text, ``(n_tags,)``."""
        return _costs([self.scheme.may_follow(tag, None) for tag in self.tags])

    @cached_property
    def steps(self) -> FloatArray:
        """What each tag (column) after each tag (row) adds to a sequence's score, ``(n_tags, n_tags)``."""
        learnt = np.array(self.transitions, dtype=np.float32) if self.transitions else np.float32(0)
        steps: FloatArray = self.forbidden + learnt
        return steps

    @cached_property
    def most(self) -> float:
        """The most that a transition adds to a sequence beyond one to ``O``."""
        to_o = self.steps[:, 0]
        return float(self.steps.max() - to_o[np.isfinite(to_o)].min())

    def decode(self, scores: FloatArray, *, previous: int = 0, last: bool = True) -> TagArray:
        """Find the best well-formed tag sequence.

        Args:
            scores: logits or log-probabilities, ``(n_words, n_tags)``.
            previous: the tag before the first word; 0 is ``O``, which is also a text's beginning.
            last: whether the text ends here.

        Returns:
            One tag index per word, ``(n_words,)``.
        """
        if len(scores) == 0:
            return np.empty(0, dtype=np.intp)
        befores = np.array([previous], dtype=np.intp)
        tags: TagArray = _side_by_side((self,)).decode(scores, befores, last=last)[:, 0]
        return tags


def _costs(allowed: list[list[bool]] | list[bool]) -> FloatArray:
    return np.where(np.array(allowed), 0.0, -np.inf).astype(np.float32)


class _Heads:
    """Several heads side by side: what decoding asks of all of them at once."""

    def __init__(self, heads: tuple[Head, ...]) -> None:
        sizes = np.array([len(head.tags) for head in heads], dtype=np.intp)
        ends = np.cumsum(sizes)
        self.begins: TagArray = ends - sizes
        self._heads = np.repeat(np.arange(len(heads)), sizes)
        self._parts = np.stack([self.begins, self.begins + 1], axis=1).ravel()
        self._most = np.array([head.most for head in heads])
        self._may_stop = [np.isfinite(head.forbidden[:, 0]) for head in heads]
        self._sizes = sizes
        self._numbers = np.zeros(len(heads), dtype=np.intp)  # of a head among those of its size
        self._steps: dict[int, FloatArray] = {}
        self._endings: dict[int, FloatArray] = {}
        for size in set(sizes.tolist()):
            alike = np.flatnonzero(sizes == size)
            self._numbers[alike] = np.arange(len(alike))
            self._steps[size] = np.stack([heads[index].steps for index in alike])
            self._endings[size] = np.stack([heads[index].endings for index in alike])

    def decode(self, scores: FloatArray, previous: TagArray, *, last: bool) -> TagArray:
        """The best tag sequence of each head.

        Args:
            scores: logits or log-probabilities, ``(n_words, n_tags)``; at least one word.
            previous: the tag of each head before the first word, ``(n_heads,)``.
            last: whether the text ends here.

        Returns:
            Tags, ``(n_words, n_heads)``.
        """
        tags = np.zeros((len(scores), len(self.begins)), dtype=np.intp)
        edge = np.zeros((1, len(self.begins)), dtype=np.int8)
        changes = np.diff(np.concatenate([edge, ~self._is_certainly_o(scores, previous), edge]), axis=0).T
        heads, firsts = np.nonzero(changes == 1)
        _, ends = np.nonzero(changes == -1)
        for size in set(self._sizes[heads].tolist()):
            chosen = self._sizes[heads] == size
            runs = _Runs(heads[chosen], firsts[chosen], ends[chosen])
            self._search(tags, scores, runs, previous, last=last)
        return tags

    def _is_certainly_o(self, scores: FloatArray, previous: TagArray) -> NDArray[np.bool_]:
        """Of each word and head, whether ``O`` is proven to be its tag in the best sequence.

        Were the word in a run of other tags, then ``O`` all over the run would lose at most ``most`` at each
        of its transitions, one more than it has words, and win what ``O`` is ahead by at each word. So
        it is ``O`` if for every run that holds it, the sum of (ahead - most) is above ``most``.
        """
        parts = np.maximum.reduceat(scores, self._parts, axis=1)
        ahead = (parts[:, ::2] - parts[:, 1::2]).astype(np.float64) - self._most
        sums = np.concatenate([np.zeros((1, ahead.shape[1])), ahead.cumsum(axis=0)])
        highest_before = np.maximum.accumulate(sums[:-1], axis=0)
        lowest_after = np.minimum.accumulate(sums[:0:-1], axis=0)[::-1]
        certain: NDArray[np.bool_] = lowest_after - highest_before > self._most
        for head, (tag, may_stop) in enumerate(zip(previous.tolist(), self._may_stop, strict=True)):
            certain[:, head] &= may_stop[tag]
        return certain

    def _search(
        self, tags: TagArray, scores: FloatArray, runs: _Runs, previous: TagArray, *, last: bool
    ) -> None:
        """Viterbi over runs of words between words that are ``O``, in heads of one size, all runs at once."""
        heads, firsts, ends = runs
        size = int(self._sizes[heads[0]])
        steps = self._steps[size][self._numbers[heads]]
        columns = self.begins[heads, None] + np.arange(size)
        each, lengths = np.arange(len(heads)), ends - firsts
        total = scores[firsts[:, None], columns] + steps[each, np.where(firsts == 0, previous[heads], 0)]
        pointers = np.zeros((int(lengths.max()), len(heads), size), dtype=np.intp)
        for index in range(1, len(pointers)):
            candidates = total[:, :, None] + steps
            pointers[index] = candidates.argmax(axis=1)
            words = np.minimum(firsts + index, ends - 1)
            longer = candidates.max(axis=1) + scores[words[:, None], columns]
            total = np.where(index < lengths[:, None], longer, total)
        closing = self._endings[size][self._numbers[heads]] if last else np.zeros_like(total)
        best = (total + np.where(ends[:, None] == len(scores), closing, steps[:, :, 0])).argmax(axis=1)
        for index in range(len(pointers) - 1, -1, -1):
            inside = index < lengths
            tags[firsts[inside] + index, heads[inside]] = best[inside]
            best = np.where(inside, pointers[index, each, best], best)

    def log_probabilities(self, scores: FloatArray, tags: TagArray) -> FloatArray:
        """That of one tag per word and head: ``(n_words, n_heads)``."""
        peaks = np.maximum.reduceat(scores, self.begins, axis=1)
        sums = np.add.reduceat(np.exp(scores - peaks[:, self._heads]), self.begins, axis=1)
        chosen = np.take_along_axis(scores, tags + self.begins, axis=1)
        logs: FloatArray = chosen - peaks - np.log(sums)
        return logs


class _Runs(NamedTuple):
    """Words that need searching: for each run its head, its first word and the one after its last."""

    heads: TagArray
    firsts: TagArray
    ends: TagArray


_side_by_side = lru_cache(maxsize=32)(_Heads)


class _Mentions:
    """The spans of one head, from the tags of successive blocks of words.

    Only an entity that the next block may go on with is held back.
    """

    def __init__(self, head: Head) -> None:
        self._head = head
        self._open: tuple[list[str], list[float], list[int], list[int]] = ([], [], [], [])
        self.spans: list[Span] = []

    def add(self, best: TagArray, logs: FloatArray, starts: Sequence[int], ends: Sequence[int]) -> None:
        """Take the next words: each one's tag, its log-probability, and its characters."""
        tags, confidences, first, final = self._open
        position = -1
        for index in np.flatnonzero(best).tolist():
            if index != position + 1:
                self.flush()
            tags.append(self._head.tags[best[index]])
            confidences.append(float(logs[index]))
            first.append(starts[index])
            final.append(ends[index])
            position = index
        if position != len(best) - 1:
            self.flush()

    def flush(self) -> None:
        """Turn the words held back, a run without ``O``, into spans."""
        tags, logs, starts, ends = self._open
        for begin, end, label in self._head.scheme.decode(tags):
            score = float(np.exp(sum(logs[begin:end]) / (end - begin)))
            self.spans.append(Span(starts[begin], ends[end - 1], label, min(score, 1.0), self._head.corpus))
        for column in self._open:
            column.clear()


class DocumentDecoder:
    """Join the windows of one document into spans of every head, and prove that nothing was skipped.

    A span's score is the geometric mean of its words' tag probabilities: a long name is not punished
    for its length.
    """

    def __init__(self, text: str, heads: Sequence[Head]) -> None:
        self._text = text
        self._table = _side_by_side(tuple(heads))
        self._mentions = [_Mentions(head) for head in heads]
        self._previous: TagArray = np.zeros(len(heads), dtype=np.intp)
        self._n_words = self._n_characters = self._n_windows = 0
        self._in_order = True

    def add(self, window: Window, scores: FloatArray, *, last: bool) -> None:
        """Decode the words a window owns.

        Args:
            window: the next window of the document.
            scores: logits of the window's words, the heads side by side, ``(n_words, n_tags)``.
            last: whether this is the document's last window.
        """
        owned = window.owned
        starts, ends = window.starts[owned], window.ends[owned]
        self._in_order &= window.first + owned.start == self._n_words
        self._n_words += len(starts)
        self._n_characters += int((ends - starts).sum())
        self._n_windows += 1
        if len(starts):
            self._decode(scores[owned], starts.tolist(), ends.tolist(), last=last)
        if last:
            for mentions in self._mentions:
                mentions.flush()

    def _decode(self, scores: FloatArray, starts: Sequence[int], ends: Sequence[int], *, last: bool) -> None:
        tags = self._table.decode(scores, self._previous, last=last)
        logs = self._table.log_probabilities(scores, tags)
        self._previous = tags[-1]
        for index, mentions in enumerate(self._mentions):
            mentions.add(tags[:, index], logs[:, index], starts, ends)

    @property
    def spans(self) -> list[Span]:
        """What was found, by position, then by head."""
        found = [span for mentions in self._mentions for span in mentions.spans]
        return sorted(found, key=lambda span: (span.start, span.end))

    @property
    def coverage(self) -> Coverage:
        """What was read; complete if the decoded words hold every visible character, each once, in order."""
        complete = self._in_order and self._n_characters == count_visible(self._text)
        return Coverage(len(self._text), self._n_windows, complete)
