"""Choose what a masked language model has to guess, and hide it.

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
"""Of the chosen subwords, 80 % become the mask, and half of the others a random subword."""


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
        masking: how many, and whether by whole words.
        mask: id of the mask.
        n_vocabulary: size of the vocabulary that random subwords come from.
        continues: whether a subword goes on with the word of the one before, ``(n_vocabulary,)``.
        generator: where randomness comes from; torch's own if ``None``.

    Returns:
        What the model reads, and which subwords it has to guess, both ``(n_rows, n_subwords)``.
    """
    chance = torch.full(ids.shape, masking.share).masked_fill_(fixed, 0.0)
    if masking.whole_words:
        inner = continues[ids] & ~fixed
        inner[:, 1:] &= ~fixed[:, :-1]  # what follows a special subword begins a row, if not a word
        inner[:, 0] = False
        first = torch.bernoulli(chance.masked_fill_(inner, 0.0), generator=generator).bool()
        chosen = _spread(first, inner)
    else:
        chosen = torch.bernoulli(chance, generator=generator).bool()
    masked = torch.bernoulli(torch.full(ids.shape, MASKED), generator=generator).bool() & chosen
    at_random = torch.bernoulli(torch.full(ids.shape, RANDOM), generator=generator).bool() & chosen & ~masked
    others = torch.randint(n_vocabulary, ids.shape, dtype=torch.long, generator=generator)
    inputs = torch.where(masked, mask, torch.where(at_random, others, ids))
    return inputs, chosen


def _spread(first: Tensor, inner: Tensor) -> Tensor:
    """Choose the rest of each word whose first subword is chosen."""
    places = torch.arange(first.shape[1]).expand_as(first)
    begins = torch.cummax(places.masked_fill(inner, 0), dim=1).values
    return first.gather(1, begins)


def find_continuations(vocabulary: Sequence[str]) -> NDArray[np.bool_]:
    """Which subwords of a vocabulary go on with a word that has begun, ``(n_vocabulary,)``.

    WordPiece marks those by ``##``; SentencePiece and byte-level vocabularies mark the others, which follow
    a blank, by ``▁`` and ``Ġ``.
    """
    marked = np.array([piece.startswith("##") for piece in vocabulary])
    if marked.any():
        return marked
    return ~np.array([piece.startswith(("▁", "Ġ")) for piece in vocabulary])
