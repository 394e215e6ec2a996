"""Files and folders that are there whole or not at all, their digests, and who may write where.

Everything is first written under a hidden name beside its target, then renamed. A reader never sees half a
file, and a run that is killed leaves the old file, or none. The price: for a moment the disk holds both.

A link is followed, so it stays and its target is replaced. A device, a pipe and an open file such as
``/dev/stdout`` are written into: to rename a file over a device would destroy the device.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from openmed_ner.errors import InputError, OpenMedError

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = "lock"
"""Name of the file that :func:`folder_lock` locks."""
PARTIAL = ".partial"
"""Suffix of everything that is still being written."""
_CHUNK = 1 << 20
_MAX_LINKS = 40
"""Most links from one to the next, as in Linux."""
_NO_LOCKS = (errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
"""Errors of file systems without locks, or without locks of folders, such as NFS."""


@contextmanager
def atomic_path(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield a path to write a file to; the file then replaces ``path`` in one move.

    Use it where a library wants a path, and :func:`atomic_file` for text. On an error nothing is left behind.

    Args:
        path: final place of the file; its folder must exist. A link is followed; anything but a file is
            yielded as it is, to be written into.
        durable: wait until content and name are on the disk.
    """
    if is_stream(path):
        yield path
        return

    path = Path(os.path.realpath(path))
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        yield partial
        if durable:
            _sync(partial)
        partial.replace(path)
        if durable:
            _sync(path.parent)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_file(path: Path, *, durable: bool = False) -> Iterator[TextIO]:
    """Open a text file (UTF-8, ``\\n``) that replaces ``path`` in one move once it is complete.

    Args:
        path: final place of the file, as for :func:`atomic_path`.
        durable: wait until content and name are on the disk.
    """
    descriptor = _find_descriptor(path)
    if descriptor is not None:
        # Opened again by its name, a file would lose what was written to it before.
        with open(os.dup(descriptor), "w", encoding="utf-8", newline="\n") as file:  # noqa: PTH123
            yield file
        return

    with (
        atomic_path(path, durable=durable) as partial,
        partial.open("w", encoding="utf-8", newline="\n") as file,
    ):
        yield file


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; it then takes the place of ``path``.

    An older folder of that name is set aside only when its successor is complete, and removed last. What an
    earlier, killed process left half written is removed first. One process at a time writes a folder. Where
    the system has no locks of folders, nothing guards that.

    Args:
        path: final place of the folder; its parents are made, and a link is followed.

    Raises:
        InputError: there is a file of that name, or something else is writing the folder at this moment.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_dir():
        raise InputError(f"cannot write {path}: it is not a folder; name another one")

    partial = path.with_name(f".{path.name}{PARTIAL}")
    replaced = path.with_name(f".{path.name}.replaced")
    partial.mkdir(parents=True, exist_ok=True)
    with _own(partial) as is_ours:
        if not is_ours:
            raise InputError(f"cannot write {path}: another run is writing it; wait for it, or name another")
        if replaced.exists() and not path.exists():  # killed between the two renames below
            replaced.rename(path)
        shutil.rmtree(replaced, ignore_errors=True)

        try:
            _clear(partial)
            yield partial
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

        if path.exists():
            path.rename(replaced)
        partial.rename(path)
        shutil.rmtree(replaced, ignore_errors=True)


def is_stream(path: Path) -> bool:
    """Return whether a path leads to something that can be written into, but not replaced.

    That is a device, a pipe, a socket, or an open file of this process under a name such as ``/dev/stdout``.
    """
    return _find_descriptor(path) is not None or (path.exists() and not path.is_file() and not path.is_dir())


def check_uncompressed(path: Path) -> None:
    """Refuse the name of a compressed file for an output, which would hold uncompressed content.

    Raises:
        InputError: the name ends in ``.gz``.
    """
    if path.suffix.lower() == ".gz" and not path.is_dir():
        raise InputError(
            f"cannot write {path}: outputs are not compressed; write {path.stem}, then run gzip on it"
        )


def sha256(content: bytes) -> str:
    """SHA-256 of some bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def digest_text(text: str, size: int = 64) -> bytes:
    """BLAKE2b digest of a text, which may hold halves of surrogate pairs, in ``size`` bytes."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).digest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits, read in chunks."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def read_json(
    path: Path, *, error: type[OpenMedError] = InputError, max_bytes: int | None = None
) -> dict[str, Any]:
    """Read a JSON object from a file.

    Args:
        path: the file.
        error: exception to raise.
        max_bytes: larger files are refused unread.

    Raises:
        OpenMedError: of the type ``error``: the file is too large, not UTF-8, not JSON or not an object.
        OSError: the file cannot be opened.
    """
    if max_bytes is not None and path.stat().st_size > max_bytes:
        raise error(f"{path} has more than {max_bytes} bytes")
    return parse_json(path.read_bytes(), path, error=error)


def parse_json(content: bytes, source: object, *, error: type[OpenMedError] = InputError) -> dict[str, Any]:
    """Parse a JSON object; ``source`` names it in messages.

    Raises:
        OpenMedError: of the type ``error``: the content is not UTF-8, not JSON or not an object.
    """
    try:
        record = json.loads(content)
    except (ValueError, RecursionError) as problem:
        raise error(f"{source} is not valid JSON: {problem}") from problem
    if not isinstance(record, dict):
        raise error(f"{source} holds a {type(record).__name__}; expected an object")
    return record


def write_json(path: Path, record: object) -> None:
    """Write a JSON file in one move, one level of indentation, UTF-8."""
    with atomic_file(path) as file:
        file.write(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


@contextmanager
def folder_lock(folder: Path, name: str = LOCK) -> Iterator[bool]:
    """Try to lock a folder; yield whether this process now holds the lock.

    The lock ends with the block, and with the process at the latest. Where the system has no such locks,
    every process gets one.

    Args:
        folder: must exist.
        name: file in it to lock.
    """
    with (folder / name).open("a") as file:
        yield _lock(file.fileno())


@contextmanager
def _own(folder: Path) -> Iterator[bool]:
    """Try to lock a folder that its writer will move; yield whether this block now holds it."""
    if fcntl is None:
        yield True
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:  # its writer has just moved it
        yield False
        return
    try:
        yield _lock(handle) and folder.exists() and os.path.samestat(os.fstat(handle), folder.stat())
    finally:
        os.close(handle)


def _lock(handle: int) -> bool:
    """Try to lock an open file or folder; true where the system has no such locks."""
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _find_descriptor(path: Path) -> int | None:
    """Follow links to an open file of this process, and return its number; ``None`` for any other path."""
    folders = {Path("/dev/fd"), Path(f"/proc/{os.getpid()}/fd")}
    for _ in range(_MAX_LINKS):
        if path.name.isdecimal() and (path.parent in folders or path.parent.resolve() in folders):
            return int(path.name)
        if not path.is_symlink():
            return None
        path = path.parent / path.readlink()
    return None


def _sync(path: Path) -> None:
    """Put a file's content, or the names in a folder, on the disk."""
    if os.name == "nt" and path.is_dir():  # Windows cannot open folders
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
