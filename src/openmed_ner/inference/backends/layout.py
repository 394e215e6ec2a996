"""The number of batches to compute at the same time, measured on request."""

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
"""Measurements per layout, of which the fastest counts."""


def candidates(threads: int) -> list[int]:
    """Numbers of workers that divide the threads evenly: powers of two, and one worker per thread."""
    powers = {1 << exponent for exponent in range(threads.bit_length())}
    return sorted(number for number in powers | {threads} if threads % number == 0)


def choose_workers(load: Callable[[int], Backend], threads: int, *, window: int) -> int:
    """Return the number of workers that computes full batches fastest; the smaller one of equals.

    Each layout computes the same batches, one for each thread. It changes speed, never results.

    Args:
        load: makes the model for a number of workers.
        threads: number of threads for all workers together.
        window: number of subwords in a full window.
    """
    return min(candidates(threads), key=lambda workers: _time(load(workers), workers, threads, window))


def _time(model: Backend, workers: int, batches: int, window: int) -> float:
    width = padded_length(window)
    ids = np.zeros((max(1, BUDGET // width), width), dtype=np.int64)
    mask = np.ones_like(ids)
    seconds = []
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda _: model.run(ids, mask), range(workers)))  # warm-up: the first run is slower
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            list(pool.map(lambda _: model.run(ids, mask), range(batches)))
            seconds.append(time.perf_counter() - begin)
    return min(seconds)
