"""Tag the input of a run on a cluster, with Ray Data.

One task reads the files, workers tag the blocks, and the tagged blocks are put back into the order of the
input. All of it is lazy, so memory depends on the number of workers, not on the size of the input.

Ray replaces a dead worker and tries its blocks once more; a block that is lost again is dropped. The engine
notices the gap, reads that block again, and has a separate worker tag its documents one by one. A document
that kills this worker too is refused. Inputs and bundle must lie at the same path on every node.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TextIO

from openmed_ner.errors import RunError
from openmed_ner.inference.jobs.inputs import Input, Item
from openmed_ner.inference.jobs.receipt import TagFunction
from openmed_ner.integrations.ray.blocks import Block, BlockSource
from openmed_ner.integrations.ray.cluster import import_ray
from openmed_ner.integrations.ray.worker import Batch, Worker, refuse, unpack_tagged
from openmed_ner.text import Document

_RETRIES = 1
_AHEAD = 2
"""Blocks per worker: one to tag and the next, so that the worker never waits."""


@dataclass(frozen=True, slots=True)
class RayEngine:
    """Reads a run's items with their documents tagged; ``tag`` then passes them on.

    Attributes:
        load: loads a tagger in a worker.
        workers: number of processes that tag.
        threads: cores per process.
        tag: function that a job calls on the documents of the items.
    """

    load: Callable[[], TagFunction]
    workers: int
    threads: int = 1
    tag: TagFunction = unpack_tagged

    def read(
        self,
        inputs: Sequence[Input],
        *,
        file: int = 0,
        done: int = 0,
        on_open: Callable[[int, TextIO | None], None] = lambda number, file: None,
    ) -> Iterator[Item]:
        """As :func:`openmed_ner.inference.jobs.inputs.iter_items`, tagged; ``on_open`` is given no file.

        Raises:
            RunError: a node lacks the inputs, or its bundle or package differs.
        """
        source = BlockSource.from_inputs(inputs, file=file, skip=done)
        number = -1
        for block in _complete(source, self._iter_blocks(source), _OneByOne(self)):
            if block.failure:
                raise RunError(block.failure)
            for item in block.items:
                if item.file != number:
                    number = item.file
                    on_open(number, None)
                yield item

    def _iter_blocks(self, source: BlockSource) -> Iterator[Block]:
        """Yield the tagged blocks in order, without the lost ones."""
        data = import_ray().data
        context = data.DataContext()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        context.max_errored_blocks = -1
        context.target_max_block_size = 1  # a row is one of our blocks, and is sent on at once
        with data.DataContext.current(context):
            rows = self._tag_partitions(data, source).iter_rows() if source.partitions else ()
        for row in rows:
            yield row["block"]

    def _tag_partitions(self, data: Any, source: BlockSource) -> Any:
        """The lazy data set of tagged blocks."""

        def read(batch: Batch) -> Iterator[Batch]:
            for partition in batch["id"]:
                yield from ({"block": [block]} for block in source.iter_blocks(int(partition)))

        n_partitions = len(source.partitions)
        partitions = data.range(n_partitions, override_num_blocks=n_partitions)
        blocks = partitions.map_batches(read, batch_size=None, num_cpus=1, concurrency=1)

        with warnings.catch_warnings():
            # the only way to limit the retries of an actor's task; Ray 2.64 is to remove it
            warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
            return blocks.map_batches(
                Worker,
                fn_constructor_args=(self.load,),
                batch_size=None,
                num_cpus=self.threads,
                compute=data.ActorPoolStrategy(size=self.workers, max_tasks_in_flight_per_actor=_AHEAD),
                max_task_retries=_RETRIES,
            )


def _complete(
    source: BlockSource, blocks: Iterable[Block], tag_again: Callable[[Block], Block]
) -> Iterator[Block]:
    """Yield blocks in order; missing ones are read again and tagged another way."""
    position = (0, 0)
    for block in blocks:
        if block.position != position:
            yield from map(tag_again, source.iter_between(position, block.position))
        yield block
        position = block.next_position
    if position != (len(source.partitions), 0):
        yield from map(tag_again, source.iter_between(position, None))


class _OneByOne:
    """Tags the documents of a block one by one, in a worker that may die."""

    def __init__(self, engine: RayEngine) -> None:
        self._engine = engine
        self._actor: Any = None

    def __call__(self, block: Block) -> Block:
        singles = [self._tag(block, item) for item in block.items]
        items = tuple(item for single in singles for item in single.items)
        failures = [block.failure, *(single.failure for single in singles)]
        return replace(block, items=items, failure=next(filter(None, failures), ""))

    def _tag(self, block: Block, item: Item) -> Block:
        single = replace(block, items=(item,))
        if not isinstance(item.content, Document):
            return single

        ray = import_ray()
        if self._actor is None:
            self._actor = ray.remote(num_cpus=0)(Worker).remote(self._engine.load)
        try:
            tagged: Block = ray.get(self._actor.tag_block.remote(single))
        except ray.exceptions.RayActorError:
            self._actor = None
            reason = "three workers died on it; it may need too much memory"
            return replace(single, items=(replace(item, content=refuse(item.content, reason)),))
        return tagged
