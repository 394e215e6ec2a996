"""Tag a run's input on a cluster, with Ray Data.

One task reads the files, workers tag the blocks, and what they give is put back into the order of the
input. All of it is lazy, so memory depends on the number of workers, not on the size of the input. Ray
replaces a worker that died, and tries its blocks once more. A block that is lost again is dropped; here its
place is found empty, it is read anew, and its documents are tagged one by one by a worker of their own.
Those that kill this one too are refused. The price: inputs and bundle lie at the same path on every node.
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
from openmed_ner.integrations.ray.worker import Batch, Worker, give, refuse
from openmed_ner.text import Document

_TRIES_AGAIN = 1
_AHEAD = 2
"""Blocks a worker has at once: one to tag, and the next, so that it does not wait."""


@dataclass(frozen=True, slots=True)
class RayEngine:
    """Reads items whose documents are tagged already; ``tag`` is what then gives them on.

    Attributes:
        load: makes a tagger in a worker.
        workers: processes that tag.
        threads: cores that each is given.
    """

    load: Callable[[], TagFunction]
    workers: int
    threads: int = 1
    tag: TagFunction = give

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
            RunError: a node has not the inputs, the bundle or the package of this one.
        """
        source = BlockSource.of(inputs, file=file, done=done)
        number = -1
        for block in _complete(source, self._iter_blocks(source), _Alone(self)):
            if block.refusal:
                raise RunError(block.refusal)
            for item in block.items:
                if item.file != number:
                    number = item.file
                    on_open(number, None)
                yield item

    def _iter_blocks(self, source: BlockSource) -> Iterator[Block]:
        """Yield the tagged blocks in order, without those that were lost."""
        data = import_ray().data
        context = data.DataContext()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        context.max_errored_blocks = -1
        context.target_max_block_size = 1  # a row is one of our blocks, and is sent on as soon as it is there
        with data.DataContext.current(context):
            rows = self._tag_shares(data, source).iter_rows() if source.shares else ()
        for row in rows:
            yield row["block"]

    def _tag_shares(self, data: Any, source: BlockSource) -> Any:
        """The data set of tagged blocks, of which nothing is computed yet."""

        def read(batch: Batch) -> Iterator[Batch]:
            for share in batch["id"]:
                yield from ({"block": [block]} for block in source.iter_blocks(int(share)))

        n_shares = len(source.shares)
        shares = data.range(n_shares, override_num_blocks=n_shares)
        blocks = shares.map_batches(read, batch_size=None, num_cpus=1, concurrency=1)
        with warnings.catch_warnings():
            # the one way there is to bound the retries of an actor's task, announced to go in Ray 2.64
            warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
            return blocks.map_batches(
                Worker,
                fn_constructor_args=(self.load,),
                batch_size=None,
                num_cpus=self.threads,
                compute=data.ActorPoolStrategy(size=self.workers, max_tasks_in_flight_per_actor=_AHEAD),
                max_task_retries=_TRIES_AGAIN,
            )


def _complete(
    source: BlockSource, blocks: Iterable[Block], again: Callable[[Block], Block]
) -> Iterator[Block]:
    """Yield blocks, and in the places of those that are missing what another way gives."""
    place = (0, 0)
    for block in blocks:
        if block.place != place:
            yield from map(again, source.iter_between(place, block.place))
        yield block
        place = block.following
    if place != (len(source.shares), 0):
        yield from map(again, source.iter_between(place, None))


class _Alone:
    """Tags the documents of a block one by one, in a worker that may die."""

    def __init__(self, engine: RayEngine) -> None:
        self._engine = engine
        self._actor: Any = None

    def __call__(self, block: Block) -> Block:
        pieces = [self._tag(block, item) for item in block.items]
        items = tuple(item for piece in pieces for item in piece.items)
        refusals = [block.refusal, *(piece.refusal for piece in pieces)]
        return replace(block, items=items, refusal=next(filter(None, refusals), ""))

    def _tag(self, block: Block, item: Item) -> Block:
        piece = replace(block, items=(item,))
        if not isinstance(item.content, Document):
            return piece
        ray = import_ray()
        if self._actor is None:
            self._actor = ray.remote(num_cpus=0)(Worker).remote(self._engine.load)
        try:
            tagged: Block = ray.get(self._actor.tag_block.remote(piece))
        except ray.exceptions.RayActorError:
            self._actor = None
            reason = "the worker that tagged it died, as two others had; it may need too much memory"
            return replace(piece, items=(replace(item, content=refuse(item.content, reason)),))
        return tagged
