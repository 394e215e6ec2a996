"""A folder belongs to one process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = "lock"


@contextmanager
def claim(folder: Path, name: str = LOCK) -> Iterator[bool]:
    """Whether this process is the one to work in a folder; the claim ends with the process at the latest.

    Where the system has no such locks, every process is.

    Args:
        folder: must exist.
        name: of the file in it that is locked.
    """
    with (folder / name).open("a") as file:
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
