"""Open a bundle once every file of it is checked, and seal a folder as a bundle.

A file that is missing, changed or unlisted is found here, and so is a graph that reads other files.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path

from openmed_ner.bundle.files import MANIFEST, check_name, iter_files
from openmed_ner.bundle.graph import check_graph, check_window
from openmed_ner.bundle.manifest import GRAPH, MAX_JSON, Bundle, FileEntry, Manifest, read_manifest
from openmed_ner.bundle.values import format_json
from openmed_ner.errors import BundleError
from openmed_ner.storage import atomic_file, sha256_file

CheckFiles = Callable[[Callable[[str], None], Manifest], None]
"""Calls a function with the name of each file of a manifest."""


def check_in_turn(check: Callable[[str], None], manifest: Manifest) -> None:
    """Check the files of a manifest, one after the other."""
    for name in manifest.files:
        check(name)


def open_bundle(
    folder: str | Path, *, keep: Collection[str] = (), check_files: CheckFiles = check_in_turn
) -> Bundle:
    """Open a bundle and check every file of it.

    Args:
        folder: folder of the bundle.
        keep: files whose contents are kept in memory until they are read.
        check_files: calls a function for each file of a manifest, such as several at a time in threads.

    Raises:
        BundleError: the folder is not a bundle, or must not be trusted.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    if path.is_symlink():
        raise BundleError(f"{path} is a symbolic link; a bundle holds only plain files")
    if not path.is_file():
        raise BundleError(f"{folder} is not a bundle: it has no {MANIFEST}")
    if path.stat().st_size > MAX_JSON:
        raise BundleError(f"{path} is larger than {MAX_JSON} bytes, which no manifest is")

    bundle = Bundle(folder, read_manifest(path.read_bytes(), folder))
    # Both ways: a file that is not listed has no digest, so nobody vouches for it.
    present = set(iter_files(folder))
    for name in bundle.manifest.files:
        if name not in present:
            raise BundleError(f"{folder}: {name} is missing")
    if unlisted := sorted(present - {MANIFEST, *bundle.manifest.files}):
        raise BundleError(f"{folder}: {unlisted[0]} is not in the manifest; a bundle holds nothing unlisted")

    def check(name: str) -> None:
        content = bundle.read(name)
        if name.endswith(GRAPH):
            check_graph(content, path.with_name(name))
            check_window(content, path.with_name(name), bundle.manifest.window)
        if name in keep:
            bundle.kept[name] = content
        checked.add(name)

    checked: set[str] = set()
    check_files(check, bundle.manifest)
    if unchecked := sorted(bundle.manifest.files.keys() - checked):
        raise BundleError(f"{folder}: {unchecked[0]} was not checked; check_files must take every file")
    return bundle


def seal(folder: Path, manifest: Manifest) -> Bundle:
    """Write the manifest of a folder whose other files are in place.

    Raises:
        BundleError: the folder holds a kind of file that a bundle may not.
    """
    files = {}
    for name in sorted(set(iter_files(folder)) - {MANIFEST}):
        check_name(name, folder)
        path = folder / name
        path.chmod(0o644)  # safetensors writes files that only their owner can read
        files[name] = FileEntry(path.stat().st_size, sha256_file(path))

    record = {**manifest.to_json(), "files": {name: asdict(entry) for name, entry in files.items()}}
    with atomic_file(folder / MANIFEST) as file:
        file.write(format_json(record))
    return Bundle(folder, Manifest.from_json(record))
