"""Cut the input of a run into blocks, which are what machines send each other.

A share is some files in a row, read by one task; a block is some items of a share, tagged in one call. The
same files give the same blocks, so a block that is lost can be read again wherever the files are, and its
place says what has to stand between two others. The price: what comes after the end of a share begins a new
block, full or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from openmed_ner.errors import InputError, RunError
from openmed_ner.inference.jobs.inputs import Input, Item, iter_items
from openmed_ner.text import Document

MAX_ITEMS = 128
MAX_CHARACTERS = 1 << 18
"""A block is closed at either: about as much as a tagger reads ahead, and small enough to be sent."""
_MAX_FILES = 1000
_MAX_BYTES = 1 << 24
"""A share is closed at either. Tasks that read a note each would take longer to start than to read."""
Place = tuple[int, int]
"""Number of a share, and of a block in it, from 0."""


@dataclass(frozen=True, slots=True)
class RefusedDocument(Document):
    """A document that could not be tagged.

    Attributes:
        reason: why.
    """

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """Some items in a row.

    Attributes:
        share: number of the share it was cut from.
        index: its number in there.
        items: what it holds.
        last: whether the share ends with it.
        refusal: why nothing can be done where it was to be read or tagged; empty if all is well.
    """

    share: int
    index: int
    items: tuple[Item, ...] = ()
    last: bool = False
    refusal: str = ""

    @property
    def place(self) -> Place:
        """Where it stands in the input."""
        return self.share, self.index

    @property
    def following(self) -> Place:
        """Where the next one stands."""
        return (self.share + 1, 0) if self.last else (self.share, self.index + 1)


@dataclass(frozen=True, slots=True)
class BlockSource:
    """The files of a run, as shares.

    Attributes:
        inputs: the files.
        folder: what their paths start from.
        shares: numbers of the files of each share.
        done: items to pass over in the first file of the first share.
    """

    inputs: tuple[Input, ...]
    folder: Path
    shares: tuple[range, ...]
    done: int = 0

    @classmethod
    def of(cls, inputs: Sequence[Input], *, file: int = 0, done: int = 0) -> Self:
        """Share out files, from some item of a file on."""
        return cls(tuple(inputs), Path.cwd(), tuple(_share_out(inputs, file)), done)

    def iter_blocks(self, share: int) -> Iterator[Block]:
        """Read a share. The last block says so, and may be empty."""
        index, held, size = 0, [], 0
        try:
            for item in self._iter_items(share):
                held.append(item)
                size += len(item.content.text) if isinstance(item.content, Document) else 0
                if len(held) == MAX_ITEMS or size >= MAX_CHARACTERS:
                    yield Block(share, index, tuple(held))
                    index, held, size = index + 1, [], 0
        except InputError as error:
            yield Block(share, index, refusal=str(error))
        yield Block(share, index, tuple(held), last=True)

    def _iter_items(self, share: int) -> Iterator[Item]:
        """Read a share, with errors that say what they say where the run was begun, and can be sent."""
        numbers = self.shares[share]
        inputs = [replace(each, path=self.folder / each.path) for each in self.inputs[: numbers.stop]]
        for folder in {inputs[number].path.parent for number in numbers}:
            if not folder.is_dir():
                raise InputError(f"{folder} is not there; inputs must lie at the same path on every node")
        for item in iter_items(inputs, file=numbers.start, done=0 if share else self.done):
            if isinstance(item.content, Exception):
                reason = str(item.content).replace(
                    str(inputs[item.file].path), str(self.inputs[item.file].path)
                )
                yield replace(item, content=RunError(reason))
            else:
                yield item

    def iter_between(self, place: Place, end: Place | None) -> Iterator[Block]:
        """Read the blocks from a place up to, and without, another; to the end of the input if ``None``."""
        first, index = place
        for share in range(first, len(self.shares)):
            for block in self.iter_blocks(share):
                if block.place == end:
                    return
                if share > first or block.index >= index:
                    yield block


def _share_out(inputs: Sequence[Input], first: int) -> Iterator[range]:
    begin, size = first, 0
    for number in range(first, len(inputs)):
        size += inputs[number].size
        if size >= _MAX_BYTES or number - begin + 1 == _MAX_FILES:
            yield range(begin, number + 1)
            begin, size = number + 1, 0
    if begin < len(inputs):
        yield range(begin, len(inputs))
