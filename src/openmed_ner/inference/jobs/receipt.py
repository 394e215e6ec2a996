"""The coverage receipt: an account of the documents that a run has read, skipped, tagged and failed at.

A document that cannot be tagged or written becomes a problem, and the others go on. Where tagging a stream
fails, the documents under way are tagged again one by one, and the stream goes on after them. The result for
a document depends on that document alone, so the receipt does not depend on batches, threads or chunks.
Problems are kept in memory, in the order of the input.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self, TextIO

from openmed_ner.errors import OpenMedError
from openmed_ner.inference.jobs.inputs import Input, Item, Problem, Skipped
from openmed_ner.text import Document

ERRORS = "errors.jsonl"
"""File of the documents that could not be tagged, in the folder of a run in parts."""
TagFunction = Callable[[Iterable[Document]], Iterator[Document]]
"""Yields one tagged document, with its coverage, per document, in order."""


@dataclass(frozen=True, slots=True)
class JobCounts:
    """Counts of a chunk of input. Counts add, so any cut of an input gives the same total.

    Attributes:
        documents: documents tagged and written.
        characters: characters of their texts.
        windows: windows that the model read.
        unread: documents of which the model did not read every visible character; expected to be 0.
        errors: documents, or rests of files, that could not be read, tagged or written.
        labels: number of entities by type.
        skipped: number of things that were passed over, by reason: articles without a text to tag, files of
            a folder that are not read, and annotations that do not fit their text.
    """

    documents: int = 0
    characters: int = 0
    windows: int = 0
    unread: int = 0
    errors: int = 0
    labels: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_document(cls, document: Document) -> Self:
        """Count one tagged document."""
        coverage = document.meta["coverage"]
        return cls(
            documents=1,
            characters=coverage["characters"],
            windows=coverage["windows"],
            unread=int(not coverage["complete"]),
            labels=Counter(span.label for span in document.spans),
        )

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_json`.

        Raises:
            KeyError: a count is missing.
            TypeError: a value is not a count.
        """
        counts = cls(**{name: record[name] for name in cls.__dataclass_fields__})
        for name in ("documents", "characters", "windows", "unread", "errors"):
            require_count(getattr(counts, name), name)
        for name, group in (("labels", counts.labels), ("skipped", counts.skipped)):
            if not isinstance(group, dict):
                raise TypeError(f"{name} is not an object")
            for count in group.values():
                require_count(count, name)
        return counts

    def to_json(self) -> dict[str, Any]:
        """All counts, with ``spans`` and ``complete``, ready for JSON."""
        return {**asdict(self), "spans": self.spans, "complete": self.complete}

    @property
    def spans(self) -> int:
        """Number of entities."""
        return sum(self.labels.values())

    @property
    def complete(self) -> bool:
        """True if every visible character of every document was read, and every document written."""
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


def require_count(value: object, name: str) -> None:
    """Refuse a value that is not a whole number from 0 on.

    Raises:
        TypeError: the value is another one.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"{name} is {value!r}, expected a count")


def _add(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted((Counter(left) + Counter(right)).items()))


class JobProgress:
    """Callbacks for the progress of a run; this class ignores them all."""

    def open(self, number: int, file: TextIO | None = None) -> None:
        """Called when the input of this number begins, and again with its open file, if it is one file."""

    def count(self, counts: JobCounts) -> None:
        """Called when a document is written."""

    def note(self, problem: Problem) -> None:
        """Called when an item could not be read, tagged or written."""

    def skip(self, skipped: Skipped) -> None:
        """Called when something is passed over."""


class Chunk:
    """Tags the items of a chunk of input for one writer, and counts them.

    Attributes:
        counts: counts of the items done so far.
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
        """All failures, in the order of the input."""
        return [problem for *_, problem in sorted(self._problems, key=lambda entry: entry[:2])]

    def write(self, write: Callable[..., None], target: object) -> None:
        """Tag all items, and write them with a writer of :mod:`openmed_ner.formats`.

        The writer takes tagged documents one by one, and documents are read and tagged as it takes them, so
        none of them is kept.

        Args:
            write: writer of a format; takes documents, ``target`` and ``on_bad``.
            target: open file, or path of a folder, as the writer expects.
        """
        write(self._iter_counted(), target, on_bad=self._refuse)

    def _iter_counted(self) -> Iterator[Document]:
        """Yield the tagged documents, and count a document once the writer asks for the next one."""
        for item, document in self._iter_tagged():
            self._written = item
            yield document
            # By now the writer may have refused the document.
            if self._written:
                counts = JobCounts.from_document(document)
                self.counts += counts
                self._progress.count(counts)

    def _refuse(self, error: OpenMedError) -> None:
        """Leave out of the counts the document that the writer was last given."""
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
                if not under_way:  # no document was read, so none is to blame
                    raise
            while under_way:
                yield from self._tag_alone(*under_way.popleft())

    def _iter_documents(self, under_way: deque[tuple[Item, Document]]) -> Iterator[Document]:
        """Yield the documents among the items, and add each to those under way."""
        for item in self._items:
            self.last = item
            if isinstance(item.content, Document):
                under_way.append((item, item.content))
                yield item.content
            elif isinstance(item.content, Skipped):
                self.counts += JobCounts(skipped={item.content.reason: 1})
                self._progress.skip(item.content)
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
    """Make the coverage receipt of a run.

    Args:
        identity: version, bundle and options.
        inputs: the files.
        total: counts of the whole run.
        seconds: duration of this session.
    """
    return {**identity, "inputs": len(inputs), **total.to_json(), "seconds": round(seconds, 3)}
