"""Group sequences of unequal length into padded batches of a limited number of subwords."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from openmed_ner.tagging.subwords import SubwordTokenizer
from openmed_ner.tagging.windows import Window

LongArray = NDArray[np.int64]
MASK, LEXICON_TAGS = "mask", "lexicon_tags"
INPUTS = ("ids", MASK, LEXICON_TAGS)
"""Names of a model's inputs. It lacks the second if it reads no padding, the last if it reads no lexicon."""
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


def group_by_width(widths: Sequence[int], *, budget: int, at_least: int = 1) -> list[list[int]]:
    """Group indices into batches of one padded length each.

    Args:
        widths: length that each sequence is padded to.
        budget: most subwords in a batch, padding included; a longer sequence gets a batch of its own.
        at_least: number of batches to make of each padded length, if it has that many sequences.

    Returns:
        The indices of each batch, the widest first, in input order within a width.
    """
    by_width: dict[int, list[int]] = {}
    for index, width in enumerate(widths):
        by_width.setdefault(width, []).append(index)
    batches = []
    for width, indices in sorted(by_width.items(), reverse=True):
        size = max(1, min(budget // width, -(-len(indices) // at_least)))
        batches += [indices[start : start + size] for start in range(0, len(indices), size)]
    return batches


def find_multiple(names: Collection[str]) -> int:
    """Divisor of padded lengths for a graph with some inputs: 1 without a mask, since it reads no padding."""
    return MULTIPLE if MASK in names else 1


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


def name_inputs(inputs: Sequence[LongArray], names: Collection[str]) -> dict[str, LongArray]:
    """Name the inputs of a graph; lexicon tags that it reads and that are missing are those of no name.

    Args:
        inputs: values of ``INPUTS``, with or without lexicon tags.
        names: names of the inputs that the graph has.

    Raises:
        ValueError: there are lexicon tags or padding, and the graph reads none.
    """
    ids, mask, *lexicon_tags = inputs
    if MASK not in names and not mask.all():
        raise ValueError("the model reads no padding")
    if lexicon_tags and LEXICON_TAGS not in names:
        raise ValueError("the model reads no lexicon")
    values = dict(zip(INPUTS, (ids, mask, *(lexicon_tags or [np.zeros_like(ids)])), strict=True))
    return {name: values[name] for name in names}


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
