"""The coverage receipt: what a run has read, found, passed over and failed at.

A document that cannot be tagged or written becomes a problem, and the others go on: where tagging a stream
fails, those under way are tagged again, each alone, and the stream goes on after them. Since what a document
gives depends on it alone, so does the receipt, whatever the batches, threads and cuts. Problems are kept in
memory, in the order of the input.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self, TextIO

from openmed_ner.errors import OpenMedError
from openmed_ner.inference.jobs.inputs import Input, Item, Problem, Skipped
from openmed_ner.text import Document

TagFunction = Callable[[Iterable[Document]], Iterator[Document]]
"""Gives one tagged document, with its coverage, per document, in order."""


@dataclass(frozen=True, slots=True)
class JobCounts:
    """What became of a chunk of input. Counts add, so any cut of an input gives the same total.

    Attributes:
        documents: tagged and written.
        characters: of their texts.
        windows: of them that the model saw.
        unread: documents of which the model did not read every visible character; there should be none.
        errors: documents, or rests of files, that could not be read, tagged or written.
        labels: entities of each type.
        skipped: articles without a text to tag, by reason.
    """

    documents: int = 0
    characters: int = 0
    windows: int = 0
    unread: int = 0
    errors: int = 0
    labels: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_json`."""
        return cls(**{name: record[name] for name in cls.__dataclass_fields__})

    @property
    def spans(self) -> int:
        """Entities found."""
        return sum(self.labels.values())

    @property
    def complete(self) -> bool:
        """Whether every visible character of every document was read, and every document written."""
        return not self.unread and not self.errors

    def __add__(self, other: JobCounts) -> JobCounts:
        return JobCounts(
            self.documents + other.documents,
            self.characters + other.characters,
            self.windows + other.windows,
            self.unread + other.unread,
            self.errors + other.errors,
            _add(self.labels, other.labels),
            _add(self.skipped, other.skipped),
        )

    def to_json(self) -> dict[str, Any]:
        """For a receipt: the counts, and what follows from them."""
        return {**asdict(self), "spans": self.spans, "complete": self.complete}

    @classmethod
    def of(cls, document: Document) -> Self:
        """What a tagged document counts for."""
        coverage = document.meta["coverage"]
        return cls(
            documents=1,
            characters=coverage["characters"],
            windows=coverage["windows"],
            unread=int(not coverage["complete"]),
            labels=Counter(span.label for span in document.spans),
        )


def _add(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted((Counter(one) + Counter(other)).items()))


class JobProgress:
    """Is told how a run goes on; this one does nothing with it."""

    def open(self, number: int, file: TextIO | None = None) -> None:
        """The input of this number is begun; its open file follows, if it is read as one."""

    def count(self, counts: JobCounts) -> None:
        """A document is written."""

    def note(self, problem: Problem) -> None:
        """Something could not be read, tagged or written."""


class Chunk:
    """Tags the items of a chunk of input, for one writer, and keeps account of them.

    Attributes:
        counts: of what is done.
        last: the last item read.
    """

    def __init__(self, items: Iterable[Item], tag: TagFunction, progress: JobProgress) -> None:
        self.counts = JobCounts()
        self.last: Item | None = None
        self._items = iter(items)
        self._tag = tag
        self._progress = progress
        self._problems: list[tuple[int, int, Problem]] = []
        self._written: Item | None = None

    @property
    def problems(self) -> list[Problem]:
        """Whatever failed, in the order of the input."""
        return [problem for *_, problem in sorted(self._problems, key=lambda each: each[:2])]

    def write(self, write: Callable[..., None], target: object) -> None:
        """TagFunction everything, and write it with a writer of :mod:`openmed_ner.formats`."""
        write(self._iter_counted(), target, on_bad=self._refuse)

    def _iter_counted(self) -> Iterator[Document]:
        """Yield the tagged documents, and count each once the writer has come back for the next."""
        for item, document in self._iter_tagged():
            self._written = item
            yield document
            if self._written:
                counts = JobCounts.of(document)
                self.counts += counts
                self._progress.count(counts)

    def _refuse(self, error: OpenMedError) -> None:
        """Keep the document that the writer has last come for out of the counts."""
        if self._written:
            self._note(self._written, error)
        self._written = None

    def _iter_tagged(self) -> Iterator[tuple[Item, Document]]:
        under_way: deque[tuple[Item, Document]] = deque()
        failed = True
        while failed:
            try:
                for document in self._tag(self._iter_documents(under_way)):
                    item, _ = under_way.popleft()
                    yield item, document
                failed = False
            except OpenMedError:
                if not under_way:  # nothing was given to it, so no document is to blame
                    raise
            while under_way:
                yield from self._tag_alone(*under_way.popleft())

    def _iter_documents(self, under_way: deque[tuple[Item, Document]]) -> Iterator[Document]:
        """Yield the documents among the items, each noted as under way."""
        for item in self._items:
            self.last = item
            if isinstance(item.content, Document):
                under_way.append((item, item.content))
                yield item.content
            elif isinstance(item.content, Skipped):
                self.counts += JobCounts(skipped={item.content.reason: 1})
            else:
                self._note(item, item.content)

    def _tag_alone(self, item: Item, document: Document) -> Iterator[tuple[Item, Document]]:
        try:
            (tagged,) = self._tag([document])
        except OpenMedError as error:
            self._note(item, error)
        else:
            yield item, tagged

    def _note(self, item: Item, error: Exception) -> None:
        problem = item.problem(error)
        self._problems.append((item.file, item.number, problem))
        self.counts += JobCounts(errors=1)
        self._progress.note(problem)


def make_receipt(
    identity: Mapping[str, Any], inputs: Sequence[Input], total: JobCounts, *, seconds: float
) -> dict[str, Any]:
    """The coverage receipt of a run.

    Args:
        identity: version, bundle and options.
        inputs: the files.
        total: what became of them.
        seconds: how long this session took.
    """
    return {**identity, "inputs": len(inputs), **total.to_json(), "seconds": round(seconds, 3)}
