"""Tag a stream of documents: windows in, scores from any model, spans out.

Documents are read as they come and given back in the same order. At most ``BUFFER`` windows wait at
a time, sorted by length into padded batches, so memory depends neither on the number of documents
nor on the length of one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TypeVar

import numpy as np

from openmed_ner.alignment.batching import LongArray, group_by_length, pad_windows
from openmed_ner.alignment.decoding import DocumentDecoder, FloatArray, Head
from openmed_ner.alignment.subwords import SubwordEncoder
from openmed_ner.alignment.windows import Window, iter_windows
from openmed_ner.errors import RunError
from openmed_ner.text import Document

BUFFER = 128
Run = Callable[[LongArray, LongArray], FloatArray]
"""A model: subword ids and attention mask, both ``(batch, n_subwords)``, to logits of all heads side
by side, ``(batch, n_subwords, n_tags)``."""
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Reader:
    """How a model reads text.

    Attributes:
        encoder: its tokenizer.
        heads: its outputs, in order.
        window: most subwords it sees at once, special ones included.
        overlap: subwords that neighbouring windows share.
        budget: most subwords in a batch.
    """

    encoder: SubwordEncoder
    heads: tuple[Head, ...]
    window: int
    overlap: int
    budget: int = 2048

    def windows(self, text: str) -> Iterator[Window]:
        """Cut a text into windows."""
        encodings = self.encoder.iter_encodings(text)
        return iter_windows(encodings, capacity=self.window - 2, overlap=self.overlap)


@dataclass(frozen=True, slots=True)
class _Waiting:
    decoder: DocumentDecoder
    window: Window
    last: bool


def predict(documents: Iterable[Document], *, run: Run, reader: Reader) -> Iterator[Document]:
    """Yield each document with the spans a model finds, in order.

    The ``meta`` of a result holds ``coverage``: characters, windows, and whether all was read.
    """
    buffer: list[_Waiting] = []
    unfinished: deque[tuple[Document, DocumentDecoder]] = deque()
    finished: set[int] = set()

    def flush() -> Iterator[Document]:
        scores = score_windows([waiting.window for waiting in buffer], run=run, reader=reader)
        for waiting, score in zip(buffer, scores, strict=True):
            waiting.decoder.add(waiting.window, score, last=waiting.last)
            if waiting.last:
                finished.add(id(waiting.decoder))
        buffer.clear()
        while unfinished and id(unfinished[0][1]) in finished:
            document, decoder = unfinished.popleft()
            finished.remove(id(decoder))
            yield _result(document, decoder)

    for document in documents:
        decoder = DocumentDecoder(document.text, reader.heads)
        unfinished.append((document, decoder))
        finished.add(id(decoder))  # unless a window of it follows: a blank text has none
        for window, last in mark_last(reader.windows(document.text)):
            finished.discard(id(decoder))
            buffer.append(_Waiting(decoder, window, last))
            if len(buffer) >= BUFFER:
                yield from flush()
        if len(unfinished) >= BUFFER:
            yield from flush()
    yield from flush()


def score_windows(windows: Sequence[Window], *, run: Run, reader: Reader) -> list[FloatArray]:
    """Run a model over windows.

    Returns:
        For each window the logits of its words' first subwords, ``(n_words, n_tags)``.
    """
    scores: list[FloatArray] = [np.empty((0, 0), dtype=np.float32)] * len(windows)
    for batch in group_by_length([len(window.ids) + 2 for window in windows], budget=reader.budget):
        ids, mask = pad_windows([windows[index] for index in batch], reader.encoder)
        logits = run(ids, mask)
        if not np.isfinite(logits[mask.astype(bool)]).all():
            raise RunError("the model computed scores that are no numbers; its weights are damaged")
        for row, index in enumerate(batch):
            scores[index] = logits[row, windows[index].heads + 1]
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
