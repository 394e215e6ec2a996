"""Passages as rows of subwords, in an order that the seed determines.

Packed rows hold one passage after the other, separated by the suffix subword. They are equally long, so there
is no padding and one shape, which CPU kernels are fastest with. In return, a passage may begin in one row and
end in the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from openmed_ner.errors import RecipeError
from openmed_ner.tagging import SubwordTokenizer
from openmed_ner.tagging.batching import LongArray, group_by_length, pad_rows
from openmed_ner.training.passages import PassageSplit

SPECIAL = 2
"""Number of special subwords around a row."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Layout of one pass over the passages.

    Attributes:
        order: indices of the passages, in the order of reading.
        ends: one past the last subword of each passage, separators included, in one long row.
        batches: positions in ``order`` that share a batch, unless packed.
        n_batches: number of batches.
    """

    order: NDArray[np.int64]
    ends: NDArray[np.int64]
    batches: Sequence[Sequence[int]]
    n_batches: int


class PassageRows:
    """Endless batches of rows: pass after pass, each in another order."""

    def __init__(
        self,
        passages: PassageSplit,
        tokenizer: SubwordTokenizer,
        *,
        window: int,
        budget: int,
        packed: bool,
        seed: int,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        """Lay out passages.

        Args:
            passages: split of a prepared set.
            tokenizer: tokenizer with the special subwords.
            window: number of subwords of a row, special ones included.
            budget: maximum number of subwords in a batch, padding included.
            packed: if true, fill rows with one passage after the other; else one passage per row.
            seed: seed of the order.
            weights: times that a pass reads the passages of a source; 1 by default.

        Raises:
            RecipeError: a weight names an unknown source, no passage is left, or one is longer than a row.
        """
        self._passages, self._tokenizer = passages, tokenizer
        self._window, self._budget, self._packed, self._seed = window, budget, packed, seed
        self._lengths = np.diff(passages.ends, prepend=0)
        unknown = sorted(set(weights or ()) - set(passages.names))
        if unknown:
            raise RecipeError(f"weights.{unknown[0]}: unknown source; expected {', '.join(passages.names)}")

        factors = [(weights or {}).get(name, 1.0) for name in passages.names]
        self._weights = np.array(factors)[passages.sources]
        if not (self._weights > 0).any():
            raise RecipeError("no passage is left to read: every source is missing or has weight 0")
        if not packed and (longest := int(self._lengths.max()) + SPECIAL) > window:
            raise RecipeError(f"window = {window}: expected at least {longest}, the longest passage")
        self.lay_out = lru_cache(maxsize=2)(self._lay_out)
        self._sizes: list[int] = []

    def batch(self, number: int) -> tuple[LongArray, LongArray]:
        """A batch by its number, counted over all passes.

        Returns:
            Subword ids and attention mask, both ``(n_rows, n_subwords)``.
        """
        epoch = 0
        while number >= (size := self._size(epoch)):
            number -= size
            epoch += 1

        rows = self.lay_out(epoch)
        if self._packed:
            return self._pack(rows, number)
        passages = [self._passages.piece(int(rows.order[position])) for position in rows.batches[number]]
        return pad_rows(passages, self._tokenizer)

    def _size(self, epoch: int) -> int:
        """Number of batches of a pass; remembered, so earlier passes are not laid out again."""
        while len(self._sizes) <= epoch:
            self._sizes.append(self.lay_out(len(self._sizes)).n_batches)
        return self._sizes[epoch]

    def _lay_out(self, epoch: int) -> Rows:
        random = np.random.default_rng((self._seed, epoch))

        # A weight of 2.3 reads a passage twice, and a third time with a chance of 0.3.
        whole, part = np.divmod(self._weights, 1.0)
        times = whole.astype(np.int64) + (random.random(len(part)) < part)
        if not times.any():  # with small weights, chance may leave nothing
            times[random.choice(len(times), p=self._weights / self._weights.sum())] = 1

        order = random.permutation(np.repeat(np.arange(len(times)), times))
        lengths = self._lengths[order]
        ends = np.cumsum(lengths + 1)
        if self._packed:
            n_rows = -(-int(ends[-1]) // (self._window - SPECIAL))
            return Rows(order, ends, (), -(-n_rows // self._rows_per_batch))

        # Passages of similar length share a batch; the jitter varies which ones from pass to pass.
        framed = lengths + SPECIAL
        jittered = framed * random.uniform(0.95, 1.05, len(lengths))
        batches = group_by_length(framed.tolist(), budget=self._budget, ranks=jittered.tolist())
        return Rows(order, ends, [batches[index] for index in random.permutation(len(batches))], len(batches))

    @property
    def batch_subwords(self) -> int:
        """Subwords of a full batch; a packed one has as many whole rows as the budget allows."""
        return self._rows_per_batch * self._window if self._packed else self._budget

    @property
    def _rows_per_batch(self) -> int:
        return max(1, self._budget // self._window)

    def _pack(self, rows: Rows, number: int) -> tuple[LongArray, LongArray]:
        width = self._window - SPECIAL
        first = number * self._rows_per_batch * width
        last = min(first + self._rows_per_batch * width, int(rows.ends[-1]))
        stream = self._read(rows, first, last)
        starts = range(0, len(stream), width)
        return pad_rows(
            [stream[start : start + width] for start in starts], self._tokenizer, width=self._window
        )

    def _read(self, rows: Rows, first: int, last: int) -> LongArray:
        """Read subwords ``first`` to ``last`` of all passages laid end to end."""
        position = int(np.searchsorted(rows.ends, first, side="right"))
        begin = int(rows.ends[position - 1]) if position else 0
        parts: list[NDArray[np.integer]] = []
        suffix = np.array([self._tokenizer.suffix])
        offset = first - begin
        while begin < last:
            parts += [self._passages.piece(int(rows.order[position])), suffix]
            begin = int(rows.ends[position])
            position += 1
        stream: LongArray = np.concatenate(parts).astype(np.int64)[offset : offset + last - first]
        return stream
