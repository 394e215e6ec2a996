"""PubTator: ``id|t|title``, ``id|a|abstract`` and one tab-separated line per mention.

Offsets run over the title, one separator and the abstract. The text built here is the same, with a blank as
separator. Fields after the label (concept, parts of a composite mention) are not kept.

Any blank can be that separator, so a document is written with its first sentence as title, and reads back the
same. Tabs and line breaks are refused, or with ``exact=False`` replaced by blanks one by one: offsets stay
true, but the text changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import TextIO

from openmed_ner.errors import CorpusFormatError, UnrepresentableError
from openmed_ner.formats.tolerance import OnBad, excerpt, fail, require_utf8
from openmed_ner.text import Document, Span

_PASSAGE = re.compile(r"([^|\t]+)\|([ta])\|(.*)", re.DOTALL)
_OFFSET = re.compile("[0-9]{1,18}")
_N_RELATION_FIELDS = 4
_IDENTIFIER = re.compile("(?!\ufeff)[^|\t\r\n]+")
_TITLE = re.compile("(.*?[.?!]) (.*)", re.DOTALL)
_BREAKS = re.compile("[\t\n\x0b\x0c\r\x1c-\x1e\x85\u2028\u2029]")
"""The tab, and every line end of ``str.splitlines``."""
Line = tuple[int, str]


def read_pubtator(
    file: TextIO, *, source: str, on_bad: OnBad = fail, max_drift: int = 0
) -> Iterator[Document]:
    """Yield one document per block of lines; a byte order mark is dropped, a bad block goes to ``on_bad``.

    Relations (``id, type, concept, concept``) are ignored. Blanks at the end of a mention are not compared:
    the NCBI-Disease release has such a line (10923035, 711..761).

    Args:
        file: open file.
        source: name of the file, for messages.
        on_bad: called with the error of each bad block.
        max_drift: largest distance of a mention from its offsets, in characters. A mention that is not at its
            offsets is read where its text occurs nearest to them.

    Raises:
        CorpusFormatError: a block lacks a title, a line does not parse, names another document, or its
            mention differs from the text at its offsets.
    """
    lines = (
        (number, line.removeprefix("\ufeff" * (number == 1)).rstrip("\r\n"))
        for number, line in enumerate(file, start=1)
    )
    for has_text, block in groupby(lines, key=lambda line: bool(line[1].strip())):
        if not has_text:
            continue
        try:
            document = _read_block(list(block), source, max_drift)
        except CorpusFormatError as error:
            on_bad(error)
        else:
            yield document


def _read_block(lines: list[Line], source: str, max_drift: int) -> Document:
    for number, line in lines:
        try:
            require_utf8(line)
        except ValueError as error:
            raise CorpusFormatError(f"{source}, line {number}: {error}") from error

    number, first = lines[0]
    title = _PASSAGE.fullmatch(first)
    if title is None or title[2] != "t":
        raise CorpusFormatError(f"{source}, line {number}: expected 'id|t|title', found {excerpt(first)}")

    identifier, text = title[1], title[3]
    mentions = lines[1:]
    if mentions and (abstract := _PASSAGE.fullmatch(mentions[0][1])) and abstract[2] == "a":
        text = f"{text} {abstract[3]}"
        mentions = mentions[1:]
    spans = [_read_mention(line, identifier, text, source, max_drift) for line in mentions]
    return Document(identifier, text, tuple(span for span in spans if span is not None))


def _read_mention(line: Line, identifier: str, text: str, source: str, max_drift: int) -> Span | None:
    number, content = line
    place = f"{source}, line {number}"
    fields = content.split("\t")
    if fields[0] != identifier:
        raise CorpusFormatError(f"{place}: expected document {identifier!r}, found {excerpt(content)}")
    # A relation of BC5CDR: id, CID, concept, concept. A mention has a number in the second field.
    if len(fields) == _N_RELATION_FIELDS and not fields[1].isdigit():
        return None
    if len(fields) < 5 or not all(map(_OFFSET.fullmatch, fields[1:3])):
        raise CorpusFormatError(
            f"{place}: expected id, start, end, mention and label between tabs, found {excerpt(content)}"
        )

    start, end, mention, label = int(fields[1]), int(fields[2]), fields[3], fields[4]
    matches = text[start:end] in (mention, mention.rstrip())
    if not matches and (nearest := _find_nearest(mention, text, start, max_drift)) is not None:
        start, end, matches = nearest, nearest + len(mention), True

    if not start < end <= len(text) or not label:
        raise CorpusFormatError(
            f"{place}: span {start}..{end} {label!r} does not fit a text of {len(text)} characters"
        )
    if not matches:
        raise CorpusFormatError(
            f"{place}: characters {start}..{end} are {text[start:end]!r}, but the line has {mention!r}"
        )
    return Span(start, end, label)


def _find_nearest(mention: str, text: str, start: int, max_drift: int) -> int | None:
    """Return the offset of the occurrence that is nearest to ``start``; ``None`` if all are too far."""
    first, last = max(start - max_drift, 0), start + max_drift
    starts = [place for place in range(first, last + 1) if text.startswith(mention, place)]
    return min(starts, key=lambda place: abs(place - start)) if max_drift and starts else None


def write_pubtator(
    documents: Iterable[Document], file: TextIO, *, exact: bool = True, on_bad: OnBad = fail
) -> None:
    """Write title, abstract and mentions of each document, and a blank line; ``meta`` is dropped.

    Args:
        documents: the documents.
        file: target.
        exact: refuse documents that would not read back the same. Otherwise tabs and line breaks become
            blanks, and scores, corpora and attributes are dropped.
        on_bad: called with the error of each refused document.

    Raises:
        UnrepresentableError: a document has an empty id or one with ``|``, tab or line break, a label with
            tab or line break, or a discontinuous span; if ``exact``, also a text with a line break, a mention
            with a tab, or a span with score, corpus or attributes.
    """
    for document in documents:
        target = document if exact else _flatten(document)
        if reason := _refusal(target):
            on_bad(UnrepresentableError(f"document {document.id!r}: PubTator cannot hold {reason}"))
            continue
        file.write("\n".join([*_passages(target), *_mentions(target)]) + "\n\n")


def _flatten(document: Document) -> Document:
    """Replace each tab and line break of the text by a blank; drop all but the places and labels of spans."""
    spans = tuple(Span(span.start, span.end, span.label, fragments=span.fragments) for span in document.spans)
    return replace(document, text=_BREAKS.sub(" ", document.text), spans=spans)


def _refusal(document: Document) -> str | None:
    """Return the reason why a document cannot be written; ``None`` if it can."""
    if not _IDENTIFIER.fullmatch(document.id):
        return "this id, which is empty, begins with a byte order mark, or has '|', a tab or a line break"
    if re.search("[\r\n]", document.text):
        return "a text with line breaks; choose another format, or let them become blanks"

    for span in document.spans:
        subject = f"the span {span.start}..{span.end} ({span.label!r})"
        if span.fragments:
            return f"{subject}, which is discontinuous"
        if re.search("[\t\r\n]", span.label):
            return f"{subject}, whose label has a tab or a line break"
        if "\t" in document.mention(span):
            return f"{subject}, whose mention has a tab"
        if span != Span(span.start, span.end, span.label):
            return f"{subject}, which has a score, a corpus or attributes"
    return None


def _passages(document: Document) -> list[str]:
    title = _TITLE.fullmatch(document.text)
    if title is None:
        return [f"{document.id}|t|{document.text}"]
    return [f"{document.id}|t|{title[1]}", f"{document.id}|a|{title[2]}"]


def _mentions(document: Document) -> list[str]:
    return [
        f"{document.id}\t{span.start}\t{span.end}\t{document.mention(span)}\t{span.label}"
        for span in document.spans
    ]
