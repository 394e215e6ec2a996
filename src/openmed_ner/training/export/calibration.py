"""Windows of sample texts, on which the ranges of activations are measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from openmed_ner.errors import InputError
from openmed_ner.tagging import WindowReader
from openmed_ner.tagging.batching import INPUTS, LongArray, pad_windows
from openmed_ner.text import Document

N_WINDOWS = 256
"""Largest number of windows to measure ranges on."""

Item = TypeVar("Item")


def sample_windows(documents: Sequence[Document], reader: WindowReader) -> list[dict[str, LongArray]]:
    """Read at most ``N_WINDOWS`` windows of as many texts, evenly spread over them.

    Returns:
        The inputs of each window by name, ``(1, n_subwords)``, without padding.

    Raises:
        InputError: the documents have no text.
    """
    readable = [document for document in documents if document.text.strip()]
    windows = [window for document in spread(readable) for window in reader.windows(document.text)]
    if not windows:
        raise InputError("no text to calibrate on: expected documents like those to be tagged")
    inputs = (
        pad_windows([window], reader.tokenizer, width=len(window.ids) + 2) for window in spread(windows)
    )
    return [dict(zip(INPUTS, arrays, strict=False)) for arrays in inputs]


def spread(items: Sequence[Item]) -> list[Item]:
    """Select at most ``N_WINDOWS`` items, evenly spread."""
    count = min(N_WINDOWS, len(items))
    return [items[number * len(items) // count] for number in range(count)]
