"""The words of a document that its spans are made of, collected window by window.

Nearly all words are ``O`` in a head. The others are kept in one table for all heads, from which spans are
built at once when the document is complete. A second table keeps the words that merely may belong to a
mention, for document-level decoding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from openmed_ner.tagging.certainty import BoolArray, TagArray
from openmed_ner.tagging.document_decoding import FLOOR, LEAST, WordScores
from openmed_ner.tagging.heads import FloatArray, Head
from openmed_ner.tagging.subwords import IntArray
from openmed_ner.text import Span

_LOG_MOST = np.float32(np.log1p(-LEAST))
"""Log-probability of ``O`` from which a word counts as certainly outside and is not kept."""


class TagColumns:
    """The tags of some heads side by side, one for each column of their scores.

    Attributes:
        heads: number of heads.
        owners: number of the head of each column, ``(n_columns,)``.
        opens: true for the tags of the first words of mentions, ``(n_columns,)``.
        labels: entity type of each column; empty for ``O``.
        corpora: corpus of the head of each column.
    """

    def __init__(self, heads: Sequence[Head]) -> None:
        pairs = [(number, tag) for number, head in enumerate(heads) for tag in head.tags]
        self.heads = len(heads)
        self.owners: TagArray = np.array([number for number, _ in pairs], dtype=np.intp)
        self.opens: BoolArray = np.array([tag[0] in "BS" for _, tag in pairs], dtype=np.bool_)
        self.labels = [tag[2:] for _, tag in pairs]
        self.corpora = [heads[number].corpus for number, _ in pairs]


class MentionWords:
    """The words of all mentions of a document."""

    def __init__(self, columns: TagColumns) -> None:
        self._columns = columns
        self._tables: list[IntArray] = []
        self._logs: list[FloatArray] = []

    def add(self, columns: TagArray, logs: FloatArray, starts: IntArray, ends: IntArray) -> None:
        """Add words that follow the ones before.

        Args:
            columns: columns of their tags, none of which is ``O``, ``(n_rows,)`` as all arguments; sorted by
                head, then by place.
            logs: log-probabilities of the tags.
            starts: first characters.
            ends: one past the last characters.
        """
        self._tables.append(np.stack([columns, starts, ends]).astype(np.int32))
        self._logs.append(logs)

    def build_spans(self) -> list[list[Span]]:
        """Build the spans of each head, in the order of the text.

        The tags are well-formed, so a span goes on until the next one begins.
        """
        spans: list[list[Span]] = [[] for _ in range(self._columns.heads)]
        if not self._tables:
            return spans
        table = np.concatenate(self._tables, axis=1)
        owners = self._columns.owners[table[0]]
        by_head = np.argsort(owners, kind="stable")
        columns, starts, ends = table[:, by_head]

        opens = self._columns.opens[columns]
        (firsts,) = opens.nonzero()
        lasts = np.append(firsts[1:], len(opens))[: len(firsts)] - 1
        # The sum of a span is taken word by word, so that it depends on its words alone.
        sums = np.bincount(opens.cumsum() - 1, weights=np.concatenate(self._logs)[by_head])
        scores = np.minimum(np.exp(sums / (lasts - firsts + 1)), 1.0)

        labels, corpora = self._columns.labels, self._columns.corpora
        rows = (owners[by_head[firsts]], columns[firsts], starts[firsts], ends[lasts], scores)
        for head, column, start, end, score in zip(*(row.tolist() for row in rows), strict=True):
            spans[head].append(Span(start, end, labels[column], score, corpora[column]))
        return spans


class PossibleWords:
    """The words that may belong to a mention of some heads.

    Attributes:
        heads: numbers of these heads.
    """

    def __init__(self, heads: Sequence[int]) -> None:
        self.heads = list(heads)
        self._starts: list[IntArray] = []
        self._places: list[TagArray] = []
        self._log_odds: list[FloatArray] = []

    def add(self, outside: FloatArray, starts: IntArray) -> None:
        """Add the next words.

        Args:
            outside: log-probability of ``O`` for each word and head, ``(n_words, n_heads)``.
            starts: first character of each word, ``(n_words,)``.
        """
        words, places = np.nonzero(outside < _LOG_MOST)
        logs = outside[words, places].astype(np.float64)
        log_odds = np.log(-np.expm1(logs)) - logs
        self._starts.append(starts[words])
        self._places.append(places)
        self._log_odds.append(np.clip(log_odds, FLOOR, -FLOOR).astype(np.float32))

    def scores(self, head: int) -> WordScores:
        """Return the words added so far that may belong to a mention of one of the heads.

        Raises:
            ValueError: the words of this head were not kept.
        """
        if head not in self.heads:
            raise ValueError(f"the words of head {head} were not kept; its mode has no repetition")
        chosen = np.concatenate(self._places) == self.heads.index(head)
        return WordScores(np.concatenate(self._starts)[chosen], np.concatenate(self._log_odds)[chosen])
