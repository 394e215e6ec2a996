"""The files of a pretraining set: pieces as subword ids in shards, and a manifest that says what they are.

A shard is a safetensors file of at most ``SHARD`` subwords: ``ids``, all subwords of its pieces on end,
``uint16`` where the vocabulary allows it; ``ends``, where each piece ends, ``int64``; ``sources``, the place
of its source in the list of names, ``uint8``. ``passages.json`` names every shard with its SHA-256, the
tokenizer, the settings, the sources and what became of their passages. A folder appears when it is
complete, and equal input gives equal bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from openmed_ner.errors import BundleError, InputError, MissingExtraError

FORMAT = 1
MANIFEST = "passages.json"
SHARD = 4_000_000
"""Subwords of a shard at most."""
MAX_MANIFEST = 64 << 20
PartName = Literal["train", "heldout"]
PARTS: tuple[PartName, ...] = ("train", "heldout")


@dataclass(frozen=True, slots=True)
class PassageSplit:
    """The pieces of one part of a pretraining set.

    Attributes:
        ids: subword ids of all pieces on end, without special ones, ``(n_subwords,)``.
        ends: one past the last subword of each piece, ``(n_pieces,)``.
        sources: the place in ``names`` of each piece's source, ``(n_pieces,)``.
        names: the sources.
        manifest: what ``passages.json`` says.
    """

    ids: NDArray[np.uint16] | NDArray[np.uint32]
    ends: NDArray[np.int64]
    sources: NDArray[np.uint8]
    names: tuple[str, ...]
    manifest: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.ends)

    def piece(self, number: int) -> NDArray[np.uint16] | NDArray[np.uint32]:
        """The subwords of one piece."""
        start = self.ends[number - 1] if number else 0
        return self.ids[start : self.ends[number]]


class ShardWriter:
    """Writes pieces to the shards of one part."""

    def __init__(self, folder: Path, part: PartName, dtype: np.dtype[Any]) -> None:
        self._folder, self._part, self._dtype = folder, part, dtype
        self._ids: list[bytes] = []
        self._lengths: list[int] = []
        self._sources: list[int] = []
        self._size = 0
        self.files: dict[str, dict[str, Any]] = {}

    def add(self, ids: bytes, source: int) -> None:
        """Add a piece."""
        length = len(ids) // self._dtype.itemsize
        if self._size + length > SHARD:
            self.flush()
        self._ids.append(ids)
        self._lengths.append(length)
        self._sources.append(source)
        self._size += length

    def flush(self) -> None:
        """Write what has come together as a shard."""
        if not self._lengths:
            return
        content = _safetensors().save(
            {
                "ids": np.frombuffer(b"".join(self._ids), dtype=self._dtype),
                "ends": np.cumsum(self._lengths, dtype=np.int64),
                "sources": np.array(self._sources, dtype=np.uint8),
            }
        )
        name = f"{self._part}-{len(self.files):05d}.safetensors"
        (self._folder / name).write_bytes(content)
        self.files[name] = {
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "pieces": len(self._lengths),
            "subwords": self._size,
        }
        self._ids, self._lengths, self._sources, self._size = [], [], [], 0


@contextmanager
def open_folder(folder: Path) -> Iterator[Path]:
    """Make a folder that appears only once it is complete.

    Raises:
        InputError: it is there already and holds something, or cannot be made.
    """
    if folder.is_dir() and any(folder.iterdir()):
        what = "a prepared set; load it, or" if (folder / MANIFEST).is_file() else "other things;"
        raise InputError(f"{folder} holds {what} name another folder")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder")
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from error
    try:
        yield partial
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write ``passages.json``."""
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read ``passages.json``.

    Raises:
        BundleError: it is missing or damaged, or another version wrote it.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleError(
            f"{folder} is no prepared set of passages: it has no {MANIFEST}; openmed-ner passages makes one"
        )
    if path.stat().st_size > MAX_MANIFEST:
        raise BundleError(f"{path} is larger than {MAX_MANIFEST} bytes, which no such manifest is")
    try:
        manifest = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path} is no JSON: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else manifest
        raise BundleError(f"{path}: format {found!r:.40}; this version reads {FORMAT}: prepare the set again")
    return manifest


def load_prepared(
    folder: Path, part: PartName, *, licences: Literal["all", "permissive"] = "all"
) -> PassageSplit:
    """Load one part of a prepared set.

    Args:
        folder: the set.
        part: ``train`` or ``heldout``.
        licences: ``permissive`` leaves out pieces of sources of another licence class.

    Raises:
        BundleError: the set is damaged or changed, or nothing of the part is left.
    """
    manifest = read_manifest(folder)
    try:
        names = tuple(str(source["name"]) for source in manifest["sources"])
        open_to_all = [source["licence_class"] == "permissive" for source in manifest["sources"]]
        size, mask = int(manifest["tokenizer"]["size"]), np.array(open_to_all, dtype=bool)
        shards = [
            (name, file["sha256"]) for name, file in manifest["shards"].items() if name.startswith(part)
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"{folder / MANIFEST} is damaged: {type(error).__name__}: {error}") from error
    chosen = [_read_shard(folder, name, sha256, n_sources=len(names), size=size) for name, sha256 in shards]
    if licences == "permissive":
        chosen = [_select(each, mask[each[2]]) for each in chosen]
    if not any(len(ends) for _, ends, _ in chosen):
        raise BundleError(f"{folder}: the part {part!r} has no passages (licences = {licences!r})")
    ids, ends, sources = (list(each) for each in zip(*chosen, strict=True))
    offsets = np.cumsum([0, *(len(each) for each in ids[:-1])])
    return PassageSplit(
        np.concatenate(ids),
        np.concatenate([each + offset for each, offset in zip(ends, offsets, strict=True)]),
        np.concatenate(sources),
        names,
        manifest,
    )


Arrays = tuple[NDArray[Any], NDArray[np.int64], NDArray[np.uint8]]


def _read_shard(folder: Path, name: str, sha256: str, *, n_sources: int, size: int) -> Arrays:
    path = folder / name
    if Path(name).name != name or not path.is_file():
        raise BundleError(f"{folder}: {name} is missing")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise BundleError(f"{path}: SHA-256 is {found}, {MANIFEST} says {sha256}: changed or damaged")
    try:
        arrays = _safetensors().load(content)
        ids, ends, sources = arrays["ids"], arrays["ends"], arrays["sources"]
    except Exception as error:  # the library has an exception of its own besides KeyError and ValueError
        raise BundleError(f"{path}: cannot be read: {error}") from error
    fits = (
        ids.dtype in (np.uint16, np.uint32)
        and (ends.dtype, sources.dtype) == (np.int64, np.uint8)
        and ids.ndim == ends.ndim == sources.ndim == 1
        and len(ends) == len(sources) > 0
        and bool((np.diff(ends, prepend=0) > 0).all())
        and ends[-1] == len(ids)
        and int(ids.max()) < size
        and int(sources.max()) < n_sources
    )
    if not fits:
        raise BundleError(f"{path}: ids, ends and sources do not fit each other, or {MANIFEST}")
    return ids, ends, sources


def _select(arrays: Arrays, wanted: NDArray[np.bool_]) -> Arrays:
    """Keep some pieces of a shard."""
    ids, ends, sources = arrays
    lengths = np.diff(ends, prepend=0)
    return ids[np.repeat(wanted, lengths)], np.cumsum(lengths[wanted]), sources[wanted]


def _safetensors() -> Any:
    try:
        from safetensors import numpy as safetensors
    except ModuleNotFoundError as error:
        raise MissingExtraError("safetensors", "train") from error
    return safetensors
