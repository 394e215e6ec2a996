"""The names of all types in one compact table of numbers: a number per name, and what the name may mean.

A number has a few bits for its bucket and ``RESIDUAL`` bits within the bucket. There are two to four names
per bucket, whatever the size of the lexicon, so the words of a text are taken for a name that they are not
with a probability of about three in 2**28. An abstract has about 1,000 sequences of words to look up, so one
abstract in 90,000 has a match that it should not have. Its tags say what the lexicon thinks of some words,
which is wrong far more often for other reasons. A linker compares the name itself before it gives an
identifier.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from openmed_ner.errors import InputError
from openmed_ner.terminologies.concept import TYPES
from openmed_ner.terminologies.hashing import HashArray, hash_keys

RESIDUAL = 28
"""Bits of a number within its bucket."""
AMBIGUOUS, CERTAIN = 1, 2
"""Strengths of a name: it often means something else, or it does not."""
_MIN_BITS, _MAX_BITS = 8, 24
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Names of several types.

    Attributes:
        counts: number of names in each bucket, ``(2 ** n_bits,)``. residuals: the last bits of each name's
        bucket and its number in the bucket, ascending within a bucket,
            ``(n_names,)``.
        senses: two bits per type, in the order of ``TYPES``: 0, ``AMBIGUOUS`` or ``CERTAIN``, ``(n_names,)``.
    """

    counts: NDArray[np.uint8]
    residuals: NDArray[np.uint32]
    senses: NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.residuals)

    @property
    def bits(self) -> int:
        """Number of bits of a bucket."""
        return len(self.counts).bit_length() - 1

    @classmethod
    def compile(cls, names: Mapping[str, Mapping[str, int]]) -> Self:
        """Compile names.

        Args:
            names: for each type, strengths by key (see :func:`.normalisation.name_key`).
        """
        hashes = np.concatenate([hash_keys(list(names.get(label, {}))) for label in TYPES])
        shifted = [
            np.fromiter(names.get(label, {}).values(), dtype=np.uint16) << np.uint16(2 * column)
            for column, label in enumerate(TYPES)
        ]
        order = np.argsort(hashes, kind="stable")
        hashes, senses = hashes[order], np.concatenate(shifted)[order]
        starts = np.flatnonzero(np.diff(hashes, prepend=~hashes[:1]))
        if len(starts):
            hashes, senses = hashes[starts], np.bitwise_or.reduceat(senses, starts)

        bits = min(max(len(hashes).bit_length() - 2, _MIN_BITS), _MAX_BITS)
        buckets, residuals = split_hashes(hashes, bits)
        counts = np.bincount(buckets, minlength=1 << bits)
        return cls(counts.astype(np.uint8), residuals, senses)

    def to_bytes(self) -> bytes:
        """Contents of a file; equal lexicons have equal contents."""
        buffer = io.BytesIO()
        for array in (np.array([_FORMAT]), self.counts, self.residuals, self.senses):
            np.save(buffer, array, allow_pickle=False)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes, source: object) -> Self:
        """Read the contents of a file.

        Args:
            content: bytes of the file.
            source: name of the file, for messages.

        Raises:
            InputError: the file is damaged, or of another version.
        """
        buffer = io.BytesIO(content)
        try:
            version, counts, residuals, senses = (_view_array(buffer, content) for _ in range(4))
        except (ValueError, EOFError, OSError) as error:
            raise InputError(f"{source} is not a lexicon: {error}. Build it again") from error
        if version.tolist() != [_FORMAT]:
            raise InputError(f"{source} has format {version.tolist()}; expected {_FORMAT}. Build it again")

        lexicon = cls(counts, residuals, senses)
        kinds: object = (counts.dtype, residuals.dtype, senses.dtype)
        n_names = int(counts.sum())
        if kinds != (np.uint8, np.uint32, np.uint16) or not len(residuals) == len(senses) == n_names:
            raise InputError(f"{source} is damaged: its tables do not fit together. Build it again")
        if len(counts) != 1 << lexicon.bits:
            raise InputError(f"{source} is damaged: it has {len(counts)} buckets. Build it again")
        return lexicon


def _view_array(buffer: io.BytesIO, content: bytes) -> NDArray[Any]:
    """Read the next array of a buffer without a copy of its values, and go on behind it.

    Raises:
        ValueError: there is no array of one dimension there.
    """
    if np.lib.format.read_magic(buffer) != (1, 0):
        raise ValueError("an array has another version")
    shape, _, dtype = np.lib.format.read_array_header_1_0(buffer)
    if len(shape) != 1 or dtype.hasobject:
        raise ValueError("an array is not a list of numbers")
    array = np.frombuffer(content, dtype=dtype, count=shape[0], offset=buffer.tell())
    buffer.seek(array.nbytes, io.SEEK_CUR)
    return array


def split_hashes(hashes: HashArray, bits: int) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Split numbers of 64 bits into buckets and residuals; the residuals begin with the last bits of the
    bucket.

    Args:
        hashes: numbers of names or of sequences of words.
        bits: number of bits of a bucket, at least four.
    """
    buckets = (hashes >> np.uint64(64 - bits)).astype(np.int64)
    # The cast drops all but the last bits of the bucket.
    residuals = (hashes >> np.uint64(64 - bits - RESIDUAL)).astype(np.uint32)
    return buckets, residuals
