"""Tag the documents of many requests together, in small batches from a bounded queue.

Documents wait in two lanes, each with a thread: those of up to ``BATCH`` characters, and longer ones.
A batch takes one document from each waiting request in turn, as long as their options are equal, until
it has ``BATCH`` characters. So a request waits for at most one batch per request before it in its lane,
however many texts those have, and for no long text at all; while a long text is read, the short lane has
its share of the processor, about half.

All state lives on the event loop; only ``Tagger.pipe`` runs in the threads. The price: what a thread is
reading is read to its end, even if its request has left, and counts until then.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from openmed_ner.errors import ClosedError, QueueFullError, RunError, TaggingFailedError
from openmed_ner.inference.attributes import add_attributes
from openmed_ner.service.settings import DOCUMENT_COST
from openmed_ner.text import Document

BATCH = 32_000
"""Characters of a batch: about a second of two cores, and enough texts to sort by length."""
_FIRST_SPEED = 10_000.0
_SMOOTHING = 0.2
logger = logging.getLogger(__name__)


class Pipe(Protocol):
    """What is needed of a tagger."""

    def pipe(
        self,
        texts: Sequence[Document],
        *,
        corpora: Sequence[str] | None,
        types: Sequence[str] | None,
        threshold: float,
    ) -> Iterator[Document]:
        """Tag texts, in order."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a request wants to have tagged; requests of equal options share batches."""

    corpora: tuple[str, ...] | None = None
    types: tuple[str, ...] | None = None
    threshold: float = 0.0
    add: tuple[str, ...] = ()


@dataclass(eq=False, slots=True)
class _Request:
    documents: Sequence[Document]
    options: Options
    done: asyncio.Future[list[Document]]
    results: dict[int, Document | Exception] = field(default_factory=dict)

    def settle(self, index: int, result: Document | Exception) -> None:
        """Keep a result; the last one completes the request."""
        self.results[index] = result
        if len(self.results) < len(self.documents) or self.done.done():
            return
        ordered = [self.results[index] for index in range(len(self.documents))]
        failed = [index for index, result in enumerate(ordered) if isinstance(result, Exception)]
        if failed:
            self.done.set_exception(TaggingFailedError(failed))
        else:
            self.done.set_result([result for result in ordered if isinstance(result, Document)])


@dataclass(eq=False, slots=True)
class _Lane:
    """Requests with the indices of their documents that wait here, in the order of their turns."""

    waiting: deque[tuple[_Request, deque[int]]] = field(default_factory=deque)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, request: _Request, indices: Sequence[int]) -> None:
        if indices:
            self.waiting.append((request, deque(indices)))
            self.changed.set()

    def withdraw(self, request: _Request) -> int:
        """Forget what waits of a request; return its cost."""
        indices = [index for each, rest in self.waiting if each is request for index in rest]
        self.waiting = deque(turn for turn in self.waiting if turn[0] is not request)
        return sum(cost(request.documents[index]) for index in indices)

    def take(self) -> list[tuple[_Request, int]]:
        """Remove the next batch: one document of each request in turn, the options those of the first."""
        batch: list[tuple[_Request, int]] = []
        others: list[tuple[_Request, deque[int]]] = []
        size = 0
        options = self.waiting[0][0].options if self.waiting else None
        while self.waiting and size < BATCH:
            request, indices = self.waiting.popleft()
            if request.options != options:
                others.append((request, indices))
                continue
            batch.append((request, indices.popleft()))
            size += cost(request.documents[batch[-1][1]])
            if indices:
                self.waiting.append((request, indices))
        self.waiting.extendleft(reversed(others))  # they came first, and the next batch is theirs
        return batch


def cost(document: Document) -> int:
    """How much of the queue a document takes, in characters."""
    return len(document.text) + DOCUMENT_COST


class Batcher:
    """A bounded queue before a tagger.

    Attributes:
        limit: most characters that wait or are being tagged.
        held: how many do.
        n_accepted: requests that were taken.
        n_answered: those whose result was given back, a failure of the model included.
    """

    def __init__(
        self,
        tagger: Pipe,
        *,
        limit: int,
        on_batch: Callable[[int, float], None] = lambda documents, seconds: None,
    ) -> None:
        """Prepare; nothing runs before :meth:`running`.

        Args:
            tagger: does the work.
            limit: most characters that wait or are being tagged.
            on_batch: told of each batch: documents and seconds.
        """
        self._tagger, self.limit, self._on_batch = tagger, limit, on_batch
        self._lanes: tuple[_Lane, ...] = ()
        self._speed = _FIRST_SPEED
        self._open = False
        self.held = self.n_accepted = self.n_answered = 0

    @property
    def is_open(self) -> bool:
        """Whether work is taken."""
        return self._open

    @property
    def is_full(self) -> bool:
        """Whether not even an empty text has room."""
        return self.held + DOCUMENT_COST > self.limit

    def close(self) -> None:
        """Take no more work; what was taken is finished."""
        self._open = False
        for lane in self._lanes:
            lane.changed.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take work within this block; leaving it finishes what was taken."""
        self._lanes, self._open, self.held = (_Lane(), _Lane()), True, 0
        with ThreadPoolExecutor(len(self._lanes), "tagging") as threads:
            workers = [asyncio.create_task(self._work(lane, threads)) for lane in self._lanes]
            try:
                yield
            finally:
                self.close()
                await asyncio.gather(*workers)
                logger.info("stopped: %d requests accepted, %d answered", self.n_accepted, self.n_answered)

    async def tag(self, documents: Sequence[Document], options: Options) -> list[Document]:
        """Tag the documents of a request. Cancelling it takes back what still waits.

        Raises:
            QueueFullError: there is no room.
            ClosedError: no work is taken any more.
            TaggingFailedError: the model failed on some of the documents.
        """
        size = sum(map(cost, documents))
        if not self._open:
            raise ClosedError
        if self.held + size > self.limit:
            raise QueueFullError((self.held + size - self.limit) / self._speed)
        if not documents:
            return []
        request = _Request(documents, options, asyncio.get_running_loop().create_future())
        self.held += size
        self.n_accepted += 1
        short, long = self._lanes
        sizes = [len(document.text) for document in documents]
        short.add(request, [index for index, size in enumerate(sizes) if size <= BATCH])
        long.add(request, [index for index, size in enumerate(sizes) if size > BATCH])
        try:
            return await request.done
        finally:
            self.n_answered += request.done.done() and not request.done.cancelled()
            self.held -= sum(lane.withdraw(request) for lane in (short, long))

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
                threads, _tag_each, self._tagger, documents, batch[0][0].options
            )
            self._note(documents, time.perf_counter() - begin)
            for (request, index), result in zip(batch, results, strict=True):
                request.settle(index, result)

    def _note(self, documents: Sequence[Document], seconds: float) -> None:
        size = sum(map(cost, documents))
        self.held -= size
        self._speed += _SMOOTHING * (size / max(seconds, 1e-6) - self._speed)
        self._on_batch(len(documents), seconds)


def _tag_each(tagger: Pipe, documents: Sequence[Document], options: Options) -> list[Document | Exception]:
    """Tag a batch; if it fails, each document by itself, so that none pays for its neighbours."""
    try:
        tagged = tagger.pipe(
            documents, corpora=options.corpora, types=options.types, threshold=options.threshold
        )
        found = list(add_attributes(tagged, options.add))
        if len(found) != len(documents):
            raise RunError(f"{len(documents)} documents went in and {len(found)} came out")
        return [*found]
    except Exception as error:
        if len(documents) > 1:
            return [_tag_each(tagger, [document], options)[0] for document in documents]
        logger.error("tagging failed: %s", type(error).__name__)  # its message may quote the text
        return [error]
