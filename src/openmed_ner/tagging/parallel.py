"""Read texts and decode scores in several processes, while this one computes the model.

A GPU reads thousands of abstracts in the time in which one process cuts and decodes a hundred. So processes
that know no model cut texts into windows, and turn the scores of words into spans. Windows and scores travel
through pipes. Documents come back in order, and a result is that of
:func:`openmed_ner.tagging.predict`, since batches hold windows of one padded length here as well.

The processes are started anew, not forked, since a fork would copy the state of a GPU. A script that asks
for them therefore has to begin its work below ``if __name__ == "__main__"``.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Self, TypeVar

from openmed_ner.errors import RunError
from openmed_ner.tagging.document_decoding import DocumentMode
from openmed_ner.tagging.heads import FloatArray, Head
from openmed_ner.tagging.prediction import (
    BUDGET,
    ModelFunction,
    Submit,
    WindowReader,
    compute_now,
    compute_scores,
    iter_with_last,
    tagged_document,
)
from openmed_ner.tagging.viterbi import DocumentDecoder
from openmed_ner.tagging.windows import Window
from openmed_ner.text import Document

Item = TypeVar("Item")
BLOCK = 32
"""Texts that a process reads at once."""
AHEAD = 3
"""Blocks per process that wait to be read or decoded."""
GROUP = 2
"""Blocks whose windows share batches of the usual size; larger batches take more blocks."""
_reader: WindowReader | None = None
"""Settings of this process, where it is one of a pool."""


class ReadingPool:
    """Processes that cut texts into windows and decode scores; used as a context, they end with it."""

    def __init__(self, reader: WindowReader, processes: int) -> None:
        """Prepare processes, which start with the first work.

        Args:
            reader: settings by which the model reads text.
            processes: number of processes.
        """
        self._reader = reader
        self._ahead = AHEAD * processes
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(
            processes, mp_context=context, initializer=_start, initargs=(replace(reader, heads=()),)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown(cancel_futures=True)

    def cut(self, texts: Sequence[str], windows: Sequence[int]) -> Iterator[list[Window]]:
        """Yield the windows of each text, in order.

        Args:
            texts: texts to read.
            windows: largest number of subwords of the windows of each text.
        """
        pending: deque[Future[list[list[Window]]]] = deque()
        with _explain_end():
            for block in _iter_blocks(zip(texts, windows, strict=True)):
                pending.append(self._pool.submit(_cut, block))
                if len(pending) > self._ahead:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()

    def predict(
        self,
        documents: Iterable[Document],
        *,
        run: ModelFunction,
        heads: tuple[Head, ...],
        modes: Mapping[str, DocumentMode] | None = None,
        submit: Submit = compute_now,
    ) -> Iterator[Document]:
        """Yield each document with the spans that a model predicts, in order.

        Args:
            documents: documents to tag; their spans are replaced.
            run: the model; it is called in this process.
            heads: heads to decode, in the order of the outputs.
            modes: document-level decoding of each head, by corpus.
            submit: begins to compute a batch, perhaps in another thread.
        """
        reader = replace(self._reader, heads=heads)
        n_blocks = GROUP * max(1, reader.budget // (4 * BUDGET))
        groups: deque[list[tuple[tuple[Document, ...], Future[list[list[Window]]]]]] = deque()
        decoded: deque[Future[list[Document]]] = deque()

        def compute() -> None:
            """Compute the scores of the next group of blocks, and hand them on for decoding."""
            blocks = [(block, pending.result()) for block, pending in groups.popleft()]
            windows = [window for _, texts in blocks for text in texts for window in text]
            scores = iter(compute_scores(windows, run, reader, submit))
            for block, texts in blocks:
                parts = [[next(scores) for _ in text] for text in texts]
                decoded.append(self._pool.submit(_decode, block, texts, parts, heads, modes))

        with _explain_end():
            blocks = _iter_blocks(documents)
            while group := list(islice(blocks, n_blocks)):
                groups.append([(block, self._submit(block)) for block in group])
                if len(groups) > 1:  # the next group is read while one is computed
                    compute()
                while len(decoded) > self._ahead + n_blocks:
                    yield from decoded.popleft().result()
            while groups:
                compute()
            while decoded:
                yield from decoded.popleft().result()

    def _submit(self, block: Sequence[Document]) -> Future[list[list[Window]]]:
        return self._pool.submit(_cut_readings, [document.text for document in block])


def _iter_blocks(items: Iterable[Item]) -> Iterator[tuple[Item, ...]]:
    iterator = iter(items)
    while block := tuple(islice(iterator, BLOCK)):
        yield block


@contextmanager
def _explain_end() -> Iterator[None]:
    """Turn the death of a process into a message that explains it.

    Raises:
        RunError: a process has ended.
    """
    try:
        yield
    except BrokenProcessPool as error:
        raise RunError(
            "a process that reads texts has ended, perhaps for lack of memory; use fewer processes"
        ) from error


def _start(reader: WindowReader) -> None:
    global _reader
    _reader = reader


def _cut(texts: Sequence[tuple[str, int]]) -> list[list[Window]]:
    assert _reader is not None
    return [list(replace(_reader, window=window).windows(text)) for text, window in texts]


def _cut_readings(texts: Sequence[str]) -> list[list[Window]]:
    assert _reader is not None
    return [list(_reader.windows(_reader.read(text).text)) for text in texts]


def _decode(
    documents: Sequence[Document],
    windows: Sequence[Sequence[Window]],
    scores: Sequence[Sequence[FloatArray]],
    heads: tuple[Head, ...],
    modes: Mapping[str, DocumentMode] | None,
) -> list[Document]:
    assert _reader is not None
    tagged = []
    for document, parts, values in zip(documents, windows, scores, strict=True):
        decoder = DocumentDecoder(_reader.read(document.text), heads, modes)
        for (window, window_scores), last in iter_with_last(zip(parts, values, strict=True)):
            decoder.add(window, window_scores, last=last)
        tagged.append(tagged_document(document, decoder))
    return tagged
