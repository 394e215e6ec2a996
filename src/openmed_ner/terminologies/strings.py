"""Many strings in two arrays, so that one can be read without the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from openmed_ner.errors import InputError


@dataclass(frozen=True, slots=True)
class Strings:
    """Strings in UTF-8, one after the other.

    Attributes:
        content: the bytes of all strings.
        ends: one past the last byte of each string, ``(n_strings,)``.
    """

    content: NDArray[np.uint8]
    ends: NDArray[np.uint32]

    @classmethod
    def encode(cls, strings: Iterable[str]) -> Self:
        """Collect strings."""
        encoded = [string.encode("utf-8", "replace") for string in strings]
        ends = np.cumsum([len(string) for string in encoded], dtype=np.int64)
        if len(ends) and ends[-1] >= 1 << 32:
            raise InputError("the names of one type exceed four gigabytes; build fewer terminologies at once")
        return cls(np.frombuffer(b"".join(encoded), dtype=np.uint8), ends.astype(np.uint32))

    def check(self) -> None:
        """Check that the ends ascend within the content.

        Raises:
            ValueError: they do not.
        """
        last = int(self.ends[-1]) if len(self.ends) else 0
        if last != len(self.content) or bool(np.any(self.ends[1:] < self.ends[:-1])):
            raise ValueError("the ends of its strings do not ascend")

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> str:
        start = int(self.ends[index - 1]) if index else 0
        return self.content[start : int(self.ends[index])].tobytes().decode("utf-8", "replace")
