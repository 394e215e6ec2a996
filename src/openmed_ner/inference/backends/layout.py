"""How many batches to compute at the same time: found out by trying, where it is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from openmed_ner.tagging.batching import padded_length
from openmed_ner.tagging.prediction import BUDGET

if TYPE_CHECKING:
    from openmed_ner.inference.backends import Backend

ROUNDS = 2
"""The best of so many is what a layout takes."""


def candidates(threads: int) -> list[int]:
    """Numbers of workers among which threads are divided without a rest: 1, 2, 4 …, and one for each."""
    powers = {1 << exponent for exponent in range(threads.bit_length())}
    return sorted(number for number in powers | {threads} if threads % number == 0)


def choose_workers(load: Callable[[int], Backend], threads: int, *, window: int) -> int:
    """The number of workers by which full batches are computed soonest, here and now; the smaller of equals.

    Each layout computes the same batches, one for each thread. It changes speed, never results.

    Args:
        load: makes the model for so many workers.
        threads: of all workers together.
        window: subwords of a full window.
    """
    return min(candidates(threads), key=lambda workers: _time(load(workers), workers, threads, window))


def _time(model: Backend, workers: int, batches: int, window: int) -> float:
    width = padded_length(window)
    ids = np.zeros((max(1, BUDGET // width), width), dtype=np.int64)
    mask = np.ones_like(ids)
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda _: model.run(ids, mask), range(workers)))  # the first is slower
        took = []
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            list(pool.map(lambda _: model.run(ids, mask), range(batches)))
            took.append(time.perf_counter() - begin)
    return min(took)
