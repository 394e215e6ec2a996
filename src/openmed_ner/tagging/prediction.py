"""Tag a stream of documents: windows in, scores from any model, spans out.

Documents are read as they arrive and returned in the same order. Windows are queued until there are
``BUFFER`` of them, which become batches. While a model computes these, the next windows are cut and the
previous ones decoded. So memory depends neither on the number of documents nor on the length of one. The
first buffers are smaller: one window for each worker, then twice as many each time. So all workers compute
from the first documents on, and the first results do not wait for some hundred texts.

A batch holds windows of one padded length only. The logits of a window then depend on that window alone,
not on its batch, on the number of threads, or on the order of documents.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Protocol, TypeVar

import numpy as np

from openmed_ner.errors import RunError
from openmed_ner.tagging.batching import MULTIPLE, LongArray, group_by_width, pad_windows, padded_length
from openmed_ner.tagging.document_decoding import DocumentMode
from openmed_ner.tagging.heads import FloatArray, Head
from openmed_ner.tagging.subwords import SubwordTokenizer
from openmed_ner.tagging.viterbi import DocumentDecoder
from openmed_ner.tagging.windows import Window, iter_windows
from openmed_ner.terminologies import Matcher
from openmed_ner.text import Document
from openmed_ner.text.hyphenation import Reading, read_text

BUDGET = 512
"""Most subwords in a batch, unless a reader has another budget: what a layer computes stays in the cache."""
BUFFER = 128
"""Windows that are batched together, once a stream has begun; more if a larger batch has room for them."""
LARGEST_SCORE = 1e30
"""Bound of logits, far beyond any that a model computes. Sums of smaller ones over a text are numbers."""
IN_FLIGHT = 2
"""Buffers that a model may be computing while the next is filled."""
ModelFunction = Callable[..., FloatArray]
"""A model: subword ids, attention mask and, for a model that reads a lexicon, lexicon tags, each
``(batch, n_subwords)``, to logits of all heads side by side, ``(batch, n_subwords, n_tags)``."""
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class WindowReader:
    """Settings by which a model reads text.

    Attributes:
        tokenizer: its tokenizer.
        heads: its outputs, in order.
        window: most subwords in a window, special ones included.
        overlap: subwords that neighbouring windows share.
        budget: most subwords in a batch.
        multiple: divisor of padded lengths, beside that of a whole window; a larger one makes fewer shapes.
        workers: batches that a model computes at the same time; 0 if the thread that reads computes them.
        matcher: finds the names of the model's lexicon; ``None`` if it has none.
        joins: if true, words that a hyphen parts at a line end are read as one.
    """

    tokenizer: SubwordTokenizer
    heads: tuple[Head, ...]
    window: int
    overlap: int
    budget: int = BUDGET
    multiple: int = MULTIPLE
    workers: int = 1
    matcher: Matcher | None = None
    joins: bool = True

    def width(self, length: int) -> int:
        """Padded length of a sequence of subwords, special ones included."""
        return min(padded_length(length, self.multiple), padded_length(max(length, self.window)))

    def read(self, text: str) -> Reading:
        """Read a text: join the words that hyphens part at line ends."""
        return read_text(text, self.knows) if self.joins else Reading(text)

    def knows(self, word: str) -> bool:
        """True if a word is one subword of the vocabulary, or a name of the lexicon."""
        if self.tokenizer.knows(word):
            return True
        return self.matcher is not None and bool(self.matcher.find([word], np.ones(1, dtype=bool)))

    def windows(self, text: str) -> Iterator[Window]:
        """Cut a text into windows.

        The names of a lexicon are found in blocks of :data:`~openmed_ner.tagging.subwords.BLOCK` words. One
        that lies across the border of two blocks is not found.
        """
        encodings = self.tokenizer.iter_encodings(text)
        if (matcher := self.matcher) is not None:
            encodings = (
                replace(block, lexicon_tags=matcher.encode(text, block.starts, block.ends))
                for block in encodings
            )
        return iter_windows(encodings, capacity=self.window - 2, overlap=self.overlap)


class BatchResult(Protocol):
    """The logits of a batch, perhaps still being computed; a ``Future`` is one."""

    def result(self) -> FloatArray:
        """Wait for the logits, and raise any error of the computation."""


Submit = Callable[..., BatchResult]
"""Begins to compute a batch: a model function and its input."""


@dataclass(frozen=True, slots=True)
class _Computed:
    logits: FloatArray

    def result(self) -> FloatArray:
        return self.logits


def compute_now(run: ModelFunction, *inputs: LongArray) -> BatchResult:
    """Compute a batch in this thread before returning: the simplest ``Submit``."""
    return _Computed(run(*inputs))


class ScoreCollector(Protocol):
    """Takes the windows of one document, in order, with the scores of their words."""

    def add(self, window: Window, scores: FloatArray, *, last: bool) -> None:
        """Add a window and the logits of its words, the heads side by side, ``(n_words, n_tags)``."""


Collector = TypeVar("Collector", bound=ScoreCollector)


@dataclass(frozen=True, slots=True)
class _QueuedWindow:
    collector: ScoreCollector
    window: Window
    last: bool


def predict(
    documents: Iterable[Document],
    *,
    run: ModelFunction,
    reader: WindowReader,
    modes: Mapping[str, DocumentMode] | None = None,
    submit: Submit = compute_now,
) -> Iterator[Document]:
    """Yield each document with the spans that a model predicts, in order.

    The ``meta`` of a result holds ``coverage``: characters, windows, and whether all was read.

    Args:
        documents: documents to tag; their spans are replaced.
        run: the model.
        reader: settings by which it reads text.
        modes: document-level decoding of each head, by corpus; off for heads that are missing.
        submit: begins to compute a batch, perhaps in another thread.
    """

    def make_decoder(reading: Reading) -> DocumentDecoder:
        return DocumentDecoder(reading, reader.heads, modes)

    for document, decoder in collect_scores(documents, make_decoder, run=run, reader=reader, submit=submit):
        yield tagged_document(document, decoder)


def tagged_document(document: Document, decoder: DocumentDecoder) -> Document:
    """Return a document with the spans of a decoder that has taken all its windows, and its coverage."""
    meta = {**document.meta, "coverage": asdict(decoder.coverage)}
    return replace(document, spans=tuple(decoder.spans), meta=meta)


def collect_scores(
    documents: Iterable[Document],
    make_collector: Callable[[Reading], Collector],
    *,
    run: ModelFunction,
    reader: WindowReader,
    submit: Submit = compute_now,
) -> Iterator[tuple[Document, Collector]]:
    """Yield each document with a collector that has taken all its windows, in order.

    Args:
        documents: documents to read; their spans are ignored.
        make_collector: makes a collector for a text as it is read.
        run: the model.
        reader: settings by which it reads text.
        submit: begins to compute a batch, perhaps in another thread.
    """
    unfinished: deque[tuple[Document, Collector]] = deque()
    # By identity, since two texts may be equal.
    finished: set[int] = set()
    in_flight: deque[tuple[list[_QueuedWindow], _Scores]] = deque()
    queue: list[_QueuedWindow] = []
    buffer, largest = buffer_sizes(reader)

    def distribute(windows: Sequence[_QueuedWindow], scores: _Scores) -> Iterator[tuple[Document, Collector]]:
        """Give windows to their collectors, and yield the documents that are complete."""
        for queued, window_scores in zip(windows, scores.wait(), strict=True):
            queued.collector.add(queued.window, window_scores, last=queued.last)
            if queued.last:
                finished.add(id(queued.collector))
        while unfinished and id(unfinished[0][1]) in finished:
            document, collector = unfinished.popleft()
            finished.remove(id(collector))
            yield document, collector

    def flush(keep: int = IN_FLIGHT - 1) -> Iterator[tuple[Document, Collector]]:
        """Submit the queue, and wait for all submitted buffers but the last ``keep``."""
        in_flight.append((list(queue), _Scores([queued.window for queued in queue], run, reader, submit)))
        queue.clear()
        nonlocal buffer
        buffer = min(2 * buffer, largest)
        while len(in_flight) > keep:
            yield from distribute(*in_flight.popleft())

    for document in documents:
        reading = reader.read(document.text)
        collector = make_collector(reading)
        unfinished.append((document, collector))
        finished.add(id(collector))  # unless a window follows: a blank text has none
        for window, last in iter_with_last(reader.windows(reading.text)):
            finished.discard(id(collector))
            queue.append(_QueuedWindow(collector, window, last))
            if len(queue) >= buffer:
                yield from flush()
        if len(unfinished) >= IN_FLIGHT * largest:  # many blank texts fill no buffer
            yield from flush(keep=0)

    yield from flush(keep=0)


def buffer_sizes(reader: WindowReader) -> tuple[int, int]:
    """Windows of the first buffer of a stream, and of the largest ones."""
    if reader.budget > BUDGET:
        # A GPU computes a batch that is partly empty as slowly as a full one.
        full = max(BUFFER, reader.budget // reader.window)
        return full, full
    return min(max(1, reader.workers), BUFFER), BUFFER


def compute_scores(
    windows: Sequence[Window], run: ModelFunction, reader: WindowReader, submit: Submit = compute_now
) -> list[FloatArray]:
    """Compute the logits of the words of some windows, ``(n_words, n_tags)`` for each."""
    return _Scores(windows, run, reader, submit).wait()


class _Scores:
    """Logits of some windows, which a model is computing."""

    def __init__(
        self, windows: Sequence[Window], run: ModelFunction, reader: WindowReader, submit: Submit
    ) -> None:
        self._windows = windows
        self._batches = []
        widths = [reader.width(len(window.ids) + 2) for window in windows]
        for batch in group_by_width(widths, budget=reader.budget, at_least=max(1, reader.workers)):
            rows = [windows[index] for index in batch]
            inputs = pad_windows(rows, reader.tokenizer, width=widths[batch[0]])
            self._batches.append((batch, submit(run, *inputs)))

    def wait(self) -> list[FloatArray]:
        """Logits of the first subword of each word, ``(n_words, n_tags)``, for each window."""
        scores: list[FloatArray] = [np.empty((0, 0), dtype=np.float32)] * len(self._windows)
        for batch, pending in self._batches:
            logits = pending.result()
            for row, index in enumerate(batch):
                # The input begins with a special subword, so positions are one higher than in the window.
                scores[index] = logits[row].take(self._windows[index].first_subwords + 1, axis=0)
                if not (np.abs(scores[index]) < LARGEST_SCORE).all():  # false for what is no number, too
                    raise RunError(
                        "the model computed scores that are not finite, or far too large; "
                        "its weights are damaged"
                    )
        return scores


def iter_with_last(items: Iterable[Item]) -> Iterator[tuple[Item, bool]]:
    """Yield each item with true if it is the last one."""
    iterator = iter(items)
    for item in iterator:
        for following in iterator:
            yield item, False
            item = following
        yield item, True
