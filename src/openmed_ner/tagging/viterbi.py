"""From scores per word back to spans: constrained decoding per head, joined across windows.

Viterbi search finds the best well-formed tag sequence of each head. Most words are certainly ``O`` in that
sequence (:mod:`openmed_ner.tagging.certainty`), and most runs of words between them have tags that are
certain, too (:mod:`openmed_ner.tagging.runs`). The search covers only the rest. Windows are decoded in order
as they arrive, each starting from the last tag decided. Of a document, only the words of mentions are kept
and, for document-level decoding, those that may belong to one. No mention crosses a break of the layout
(:mod:`openmed_ner.tagging.layout_decoding`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain

import numpy as np

from openmed_ner.tagging.certainty import BoolArray, OutsideTest, TagArray
from openmed_ner.tagging.document_decoding import REPETITION, DocumentMode, WordScores, decode_document
from openmed_ner.tagging.heads import FloatArray, Head
from openmed_ner.tagging.layout_decoding import HeadLayout, TextBreaks
from openmed_ner.tagging.mention_words import MentionWords, PossibleWords, TagColumns
from openmed_ner.tagging.runs import LeadTest, Runs
from openmed_ner.tagging.subwords import IntArray
from openmed_ner.tagging.windows import Window
from openmed_ner.text import Coverage, Span, count_visible
from openmed_ner.text.hyphenation import Reading

_SIZES = (64, 256)
"""Largest numbers of tags of heads that are searched together."""


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
        self.columns = TagColumns(heads)
        self._outside, self._leads = OutsideTest(heads), LeadTest(heads)
        self.layout = HeadLayout(heads)
        self._find_columns = lru_cache(maxsize=8)(self._list_columns)

        # Heads of similar size are searched together: tables are stacked, (n_before, n_heads, n_tags),
        # and filled up with tags that cannot be. A search costs calls of numpy rather than arithmetic.
        classes = np.searchsorted(_SIZES, sizes)
        self._widths: TagArray = np.array([sizes[classes == number].max() for number in classes])
        self._place_in_stack = np.zeros(len(heads), dtype=np.intp)
        self._transition_scores: dict[int, FloatArray] = {}
        self._end_costs: dict[int, FloatArray] = {}
        for width in set(self._widths.tolist()):
            similar = np.flatnonzero(self._widths == width)
            self._place_in_stack[similar] = np.arange(len(similar))
            transitions = np.full((width, len(similar), width), -np.inf, dtype=np.float32)
            end_costs = np.full((len(similar), width), -np.inf, dtype=np.float32)
            for place, index in enumerate(similar):
                size = sizes[index]
                transitions[:size, place, :size] = heads[index].transition_scores
                end_costs[place, :size] = heads[index].end_costs
            self._transition_scores[width], self._end_costs[width] = transitions, end_costs

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
        tags = np.zeros((len(scores), len(self.begins)), dtype=np.intp)
        heads, words = np.nonzero(~self._outside.find(scores, previous).T)
        if not len(heads):
            return tags
        # Neighbouring uncertain words are decided together, unless a break lies between them.
        opens = np.ones(len(heads), dtype=np.bool_)
        opens[1:] = (heads[1:] != heads[:-1]) | (words[1:] != words[:-1] + 1)
        if breaks is not None:
            opens |= breaks[words, heads]
        (firsts,) = opens.nonzero()
        lasts = np.append(firsts[1:], len(heads)) - 1

        # Runs at a break begin and end as between words that are O.
        heads, firsts, ends = heads[firsts], words[firsts], words[lasts] + 1
        at_begin, at_end = firsts == 0, ends == len(scores)
        if breaks is not None:
            at_begin &= ~breaks[0, heads]
            at_end &= ~breaks[-1, heads]
        runs = Runs(heads, firsts, ends, np.where(at_begin, previous[heads], 0), at_end)
        words, best, proven = self._leads.find(scores, runs, last=last)
        owners = np.repeat(heads, ends - firsts)
        tags[words, owners] = best  # a search replaces those that are not proven

        widths = self._widths[heads]
        for width in set(widths[~proven].tolist()):
            self._search(tags, scores, runs.select((widths == width) & ~proven), last=last)
        return tags

    def _search(self, tags: TagArray, scores: FloatArray, blocks: Runs, *, last: bool) -> None:
        """Search blocks of words between words that are ``O``, in heads of similar size, all at once."""
        # Longest first: the blocks that reach a word are the first ones.
        longest_first = np.argsort(blocks.firsts - blocks.ends, kind="stable")
        heads, firsts, ends, before, at_end = (array[longest_first] for array in blocks)
        lengths = ends - firsts
        n_reaching = (len(lengths) - np.bincount(lengths).cumsum()).tolist()
        width = int(self._widths[heads[0]])
        transitions = self._transition_scores[width].take(self._place_in_stack[heads], axis=1)
        # Beyond its own tags, a head has tags that cannot be, whatever score is read for them.
        columns = np.minimum(self.begins[heads, None] + np.arange(width), scores.shape[1] - 1)
        block_index = np.arange(len(heads))

        # Words of each block, (n_blocks, length), and their scores, (length, n_blocks, n_tags). A block that
        # is shorter than the longest one repeats the last word, which is not read.
        words = np.minimum(firsts + np.arange(lengths[0])[:, None], len(scores) - 1)
        emissions = scores[words[:, :, None], columns]

        # Forward: the best score of any sequence that ends in each tag, (n_blocks, n_tags).
        total = emissions[0] + transitions[before, block_index]
        totals = [total]
        for index in range(1, len(emissions)):
            n = n_reaching[index]
            candidates = total[:n].T[:, :, None] + transitions[:, :n]
            total = total.copy()
            np.add(np.maximum.reduce(candidates, axis=0), emissions[index, :n], out=total[:n])
            totals.append(total)

        # A block is followed by an O, or by the end of these words.
        end_costs = self._end_costs[width][self._place_in_stack[heads]] if last else np.zeros_like(total)
        best = (total + np.where(at_end[:, None], end_costs, transitions[:, :, 0].T)).argmax(axis=1)

        # Backward: the tag that led to each best tag.
        paths = np.zeros((len(totals), len(heads)), dtype=np.intp)
        for index in range(len(totals) - 1, 0, -1):
            n = n_reaching[index]
            paths[index, :n] = best[:n]
            candidates = totals[index - 1][:n] + transitions[:, block_index[:n], best[:n]].T
            best[:n] = candidates.argmax(axis=1)
        paths[0] = best
        places, block = np.nonzero(np.arange(len(paths))[:, None] < lengths)
        tags[firsts[block] + places, heads[block]] = paths[places, block]

    def log_sums(self, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Parts of the log-probabilities of all heads, see :func:`_log_sums`."""
        return _log_sums(scores, self.begins, self.columns.owners)

    def log_outside(self, scores: FloatArray, heads: Sequence[int]) -> FloatArray:
        """Log-probability of ``O`` for each word and some of the heads, ``(n_words, n_heads)``."""
        columns, begins, owners = self._find_columns(tuple(heads))
        chosen = scores.take(columns, axis=1)
        peaks, log_sums = _log_sums(chosen, begins, owners)
        outside: FloatArray = chosen[:, begins] - peaks - log_sums
        return outside

    def _list_columns(self, heads: tuple[int, ...]) -> tuple[TagArray, TagArray, TagArray]:
        """Columns of some heads, in ascending order; first of each head, and head of each among them."""
        columns = np.flatnonzero(np.isin(self.columns.owners, heads))
        begins = np.searchsorted(columns, self.begins[list(heads)])
        return columns, begins, np.repeat(np.arange(len(heads)), np.diff(begins, append=len(columns)))


def _log_sums(scores: FloatArray, begins: TagArray, owners: TagArray) -> tuple[FloatArray, FloatArray]:
    """Largest score of each word and head, and the logarithm of the sum over all tags beyond it.

    Both are subtracted from a score in this order, which gives its log-probability.

    Args:
        scores: logits, ``(n_words, n_columns)``.
        begins: first column of each head, ``(n_heads,)``.
        owners: head of each column, ``(n_columns,)``.

    Returns:
        ``(n_words, n_heads)`` each.
    """
    peaks = np.maximum.reduceat(scores, begins, axis=1)
    sums = np.add.reduceat(np.exp(scores - peaks.take(owners, axis=1)), begins, axis=1)
    return peaks, np.log(sums)


_decoder = lru_cache(maxsize=32)(_Decoder)


class DocumentDecoder:
    """Joins the windows of one document into spans of every head, and proves that no word was skipped.

    A span's score is the geometric mean of its words' tag probabilities, so that length alone does not
    lower the score of a long name.
    """

    def __init__(
        self, text: str | Reading, heads: Sequence[Head], modes: Mapping[str, DocumentMode] | None = None
    ) -> None:
        self._reading = text if isinstance(text, Reading) else Reading(text)
        self._breaks = TextBreaks(self._reading)
        self._modes = modes or {}
        self._corpora = [head.corpus for head in heads]
        self._decoder = _decoder(tuple(heads))
        self._mention_words = MentionWords(self._decoder.columns)
        repeating = [index for index, head in enumerate(heads) if self._modes.get(head.corpus) == REPETITION]
        self._possible_words = PossibleWords(repeating)
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
        if len(starts):
            names = None if window.lexicon_tags is None else window.lexicon_tags[owned]
            self._decode(scores[owned], starts, ends, names, last=last)

        self._n_words += len(starts)
        self._n_characters += int((ends - starts).sum())
        self._n_windows += 1

    def _decode(
        self, scores: FloatArray, starts: IntArray, ends: IntArray, names: IntArray | None, *, last: bool
    ) -> None:
        tags = self._decoder.decode(scores, self._previous, last=last)
        if self._breaks:
            words = self._breaks.find(starts, ends)
            breaks, heads = self._decoder.layout.choose_breaks(scores, tags, self._previous, words, names)
            if heads.any():
                scores = self._decoder.layout.end_mentions(scores, breaks, words.marks, heads)
                tags = self._decoder.decode(scores, self._previous, last=last, breaks=breaks)
        # The next window starts from this tag, so a mention may continue there.
        self._previous = tags[-1]

        # Log-probabilities of the tags of mentions only, sorted by head; and those of O where names repeat.
        owners, places = np.nonzero(tags.T)
        marked = tags.any(axis=1)
        rows = np.cumsum(marked)[places] - 1
        peaks, log_sums = self._decoder.log_sums(scores[marked])
        columns = self._decoder.begins[owners] + tags[places, owners]
        logs = scores[places, columns] - peaks[rows, owners] - log_sums[rows, owners]
        self._mention_words.add(columns, logs, starts[places], ends[places])
        if repeating := self._possible_words.heads:
            self._possible_words.add(self._decoder.log_outside(scores, repeating), starts)

    @property
    def spans(self) -> list[Span]:
        """Spans by position, then by head, decided by the whole document where a mode says so."""
        return self.decode_document(self._modes)

    def decode_document(self, modes: Mapping[str, DocumentMode]) -> list[Span]:
        """Spans by position, then by head, in other modes than those of this decoder.

        Args:
            modes: mode of each head; repetition needs word scores, so it must be a mode of this decoder too.
        """
        layers = dict(zip(self._corpora, self._mention_words.build_spans(), strict=True))
        layers = decode_document(self._reading.text, layers, modes, self._score_words)
        spans = self._reading.restore(chain.from_iterable(layers.values()))
        return sorted(spans, key=lambda span: (span.start, span.end))

    def _score_words(self, corpus: str) -> WordScores:
        return self._possible_words.scores(self._corpora.index(corpus))

    @property
    def coverage(self) -> Coverage:
        """Account of the text read; complete if every visible character was decoded once, in order."""
        text = self._reading.original
        n_read = self._n_characters + self._reading.n_unread
        return Coverage(len(text), self._n_windows, self._in_order and n_read == count_visible(text))
