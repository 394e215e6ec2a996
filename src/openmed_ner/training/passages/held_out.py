"""Part the pieces of a set into those to train on and those held out for evaluation.

Held out are the passages with the smallest hashes of their text, whatever the order and company they
came in. A passage has no near duplicate in the set, but its pieces may: a leaflet's standing paragraphs,
say. So a held-out piece that resembles an earlier one is dropped, and then every piece for training that
resembles one held out (here by shingles of five subwords). Pieces for training may resemble each other.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from openmed_ner.training.passages.duplicates import NearDuplicates
from openmed_ner.training.passages.filter import PassageFilter
from openmed_ner.training.passages.settings import PassageSettings
from openmed_ner.training.passages.shards import PARTS, ShardWriter

HELD_OUT_SHARE = 0.05
_RESEMBLES = "near-duplicate"


def held_out_passages(keys: Sequence[int], wanted: int) -> NDArray[np.bool_]:
    """Choose the passages with the smallest hashes, at most ``HELD_OUT_SHARE`` of all; one flag for each."""
    number = min(wanted, int(HELD_OUT_SHARE * len(keys)))
    chosen = np.zeros(len(keys), dtype=np.bool_)
    chosen[np.argsort(np.array(keys, dtype=np.uint64), kind="stable")[:number]] = True
    return chosen


def part(
    sieve: PassageFilter, spool: BinaryIO, folder: Path, settings: PassageSettings
) -> dict[str, dict[str, Any]]:
    """Write the spooled pieces to shards, and count them in the sieve's counts.

    Returns:
        What to say of each shard, by name.
    """
    held_out = held_out_passages(sieve.keys, settings.held_out)
    near = NearDuplicates(settings.near_duplicates, seed=settings.seed) if settings.near_duplicates else None
    train, heldout = (ShardWriter(folder, name, sieve.dtype) for name in PARTS)
    names = list(sieve.numbers)
    n_pieces = array("L", bytes(array("L").itemsize * len(sieve.keys)))
    for writer, is_held_out in ((heldout, True), (train, False)):
        for ids, owner in _iter_pieces(sieve, spool, held_out == is_held_out):
            counts = sieve.counts[names[sieve.source_of[owner]]]
            if near is not None and _is_repeated(near, ids, sieve.dtype, note=is_held_out):
                counts[f"subwords_dropped:{_RESEMBLES}"] += len(ids) // sieve.dtype.itemsize
                continue
            writer.add(ids, sieve.source_of[owner])
            n_pieces[owner] += 1
            counts["pieces"] += 1
            counts["subwords"] += len(ids) // sieve.dtype.itemsize
            if is_held_out:
                counts["subwords_held_out"] += len(ids) // sieve.dtype.itemsize
        writer.flush()
    for owner, number in enumerate(n_pieces):
        _count(
            sieve.counts[names[sieve.source_of[owner]]], number, bool(held_out[owner]), sieve.was_split[owner]
        )
    return train.files | heldout.files


def _iter_pieces(
    sieve: PassageFilter, spool: BinaryIO, wanted: NDArray[np.bool_]
) -> Iterator[tuple[bytes, int]]:
    """Yield the pieces of some passages, with the passage."""
    spool.seek(0)
    for length, owner in zip(sieve.pieces, sieve.owners, strict=True):
        size = length * sieve.dtype.itemsize
        if wanted[owner]:
            yield spool.read(size), owner
        else:
            spool.seek(size, 1)


def _is_repeated(near: NearDuplicates, ids: bytes, dtype: np.dtype[Any], *, note: bool) -> bool:
    numbers = np.frombuffer(ids, dtype=dtype).astype(np.uint64)
    return near.add(numbers) if note else numbers in near


def _count(counts: Counter[str], n_pieces: int, is_held_out: bool, was_split: int) -> None:
    if not n_pieces:
        counts[f"dropped:{_RESEMBLES}"] += 1
        return
    counts["kept"] += 1
    counts["held_out"] += is_held_out
    counts["split"] += was_split
