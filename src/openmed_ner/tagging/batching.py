"""Group sequences of unequal length into padded batches of a limited number of subwords."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from openmed_ner.tagging.subwords import SubwordTokenizer
from openmed_ner.tagging.windows import Window

LongArray = NDArray[np.int64]
INPUTS = ("ids", "mask", "lexicon_tags")
"""Names of a model's inputs; only a model that reads a lexicon has the last."""
MULTIPLE = 16
"""Padded lengths are multiples of this: few distinct shapes, for which CPU kernels are prepared once."""


def padded_length(length: int, multiple: int = MULTIPLE) -> int:
    """Round a length up to the next multiple."""
    return -(-length // multiple) * multiple


def group_by_length(
    lengths: Sequence[int], *, budget: int, ranks: Sequence[float] | None = None
) -> list[list[int]]:
    """Group indices so that neighbours in length share a batch.

    Args:
        lengths: number of subwords of each sequence, special ones included.
        ranks: sort keys instead of the lengths, such as lengths with some noise, for other batches in each
            epoch.
        budget: most subwords in a batch, padding included; a longer sequence gets a batch of its own.

    Returns:
        The indices of each batch, from the longest sequences to the shortest.
    """
    ranks = lengths if ranks is None else ranks
    batches: list[list[int]] = []
    width = 0

    for index in sorted(range(len(lengths)), key=lambda index: (-ranks[index], index)):
        width = max(width, padded_length(lengths[index]))
        if not batches or (len(batches[-1]) + 1) * width > budget:
            batches.append([])
            width = padded_length(lengths[index])
        batches[-1].append(index)
    return batches


def group_by_width(lengths: Sequence[int], *, budget: int, at_least: int = 1) -> list[list[int]]:
    """Group indices into batches of one padded length each.

    Args:
        lengths: number of subwords of each sequence, special ones included.
        budget: most subwords in a batch, padding included; a longer sequence gets a batch of its own.
        at_least: number of batches to make of each padded length, if it has that many sequences.

    Returns:
        The indices of each batch, the widest first, in input order within a width.
    """
    widths: dict[int, list[int]] = {}
    for index, length in enumerate(lengths):
        widths.setdefault(padded_length(length), []).append(index)
    batches = []
    for width, indices in sorted(widths.items(), reverse=True):
        size = max(1, min(budget // width, -(-len(indices) // at_least)))
        batches += [indices[start : start + size] for start in range(0, len(indices), size)]
    return batches


def pad_windows(
    windows: Sequence[Window], tokenizer: SubwordTokenizer, *, width: int | None = None
) -> tuple[LongArray, ...]:
    """Frame windows with special subwords and pad them to one length.

    Args:
        windows: windows of a batch.
        tokenizer: source of the special subwords.
        width: length to pad to, as for :func:`pad_rows`.

    Returns:
        Subword ids, attention mask, and lexicon tags if the windows have them, each
        ``(n_windows, padded length)``.
    """
    ids, mask = pad_rows([window.ids for window in windows], tokenizer, width=width)
    if windows[0].lexicon_tags is None:
        return ids, mask
    lexicon_tags = np.zeros_like(ids)
    for row, window in zip(lexicon_tags, windows, strict=True):
        row[1 : len(window.ids) + 1] = window.subword_lexicon_tags
    return ids, mask, lexicon_tags


def name_inputs(inputs: Sequence[LongArray], names: Sequence[str]) -> dict[str, LongArray]:
    """Name the inputs of a graph; lexicon tags that it reads and that are missing are those of no name.

    Raises:
        ValueError: there are more inputs than the graph has.
    """
    if len(inputs) > len(names):
        raise ValueError(f"the model reads {', '.join(names)} only")
    missing = [np.zeros_like(inputs[0])] * (len(names) - len(inputs))
    return dict(zip(names, [*inputs, *missing], strict=True))


def pad_rows(
    rows: Sequence[NDArray[np.integer]], tokenizer: SubwordTokenizer, *, width: int | None = None
) -> tuple[LongArray, LongArray]:
    """Frame sequences of subwords with special ones and pad them to one length.

    Args:
        rows: subword ids without special ones.
        tokenizer: source of the special subwords.
        width: length to pad to; the longest row, framed and rounded up, if ``None``.

    Returns:
        Subword ids and attention mask, both ``(n_rows, width)``.
    """
    width = padded_length(max(map(len, rows)) + 2) if width is None else width
    ids = np.full((len(rows), width), tokenizer.padding, dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for number, row in enumerate(rows):
        end = len(row) + 1
        ids[number, 0], ids[number, 1:end], ids[number, end] = tokenizer.prefix, row, tokenizer.suffix
        mask[number, : end + 1] = 1
    return ids, mask
