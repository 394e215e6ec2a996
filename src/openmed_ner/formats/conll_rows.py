"""Rows of a CoNLL file: its columns, its sentences, and the ``-DOCSTART-`` lines that open a document.

Columns are separated by tabs, or by blanks in a line without a tab. The token comes first, and the layout
gives the column of the tag. Blocks come one by one, so memory holds a sentence, or a document if the file has
``-DOCSTART-`` lines. Each line is checked alone; ``conll_tags`` checks the order of tags.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

from openmed_ner.errors import AnnotationError, CorpusFormatError
from openmed_ner.formats.tolerance import OnBad, excerpt, fail
from openmed_ner.text import OUTSIDE
from openmed_ner.text.tags import split_tag

DOCSTART = "-DOCSTART-"
BREAKING = re.compile("[\t\n\r]")
"""Characters that a column cannot hold."""


@dataclass(frozen=True, slots=True)
class ConllLayout:
    """Layout of a file.

    Attributes:
        source: name of the file in messages.
        label: label of the bare tags ``B``, ``I``, ``E`` and ``S``.
        tag_column: index of the tag's column.
        space_column: index of the column that marks white space after a token.
    """

    source: str
    label: str
    tag_column: int
    space_column: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A line that is not blank: a token and its tag, or a ``-DOCSTART-`` line."""

    number: int
    columns: tuple[str, ...]
    tag: str

    @property
    def token(self) -> str:
        """The first column."""
        return self.columns[0]


Block = Sequence[Row]
"""The rows of a sentence, or a ``-DOCSTART-`` line alone."""


def iter_blocks(file: TextIO, layout: ConllLayout, *, on_bad: OnBad = fail) -> Iterator[Block]:
    """Yield the sentences and the ``-DOCSTART-`` lines of a file, in order.

    A line without a tag, or with a malformed one, goes to ``on_bad``; its token is then outside.

    Raises:
        CorpusFormatError: a line lacks the mark of the white space after its token.
        AnnotationError: a line lacks another column, or a tag is malformed.
    """
    rows: list[Row] = []
    for number, line in enumerate(file, start=1):
        content = (line.removeprefix("\ufeff") if number == 1 else line).removesuffix("\n").removesuffix("\r")
        columns = _split(content)

        opens_document = columns[:1] == (DOCSTART,)
        if rows and (opens_document or not columns):
            yield rows
            rows = []

        if opens_document:
            yield [Row(number, (DOCSTART, content), OUTSIDE)]
        elif columns:
            rows += _read_row(number, columns, layout, on_bad)
    if rows:
        yield rows


def group_by_document(blocks: Iterable[Block], source: str) -> Iterator[tuple[Row | None, list[Block]]]:
    """Yield the ``-DOCSTART-`` line and the sentences of each document.

    In a file without such lines, each sentence is a document.

    Raises:
        CorpusFormatError: a ``-DOCSTART-`` line follows sentences without one.
    """
    docstart: Row | None = None
    sentences: list[Block] = []
    has_loose_sentences = False
    for block in blocks:
        if block[0].token == DOCSTART:
            if has_loose_sentences:
                raise CorpusFormatError(
                    f"{source}, line {block[0].number}: a {DOCSTART} line after tokens without one. "
                    f"Put one before the first token, or remove them all"
                )
            if docstart:
                yield docstart, sentences
            docstart, sentences = block[0], []
        elif docstart:
            sentences.append(block)
        else:
            yield None, [block]
            has_loose_sentences = True

    if docstart:
        yield docstart, sentences


def _split(line: str) -> tuple[str, ...]:
    if not line.strip():
        return ()
    # One tab decides for the whole line: between tabs, a token may hold blanks.
    if "\t" in line:
        return tuple(line.split("\t"))
    return tuple(column for column in line.split(" ") if column)


def _read_row(number: int, columns: tuple[str, ...], layout: ConllLayout, on_bad: OnBad) -> list[Row]:
    """The row of a line; nothing if the line is bad and has no token."""
    place = f"{layout.source}, line {number}"
    try:
        tag = _read_tag(columns, layout)
    except ValueError as error:
        on_bad(AnnotationError(f"{place}: {error}"))
        if not columns[0]:
            return []
        tag = OUTSIDE
    if layout.space_column is not None:
        _require_space_mark(columns, layout.space_column, place)
    return [Row(number, columns, tag)]


def _read_tag(columns: tuple[str, ...], layout: ConllLayout) -> str:
    last = len(columns) - 1
    index = layout.tag_column + (len(columns) if layout.tag_column < 0 else 0)
    if not columns[0] or not 0 < index <= last:
        raise ValueError(
            f"expected a token, and a tag in column {layout.tag_column}, "
            f"found {excerpt(' '.join(columns))}. Name the column of the tags with tag_column"
        )

    tag = columns[index].strip(" ")
    tag = f"{tag}-{layout.label}" if tag in ("B", "I", "E", "S") else tag
    try:
        split_tag(tag)
    except ValueError as error:
        way_out = "For BILOU and BMEWO, write L as E, U and W as S, M as I"
        if " " in tag:
            way_out = "A table of texts needs a first line with the names of its columns, one of them 'text'"
        raise ValueError(f"{str(error)[:200]}. {way_out}") from error
    return tag


def _require_space_mark(columns: tuple[str, ...], index: int, place: str) -> None:
    if not -len(columns) <= index < len(columns) or columns[index] not in ("+", "-"):
        raise CorpusFormatError(
            f"{place}: expected '+' or '-' in column {index}, found {excerpt(' '.join(columns))}. "
            f"Omit space_column if the file has no such column"
        )
