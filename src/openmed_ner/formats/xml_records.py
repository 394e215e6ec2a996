"""Records of a collection in XML, such as PubMed's articles, one by one, and the next after a damaged one.

XML that is not well-formed has no end, so its parser can only stop. The bytes are therefore cut at the start
tags of records. A parser reads on across the cuts, since a tag in a comment is none. If it fails, another
one begins at the next start tag, and what the first had read after the damaged record, in search of its end,
is read again, record by record. So no byte is read more than twice, and the number of parsers is limited.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from openmed_ner.errors import CorpusFormatError
from openmed_ner.formats.tolerance import OnBad, fail
from openmed_ner.formats.xml import (
    check_place,
    check_root,
    explain,
    forget,
    make_parser,
    move_blanks,
    to_error,
)

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

MAX_PARSERS = 10_000
"""Parsers that the damage of a file may take: each costs as much time as some records."""
_CHUNK = 1 << 16
_DECLARATION = re.compile(rb"<\?xml[^>]*\?>")
_BLANKS = b"\xef\xbb\xbf \t\r\n"
_AFTER_NAME = (b" ", b"\t", b"\r", b"\n", b"/", b">")


@dataclass(frozen=True, slots=True)
class RecordLayout:
    """What a file holds: a collection of records, or several, one after the other.

    Attributes:
        root: tag of the root.
        records: tags of the records, which stand directly below the root.
        noun: name of the records in messages.
        limit: bytes that may be read without a complete record.
    """

    root: str
    records: tuple[str, ...]
    noun: str
    limit: int


@dataclass(frozen=True, slots=True)
class Record:
    """An element of a file, valid until the next one is asked for.

    Attributes:
        element: a record; or the root, at the end of a collection.
        source: name of the file.
        first: line of the file that is the first one of the element's parser.
    """

    element: Element
    source: str
    first: int = 1

    def line(self, part: Element | None = None) -> int:
        """Return the line of the record, or of a part of it."""
        element = self.element if part is None else part
        return int(element.sourceline or 1) + self.first - 1

    def place(self, part: Element | None = None) -> str:
        """Return the file and the line of the record, or of a part of it, for a message."""
        return f"{self.source}, line {self.line(part)}"


def iter_records(
    chunks: Iterable[bytes], layout: RecordLayout, source: str, on_bad: OnBad = fail
) -> Iterator[Record]:
    """Yield each record as soon as it is complete, and free it afterwards; a root follows its records.

    Args:
        chunks: content of the file.
        layout: kind of the file.
        source: name of the file in messages.
        on_bad: called with the error of each record that is not well-formed, has no end, or stands in a
            wrong place; the next record follows.

    Raises:
        CorpusFormatError: the file is damaged before its first record, has another root, declares entities,
            or is damaged at too many places.
    """
    yield from _Reader(layout, source, on_bad).iter_records(_iter_pieces(chunks, layout))


class _Piece(NamedTuple):
    """A piece of a file.

    Attributes:
        content: its bytes.
        line: line of its first byte.
        begins: true if it begins with the start tag of a record.
        ends: true if it ends with the end tag of a collection, or is the end of the file.
    """

    content: bytes
    line: int
    begins: bool = False
    ends: bool = False


class _Reader:
    """The parsers of a file, one after the other."""

    def __init__(self, layout: RecordLayout, source: str, on_bad: OnBad) -> None:
        self._layout, self._source, self._on_bad = layout, source, on_bad
        self._parser: _Parser | None = None  # none after damage, until a record begins
        self._is_between = True  # a collection is expected
        self._has_root = False
        self._n_parsers = 0

    def iter_records(self, pieces: Iterator[_Piece]) -> Iterator[Record]:
        """Yield each record and root, and free the records afterwards."""
        again: deque[_Piece] = deque()  # read by a parser that failed on an earlier record
        failed, reason = None, ""
        while True:
            is_again = bool(again)
            piece = again.popleft() if is_again else next(pieces, None)
            if piece is None:
                return

            if piece.begins and self._has_root and (is_again or self._parser is None):
                self._begin_record(piece, is_again=is_again)
            elif self._is_between:
                piece = self._begin_collection(piece)
            if (parser := self._parser) is None:  # this is the rest of a damaged record, or blank
                continue

            try:
                for element in parser.feed(piece):
                    yield Record(element, self._source, parser.first)
                    if element.tag != self._layout.root:
                        forget(element)
                if piece.ends:
                    parser.close(piece)
                    self._parser, self._is_between, self._has_root = None, True, True
            except CorpusFormatError as error:
                if not (self._has_root or parser.has_root):
                    raise
                self._parser, self._has_root = None, True
                # A record whose start tag is damaged is read again, and fails again.
                if piece is not failed or str(error) != reason:
                    self._on_bad(error)
                failed, reason = piece, str(error)
                again.extend(parser.later_records())

    def _begin_collection(self, piece: _Piece) -> _Piece:
        """Let a collection begin, unless the piece is blank; return the piece as its parser takes it."""
        if self._has_root:
            if not piece.content.strip(_BLANKS):
                return piece
            # A declaration may stand at the start of a file only.
            body = piece.content.lstrip(_BLANKS)
            n_lines = piece.content[: len(piece.content) - len(body)].count(b"\n")
            content = _DECLARATION.sub(b"", body, count=1)
            piece = piece._replace(content=content, line=piece.line + n_lines)
        else:
            piece = piece._replace(content=move_blanks(piece.content))
        self._parser = _Parser(self._layout, self._source, piece.line)
        self._is_between = False
        return piece

    def _begin_record(self, piece: _Piece, *, is_again: bool) -> None:
        """Let a record begin after damage, in a collection of its own."""
        before = self._parser
        if self._is_between and not is_again:
            self._on_bad(self._error(piece.line, f"a record outside of <{self._layout.root}>"))
        elif before is not None and before.is_inside:
            self._on_bad(self._error(piece.line, "the record before this one has no end"))

        self._n_parsers += 1
        if self._n_parsers > MAX_PARSERS:
            raise self._error(piece.line, "too much of the file is damaged, and the rest is left out")
        self._parser = _Parser(self._layout, self._source, piece.line)
        self._parser.open()
        self._is_between = False

    def _error(self, line: int, problem: str) -> CorpusFormatError:
        return CorpusFormatError(f"{self._source}, line {line}: {problem}")


class _Parser:
    """A parser of one collection, or of the rest of one."""

    def __init__(self, layout: RecordLayout, source: str, first: int) -> None:
        self.first = first
        self.has_root = self.is_inside = False
        self._layout, self._source = layout, source
        # A record in a namespace is none, and must not vanish.
        self._parser: Any = make_parser((layout.root, *(f"{{*}}{tag}" for tag in layout.records)))
        self._pending = 0
        self._held: list[_Piece] = []  # since the start of the last record

    def open(self) -> None:
        """Begin with the root."""
        self._parser.feed(f"<{self._layout.root}>".encode())
        self.has_root = True

    def feed(self, piece: _Piece) -> Iterator[Element]:
        """Yield each record, and the root, that a piece completes.

        Raises:
            CorpusFormatError: it is not well-formed, or an element stands in a wrong place.
        """
        # More records than parsers could not be read again.
        if len(self._held) == MAX_PARSERS:
            self._held.clear()
        self._held.append(piece)
        self._pending += len(piece.content)
        problem, is_complete = self._parse(piece)
        for event, element in self._parser.read_events():
            is_root = element.tag == self._layout.root
            if not is_root and element.tag not in self._layout.records:
                message = f"found <{element.tag}>, expected {self._layout.noun} without a namespace"
                raise to_error(message, self._source, element.sourceline or 1, first=self.first)
            check_place(
                element,
                self._source,
                root=self._layout.root,
                records=self._layout.noun,
                first=self.first,
            )
            if event == "start":
                self.has_root = True
                self.is_inside = not is_root
                self._held = self._held if is_root else [piece]
                continue
            self.is_inside = False
            self._pending = 0
            if is_complete:
                yield element

        if problem is not None:
            raise problem
        if self._pending > self._layout.limit:
            size = self._layout.limit >> 20
            raise CorpusFormatError(
                f"{self._source}, line {piece.line}: found {size} MB without a complete record"
            )

    def later_records(self) -> list[_Piece]:
        """Return what was read after the record that began last, from the next start tag on."""
        starts = (index for index, piece in enumerate(self._held) if index and piece.begins)
        return self._held[next(starts, len(self._held)) :]

    def close(self, piece: _Piece) -> None:
        """End the collection.

        Raises:
            CorpusFormatError: its end is missing, or it has another root.
        """
        from lxml import etree

        try:
            root = self._parser.close()
        except etree.XMLSyntaxError as error:
            raise self._explain(error, piece) from error
        check_root(root, self._source, expected=self._layout.root, first=self.first)

    def _parse(self, piece: _Piece) -> tuple[CorpusFormatError | None, bool]:
        """Parse on; return the first problem, and whether elements that are complete lack nothing."""
        from lxml import etree

        problem: CorpusFormatError | None = None
        try:
            if piece.content:
                self._parser.feed(piece.content)
        except etree.XMLSyntaxError as error:
            problem = self._explain(error, piece)

        # The parser drops an unknown entity with a warning only, and stops without a word after some errors.
        log = list(self._parser.feed_error_log)
        is_complete = not log or log[0].level == etree.ErrorLevels.FATAL  # nothing follows a fatal error
        for entry in log[:1]:
            problem = to_error(entry.message, self._source, entry.line, first=self.first)
        return problem, is_complete

    def _explain(self, error: SyntaxError, piece: _Piece) -> CorpusFormatError:
        return explain(error, self._source, line=piece.line - self.first + 1, first=self.first)


def _iter_pieces(chunks: Iterable[bytes], layout: RecordLayout) -> Iterator[_Piece]:
    """Cut a file at the start tags of records and after the end tags of collections.

    A piece without a cut may be longer than a chunk. The end of the file is an empty piece.
    """
    starts = [f"<{tag}".encode() for tag in layout.records]
    end = f"</{layout.root}>".encode()
    longest = max(map(len, [*starts, end]))
    rest, line = b"", 1
    for chunk in chain(chunks, [None]):
        content = rest + (chunk or b"")
        begins = {
            place
            for tag in starts
            for place in _find(content, tag)
            if content[place + len(tag) : place + len(tag) + 1] in _AFTER_NAME
        }
        ends = {place + len(end) for place in _find(content, end)}
        cuts = sorted({0, *begins, *ends})

        # What follows the last cut waits for the rest of its record, or at least of its last tag.
        n_waiting = len(content) - cuts[-1]
        if chunk is None:
            cuts.append(len(content))
        elif n_waiting > _CHUNK:
            cuts.append(len(content) - longest)
        for place, stop in pairwise(cuts):
            yield _Piece(content[place:stop], line, place in begins, stop in ends)
            line += content.count(b"\n", place, stop)
        rest = content[cuts[-1] :]
    yield _Piece(b"", line, ends=True)


def _find(content: bytes, tag: bytes) -> Iterator[int]:
    place = content.find(tag)
    while place >= 0:
        yield place
        place = content.find(tag, place + 1)
