"""Tag a stream of documents: windows in, scores from any model, spans out.

Documents are read as they come and given back in the same order. Windows wait until there are ``BUFFER``
of them, which become batches; while a model computes these, the next are cut and those before are decoded.
So memory depends neither on the number of documents nor on the length of one.

A batch holds windows of one padded length only. What a model makes of a window then depends on that window
alone, not on its company, on the number of threads, or on the order of documents.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Protocol, TypeVar

import numpy as np

from openmed_ner.errors import RunError
from openmed_ner.tagging.batching import LongArray, group_by_width, pad_windows
from openmed_ner.tagging.decoding import DocumentDecoder, FloatArray, Head
from openmed_ner.tagging.subwords import SubwordTokenizer
from openmed_ner.tagging.windows import Window, iter_windows
from openmed_ner.text import Document

BUDGET = 2048
"""Most subwords in a batch, unless a reader says otherwise."""
BUFFER = 128
IN_FLIGHT = 2
"""Buffers that a model may be computing while the next is filled."""
ModelFunction = Callable[[LongArray, LongArray], FloatArray]
"""A model: subword ids and attention mask, both ``(batch, n_subwords)``, to logits of all heads side
by side, ``(batch, n_subwords, n_tags)``."""
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class WindowReader:
    """How a model reads text.

    Attributes:
        tokenizer: its tokenizer.
        heads: its outputs, in order.
        window: most subwords it sees at once, special ones included.
        overlap: subwords that neighbouring windows share.
        budget: most subwords in a batch.
        workers: batches that a model computes at the same time.
    """

    tokenizer: SubwordTokenizer
    heads: tuple[Head, ...]
    window: int
    overlap: int
    budget: int = BUDGET
    workers: int = 1

    def windows(self, text: str) -> Iterator[Window]:
        """Cut a text into windows."""
        encodings = self.tokenizer.iter_encodings(text)
        return iter_windows(encodings, capacity=self.window - 2, overlap=self.overlap)


class Pending(Protocol):
    """A result that may not be there yet."""

    def result(self) -> FloatArray:
        """Wait for it, and raise what went wrong."""


Submit = Callable[[ModelFunction, LongArray, LongArray], Pending]
"""Begin to compute a batch."""


@dataclass(frozen=True, slots=True)
class _Now:
    logits: FloatArray

    def result(self) -> FloatArray:
        return self.logits


def run_now(run: ModelFunction, ids: LongArray, mask: LongArray) -> Pending:
    """Compute a batch at once: the plainest way to submit one."""
    return _Now(run(ids, mask))


@dataclass(frozen=True, slots=True)
class _Waiting:
    sink: Sink
    window: Window
    last: bool


class Sink(Protocol):
    """What takes the windows of one document, in order, with the scores of their words."""

    def add(self, window: Window, scores: FloatArray, *, last: bool) -> None:
        """Take a window and the logits of its words, the heads side by side, ``(n_words, n_tags)``."""


Sinking = TypeVar("Sinking", bound=Sink)


def predict(
    documents: Iterable[Document], *, run: ModelFunction, reader: WindowReader, submit: Submit = run_now
) -> Iterator[Document]:
    """Yield each document with the spans a model finds, in order.

    The ``meta`` of a result holds ``coverage``: characters, windows, and whether all was read.

    Args:
        documents: whose spans are replaced.
        run: the model.
        reader: how it reads text.
        submit: begins to compute a batch, perhaps in another thread.
    """

    def decoder_of(text: str) -> DocumentDecoder:
        return DocumentDecoder(text, reader.heads)

    for document, decoder in score(documents, decoder_of, run=run, reader=reader, submit=submit):
        yield _result(document, decoder)


def score(
    documents: Iterable[Document],
    make: Callable[[str], Sinking],
    *,
    run: ModelFunction,
    reader: WindowReader,
    submit: Submit = run_now,
) -> Iterator[tuple[Document, Sinking]]:
    """Yield each document with a sink that has taken all its windows, in order.

    Args:
        documents: that are read; their spans are not.
        make: a sink for a text.
        run: the model.
        reader: how it reads text.
        submit: begins to compute a batch, perhaps in another thread.
    """
    unfinished: deque[tuple[Document, Sinking]] = deque()
    finished: set[int] = set()
    in_flight: deque[tuple[list[_Waiting], _Scores]] = deque()

    def give(waiting: Sequence[_Waiting], scores: _Scores) -> Iterator[tuple[Document, Sinking]]:
        for each, own in zip(waiting, scores.collect(), strict=True):
            each.sink.add(each.window, own, last=each.last)
            if each.last:
                finished.add(id(each.sink))
        while unfinished and id(unfinished[0][1]) in finished:
            document, sink = unfinished.popleft()
            finished.remove(id(sink))
            yield document, sink

    buffer: list[_Waiting] = []

    def flush(keep: int = IN_FLIGHT - 1) -> Iterator[tuple[Document, Sinking]]:
        """Have the buffer computed, and give away all but the last ``keep``."""
        in_flight.append((list(buffer), _Scores([each.window for each in buffer], run, reader, submit)))
        buffer.clear()
        while len(in_flight) > keep:
            yield from give(*in_flight.popleft())

    for document in documents:
        sink = make(document.text)
        unfinished.append((document, sink))
        finished.add(id(sink))  # unless a window of it follows: a blank text has none
        for window, last in mark_last(reader.windows(document.text)):
            finished.discard(id(sink))
            buffer.append(_Waiting(sink, window, last))
            if len(buffer) >= BUFFER:
                yield from flush()
        if len(unfinished) >= IN_FLIGHT * BUFFER:
            yield from flush(keep=0)
    yield from flush(keep=0)


class _Scores:
    """What a model is computing of some windows."""

    def __init__(
        self, windows: Sequence[Window], run: ModelFunction, reader: WindowReader, submit: Submit
    ) -> None:
        self._windows = windows
        lengths = [len(window.ids) + 2 for window in windows]
        self._batches = []
        for batch in group_by_width(lengths, budget=reader.budget, at_least=reader.workers):
            ids, mask = pad_windows([windows[index] for index in batch], reader.tokenizer)
            self._batches.append((batch, mask, submit(run, ids, mask)))

    def collect(self) -> list[FloatArray]:
        """For each window the logits of its words' first subwords, ``(n_words, n_tags)``."""
        scores: list[FloatArray] = [np.empty((0, 0), dtype=np.float32)] * len(self._windows)
        for batch, mask, pending in self._batches:
            logits = pending.result()
            if not np.isfinite(logits[mask.astype(bool)]).all():
                raise RunError("the model computed scores that are no numbers; its weights are damaged")
            for row, index in enumerate(batch):
                scores[index] = logits[row, self._windows[index].first_subwords + 1]
        return scores


def mark_last(items: Iterable[Item]) -> Iterator[tuple[Item, bool]]:
    """Pair every item with whether it is the last one."""
    iterator = iter(items)
    for item in iterator:
        for following in iterator:
            yield item, False
            item = following
        yield item, True


def _result(document: Document, decoder: DocumentDecoder) -> Document:
    meta = {**document.meta, "coverage": asdict(decoder.coverage)}
    return replace(document, spans=tuple(decoder.spans), meta=meta)
