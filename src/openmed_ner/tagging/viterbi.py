"""From scores per word back to spans: constrained decoding per head, joined across windows.

Viterbi search finds the best well-formed tag sequence of each head. Most words are certainly ``O`` in that
sequence. Arithmetic over all words at once finds these, and the search covers only the blocks of words
between them. Windows are decoded in order as they arrive, each starting from the last tag decided, so memory
does not grow with the document. Only document-level decoding keeps words, those that may belong to a mention.
No mention crosses a break of the layout (:mod:`openmed_ner.tagging.layout_decoding`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openmed_ner.tagging.document_decoding import (
    FLOOR,
    LEAST,
    REPETITION,
    DocumentMode,
    WordScores,
    decode_document,
)
from openmed_ner.tagging.heads import FloatArray, Head
from openmed_ner.tagging.layout_decoding import BoolArray, HeadLayout, TextBreaks
from openmed_ner.tagging.subwords import IntArray
from openmed_ner.tagging.windows import Window
from openmed_ner.text import Coverage, Span, count_visible

TagArray = NDArray[np.intp]
_LOG_MOST = np.float32(np.log1p(-LEAST))
"""Largest log-probability of ``O`` that is told from certainty."""


def decode_tags(head: Head, scores: FloatArray, *, previous: int = 0, last: bool = True) -> TagArray:
    """Find the best well-formed tag sequence of one head.

    Args:
        head: the head.
        scores: logits or log-probabilities, ``(n_words, n_tags)``.
        previous: tag before the first word; 0 is ``O``, and also the beginning of a text.
        last: if true, the text ends after these words.

    Returns:
        One tag index per word, ``(n_words,)``.
    """
    if len(scores) == 0:
        return np.empty(0, dtype=np.intp)
    tags: TagArray = _decoder((head,)).decode(scores, np.array([previous], dtype=np.intp), last=last)[:, 0]
    return tags


class _Decoder:
    """Viterbi search for several heads, whose scores lie side by side."""

    def __init__(self, heads: tuple[Head, ...]) -> None:
        sizes = np.array([len(head.tags) for head in heads], dtype=np.intp)
        ends = np.cumsum(sizes)
        self.begins: TagArray = ends - sizes
        self._sizes = sizes
        self._head_of_column = np.repeat(np.arange(len(heads)), sizes)
        self._outside_and_rest = np.stack([self.begins, self.begins + 1], axis=1).ravel()
        self.layout = HeadLayout(heads)
        self._largest_gains = np.array([head.largest_gain for head in heads])
        self._may_precede_outside = [np.isfinite(head.transition_costs[:, 0]) for head in heads]

        # Heads of one size are searched together, so their tables are stacked.
        self._place_in_stack = np.zeros(len(heads), dtype=np.intp)
        self._transition_scores: dict[int, FloatArray] = {}
        self._end_costs: dict[int, FloatArray] = {}
        for size in set(sizes.tolist()):
            same_size = np.flatnonzero(sizes == size)
            self._place_in_stack[same_size] = np.arange(len(same_size))
            self._transition_scores[size] = np.stack([heads[index].transition_scores for index in same_size])
            self._end_costs[size] = np.stack([heads[index].end_costs for index in same_size])

    def decode(
        self, scores: FloatArray, previous: TagArray, *, last: bool, breaks: BoolArray | None = None
    ) -> TagArray:
        """Find the best tag sequence of each head.

        Args:
            scores: logits or log-probabilities, ``(n_words, n_tags)``; at least one word.
            previous: tag of each head before the first word, ``(n_heads,)``.
            last: if true, the text ends after these words.
            breaks: true before each word, and after the last, where a head has to decode as if an ``O`` were
                there, ``(n_words + 1, n_heads)``.

        Returns:
            Tags, ``(n_words, n_heads)``.
        """
        if breaks is None:
            breaks = np.zeros((len(scores) + 1, len(self.begins)), dtype=np.bool_)
        uncertain = ~self._is_certainly_outside(scores, previous)
        joined = uncertain[:-1] & uncertain[1:] & ~breaks[1:-1]
        opens, closes = uncertain.copy(), uncertain.copy()
        opens[1:] &= ~joined
        closes[:-1] &= ~joined
        heads, firsts = np.nonzero(opens.T)
        _, finals = np.nonzero(closes.T)

        # Blocks at a break begin and end as between words that are O.
        before = np.where((firsts == 0) & ~breaks[0, heads], previous[heads], 0)
        at_end = (finals + 1 == len(scores)) & ~breaks[-1, heads]
        tags = np.zeros((len(scores), len(self.begins)), dtype=np.intp)
        for size in set(self._sizes[heads].tolist()):
            chosen = self._sizes[heads] == size
            blocks = _Blocks(*(array[chosen] for array in (heads, firsts, finals + 1, before, at_end)))
            self._search(tags, scores, blocks, last=last)
        return tags

    def _is_certainly_outside(self, scores: FloatArray, previous: TagArray) -> NDArray[np.bool_]:
        """True for each word and head whose tag in the best sequence is proven to be ``O``.

        Suppose the word were in a block of other tags. Writing ``O`` all over the block would lose at most
        the largest gain at each of its transitions, one more than it has words, and win the lead of ``O`` at
        each word. So the word is ``O`` if for every block that holds it, the sum of (lead - largest gain)
        is above the largest gain.
        """
        maxima = np.maximum.reduceat(scores, self._outside_and_rest, axis=1)
        leads = (maxima[:, ::2] - maxima[:, 1::2]).astype(np.float64) - self._largest_gains
        sums = np.concatenate([np.zeros((1, leads.shape[1])), leads.cumsum(axis=0)])
        highest_before = np.maximum.accumulate(sums[:-1], axis=0)
        lowest_after = np.minimum.accumulate(sums[:0:-1], axis=0)[::-1]
        certain: NDArray[np.bool_] = lowest_after - highest_before > self._largest_gains
        for head, (tag, may_precede) in enumerate(
            zip(previous.tolist(), self._may_precede_outside, strict=True)
        ):
            certain[:, head] &= may_precede[tag]
        return certain

    def _search(self, tags: TagArray, scores: FloatArray, blocks: _Blocks, *, last: bool) -> None:
        """Search blocks of words between words that are ``O``, in heads of one size, all blocks at once."""
        # Longest first: the blocks that reach a word are the first ones.
        longest_first = np.argsort(blocks.firsts - blocks.ends, kind="stable")
        heads, firsts, ends, before, at_end = (array[longest_first] for array in blocks)
        lengths = ends - firsts
        n_reaching = (len(lengths) - np.bincount(lengths).cumsum()).tolist()
        size = int(self._sizes[heads[0]])
        transitions = self._transition_scores[size][self._place_in_stack[heads]]
        columns = self.begins[heads, None] + np.arange(size)
        block_index = np.arange(len(heads))

        # Forward: the best score of any sequence that ends in each tag, (n_blocks, n_tags).
        total = scores[firsts[:, None], columns] + transitions[block_index, before]
        pointers = np.zeros((int(lengths[0]), len(heads), size), dtype=np.intp)
        for index in range(1, len(pointers)):
            n = n_reaching[index]
            candidates = total[:n, :, None] + transitions[:n]
            candidates.argmax(axis=1, out=pointers[index, :n])
            total[:n] = candidates.max(axis=1) + scores[firsts[:n, None] + index, columns[:n]]

        # A block is followed by an O, or by the end of these words.
        end_costs = self._end_costs[size][self._place_in_stack[heads]] if last else np.zeros_like(total)
        best = (total + np.where(at_end[:, None], end_costs, transitions[:, :, 0])).argmax(axis=1)

        # Backward: follow the pointers.
        for index in range(len(pointers) - 1, -1, -1):
            n = n_reaching[index]
            tags[firsts[:n] + index, heads[:n]] = best[:n]
            best[:n] = pointers[index, block_index[:n], best[:n]]

    def log_probabilities(self, scores: FloatArray, *tags: TagArray) -> list[FloatArray]:
        """Log-probability of one tag per word and head, ``(n_words, n_heads)``, for each choice of tags."""
        peaks = np.maximum.reduceat(scores, self.begins, axis=1)
        sums = np.add.reduceat(np.exp(scores - peaks[:, self._head_of_column]), self.begins, axis=1)
        log_sums = np.log(sums)
        return [
            np.take_along_axis(scores, choice + self.begins, axis=1) - peaks - log_sums for choice in tags
        ]


class _Blocks(NamedTuple):
    """Blocks of words to search.

    Attributes:
        heads: head of each block.
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


_decoder = lru_cache(maxsize=32)(_Decoder)


class _SpanBuilder:
    """Builds the spans of one head from the tags of successive groups of words.

    It holds back only an entity that the next group may continue.
    """

    def __init__(self, head: Head) -> None:
        self._head = head
        self._open: tuple[list[str], list[float], list[int], list[int]] = ([], [], [], [])
        self.spans: list[Span] = []

    def add(self, best: TagArray, logs: FloatArray, starts: Sequence[int], ends: Sequence[int]) -> None:
        """Add the next words: tag, log-probability, first character and end of each."""
        open_tags, open_logs, open_starts, open_ends = self._open
        position = -1
        for index in np.flatnonzero(best).tolist():  # every word but those tagged O
            if index != position + 1:
                self.flush()
            open_tags.append(self._head.tags[best[index]])
            open_logs.append(float(logs[index]))
            open_starts.append(starts[index])
            open_ends.append(ends[index])
            position = index
        if position != len(best) - 1:
            self.flush()

    def flush(self) -> None:
        """Turn the words held back, none of which is ``O``, into spans."""
        tags, logs, starts, ends = self._open
        for begin, end, label in self._head.scheme.decode(tags):
            score = float(np.exp(sum(logs[begin:end]) / (end - begin)))
            self.spans.append(Span(starts[begin], ends[end - 1], label, min(score, 1.0), self._head.corpus))
        for column in self._open:
            column.clear()


class _WordScoreBuilder:
    """Collects the words that may belong to a mention of some heads."""

    def __init__(self, heads: Sequence[int]) -> None:
        self._heads = list(heads)
        self._starts: list[IntArray] = []
        self._places: list[TagArray] = []
        self._log_odds: list[FloatArray] = []

    def add(self, outside: FloatArray, starts: IntArray) -> None:
        """Add the next words.

        Args:
            outside: log-probability of ``O`` for each word and head of the model, ``(n_words, n_heads)``.
            starts: first character of each word, ``(n_words,)``.
        """
        outside = outside[:, self._heads]
        words, places = np.nonzero(outside < _LOG_MOST)
        logs = outside[words, places].astype(np.float64)
        log_odds = np.log(-np.expm1(logs)) - logs
        self._starts.append(starts[words])
        self._places.append(places)
        self._log_odds.append(np.clip(log_odds, FLOOR, -FLOOR).astype(np.float32))

    def scores(self, head: int) -> WordScores:
        """The words added so far that may belong to a mention of one head."""
        chosen = np.concatenate(self._places) == self._heads.index(head)
        return WordScores(np.concatenate(self._starts)[chosen], np.concatenate(self._log_odds)[chosen])


class DocumentDecoder:
    """Joins the windows of one document into spans of every head, and proves that no word was skipped.

    A span's score is the geometric mean of its words' tag probabilities, so that length alone does not
    lower the score of a long name.
    """

    def __init__(
        self, text: str, heads: Sequence[Head], modes: Mapping[str, DocumentMode] | None = None
    ) -> None:
        self._text = text
        self._breaks = TextBreaks(text)
        self._modes = modes or {}
        self._corpora = [head.corpus for head in heads]
        self._decoder = _decoder(tuple(heads))
        self._builders = [_SpanBuilder(head) for head in heads]
        repeating = [index for index, head in enumerate(heads) if self._modes.get(head.corpus) == REPETITION]
        self._word_scores = _WordScoreBuilder(repeating) if repeating else None
        self._previous: TagArray = np.zeros(len(heads), dtype=np.intp)
        self._n_words = self._n_characters = self._n_windows = 0
        self._in_order = True

    def add(self, window: Window, scores: FloatArray, *, last: bool) -> None:
        """Decode the words a window owns.

        Args:
            window: the next window of the document.
            scores: logits of the window's words, the heads side by side, ``(n_words, n_tags)``.
            last: if true, this is the document's last window.
        """
        owned = window.owned
        starts, ends = window.starts[owned], window.ends[owned]
        self._in_order &= window.first + owned.start == self._n_words
        self._n_words += len(starts)
        self._n_characters += int((ends - starts).sum())
        self._n_windows += 1

        if len(starts):
            self._decode(scores[owned], starts, ends, last=last)
        if last:
            for builder in self._builders:
                builder.flush()

    def _decode(self, scores: FloatArray, starts: IntArray, ends: IntArray, *, last: bool) -> None:
        tags = self._decoder.decode(scores, self._previous, last=last)
        if self._breaks:
            words = self._breaks.find(starts, ends)
            breaks, heads = self._decoder.layout.choose_breaks(scores, tags, self._previous, words)
            if heads.any():
                scores = self._decoder.layout.end_mentions(scores, breaks, words.marks, heads)
                tags = self._decoder.decode(scores, self._previous, last=last, breaks=breaks)
        logs, *outside = self._decoder.log_probabilities(
            scores, tags, *([] if self._word_scores is None else [np.zeros_like(tags)])
        )
        self._previous = tags[-1]
        first, final = starts.tolist(), ends.tolist()
        for index, builder in enumerate(self._builders):
            builder.add(tags[:, index], logs[:, index], first, final)
        if self._word_scores is not None:
            self._word_scores.add(outside[0], starts)

    @property
    def spans(self) -> list[Span]:
        """Spans by position, then by head, decided by the whole document where a mode says so."""
        return self.decode_document(self._modes)

    def decode_document(self, modes: Mapping[str, DocumentMode]) -> list[Span]:
        """Spans by position, then by head, in other modes than those of this decoder.

        Args:
            modes: mode of each head; repetition needs word scores, so it must be a mode of this decoder too.
        """
        layers = {
            corpus: builder.spans for corpus, builder in zip(self._corpora, self._builders, strict=True)
        }
        layers = decode_document(self._text, layers, modes, self._score_words)
        return sorted(chain.from_iterable(layers.values()), key=lambda span: (span.start, span.end))

    def _score_words(self, corpus: str) -> WordScores:
        if self._word_scores is None:
            raise ValueError(f"{corpus}: the words of this head were not kept")
        return self._word_scores.scores(self._corpora.index(corpus))

    @property
    def coverage(self) -> Coverage:
        """Account of the text read; complete if every visible character was decoded once, in order."""
        complete = self._in_order and self._n_characters == count_visible(self._text)
        return Coverage(len(self._text), self._n_windows, complete)
