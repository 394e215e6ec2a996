"""A bundle that travels inside a spaCy pipeline: copied into its folder, or packed into its bytes.

A bundle that arrives this way is trusted no more than any other: loading checks it against its manifest.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import srsly

from openmed_ner.errors import BundleError
from openmed_ner.storage import atomic_folder


def read_files(folder: Path) -> dict[str, bytes]:
    """The files of a folder by their relative names."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def write_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Write files into a folder; the inverse of :func:`read_files`.

    Raises:
        BundleError: a name leads out of the folder.
    """
    for name, content in files.items():
        path = PurePosixPath(name)  # a backslash would be a separator on Windows only
        if path.is_absolute() or ".." in path.parts or "\\" in name:
            raise BundleError(f"the file {name!r} does not lie inside the bundle")
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def copy_folder(source: Path, target: Path) -> None:
    """Replace a folder by a copy of another one; a pipeline saved over itself is left as it is."""
    if source.resolve() == target.resolve():
        return
    with atomic_folder(target) as folder:
        shutil.copytree(source, folder, dirs_exist_ok=True)


def pack(files: Mapping[str, bytes]) -> bytes:
    """Files as one string of bytes."""
    packed: bytes = srsly.msgpack_dumps(dict(files))
    return packed


def unpack(data: bytes) -> dict[str, bytes]:
    """The inverse of :func:`pack`.

    Raises:
        BundleError: the bytes are not a packed bundle.
    """
    try:
        files = srsly.msgpack_loads(data)
    except (ValueError, TypeError) as error:
        raise BundleError(f"these bytes are not a packed bundle: {error}") from error
    if not isinstance(files, dict) or not all(isinstance(content, bytes) for content in files.values()):
        raise BundleError("these bytes are not a packed bundle: expected files by their names")
    return {str(name): content for name, content in files.items()}
