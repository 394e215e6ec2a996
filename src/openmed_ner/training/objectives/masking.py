"""Choose the subwords that a masked language model has to predict, and hide them.

The draws are made in the order of transformers' ``DataCollatorForLanguageModeling``, so that the same
seed hides the same subwords: a test compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openmed_ner.training.config import Masking

MASKED, RANDOM = 0.8, 0.5
"""Shares: 80 % of the chosen subwords become the mask, half of the rest a random subword."""


def hide(
    ids: Tensor,
    fixed: Tensor,
    *,
    masking: Masking,
    mask: int,
    n_vocabulary: int,
    continues: Tensor,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Hide some subwords of some rows.

    Args:
        ids: subword ids, ``(n_rows, n_subwords)``.
        fixed: subwords that are never chosen (special ones, padding), ``(n_rows, n_subwords)``.
        masking: share of chosen subwords, and whole-word masking.
        mask: id of the mask subword.
        n_vocabulary: size of the vocabulary that random subwords come from.
        continues: true for subwords that continue a word, ``(n_vocabulary,)``.
        generator: source of randomness; torch's global one if ``None``.

    Returns:
        The input of the model, and a mask of the subwords to predict, both ``(n_rows, n_subwords)``.
    """
    chance = torch.full(ids.shape, masking.share).masked_fill_(fixed, 0.0)
    if masking.whole_words:
        inner = continues[ids] & ~fixed
        inner[:, 1:] &= ~fixed[:, :-1]  # a packed row may begin within a word, after its special subword
        inner[:, 0] = False
        first = torch.bernoulli(chance.masked_fill_(inner, 0.0), generator=generator).bool()
        chosen = _spread(first, inner)
    else:
        chosen = torch.bernoulli(chance, generator=generator).bool()

    # The order of these draws is that of DataCollatorForLanguageModeling.
    masked = torch.bernoulli(torch.full(ids.shape, MASKED), generator=generator).bool() & chosen
    at_random = torch.bernoulli(torch.full(ids.shape, RANDOM), generator=generator).bool() & chosen & ~masked
    random_ids = torch.randint(n_vocabulary, ids.shape, dtype=torch.long, generator=generator)
    inputs = torch.where(masked, mask, torch.where(at_random, random_ids, ids))
    return inputs, chosen


def _spread(first: Tensor, inner: Tensor) -> Tensor:
    """Choose the rest of each word whose first subword is chosen."""
    columns = torch.arange(first.shape[1]).expand_as(first)
    starts = torch.cummax(columns.masked_fill(inner, 0), dim=1).values
    return first.gather(1, starts)


def find_continuations(vocabulary: Sequence[str]) -> NDArray[np.bool_]:
    """Find the subwords of a vocabulary that continue a word, ``(n_vocabulary,)``.

    WordPiece marks them by ``##``. SentencePiece and byte-level vocabularies mark the opposite: subwords that
    follow a blank begin with ``▁`` or ``Ġ``.
    """
    marked = np.array([piece.startswith("##") for piece in vocabulary])
    if marked.any():
        return marked
    return ~np.array([piece.startswith(("▁", "Ġ")) for piece in vocabulary])
