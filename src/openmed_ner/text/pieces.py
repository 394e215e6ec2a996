"""Cut a text at every boundary of some ranges, which may nest and overlap, for marking them up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TypeVar

Value = TypeVar("Value")


def iter_pieces(text: str, ranges: Iterable[tuple[int, int, Value]]) -> Iterator[tuple[str, list[Value]]]:
    """Yield the pieces of a text in order, each with the values of the ranges it lies in.

    The pieces together are the text. Ranges may reach beyond it; what they hold there is nothing.
    """
    waiting = sorted(ranges, key=lambda each: each[0], reverse=True)
    edges = {edge for start, end, _ in waiting for edge in (start, end) if 0 < edge < len(text)}
    active: list[tuple[int, Value]] = []
    for start, end in pairwise(sorted({0, *edges, len(text)})):
        active = [(last, value) for last, value in active if last > start]
        while waiting and waiting[-1][0] <= start:
            _, last, value = waiting.pop()
            if last > start:
                active.append((last, value))
        yield text[start:end], [value for _, value in active]
