"""Cut the input of a run into blocks, the units that machines send each other.

A partition is some consecutive files, read by one task. A block is some consecutive items of a partition,
tagged in one call. The same files give the same blocks, so a lost block can be read again on any machine with
the files, and its position tells which blocks are missing between two others. The end of a partition also
ends its last block, full or not.
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
"""Limits of a block: about as much as a tagger reads ahead, and small enough to be sent."""
_MAX_FILES = 1000
_MAX_BYTES = 1 << 24
"""Limits of a partition. A task per note would take longer to start than to read."""
Position = tuple[int, int]
"""Number of a partition, and of a block in it, from 0."""


@dataclass(frozen=True, slots=True)
class RefusedDocument(Document):
    """A document that could not be tagged.

    Attributes:
        reason: message of the error.
    """

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """Some consecutive items.

    Attributes:
        partition: number of its partition.
        index: its number in the partition.
        items: its items.
        last: if true, the partition ends with it.
        failure: reason why its node could not read or tag anything; empty if all is well.
    """

    partition: int
    index: int
    items: tuple[Item, ...] = ()
    last: bool = False
    failure: str = ""

    @property
    def position(self) -> Position:
        """Its position in the input."""
        return self.partition, self.index

    @property
    def next_position(self) -> Position:
        """The position of the next block."""
        return (self.partition + 1, 0) if self.last else (self.partition, self.index + 1)


@dataclass(frozen=True, slots=True)
class BlockSource:
    """The files of a run, in partitions.

    Attributes:
        inputs: all files.
        folder: folder that their paths are relative to.
        partitions: numbers of the files of each partition.
        skip: number of items to skip in the first file of the first partition.
    """

    inputs: tuple[Input, ...]
    folder: Path
    partitions: tuple[range, ...]
    skip: int = 0

    @classmethod
    def from_inputs(cls, inputs: Sequence[Input], *, file: int = 0, skip: int = 0) -> Self:
        """Partition files, beginning with an item of a file."""
        return cls(tuple(inputs), Path.cwd(), tuple(_partition(inputs, file)), skip)

    def iter_blocks(self, partition: int) -> Iterator[Block]:
        """Read a partition. Its last block is marked, and may be empty."""
        index, n_characters = 0, 0
        items: list[Item] = []
        try:
            for item in self._iter_items(partition):
                items.append(item)
                n_characters += len(item.content.text) if isinstance(item.content, Document) else 0
                if len(items) == MAX_ITEMS or n_characters >= MAX_CHARACTERS:
                    yield Block(partition, index, tuple(items))
                    index, n_characters = index + 1, 0
                    items = []
        except InputError as error:
            yield Block(partition, index, failure=str(error))
        yield Block(partition, index, tuple(items), last=True)

    def iter_between(self, start: Position, end: Position | None) -> Iterator[Block]:
        """Read the blocks from one position up to another, excluded; to the end of the input if ``None``."""
        first, index = start
        for partition in range(first, len(self.partitions)):
            for block in self.iter_blocks(partition):
                if block.position == end:
                    return
                if partition > first or block.index >= index:
                    yield block

    def _iter_items(self, partition: int) -> Iterator[Item]:
        """Read a partition. Errors name paths as given to the command, and can be pickled."""
        numbers = self.partitions[partition]
        inputs = [replace(file, path=self.folder / file.path) for file in self.inputs[: numbers.stop]]
        for folder in {inputs[number].path.parent for number in numbers}:
            if not folder.is_dir():
                raise InputError(f"{folder} not found; inputs must lie at the same path on every node")

        for item in iter_items(inputs, file=numbers.start, done=0 if partition else self.skip):
            if isinstance(item.content, Exception):
                reason = str(item.content).replace(
                    str(inputs[item.file].path), str(self.inputs[item.file].path)
                )
                yield replace(item, content=RunError(reason))
            else:
                yield item


def _partition(inputs: Sequence[Input], first: int) -> Iterator[range]:
    begin, size = first, 0
    for number in range(first, len(inputs)):
        size += inputs[number].size
        if size >= _MAX_BYTES or number - begin + 1 == _MAX_FILES:
            yield range(begin, number + 1)
            begin, size = number + 1, 0
    if begin < len(inputs):
        yield range(begin, len(inputs))
