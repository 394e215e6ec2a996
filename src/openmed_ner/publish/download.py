"""Fetch a bundle from the Hugging Face hub, or a mirror of it, at one commit.

The manifest comes first, then the files that it lists and no others, each checked while it is written. The
folder appears once it is complete. A branch is refused, for it can move: with a commit and the bundle's
digest, two people who run the same command have the same bytes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO

from openmed_ner.bundle import Bundle, FileEntry, Manifest, open_bundle
from openmed_ner.bundle.files import MANIFEST
from openmed_ner.bundle.manifest import MAX_JSON, read_manifest
from openmed_ner.errors import BundleError, InputError, RunError
from openmed_ner.offline import require_network
from openmed_ner.publish.hub import RETRY, Reference, explain, file_url, open_url
from openmed_ner.storage import PARTIAL, sha256_file
from openmed_ner.storage import sha256 as sha256_bytes

_CHUNK = 1 << 16
OnProgress = Callable[[str, int], None]


def fetch_bundle(
    reference: Reference,
    folder: Path,
    *,
    sha256: str | None = None,
    on_progress: OnProgress = lambda name, size: None,
) -> Bundle:
    """Fetch a bundle into a new folder; an interrupted download resumes.

    Args:
        reference: repository at a full commit hash.
        folder: folder of the new bundle; an existing one that holds this very bundle is left as it is.
        sha256: expected digest of the bundle, as ``bundles info`` prints it.
        on_progress: callback for a file's name and the number of its bytes so far.

    Raises:
        InputError: the revision is not a full commit hash, or the folder holds something else.
        BundleError: the repository holds no bundle, an unsafe one, or one with another digest.
        RunError: offline, refused, interrupted, or the disk is full.
    """
    if not reference.is_pinned:
        raise InputError(
            f"{reference}: {reference.revision!r} is not a full commit hash of 40 digits, and branches and "
            "tags can move; bundles fetch --resolve prints the commit it points to now"
        )
    require_network("downloads", instead="copy the folder of the bundle from a machine that has it")
    content = _fetch_manifest(reference, sha256)
    manifest = read_manifest(content, Path(str(reference)))
    if folder.exists():
        return _open_existing(folder, content)

    # Not an atomic_folder: the partial folder outlives an interruption, so that the next attempt resumes.
    partial = folder.with_name(f".{folder.name}.{reference.revision[:12]}{PARTIAL}")
    with explain(str(reference)):
        partial.mkdir(parents=True, exist_ok=True)
        _require_space(partial, manifest)
        for name, file in manifest.files.items():
            _fetch_file(file_url(reference, name), partial / name, name, file, on_progress)

        (partial / MANIFEST).write_bytes(content)
        _require_intact(partial)
        partial.rename(folder)
    return Bundle(folder, manifest)


def _fetch_manifest(reference: Reference, expected: str | None) -> bytes:
    with explain(str(reference)), open_url(file_url(reference, MANIFEST)) as response:
        content = response.read(MAX_JSON + 1)
    if len(content) > MAX_JSON:
        raise BundleError(f"{reference}: {MANIFEST} has more than {MAX_JSON} bytes, too many for a manifest")
    digest = sha256_bytes(content)
    if expected is not None and digest != expected.lower():
        raise BundleError(
            f"{reference}: the bundle has SHA-256 {digest}, expected {expected}; nothing was kept. Check "
            "where the commit and the digest come from"
        )
    return content


def _open_existing(folder: Path, content: bytes) -> Bundle:
    path = folder / MANIFEST
    if not path.is_file() or path.read_bytes() != content:
        raise InputError(f"{folder} exists and holds something else; name a new folder")
    return open_bundle(folder)


def _require_intact(partial: Path) -> None:
    try:
        open_bundle(partial)
    except BundleError:
        shutil.rmtree(partial)  # a file has changed since it was checked: resuming would fail every time
        raise


def _require_space(folder: Path, manifest: Manifest) -> None:
    """Refuse a download that the disk cannot hold; what an earlier attempt has left is not needed again."""
    present = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    needed = sum(file.size for file in manifest.files.values()) - present
    if needed > (free := _free(folder)):
        raise RunError(f"{folder.parent} has {free / 1e6:.1f} MB free; {needed / 1e6:.1f} MB are needed")


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _fetch_file(url: str, path: Path, name: str, file: FileEntry, on_progress: OnProgress) -> None:
    """Download a file, resuming an earlier attempt; it gets its name once it is verified."""
    if path.is_file():
        return  # from an earlier attempt; the whole bundle is verified at the end
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}{PARTIAL}")
    with partial.open("ab") as target:
        if target.tell() < file.size:
            _download(url, target, file.size, lambda size: on_progress(name, size))

    size, digest = partial.stat().st_size, sha256_file(partial)
    if (size, digest) != (file.size, file.sha256):
        partial.unlink()  # the next attempt starts this file from the beginning
        raise BundleError(
            f"{name}: {size} bytes with SHA-256 {digest}, expected {file.size} bytes with {file.sha256}; "
            "the file was not kept"
        )
    partial.rename(path)


def _download(url: str, target: IO[bytes], size: int, on_progress: Callable[[int], None]) -> None:
    """Append the missing bytes of a file, and never more than its size."""
    with open_url(url, start=target.tell()) as response:
        if response.status != 206:  # the server ignores the range and sends the whole file
            target.seek(0)
            target.truncate()
        while target.tell() < size and (chunk := response.read(min(_CHUNK, size - target.tell()))):
            target.write(chunk)
            on_progress(target.tell())
        target.flush()
        # With nothing left to read, the file is shorter than the manifest says; its digest will tell.
        if target.tell() < size and response.length:
            raise RunError(f"{url}: the server stopped {size - target.tell()} bytes early; {RETRY}")
