"""Rows of a CoNLL file: its columns, its sentences, and the lines that open a document.

Columns stand between tabs, or between blanks where a line has no tab; the token comes first, and the tag
where the layout says. Blocks come one by one, so no more of a file is held than a sentence, or a document
that has a head. The price: a line is judged alone, and whether its tag follows the scheme is left open.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

from openmed_ner.errors import CorpusFormatError
from openmed_ner.text import OUTSIDE
from openmed_ner.text.tags import split_tag

DOCSTART = "-DOCSTART-"
BREAKING = re.compile("[\t\n\r]")
"""What a column cannot hold."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What to call a file, where its columns stand, and the label of a tag without one."""

    source: str
    label: str
    tag_column: int
    space_column: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A line that is not blank: a token and its tag, or the head of a document."""

    number: int
    columns: tuple[str, ...]
    tag: str

    @property
    def token(self) -> str:
        """The first column."""
        return self.columns[0]


Block = Sequence[Row]
"""The rows of a sentence, or the head of a document alone."""


def iter_blocks(file: TextIO, layout: Layout) -> Iterator[Block]:
    """Yield the sentences of a file and the heads of its documents, in order.

    Raises:
        CorpusFormatError: a line lacks a column, or a tag is malformed.
    """
    rows: list[Row] = []
    for number, line in enumerate(file, start=1):
        content = (line.removeprefix("\ufeff") if number == 1 else line).removesuffix("\n").removesuffix("\r")
        columns = _split(content)
        opens = columns[:1] == (DOCSTART,)
        if rows and (opens or not columns):
            yield rows
            rows = []
        if opens:
            yield [Row(number, (DOCSTART, content), OUTSIDE)]
        elif columns:
            rows.append(_to_row(number, columns, layout))
    if rows:
        yield rows


def group_by_head(blocks: Iterable[Block], source: str) -> Iterator[tuple[Row | None, list[Block]]]:
    """Yield the head of each document, and its sentences; without heads, each sentence is a document.

    Raises:
        CorpusFormatError: a head follows sentences that have none.
    """
    head: Row | None = None
    sentences: list[Block] = []
    headless = False
    for block in blocks:
        if block[0].token == DOCSTART:
            if headless:
                raise CorpusFormatError(
                    f"{source}, line {block[0].number}: a {DOCSTART} line after tokens that have none. "
                    f"Put one before the first token, or take them all out"
                )
            if head:
                yield head, sentences
            head, sentences = block[0], []
        elif head:
            sentences.append(block)
        else:
            yield None, [block]
            headless = True
    if head:
        yield head, sentences


def show(content: str) -> str:
    """The beginning of what was found, for a message."""
    return repr(content[:60])


def _split(line: str) -> tuple[str, ...]:
    if not line.strip():
        return ()
    if "\t" in line:
        return tuple(line.split("\t"))
    return tuple(column for column in line.split(" ") if column)


def _to_row(number: int, columns: tuple[str, ...], layout: Layout) -> Row:
    where = f"{layout.source}, line {number}"
    last = len(columns) - 1
    place = layout.tag_column + (len(columns) if layout.tag_column < 0 else 0)
    if not columns[0] or not 0 < place <= last:
        raise CorpusFormatError(
            f"{where}: expected a token, and a tag in column {layout.tag_column}, "
            f"found {show(' '.join(columns))}. Name the column of the tags with tag_column"
        )
    tag = columns[place].strip(" ")
    tag = f"{tag}-{layout.label}" if tag in ("B", "I", "E", "S") else tag
    try:
        split_tag(tag)
    except ValueError as error:
        raise CorpusFormatError(
            f"{where}: {str(error)[:200]}. Of BILOU and BMEWO tags, write L as E, U and W as S, M as I"
        ) from error
    if layout.space_column is not None:
        _require_space_mark(columns, layout.space_column, where)
    return Row(number, columns, tag)


def _require_space_mark(columns: tuple[str, ...], place: int, where: str) -> None:
    if not -len(columns) <= place < len(columns) or columns[place] not in ("+", "-"):
        raise CorpusFormatError(
            f"{where}: expected '+' or '-' in column {place}, found {show(' '.join(columns))}. "
            f"Leave out space_column if the file has no such column"
        )
