"""PubTator: ``id|t|title``, ``id|a|abstract`` and one tab-separated line per mention.

Offsets run over the title, one separator and the abstract; the text built here is just that, with
a blank as separator. Fields after the label (concept, parts of a composite mention) are not kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from typing import TextIO

from openmed_ner.errors import CorpusFormatError
from openmed_ner.text import Document, Span

_PASSAGE = re.compile(r"([^|\t]+)\|([ta])\|(.*)", re.DOTALL)
_OFFSET = re.compile("[0-9]{1,18}")
_N_RELATION_FIELDS = 4
Line = tuple[int, str]


def read_pubtator(file: TextIO, *, source: str) -> Iterator[Document]:
    """Yield one document per block of lines.

    Relations (``id, type, concept, concept``) are passed over. Blanks at the end of a mention are not
    compared: the NCBI-Disease release has such a line (10923035, 711..761).

    Raises:
        CorpusFormatError: a block lacks a title, a line does not parse, names another document, or its
            mention is not what stands at its offsets.
    """
    lines = ((number, line.rstrip("\r\n")) for number, line in enumerate(file, start=1))
    for has_text, block in groupby(lines, key=lambda line: bool(line[1].strip())):
        if has_text:
            yield _read_block(list(block), source)


def _read_block(lines: list[Line], source: str) -> Document:
    number, first = lines[0]
    title = _PASSAGE.fullmatch(first)
    if title is None or title[2] != "t":
        raise CorpusFormatError(f"{source}, line {number}: expected 'id|t|title', found {first[:60]!r}")
    identifier, text = title[1], title[3]
    mentions = lines[1:]
    if mentions and (abstract := _PASSAGE.fullmatch(mentions[0][1])) and abstract[2] == "a":
        text = f"{text} {abstract[3]}"
        mentions = mentions[1:]
    spans = [_read_mention(line, identifier, text, source) for line in mentions]
    return Document(identifier, text, tuple(span for span in spans if span is not None))


def _read_mention(line: Line, identifier: str, text: str, source: str) -> Span | None:
    number, content = line
    where = f"{source}, line {number}"
    fields = content.split("\t")
    if fields[0] != identifier:
        raise CorpusFormatError(f"{where}: expected document {identifier!r}, found {content[:60]!r}")
    if len(fields) == _N_RELATION_FIELDS and not fields[1].isdigit():
        return None
    if len(fields) < 5 or not all(map(_OFFSET.fullmatch, fields[1:3])):
        raise CorpusFormatError(
            f"{where}: expected id, start, end, mention and label between tabs, found {content[:60]!r}"
        )
    start, end, mention, label = int(fields[1]), int(fields[2]), fields[3], fields[4]
    if not start < end <= len(text) or not label:
        raise CorpusFormatError(
            f"{where}: span {start}..{end} {label!r} does not fit a text of {len(text)} characters"
        )
    if text[start:end] != mention and text[start:end] != mention.rstrip():
        raise CorpusFormatError(
            f"{where}: characters {start}..{end} are {text[start:end]!r}, but the line says {mention!r}"
        )
    return Span(start, end, label)
