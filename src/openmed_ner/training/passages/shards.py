"""Files of a pretraining set: pieces as subword ids in shards, and a manifest that describes them.

A shard is a safetensors file of at most ``SHARD`` subwords: ``ids``, all subwords of its pieces end to end,
``uint16`` if the vocabulary allows it; ``ends``, the end of each piece, ``int64``; ``sources``, the index
of its source in the list of names, ``uint8``. ``passages.json`` lists every shard with its SHA-256, the
tokenizer, the settings, and the sources with their accounts. The folder appears when it is complete, and
equal input gives equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from openmed_ner.errors import BundleError, InputError, require_extra
from openmed_ner.storage import atomic_folder, read_json, sha256

FORMAT = 1
MANIFEST = "passages.json"
SHARD = 4_000_000
"""Maximum number of subwords in a shard."""
MAX_MANIFEST = 64 << 20
SplitName = Literal["train", "heldout"]
SPLITS: tuple[SplitName, ...] = ("train", "heldout")


@dataclass(frozen=True, slots=True)
class PassageSplit:
    """Pieces of one split of a pretraining set.

    Attributes:
        ids: subword ids of all pieces end to end, without special ones, ``(n_subwords,)``.
        ends: one past the last subword of each piece, ``(n_pieces,)``.
        sources: index in ``names`` of each piece's source, ``(n_pieces,)``.
        names: names of the sources.
        manifest: contents of ``passages.json``.
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
    """Writes pieces to the shards of one split."""

    def __init__(self, folder: Path, split: SplitName, dtype: np.dtype[Any]) -> None:
        self._folder, self._split, self._dtype = folder, split, dtype
        self._ids: list[bytes] = []
        self._lengths: list[int] = []
        self._sources: list[int] = []
        self._size = 0
        self.files: dict[str, dict[str, Any]] = {}

    def add(self, ids: bytes, source: int) -> None:
        """Add a piece."""
        length = len(ids) // self._dtype.itemsize
        # Whole pieces only: a shard can be read without its neighbours.
        if self._size + length > SHARD:
            self.flush()
        self._ids.append(ids)
        self._lengths.append(length)
        self._sources.append(source)
        self._size += length

    def flush(self) -> None:
        """Write the pieces so far as a shard."""
        if not self._lengths:
            return

        content = _safetensors().save(
            {
                "ids": np.frombuffer(b"".join(self._ids), dtype=self._dtype),
                "ends": np.cumsum(self._lengths, dtype=np.int64),
                "sources": np.array(self._sources, dtype=np.uint8),
            }
        )
        name = f"{self._split}-{len(self.files):05d}.safetensors"
        (self._folder / name).write_bytes(content)
        self.files[name] = {
            "size": len(content),
            "sha256": sha256(content),
            "pieces": len(self._lengths),
            "subwords": self._size,
        }
        self._ids, self._lengths, self._sources, self._size = [], [], [], 0


@contextmanager
def open_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder that replaces an empty or missing one in one move once it is complete.

    Raises:
        InputError: the folder is not empty, or cannot be made.
    """
    if folder.is_dir() and any(folder.iterdir()):
        content = "a prepared set; load it, or" if (folder / MANIFEST).is_file() else "other files;"
        raise InputError(f"{folder} holds {content} name another folder")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder")

    with ExitStack() as stack:
        try:
            partial = stack.enter_context(atomic_folder(folder))
        except OSError as error:
            raise InputError(f"cannot write {folder}: {error.strerror}") from error
        yield partial


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read ``passages.json``.

    Raises:
        BundleError: the file is missing or damaged, or has another format version.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleError(
            f"{folder} is not a prepared set of passages: it has no {MANIFEST}; make one with openmed-ner "
            "passages"
        )
    manifest = read_json(path, error=BundleError, max_bytes=MAX_MANIFEST)
    if (version := manifest.get("format")) != FORMAT:
        raise BundleError(f"{path}: format {version!r:.40}; expected {FORMAT}: prepare the set again")
    return manifest


def load_prepared(
    folder: Path, split: SplitName, *, licences: Literal["all", "permissive"] = "all"
) -> PassageSplit:
    """Load one split of a prepared set.

    Args:
        folder: folder of the set.
        split: ``train`` or ``heldout``.
        licences: ``permissive`` leaves out pieces of sources of another licence class.

    Raises:
        BundleError: the set is damaged or changed, or the split has no passage left.
    """
    manifest = read_manifest(folder)
    try:
        names = tuple(str(source["name"]) for source in manifest["sources"])
        is_permissive = [source["licence_class"] == "permissive" for source in manifest["sources"]]
        size, mask = int(manifest["tokenizer"]["size"]), np.array(is_permissive, dtype=bool)
        shards = [
            (name, file["sha256"]) for name, file in manifest["shards"].items() if name.startswith(split)
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"{folder / MANIFEST} is damaged: {type(error).__name__}: {error}") from error

    arrays = [_read_shard(folder, name, digest, n_sources=len(names), size=size) for name, digest in shards]
    if licences == "permissive":
        arrays = [_select(shard, mask[shard[2]]) for shard in arrays]
    if not any(len(ends) for _, ends, _ in arrays):
        raise BundleError(f"{folder}: the split {split!r} has no passages (licences = {licences!r})")

    # Ends count from the start of their shard; here, from the start of the split.
    ids, ends, sources = (list(column) for column in zip(*arrays, strict=True))
    offsets = np.cumsum([0, *(len(shard) for shard in ids[:-1])])
    return PassageSplit(
        np.concatenate(ids),
        np.concatenate([end + offset for end, offset in zip(ends, offsets, strict=True)]),
        np.concatenate(sources),
        names,
        manifest,
    )


Arrays = tuple[NDArray[Any], NDArray[np.int64], NDArray[np.uint8]]


def _read_shard(folder: Path, name: str, digest: str, *, n_sources: int, size: int) -> Arrays:
    path = folder / name
    if Path(name).name != name or not path.is_file():
        raise BundleError(f"{folder}: {name} is missing")
    content = path.read_bytes()
    if (actual := sha256(content)) != digest:
        raise BundleError(f"{path}: SHA-256 is {actual}, {MANIFEST} lists {digest}: changed or damaged")

    try:
        arrays = _safetensors().load(content)
        ids, ends, sources = arrays["ids"], arrays["ends"], arrays["sources"]
    except Exception as error:  # safetensors raises a type of its own, besides KeyError
        raise BundleError(f"cannot read {path}: {error}") from error

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
        raise BundleError(f"{path}: ids, ends and sources do not match each other, or {MANIFEST}")
    return ids, ends, sources


def _select(arrays: Arrays, selected: NDArray[np.bool_]) -> Arrays:
    """Keep the selected pieces of a shard."""
    ids, ends, sources = arrays
    lengths = np.diff(ends, prepend=0)
    return ids[np.repeat(selected, lengths)], np.cumsum(lengths[selected]), sources[selected]


def _safetensors() -> Any:
    return require_extra("safetensors.numpy", "train")
