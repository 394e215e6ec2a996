"""Fetch a bundle from the Hugging Face hub, or a mirror of it, at one commit and no other.

The manifest comes first; then the files that it names and nothing else, each checked while it is written.
The folder appears once all are there. A branch is refused, for what it names can change: naming a commit and
the bundle's digest costs a longer line, and two people who run it have the same bytes.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO

from openmed_ner.bundle import Bundle, File, Manifest, open_bundle
from openmed_ner.bundle.manifest import MANIFEST, MAX_JSON, read_manifest
from openmed_ner.errors import BundleError, InputError, RunError
from openmed_ner.offline import require_network
from openmed_ner.publish.hub import AGAIN, Reference, address, explain, open_url

_BLOCK = 1 << 16
OnProgress = Callable[[str, int], None]


def fetch_bundle(
    reference: Reference,
    folder: Path,
    *,
    sha256: str | None = None,
    on_progress: OnProgress = lambda name, size: None,
) -> Bundle:
    """Fetch a bundle into a new folder; an interrupted download goes on where it stopped.

    Args:
        reference: the repository at a full commit hash.
        folder: of the new bundle; one that is there and holds this very bundle is left as it is.
        sha256: the digest that the bundle must have, as ``bundles info`` prints it.
        on_progress: called with a file's name and the bytes of it so far.

    Raises:
        InputError: the revision is no full commit hash, or the folder holds something else.
        BundleError: what is published is no bundle, must not be trusted, or has another digest.
        RunError: offline, refused, interrupted, or no room on the disk.
    """
    if not reference.is_pinned:
        raise InputError(
            f"{reference}: {reference.revision!r} is no full commit hash of 40 digits, and what a branch "
            "or tag names can change; bundles fetch --resolve prints the commit it stands for now"
        )
    require_network("downloads", instead="copy the folder of the bundle from a machine that has it")
    content = _fetch_manifest(reference, sha256)
    manifest = read_manifest(content, Path(str(reference)))
    if folder.exists():
        return _already_there(folder, content)
    partial = folder.with_name(f".{folder.name}.{reference.revision[:12]}.partial")
    with explain(str(reference)):
        partial.mkdir(parents=True, exist_ok=True)
        _require_room(partial, manifest)
        for name, file in manifest.files.items():
            _fetch_file(address(reference, name), partial / name, name, file, on_progress)
        (partial / MANIFEST).write_bytes(content)
        _check_whole(partial)
        partial.rename(folder)
    return Bundle(folder, manifest)


def _fetch_manifest(reference: Reference, sha256: str | None) -> bytes:
    with explain(str(reference)), open_url(address(reference, MANIFEST)) as response:
        content = response.read(MAX_JSON + 1)
    if len(content) > MAX_JSON:
        raise BundleError(f"{reference}: {MANIFEST} is larger than {MAX_JSON} bytes, which no manifest is")
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256.lower():
        raise BundleError(
            f"{reference}: the bundle has SHA-256 {found}, expected {sha256}; nothing of it was kept. Ask "
            "whoever gave you the one or the other"
        )
    return content


def _already_there(folder: Path, content: bytes) -> Bundle:
    path = folder / MANIFEST
    if not path.is_file() or path.read_bytes() != content:
        raise InputError(f"{folder} is there already and holds something else; name a new folder")
    return open_bundle(folder)


def _check_whole(partial: Path) -> None:
    try:
        open_bundle(partial)
    except BundleError:
        shutil.rmtree(partial)  # changed since it was written: going on from it would fail for ever
        raise


def _require_room(folder: Path, manifest: Manifest) -> None:
    """Refuse to begin what the disk cannot hold, less what an earlier attempt has left."""
    present = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    needed = sum(file.size for file in manifest.files.values()) - present
    if needed > (free := _free(folder)):
        raise RunError(f"{folder.parent} has {free / 1e6:.1f} MB free, and {needed / 1e6:.1f} MB are missing")


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _fetch_file(url: str, path: Path, name: str, file: File, on_progress: OnProgress) -> None:
    """Download a file, from where an earlier attempt stopped; it gets its name once it is right."""
    if path.is_file():
        return  # an earlier attempt got it; the whole is checked again at the end
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("ab+") as target:
        if target.tell() < file.size:
            _download(url, target, file.size, lambda size: on_progress(name, size))
        target.seek(0)
        size, found = partial.stat().st_size, hashlib.file_digest(target, "sha256").hexdigest()
    if (size, found) != (file.size, file.sha256):
        partial.unlink()  # the next attempt begins this file afresh
        raise BundleError(
            f"{name}: {size} bytes with SHA-256 {found}, which were not kept; the manifest says "
            f"{file.size} bytes with {file.sha256}"
        )
    partial.rename(path)


def _download(url: str, target: IO[bytes], size: int, on_progress: Callable[[int], None]) -> None:
    """Append what is missing of a file, and never more than its size."""
    with open_url(url, start=target.tell()) as response:
        if response.status != 206:  # the server begins at the beginning
            target.seek(0)
            target.truncate()
        while target.tell() < size and (block := response.read(min(_BLOCK, size - target.tell()))):
            target.write(block)
            on_progress(target.tell())
        target.flush()
        if target.tell() < size and response.length:  # else all came, and is shorter than the manifest says
            raise RunError(f"{url}: the server stopped {size - target.tell()} bytes early; {AGAIN}")
