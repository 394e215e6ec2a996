"""From scores per word back to spans: constrained decoding per head, joined across windows.

Each head's best well-formed tag sequence is found by Viterbi search over its scores. A transition is
forbidden or allowed, and an allowed one may have a score of its own, learnt from training documents. Where it
is certain which sequence is the best, the search is skipped: where the best tag of every word makes one, and
all that is allowed scores alike, or where nothing but ``O`` is likely enough. Windows are decoded in order as
they arrive, each starting from the last tag decided, so memory does not grow with the document.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from openmed_ner.alignment.windows import Window
from openmed_ner.text import Coverage, Span, TagScheme, count_visible

FloatArray = NDArray[np.float32]
TagArray = NDArray[np.intp]


MODEL_SCHEMES = (TagScheme.IOB2, TagScheme.IOBES)
"""Schemes in which any entities side by side can be written, each with its own begin."""


MOST = 1000
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
        if not all(abs(value) <= MOST for row in self.transitions for value in row):
            raise ValueError(f"{self.corpus}: transitions are numbers from -{MOST} to {MOST}")

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
    def clearance(self) -> float:
        """If ``O`` is ahead of every other tag by more, at every word, then the best sequence is all ``O``.

        A sequence of m other tags has at most m + 1 transitions that all ``O`` has not.
        """
        most = self.steps[np.isfinite(self.steps)].max()
        return 2 * float(most - self.steps[:, 0][np.isfinite(self.steps[:, 0])].min())

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
        sizes = [len(head.tags) for head in heads]
        self.ends: TagArray = np.cumsum(sizes, dtype=np.intp)
        self.begins: TagArray = self.ends - np.array(sizes, dtype=np.intp)
        self._all = heads
        self._columns = np.arange(sum(sizes))
        self._heads = np.repeat(np.arange(len(heads)), sizes)
        self._forbidden = np.zeros((sum(sizes), sum(sizes)), dtype=np.float32)
        for head, begin, end in zip(heads, self.begins, self.ends, strict=True):
            self._forbidden[begin:end, begin:end] = head.forbidden
        self._endings = np.concatenate([head.endings for head in heads])
        self._learnt = np.array([bool(head.transitions) for head in heads])
        self._clearances = np.array([head.clearance for head in heads])
        self._parts = np.stack([self.begins, self.begins + 1], axis=1).ravel()

    def decode(self, scores: FloatArray, previous: TagArray, *, last: bool) -> TagArray:
        """The best tag sequence of each head.

        Args:
            scores: logits or log-probabilities, ``(n_words, n_tags)``; at least one word.
            previous: the tag of each head before the first word, ``(n_heads,)``.
            last: whether the text ends here.

        Returns:
            Tags, ``(n_words, n_heads)``.
        """
        peaks = np.maximum.reduceat(scores, self.begins, axis=1)
        places = np.where(scores == peaks[:, self._heads], self._columns, len(self._columns))
        best: TagArray = np.minimum.reduceat(places, self.begins, axis=1) - self.begins
        unsure = np.where(self._learnt, ~self._is_clear(scores), self._is_broken(best, previous, last=last))
        for index in np.flatnonzero(unsure).tolist():
            own = scores[:, self.begins[index] : self.ends[index]]
            best[:, index] = _search(own, self._all[index], int(previous[index]), last=last)
        return best

    def _is_clear(self, scores: FloatArray) -> NDArray[np.bool_]:
        """Of each head, whether ``O`` is so far ahead everywhere that nothing else can be the best."""
        parts = np.maximum.reduceat(scores, self._parts, axis=1)
        clear: NDArray[np.bool_] = (parts[:, ::2] - parts[:, 1::2]).min(axis=0) > self._clearances
        return clear

    def _is_broken(self, best: TagArray, previous: TagArray, *, last: bool) -> NDArray[np.bool_]:
        """Of each head, whether these tags, after the ``previous`` ones, are not well formed."""
        columns: TagArray = best + self.begins
        befores = np.concatenate([previous[None] + self.begins, columns[:-1]])
        broken: NDArray[np.bool_] = self._forbidden[befores, columns].any(axis=0)
        if last:
            broken |= self._endings[columns[-1]] != 0
        return broken

    def log_probabilities(self, scores: FloatArray, tags: TagArray) -> FloatArray:
        """That of one tag per word and head: ``(n_words, n_heads)``."""
        peaks = np.maximum.reduceat(scores, self.begins, axis=1)
        sums = np.add.reduceat(np.exp(scores - peaks[:, self._heads]), self.begins, axis=1)
        chosen = np.take_along_axis(scores, tags + self.begins, axis=1)
        logs: FloatArray = chosen - peaks - np.log(sums)
        return logs


def _search(scores: FloatArray, head: Head, previous: int, *, last: bool) -> TagArray:
    """Viterbi: the best sequence of a head's tags for at least one word."""
    total = scores[0] + head.steps[previous]
    pointers = np.zeros(scores.shape, dtype=np.intp)
    columns = np.arange(scores.shape[1])
    for index in range(1, len(scores)):
        candidates = total[:, None] + head.steps
        pointers[index] = candidates.argmax(axis=0)
        total = candidates[pointers[index], columns] + scores[index]
    best = np.zeros(len(scores), dtype=np.intp)
    best[-1] = int((total + head.endings if last else total).argmax())
    for index in range(len(scores) - 1, 0, -1):
        best[index - 1] = pointers[index, best[index]]
    return best


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
