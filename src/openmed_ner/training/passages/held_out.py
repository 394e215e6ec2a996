"""Split the pieces of a set into those to train on and those held out for evaluation.

The passages with the smallest hashes of their text are held out, whatever the order of the input. A passage
has no near duplicate in the set, but its pieces may, such as the standing paragraphs of a leaflet. So a
held-out piece similar to an earlier one is dropped, and then every training piece similar to a held-out one
(by shingles of five subwords). Training pieces may be similar to each other.
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
from openmed_ner.training.passages.shards import SPLITS, ShardWriter

HELD_OUT_SHARE = 0.05
_NEAR_DUPLICATE = "near-duplicate"


def held_out_passages(keys: Sequence[int], count: int) -> NDArray[np.bool_]:
    """Choose the passages with the smallest hashes.

    Args:
        keys: hash of each passage.
        count: number of passages to hold out; at most ``HELD_OUT_SHARE`` of all.

    Returns:
        True for every held-out passage, ``(n_passages,)``.
    """
    count = min(count, int(HELD_OUT_SHARE * len(keys)))
    chosen = np.zeros(len(keys), dtype=np.bool_)
    chosen[np.argsort(np.array(keys, dtype=np.uint64), kind="stable")[:count]] = True
    return chosen


def write_splits(
    passages: PassageFilter, spool: BinaryIO, folder: Path, settings: PassageSettings
) -> dict[str, dict[str, Any]]:
    """Write the spooled pieces to the shards of both splits, and update the filter's counts.

    Returns:
        Size, digest and counts of each shard, by name.
    """
    held_out = held_out_passages(passages.keys, settings.held_out)
    near = NearDuplicates(settings.near_duplicates, seed=settings.seed) if settings.near_duplicates else None
    train, heldout = (ShardWriter(folder, name, passages.dtype) for name in SPLITS)
    names = list(passages.numbers)
    width = passages.dtype.itemsize
    n_pieces = array("L", bytes(array("L").itemsize * len(passages.keys)))

    # Held-out pieces first, so that training pieces can be compared with all of them.
    for writer, is_held_out in ((heldout, True), (train, False)):
        for ids, owner in _iter_pieces(passages, spool, held_out == is_held_out):
            counts = passages.counts[names[passages.source_of[owner]]]
            if near is not None and _is_similar(near, ids, passages.dtype, add=is_held_out):
                counts[f"subwords_dropped:{_NEAR_DUPLICATE}"] += len(ids) // width
                continue
            writer.add(ids, passages.source_of[owner])
            n_pieces[owner] += 1
            counts["pieces"] += 1
            counts["subwords"] += len(ids) // width
            if is_held_out:
                counts["subwords_held_out"] += len(ids) // width
        writer.flush()

    for owner, number in enumerate(n_pieces):
        counts = passages.counts[names[passages.source_of[owner]]]
        _count_passage(counts, number, bool(held_out[owner]), passages.was_split[owner])
    return train.files | heldout.files


def _iter_pieces(
    passages: PassageFilter, spool: BinaryIO, selected: NDArray[np.bool_]
) -> Iterator[tuple[bytes, int]]:
    """Yield the pieces of the selected passages, each with the index of its passage."""
    spool.seek(0)
    for length, owner in zip(passages.pieces, passages.owners, strict=True):
        size = length * passages.dtype.itemsize
        if selected[owner]:
            yield spool.read(size), owner
        else:
            spool.seek(size, 1)


def _is_similar(near: NearDuplicates, ids: bytes, dtype: np.dtype[Any], *, add: bool) -> bool:
    numbers = np.frombuffer(ids, dtype=dtype).astype(np.uint64)
    return near.add(numbers) if add else numbers in near


def _count_passage(counts: Counter[str], n_pieces: int, is_held_out: bool, was_split: int) -> None:
    if not n_pieces:
        counts[f"dropped:{_NEAR_DUPLICATE}"] += 1
        return
    counts["kept"] += 1
    counts["held_out"] += is_held_out
    counts["split"] += was_split
