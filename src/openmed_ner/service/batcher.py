"""Tag the documents of many requests together, in small batches from a bounded queue.

Documents wait in two lanes, each with a thread: those of up to ``BATCH`` characters, and longer ones.
A batch takes one document from each waiting request in turn, as long as their options are equal, until
it has ``BATCH`` characters. So a request waits for at most one batch per earlier request in its lane,
whatever the number of their texts, and a short text never waits for a long one. While a long text is being
tagged, the short lane gets its share of the processor, about half.

All state lives on the event loop; only ``Tagger.pipe`` runs in the threads. A batch in a thread is tagged to
its end, even if its client has disconnected, and counts as pending until then.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from openmed_ner.errors import ClosedError, QueueFullError, RunError, TaggingFailedError
from openmed_ner.inference.attributes import add_attributes
from openmed_ner.service.settings import DOCUMENT_COST
from openmed_ner.text import Document

BATCH = 32_000
"""Characters of a batch: about a second of two cores, and enough texts to sort by length."""
_FIRST_SPEED = 10_000.0
"""Characters per second, as assumed before the first batch."""
_SMOOTHING = 0.2
"""Weight of the latest batch in the running mean of the speed."""
logger = logging.getLogger(__name__)


class Pipe(Protocol):
    """A tagger, as far as the batcher needs one."""

    def pipe(
        self,
        texts: Sequence[Document],
        *,
        corpora: Sequence[str] | None,
        types: Sequence[str] | None,
        layers: bool,
        threshold: float,
        document_decoding: bool,
    ) -> Iterator[Document]:
        """Tag texts, in order."""


@dataclass(frozen=True, slots=True)
class PipeOptions:
    """Options of :meth:`Pipe.pipe`, and attributes to add; requests with equal options share batches."""

    corpora: tuple[str, ...] | None = None
    types: tuple[str, ...] | None = None
    layers: bool = False
    threshold: float = 0.0
    document_decoding: bool = True
    add: tuple[str, ...] = ()

    def for_tagger(self) -> dict[str, Any]:
        """Keyword arguments of :meth:`Pipe.pipe`."""
        return {name: value for name, value in asdict(self).items() if name != "add"}


@dataclass(eq=False, slots=True)
class _Request:
    documents: Sequence[Document]
    options: PipeOptions
    future: asyncio.Future[list[Document]]
    results: dict[int, Document | Exception] = field(default_factory=dict)

    def settle(self, index: int, result: Document | Exception) -> None:
        """Store a result; the last one completes the request."""
        self.results[index] = result
        if len(self.results) < len(self.documents) or self.future.done():
            return

        ordered = [self.results[index] for index in range(len(self.documents))]
        failed = [index for index, result in enumerate(ordered) if isinstance(result, Exception)]
        if failed:
            self.future.set_exception(TaggingFailedError(failed))
        else:
            self.future.set_result([result for result in ordered if isinstance(result, Document)])


@dataclass(eq=False, slots=True)
class _Lane:
    """Requests in the order of their turns, each with the indices of its waiting documents."""

    waiting: deque[tuple[_Request, deque[int]]] = field(default_factory=deque)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, request: _Request, indices: Sequence[int]) -> None:
        if indices:
            self.waiting.append((request, deque(indices)))
            self.changed.set()

    def withdraw(self, request: _Request) -> int:
        """Remove the waiting documents of a request; return their cost."""
        indices = [index for waiting, rest in self.waiting if waiting is request for index in rest]
        self.waiting = deque(turn for turn in self.waiting if turn[0] is not request)
        return sum(cost(request.documents[index]) for index in indices)

    def take(self) -> list[tuple[_Request, int]]:
        """Remove the next batch: one document of each request in turn, all with the first one's options."""
        batch: list[tuple[_Request, int]] = []
        postponed: list[tuple[_Request, deque[int]]] = []
        size = 0
        options = self.waiting[0][0].options if self.waiting else None

        while self.waiting and size < BATCH:
            request, indices = self.waiting.popleft()
            if request.options != options:
                postponed.append((request, indices))
                continue
            batch.append((request, indices.popleft()))
            size += cost(request.documents[batch[-1][1]])
            if indices:
                self.waiting.append((request, indices))

        # They came before the requests of this batch, so the next batch is theirs.
        self.waiting.extendleft(reversed(postponed))
        return batch


def cost(document: Document) -> int:
    """Return the share of the queue that a document takes, in characters."""
    return len(document.text) + DOCUMENT_COST


class Batcher:
    """A bounded queue before a tagger.

    Attributes:
        limit: maximum number of pending characters: those that wait or are being tagged.
        n_pending: number of pending characters.
        n_accepted: number of accepted requests.
        n_answered: number of requests with a result, a failure of the model included.
    """

    def __init__(
        self,
        tagger: Pipe,
        *,
        limit: int,
        on_batch: Callable[[int, float], None] = lambda documents, seconds: None,
    ) -> None:
        """Set up the queue; nothing runs before :meth:`running`.

        Args:
            tagger: tagger of the documents.
            limit: maximum number of pending characters.
            on_batch: callback for each batch: number of documents, and seconds.
        """
        self._tagger, self.limit, self._on_batch = tagger, limit, on_batch
        self._lanes: tuple[_Lane, ...] = ()
        self._speed = _FIRST_SPEED
        self._open = False
        self.n_pending = self.n_accepted = self.n_answered = 0

    @property
    def is_open(self) -> bool:
        """True if requests are accepted."""
        return self._open

    @property
    def is_full(self) -> bool:
        """True if there is no room even for an empty text."""
        return self.n_pending + DOCUMENT_COST > self.limit

    def close(self) -> None:
        """Accept no more requests; accepted ones are finished."""
        self._open = False
        for lane in self._lanes:
            lane.changed.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Accept requests within this block; accepted ones are finished before it ends."""
        self._lanes, self._open, self.n_pending = (_Lane(), _Lane()), True, 0
        with ThreadPoolExecutor(len(self._lanes), "tagging") as threads:
            workers = [asyncio.create_task(self._work(lane, threads)) for lane in self._lanes]
            try:
                yield
            finally:
                self.close()
                await asyncio.gather(*workers)
                logger.info("stopped: %d requests accepted, %d answered", self.n_accepted, self.n_answered)

    async def tag(self, documents: Sequence[Document], options: PipeOptions) -> list[Document]:
        """Tag the documents of a request. If it is cancelled, its waiting documents leave the queue.

        Raises:
            QueueFullError: there is no room.
            ClosedError: no more requests are accepted.
            TaggingFailedError: the model failed on some of the documents.
        """
        size = sum(map(cost, documents))
        if not self._open:
            raise ClosedError
        if self.n_pending + size > self.limit:
            raise QueueFullError((self.n_pending + size - self.limit) / self._speed)
        if not documents:
            return []

        request = _Request(documents, options, asyncio.get_running_loop().create_future())
        self.n_pending += size
        self.n_accepted += 1
        short, long = self._lanes
        sizes = [len(document.text) for document in documents]
        short.add(request, [index for index, size in enumerate(sizes) if size <= BATCH])
        long.add(request, [index for index, size in enumerate(sizes) if size > BATCH])

        try:
            return await request.future
        finally:
            self.n_answered += request.future.done() and not request.future.cancelled()
            self.n_pending -= sum(lane.withdraw(request) for lane in (short, long))

    async def _work(self, lane: _Lane, threads: ThreadPoolExecutor) -> None:
        while self._open or lane.waiting:
            batch = lane.take()
            if not batch:
                lane.changed.clear()
                await lane.changed.wait()
                continue
            documents = [request.documents[index] for request, index in batch]
            begin = time.perf_counter()
            results = await asyncio.get_running_loop().run_in_executor(
                threads, _tag_batch, self._tagger, documents, batch[0][0].options
            )
            self._record(documents, time.perf_counter() - begin)
            for (request, index), result in zip(batch, results, strict=True):
                request.settle(index, result)

    def _record(self, documents: Sequence[Document], seconds: float) -> None:
        size = sum(map(cost, documents))
        self.n_pending -= size
        self._speed += _SMOOTHING * (size / max(seconds, 1e-6) - self._speed)
        self._on_batch(len(documents), seconds)


def _tag_batch(
    tagger: Pipe, documents: Sequence[Document], options: PipeOptions
) -> list[Document | Exception]:
    """Tag a batch; if that fails, tag each document alone, so that one bad text spoils no other."""
    try:
        tagged = tagger.pipe(documents, **options.for_tagger())
        results = list(add_attributes(tagged, options.add))
        if len(results) != len(documents):
            raise RunError(f"the model returned {len(results)} documents for {len(documents)}")
        return [*results]
    except Exception as error:
        if len(documents) > 1:
            return [_tag_batch(tagger, [document], options)[0] for document in documents]
        logger.error("tagging failed: %s", type(error).__name__)  # its message may quote the text
        return [error]
