"""Many strings in compressed blocks, so that one can be read without most of the others.

Neighbours have much in common: identifiers have one prefix, species of one genus stand together. A block of
64 strings takes a third to a tenth of their bytes, and reading one costs some microseconds.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from openmed_ner.errors import InputError

SIZE = 64
"""Strings in a block."""
_MAX_BYTES = 1 << 24
_MAX_CACHED = 64
_END = "\n"


class Blocks:
    """Strings without line ends, in UTF-8. Several threads may read them.

    Attributes:
        content: the compressed blocks, one after the other.
        ends: one past the last byte of each block, ``(n_blocks,)``.
        size: number of strings.
    """

    def __init__(self, content: NDArray[np.uint8], ends: NDArray[np.uint32], size: int) -> None:
        self.content = content
        self.ends = ends
        self.size = size
        self._read = lru_cache(maxsize=_MAX_CACHED)(self._decompress)

    @classmethod
    def encode(cls, strings: Iterable[str]) -> Self:
        """Compress strings; a line end in one becomes a blank."""
        blocks: list[bytes] = []
        clean = [string.replace(_END, " ") for string in strings]
        for start in range(0, len(clean), SIZE):
            text = _END.join(clean[start : start + SIZE])
            blocks.append(zlib.compress(text.encode("utf-8", "replace"), 9))
        ends = np.cumsum([len(block) for block in blocks], dtype=np.int64)
        if len(ends) and ends[-1] >= 1 << 32:
            raise InputError("the names of one type exceed four gigabytes; build fewer terminologies at once")
        return cls(np.frombuffer(b"".join(blocks), dtype=np.uint8), ends.astype(np.uint32), len(clean))

    def check(self) -> None:
        """Check that the ends ascend within the content, and that there is a block for every string.

        Raises:
            ValueError: they do not.
        """
        last = int(self.ends[-1]) if len(self.ends) else 0
        if last != len(self.content) or bool(np.any(self.ends[1:] < self.ends[:-1])):
            raise ValueError("the ends of its blocks do not ascend")
        if len(self.ends) != -(-self.size // SIZE):
            raise ValueError("its blocks do not hold its strings")

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> str:
        number, place = divmod(index, SIZE)
        return self._read(number)[place]

    def _decompress(self, number: int) -> list[str]:
        start = int(self.ends[number - 1]) if number else 0
        expected = min(SIZE, self.size - number * SIZE)
        reader = zlib.decompressobj()
        try:
            content = reader.decompress(self.content[start : int(self.ends[number])].tobytes(), _MAX_BYTES)
        except zlib.error as error:
            raise InputError(f"a file of names is damaged: {error}. Build the terminologies again") from error
        strings = content.decode("utf-8", "replace").split(_END)
        if not reader.eof or len(strings) != expected:
            raise InputError("a file of names is damaged: a block is too long. Build the terminologies again")
        return strings
