"""The files that a bundle may hold: none that can run code, none outside its folder, no links."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from openmed_ner.errors import BundleError

MANIFEST = "manifest.json"
LEXICON = "lexicon.npy"
SUFFIXES = (".json", ".md", ".onnx", ".safetensors", ".txt")
"""Suffixes of the files that a bundle may hold, beside its lexicon."""


def iter_files(folder: Path) -> Iterator[str]:
    """Yield the paths of all files in a folder, relative to it.

    Raises:
        BundleError: one of them is a symbolic link, a pipe or a device.
    """
    for path in folder.rglob("*"):
        if path.is_symlink():
            raise BundleError(f"{path} is a symbolic link; a bundle holds only plain files")
        if path.is_file():
            yield path.relative_to(folder).as_posix()
        elif not path.is_dir():
            raise BundleError(f"{path} is not a plain file; a bundle holds no others")


def check_name(name: str, folder: Path) -> None:
    """Refuse a file that a manifest must not list.

    Raises:
        BundleError: the file lies outside the folder, or is of a kind that a bundle must not contain.
    """
    path = PurePosixPath(name)
    # On Windows, a colon follows the letter of a drive, or precedes a hidden stream of a file.
    if path.is_absolute() or ".." in path.parts or any(sign in name for sign in "\\:") or name == MANIFEST:
        raise BundleError(f"{folder}: the manifest lists {name!r}, which does not lie inside the bundle")
    if path.suffix not in SUFFIXES and name != LEXICON:
        raise BundleError(
            f"{folder}: {name} is of a kind that a bundle must not contain; allowed: {', '.join(SUFFIXES)}. "
            "Formats that can run code on loading, such as pickle, are refused"
        )
