"""Start a cluster of Ray on this machine, or join one that runs.

One of our own listens on the loopback interface alone, has no dashboard and reports nothing to anyone. It
ends with the run, and so do its files, which may hold text. One that is joined is as safe as whoever started
it has made it: Ray lets everyone who reaches its ports run any program.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

from openmed_ner.errors import InputError, MissingExtraError, RunError
from openmed_ner.inference.backends import usable_cores
from openmed_ner.offline import disable_telemetry

_STORE = 256 << 20
"""Bytes of shared memory for blocks under way; a block is some hundred kilobytes."""
_TRIES = 3
"""How often a cluster of our own is started: a busy machine may need longer than Ray waits."""
_QUIET = {"RAY_BACKEND_LOG_LEVEL": "fatal"}
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""On every system, whatever its name says: nodes listen on the loopback interface alone."""
_SHORT = None if os.name == "nt" else "/tmp"
"""Where the folder of a cluster is made: the name of a socket in it may have about a hundred characters."""


@contextmanager
def connect(*, address: str | None = None, workers: int | None = None, threads: int = 1) -> Iterator[int]:
    """Have a cluster, and leave it at the end.

    Args:
        address: of one that runs; ``None`` starts one here.
        workers: processes that tag; as many as there are cores for by default.
        threads: of each.

    Returns:
        How many processes there can be.

    Raises:
        InputError: there is no cluster at the address, or not enough cores in it.
        MissingExtraError: Ray is not installed.
        RunError: a cluster of our own does not start.
    """
    disable_telemetry()
    os.environ.update(_QUIET if address else _QUIET | _LOOPBACK)
    ray = import_ray()
    with ExitStack() as stack:
        if address is None:
            workers = workers or max(1, usable_cores() // threads)
            folder = TemporaryDirectory(prefix="ray-", dir=_SHORT, ignore_cleanup_errors=True)
            begin = partial(_start, ray, stack.enter_context(folder), workers, threads)
        else:
            begin = partial(_join, ray, address, workers, threads)
        stack.callback(ray.shutdown)
        yield begin()


def import_ray() -> Any:
    """Ray with Ray Data.

    Raises:
        MissingExtraError: one of the two, or what they need, is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError(error.name or "ray", "ray") from error
    # it would report lost blocks, which are mended
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    return ray


def _start(ray: Any, folder: str, workers: int, threads: int) -> int:
    """One core more than the workers need: the reader's. Logs, and blocks without room, go to the folder."""
    for left in reversed(range(_TRIES)):
        try:
            ray.init(
                _temp_dir=folder,
                num_cpus=workers * threads + 1,
                object_store_memory=_STORE,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
            break
        except Exception as error:  # Ray has no class for this, and waits half a minute, whatever is set
            ray.shutdown()
            if "timed out during startup" not in str(error) or not left:
                raise RunError(f"Ray does not start on this machine: {error}") from error
    return workers


def _join(ray: Any, address: str, workers: int | None, threads: int) -> int:
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(f"{address}: no cluster of Ray can be joined there: {error}") from error
    places = (int(ray.cluster_resources().get("CPU", 0)) - 1) // threads
    if places < (workers or 1):
        raise InputError(
            f"{address}: cores for {max(places, 0)} workers of {threads} threads and for a reader, "
            f"where {workers or 1} are wanted; ask for fewer, or add machines"
        )
    return workers or places
