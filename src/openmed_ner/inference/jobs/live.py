"""Standard input as a stream: results leave when the input pauses.

A tagger reads some hundred documents before it returns the first, which is fast. A program that writes a
document and waits for its result would then wait for ever. So the tagger is given what has arrived, and no
more is read before the results of that are written.
"""

from __future__ import annotations

import io
import os
import select
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO

from openmed_ner.text import Document

BLOCK = 256
"""Most documents that are read before their results are written."""
_CHUNK = 1 << 16
_TagFunction = Callable[[Iterable[Document]], Iterator[Document]]


def is_live(file: TextIO) -> bool:
    """Return whether a file is a pipe or a terminal, whose content may arrive in pieces."""
    try:
        return not stat.S_ISREG(os.fstat(file.fileno()).st_mode) and os.name != "nt"
    except (OSError, ValueError):  # it has no descriptor
        return False


class LiveText(io.TextIOBase):
    """A text that is read from a descriptor line by line, and knows whether another line is there."""

    def __init__(self, descriptor: int, head: bytes = b"", *, errors: str) -> None:
        """Read UTF-8 from an open descriptor.

        Args:
            descriptor: number of an open file.
            head: bytes that were read from it before.
            errors: treatment of bytes that are not UTF-8, as for :func:`open`.
        """
        self._descriptor = descriptor
        self._errors = errors
        self._lines: list[bytes] = []  # complete lines, the next one last
        self._rest = io.BytesIO()
        self._ended = False
        if head:
            self._add(head)

    @property
    def waits(self) -> bool:
        """True if reading another line would have to wait for it."""
        if self._lines or self._ended:
            return False
        while select.select([self._descriptor], [], [], 0)[0] and not self._lines and not self._ended:
            self._fill()
        return not self._lines and not self._ended

    def readable(self) -> bool:
        """Return true."""
        return True

    def readline(self, size: int | None = -1) -> str:  # type: ignore[override]
        """Read a line; ``size`` is ignored."""
        while not self._lines and not self._ended:
            self._fill()
        line = self._lines.pop() if self._lines else b""
        return line.decode("utf-8", errors=self._errors)

    def read(self, size: int | None = -1) -> str:
        """Read everything, or lines until they have ``size`` characters or the next one has yet to arrive."""
        lines: list[str] = []
        n_characters = 0
        while size is None or size < 0 or n_characters < size:
            line = self.readline()
            lines.append(line)
            n_characters += len(line)
            if not line or (size is not None and size >= 0 and self.waits):
                break
        return "".join(lines)

    def _fill(self) -> None:
        """Wait for some bytes."""
        self._add(os.read(self._descriptor, _CHUNK))

    def _add(self, chunk: bytes) -> None:
        """Add bytes, none at the end of the input, and cut the lines that they complete."""
        self._rest.write(chunk)
        if chunk and b"\n" not in chunk:
            return

        *lines, rest = self._rest.getvalue().split(b"\n")
        self._lines = [line + b"\n" for line in reversed(lines)]
        self._rest = io.BytesIO()
        if chunk:
            self._rest.write(rest)
        else:
            self._ended = True
            if rest:
                self._lines.insert(0, rest)


def tag_what_has_arrived(tag: _TagFunction, waits: Callable[[], bool]) -> _TagFunction:
    """Make a tag function that returns its results before it waits for another document.

    Args:
        tag: tag function.
        waits: tells whether the next document has yet to arrive.
    """

    def tag_blocks(documents: Iterable[Document]) -> Iterator[Document]:
        stream = iter(documents)

        def read_block() -> Iterator[Document]:
            for number, document in enumerate(stream, start=1):
                yield document
                if number == BLOCK or waits():
                    return

        while block := list(read_block()):
            yield from tag(block)

    return tag_blocks
