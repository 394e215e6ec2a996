"""Threads that compute batches beside the one that reads, where an interpreter has threads."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from openmed_ner.errors import RunError
from openmed_ner.tagging.prediction import Submit, compute_now


@contextmanager
def start_threads(workers: int) -> Iterator[Submit]:
    """Yield the function that begins to compute a batch; its threads end with the block.

    Args:
        workers: number of threads. With 0 the thread that reads also computes.

    Raises:
        RunError: there is not enough memory for the batches or the threads.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="openmed-ner") if workers else None
    try:
        yield pool.submit if pool else compute_now
    except MemoryError as error:
        raise RunError("there is not enough memory; use fewer threads") from error
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        raise RunError(f"{error}: there is not enough memory; use fewer threads") from error
    finally:
        if pool:
            pool.shutdown(cancel_futures=True)
