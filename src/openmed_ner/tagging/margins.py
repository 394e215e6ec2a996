"""How sure a model is of each place that may be a mention, for active learning.

The margin of a word is the difference between the probabilities of the two most probable tags of a head
(Scheffer, Decomain and Wrobel, 2001), here as a share of the larger one, so that label smoothing, which
gives some probability to all tags, does not make a word less sure. A place is as sure as its least sure word.
Places are the mentions that decoding finds, and runs of other words with a tag that is at least
:data:`POSSIBLE` times as probable as ``O``. These may be missed mentions. Margins come from the scores that
tagging computes anyway, so reading a text costs hardly more than tagging it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from openmed_ner.tagging.document_decoding import DocumentMode
from openmed_ner.tagging.heads import FloatArray, Head
from openmed_ner.tagging.mention_words import TagColumns
from openmed_ner.tagging.subwords import IntArray
from openmed_ner.tagging.viterbi import DocumentDecoder
from openmed_ner.tagging.windows import Window
from openmed_ner.text import Span
from openmed_ner.text.hyphenation import Reading

POSSIBLE = 0.1
"""Smallest probability of a tag, as a share of that of ``O``, that makes a word a possible mention."""
_LOG_POSSIBLE = np.log(POSSIBLE)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place that is a mention, or may be one.

    Attributes:
        start: first character.
        end: one past the last character.
        label: entity type.
        corpus: head.
        margin: difference between the probabilities of the two most probable tags of the least sure word, as
            a share of the larger one, from 0 (both are as probable) to 1 (certain).
        marked: true if decoding marks a mention here.
    """

    start: int
    end: int
    label: str
    corpus: str
    margin: float
    marked: bool

    @property
    def doubt(self) -> float:
        """The probability of the second tag as a share of that of the first, from 0 to 1."""
        return 1.0 - self.margin


@dataclass(frozen=True, slots=True)
class _Word:
    """A word that may belong to a mention of one head, by its number in the document."""

    number: int
    start: int
    end: int
    margin: float
    label: str


class MarginDecoder(DocumentDecoder):
    """Decodes a document, and keeps the margins of the words that may belong to a mention."""

    def __init__(
        self, text: str | Reading, heads: Sequence[Head], modes: Mapping[str, DocumentMode] | None = None
    ) -> None:
        super().__init__(text, heads, modes)
        self._columns = TagColumns(heads)
        sizes = [len(head.tags) for head in heads]
        self._first_columns = np.cumsum([0, *sizes])
        self._words: list[list[_Word]] = [[] for _ in heads]
        self._n_seen = 0

    def add(self, window: Window, scores: FloatArray, *, last: bool) -> None:
        """Decode the words a window owns, and keep those that may belong to a mention."""
        super().add(window, scores, last=last)
        owned = window.owned
        self._keep_words(scores[owned], window.starts[owned], window.ends[owned])

    def _keep_words(self, scores: FloatArray, starts: IntArray, ends: IntArray) -> None:
        for head, (first, end) in enumerate(pairwise(self._first_columns.tolist())):
            ratios = scores[:, first:end] - scores[:, first, None]
            (places,) = np.nonzero(ratios[:, 1:].max(axis=1) >= _LOG_POSSIBLE)
            if not len(places):
                continue
            second, highest = np.partition(ratios[places], -2, axis=1)[:, -2:].T
            best = first + 1 + ratios[places, 1:].argmax(axis=1)
            labels = [self._columns.labels[column] for column in best.tolist()]
            rows = (places + self._n_seen, starts[places], ends[places], 1 - np.exp(second - highest))
            words = zip(*(row.tolist() for row in rows), labels, strict=True)
            self._words[head].extend(
                _Word(number, *self._reading.original_range(start, end), margin, label)
                for number, start, end, margin, label in words
            )
        self._n_seen += len(scores)

    def candidates(self, spans: Iterable[Span]) -> list[Candidate]:
        """Return the places of a document that may be mentions, in the order of the text.

        Args:
            spans: the mentions that count, such as those of one layer. A possible mention that overlaps one
                of the same label is not listed beside it.
        """
        spans = tuple(spans)
        candidates = []
        for corpus, words in zip(self._corpora, self._words, strict=True):
            marked = sorted((span for span in spans if span.corpus == corpus), key=lambda span: span.start)
            margins, runs = _assign(words, marked)
            candidates += [
                Candidate(span.start, span.end, span.label, corpus, margin, True)
                for span, margin in zip(marked, margins, strict=True)
            ]
            candidates += [_join(run, corpus) for run in runs if not _overlaps(run, spans)]
        return sorted(candidates, key=lambda candidate: (candidate.start, candidate.end))


def _assign(words: Sequence[_Word], spans: Sequence[Span]) -> tuple[list[float], list[list[_Word]]]:
    """Give the words of a head to its spans.

    A word beside a span makes the boundary of the span unsure, so it belongs to the span.

    Returns:
        The margin of each span, and the runs of words that touch no span.
    """
    margins = [1.0] * len(spans)
    free = []
    for run in _iter_runs(words):
        # Spans of a head follow each other without overlap, but may lie side by side in one run.
        touching = [
            number
            for number, span in enumerate(spans)
            if span.start < run[-1].end and run[0].start < span.end
        ]
        if not touching:
            free.append(run)
        for word in run if touching else ():
            nearest = min(touching, key=lambda number: _distance(word, spans[number]))
            margins[nearest] = min(margins[nearest], word.margin)
    return margins, free


def _iter_runs(words: Sequence[_Word]) -> Iterator[list[_Word]]:
    """Yield runs of words that follow each other."""
    run: list[_Word] = []
    for word in words:
        if run and word.number != run[-1].number + 1:
            yield run
            run = []
        run.append(word)
    if run:
        yield run


def _distance(word: _Word, span: Span) -> int:
    return max(span.start - word.end, word.start - span.end, -1)


def _join(run: Sequence[_Word], corpus: str) -> Candidate:
    least = min(run, key=lambda word: word.margin)
    return Candidate(run[0].start, run[-1].end, least.label, corpus, least.margin, False)


def _overlaps(run: Sequence[_Word], spans: Iterable[Span]) -> bool:
    label = min(run, key=lambda word: word.margin).label
    start, end = run[0].start, run[-1].end
    return any(span.label == label and span.start < end and start < span.end for span in spans)
