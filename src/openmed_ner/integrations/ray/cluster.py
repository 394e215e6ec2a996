"""Start a Ray cluster on this machine, or join a running one.

A cluster started by us listens on the loopback interface alone, has no dashboard and sends no usage reports.
It ends with the run, and so do its files, which may hold text. The security of a joined cluster is up to its
operator: Ray lets everyone who reaches its ports run any program.
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
"""Bytes of shared memory for blocks in transit; a block is some hundred kilobytes."""
_TRIES = 3
"""Attempts to start a cluster: a busy machine may need longer than Ray waits."""
_QUIET = {"RAY_BACKEND_LOG_LEVEL": "fatal"}
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Despite its name, it makes nodes on every system listen on the loopback interface alone."""
_SHORT_FOLDER = None if os.name == "nt" else "/tmp"
"""Parent of a cluster's folder: the path of a socket in it may have about a hundred characters."""


@contextmanager
def connect(*, address: str | None = None, workers: int | None = None, threads: int = 1) -> Iterator[int]:
    """Connect to a cluster, and disconnect at the end.

    Args:
        address: address of a running cluster; ``None`` starts one on this machine.
        workers: number of processes that tag; by default as many as the cores allow.
        threads: threads per process.

    Yields:
        Number of processes that can tag.

    Raises:
        InputError: no cluster at the address, or not enough cores in it.
        MissingExtraError: Ray is not installed.
        RunError: the cluster on this machine does not start.
    """
    disable_telemetry()
    os.environ.update(_QUIET if address else _QUIET | _LOOPBACK)
    ray = import_ray()
    with ExitStack() as stack:
        if address is None:
            workers = workers or max(1, usable_cores() // threads)
            folder = TemporaryDirectory(prefix="ray-", dir=_SHORT_FOLDER, ignore_cleanup_errors=True)
            enter = partial(_start, ray, stack.enter_context(folder), workers, threads)
        else:
            enter = partial(_join, ray, address, workers, threads)
        stack.callback(ray.shutdown)
        yield enter()


def import_ray() -> Any:
    """Import Ray with Ray Data.

    Raises:
        MissingExtraError: Ray, Ray Data or a dependency is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError(error.name or "ray", "ray") from error
    # it logs every lost block, which the engine reads and tags again
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    return ray


def _start(ray: Any, folder: str, workers: int, threads: int) -> int:
    """Start a cluster with a core per thread and one for the reader; its logs and files go to a folder."""
    for n_left in reversed(range(_TRIES)):
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
        except Exception as error:  # Ray has no class for this; its half a minute cannot be configured
            ray.shutdown()
            if "timed out during startup" not in str(error) or not n_left:
                raise RunError(f"Ray does not start on this machine: {error}") from error
    return workers


def _join(ray: Any, address: str, workers: int | None, threads: int) -> int:
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(f"{address}: cannot join a Ray cluster: {error}") from error
    # one core is the reader's
    capacity = (int(ray.cluster_resources().get("CPU", 0)) - 1) // threads
    if capacity < (workers or 1):
        raise InputError(
            f"{address}: beside a reader, its cores allow {max(capacity, 0)} workers of {threads} threads, "
            f"not {workers or 1}; lower --workers or add machines"
        )
    return workers or capacity
