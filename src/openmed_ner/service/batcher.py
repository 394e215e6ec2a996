"""Tag the documents of many requests together, in small batches from a bounded queue.

Documents wait in two lanes, each with a thread: those of up to ``BATCH`` characters, and longer ones.
Within a lane, requests share the time evenly, whatever the number and the length of their texts: a text waits
for the batch in work and, from each other request, for about as many characters as it has itself. A batch
takes documents with equal options until it has ``BATCH`` characters. A text never waits for one of the other
lane. While a long text is being tagged, the short lane gets its share of the processor, about half.

All state lives on the event loop; only ``Tagger.pipe`` runs in the threads. A batch in a thread ends early
once all its requests are over, by the time limit or because their clients have disconnected, and counts as
pending until then.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any, NamedTuple, Protocol

from openmed_ner.errors import ClosedError, QueueFullError, RunError, TaggingFailedError
from openmed_ner.inference.attributes import IdentifierOptions, add_attributes
from openmed_ner.service.settings import DOCUMENT_COST
from openmed_ner.text import Document

BATCH = 32_000
"""Characters of a batch: about a second of two cores, and enough texts to sort by length."""
_WORD = 4
"""Characters per subword in running text."""
_VALUE = 2
"""Characters that a value of a document's structure counts for; it takes about 100 bytes."""
_SINGLE = re.compile(r"[^\w\s]|[\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
"""A character that is a word of its own."""
_FIRST_SPEED = 10_000.0
"""Characters per second, as assumed before the first batch."""
_DECAY = 0.8
"""Weight of earlier batches in the running mean of the speed, at each further batch."""
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
        stop: Callable[[], bool] | None = None,
    ) -> Iterator[Document]:
        """Tag texts, in order; end with an error once ``stop`` returns true."""


@dataclass(frozen=True, slots=True)
class PipeOptions:
    """Options of :meth:`Pipe.pipe`, and attributes to add; requests with equal options share batches."""

    corpora: tuple[str, ...] | None = None
    types: tuple[str, ...] | None = None
    layers: bool = False
    threshold: float = 0.0
    document_decoding: bool = True
    add: tuple[str, ...] = ()
    identifiers: IdentifierOptions = field(default_factory=IdentifierOptions)

    def for_tagger(self) -> dict[str, Any]:
        """Keyword arguments of :meth:`Pipe.pipe`."""
        return {name: value for name, value in asdict(self).items() if name not in ("add", "identifiers")}


@dataclass(eq=False, slots=True)
class _Request:
    documents: Sequence[Document]
    sizes: Sequence[int]
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


class _Turn(NamedTuple):
    """A waiting document. Turns are taken in order.

    Attributes:
        place: position in virtual time, where the document is finished.
        number: number of the turn, which keeps equal places in order.
        request: request of the document.
        position: index of the document in its request.
    """

    place: int
    number: int
    request: _Request
    position: int


@dataclass(eq=False, slots=True)
class _Lane:
    """Waiting documents by their turns (self-clocked fair queueing; Golestani, INFOCOM 1994).

    Virtual time is the place of the turn that was taken last. A request's documents have places from there
    on, each behind the one before it by its size.
    """

    waiting: list[_Turn] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    time: int = 0
    numbers: Iterator[int] = field(default_factory=count)

    def add(self, request: _Request, indices: Sequence[int]) -> None:
        place = self.time
        for index in indices:
            place += request.sizes[index]
            heappush(self.waiting, _Turn(place, next(self.numbers), request, index))
            self.changed.set()

    def withdraw(self, request: _Request) -> int:
        """Remove the waiting documents of a request; return their size."""
        size = sum(turn.request.sizes[turn.position] for turn in self.waiting if turn.request is request)
        self.waiting = [turn for turn in self.waiting if turn.request is not request]
        heapify(self.waiting)
        return size

    def take(self) -> list[_Turn]:
        """Remove the next batch: the first turn, and those after it with the same options."""
        batch: list[_Turn] = []
        postponed: list[_Turn] = []
        size = 0
        while self.waiting and size < BATCH:
            turn = heappop(self.waiting)
            if batch and turn.request.options != batch[0].request.options:
                postponed.append(turn)
                continue
            self.time = turn.place if not batch else self.time
            batch.append(turn)
            size += turn.request.sizes[turn.position]
        for turn in postponed:
            heappush(self.waiting, turn)
        return batch


def cost(document: Document) -> int:
    """Return the size of a document, in characters.

    The time of a model follows from subwords. A text of words of one letter, of signs or of ideographs has
    more of them than its length tells. The structure of its source counts too, since it waits in memory.
    """
    text = document.text
    n_words = len(text.split()) + len(_SINGLE.findall(text))
    return max(len(text), _WORD * n_words) + DOCUMENT_COST + _VALUE * _count_values(document.meta)


def _count_values(value: object) -> int:
    """Count the values within JSON values."""
    waiting, n_values = [value], 0
    while waiting:
        inner = waiting.pop()
        entries = inner.values() if isinstance(inner, Mapping) else inner if isinstance(inner, list) else ()
        n_values += len(entries)
        waiting += entries
    return n_values


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
        self._recent_size, self._recent_seconds = _FIRST_SPEED, 1.0
        self._open = False
        self.n_pending = self.n_accepted = self.n_answered = 0

    @property
    def is_open(self) -> bool:
        """True if requests are accepted."""
        return self._open

    @property
    def speed(self) -> float:
        """Characters per second, as a running mean over batches."""
        return self._recent_size / self._recent_seconds

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
        sizes = [cost(document) for document in documents]
        size = sum(sizes)
        if not self._open:
            raise ClosedError
        if self.n_pending + size > self.limit:
            raise QueueFullError((self.n_pending + size - self.limit) / self.speed)
        if not documents:
            return []

        request = _Request(documents, sizes, options, asyncio.get_running_loop().create_future())
        self.n_pending += size
        self.n_accepted += 1
        short, long = self._lanes
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
            documents = [turn.request.documents[turn.position] for turn in batch]
            begin = time.perf_counter()
            results = await asyncio.get_running_loop().run_in_executor(
                threads,
                _tag_batch,
                self._tagger,
                documents,
                batch[0].request.options,
                partial(_is_over, batch),
            )
            self._record(batch, time.perf_counter() - begin)
            for turn, result in zip(batch, results, strict=True):
                turn.request.settle(turn.position, result)

    def _record(self, batch: Sequence[_Turn], seconds: float) -> None:
        size = sum(turn.request.sizes[turn.position] for turn in batch)
        self.n_pending -= size
        self._recent_size = _DECAY * self._recent_size + size
        self._recent_seconds = _DECAY * self._recent_seconds + max(seconds, 1e-6)
        self._on_batch(len(batch), seconds)


def _is_over(batch: Sequence[_Turn]) -> bool:
    """Return true if nobody waits for a batch any more."""
    return all(turn.request.future.done() for turn in batch)


def _tag_batch(
    tagger: Pipe, documents: Sequence[Document], options: PipeOptions, stop: Callable[[], bool]
) -> list[Document | Exception]:
    """Tag a batch; if that fails, tag each document alone, so that one bad text spoils no other."""
    try:
        tagged = tagger.pipe(documents, **options.for_tagger(), stop=stop)
        results = list(add_attributes(tagged, options.add, options.identifiers))
        if len(results) != len(documents):
            raise RunError(f"the model returned {len(results)} documents for {len(documents)}")
        return [*results]
    except Exception as error:
        if stop():
            return [error] * len(documents)
        if len(documents) > 1:
            return [_tag_batch(tagger, [document], options, stop)[0] for document in documents]
        logger.error("tagging failed: %s", type(error).__name__)  # its message may quote the text
        return [error]
