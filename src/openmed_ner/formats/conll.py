"""CoNLL: one token per line with its tag, blank lines between sentences.

Such a file does not say what stood between its tokens, so their text is joined by blanks, and sentences
by line breaks. What is written here keeps the offsets: a document opens with ``-DOCSTART-``, its id,
``-`` and ``O`` between tabs, and a line is token, start, end and tag; read back, a gap between
tokens is blanks, and line breaks between sentences. The price: a word has one tag, so spans that
overlap, are discontinuous or cut a word are refused. ``Document.meta`` is not written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from itertools import chain
from logging import getLogger
from typing import Literal, TextIO

from openmed_ner.errors import CorpusFormatError, UnrepresentableError
from openmed_ner.formats.conll_rows import (
    BREAKING,
    DOCSTART,
    Block,
    Layout,
    Row,
    group_by_head,
    iter_blocks,
    show,
)
from openmed_ner.formats.conll_tags import check_tags, to_entities
from openmed_ner.formats.tolerance import OnBad, fail
from openmed_ner.text import Document, Span, TagScheme, Token, iter_tokens
from openmed_ner.text.tags import DecodeMode, detect_scheme

MAX_GAP = 10_000
"""White space between two tokens, in characters; more would let two numbers fill the memory."""
_MAX_GAPS = 1_000_000
"""White space of a whole document, in characters, not counting the first between two tokens."""

_HEAD = re.compile(rf"{DOCSTART}\t([^\t]*)\t-\tO")
_NAMELESS = ("", "-")
_OFFSET = re.compile("[0-9]{1,18}")

logger = getLogger(__name__)


def read_conll(
    file: TextIO,
    *,
    source: str,
    scheme: TagScheme | None = None,
    repair: Literal["conlleval"] | None = None,
    label: str = "Entity",
    tag_column: int = -1,
    space_column: int | None = None,
    on_bad: OnBad = fail,
) -> Iterator[Document]:
    """Yield one document per ``-DOCSTART-`` line, or per block of lines in a file without one.

    A document is named by its ``-DOCSTART-`` line if that is as written here, else after its source
    and first line. There are no comments: ``#`` is a token.

    Args:
        file: the open file; if it cannot be rewound, telling its scheme takes as much memory as its text.
        source: what to call it in messages and document ids.
        scheme: how its tags are written; told from the whole file if ``None``.
        repair: read tags that break the scheme as the CoNLL-2000 script does, instead of refusing them.
        label: label of the bare tags ``B``, ``I``, ``E`` and ``S``.
        tag_column: index of the tag.
        space_column: index of a column with ``+`` where white space follows the token and ``-`` where
            none does, as Flair writes it; a sentence ends with a line break all the same.
        on_bad: told of each document whose offsets do not fit; what else is wrong ends the reading, for the
            scheme is that of the whole file.

    Raises:
        CorpusFormatError: a line lacks a column, a tag is malformed or breaks the scheme, or offsets do
            not fit their tokens.
    """
    layout = Layout(source, label, tag_column, space_column)
    if scheme is None:
        file = file if file.seekable() else StringIO(file.read(), newline="\n")
        scheme = detect_file_scheme(file, source=source, label=label, tag_column=tag_column)
    mode: DecodeMode = repair or "strict"
    blocks = check_tags(iter_blocks(file, layout), scheme, mode, source)
    for head, sentences in group_by_head(blocks, source):
        try:
            document = _to_document(head, sentences, layout, scheme, mode)
        except CorpusFormatError as error:
            on_bad(error)
        else:
            yield document


def detect_file_scheme(
    file: TextIO, *, source: str, label: str = "Entity", tag_column: int = -1
) -> TagScheme:
    """Tell the scheme of a whole file, and rewind it to where it was.

    The rules are those of :func:`openmed_ner.text.tags.detect_scheme`.

    Raises:
        CorpusFormatError: a line lacks a column, or a tag is malformed.
    """
    begin = file.tell()
    blocks = iter_blocks(file, Layout(source, label, tag_column))
    scheme = detect_scheme([row.tag for row in block] for block in blocks)
    file.seek(begin)
    logger.info("%s: its tags are read as %s", source, scheme.value)
    return scheme


def write_conll(
    documents: Iterable[Document],
    file: TextIO,
    *,
    scheme: TagScheme = TagScheme.IOB2,
    exact: bool = True,
    on_bad: OnBad = fail,
) -> None:
    """Write one line per word, and a new sentence after every line break.

    Args:
        documents: what to write; spans come back in order of position.
        file: where to.
        scheme: how to write the tags.
        exact: refuse what would not read back the same: white space other than blanks within a line,
            scores, corpora, attributes. Otherwise white space reads back as blanks (offsets stay true), an
            entity keeps its lines together, and scores, corpora and attributes are left out.
        on_bad: told of each document that is refused.

    Raises:
        UnrepresentableError: a document holds what one tag per word cannot, or, if ``exact``, what would
            not read back the same.
    """
    for document in documents:
        try:
            lines = _to_lines(document, scheme, exact=exact)
        except ValueError as error:
            on_bad(UnrepresentableError(f"document {document.id!r} does not fit CoNLL: {error}"))
        else:
            file.write(lines)


# --- reading


def _to_document(
    head: Row | None, sentences: Sequence[Block], layout: Layout, scheme: TagScheme, mode: DecodeMode
) -> Document:
    first = head or sentences[0][0]
    named = _HEAD.fullmatch(head.columns[1]) if head else None  # the line as written here
    with_offsets = named and layout.space_column is None and any(map(_offsets, chain(*sentences)))
    gaps = _gaps_by_offset(sentences, layout) if with_offsets else _gaps_by_mark(sentences, layout)
    pieces: list[str] = []
    spans: list[Span] = []
    end = 0
    for sentence in sentences:
        tokens: list[Token] = []
        for row, gap in zip(sentence, gaps, strict=False):
            tokens.append(Token(end + len(gap), end + len(gap) + len(row.token)))
            pieces += [gap, row.token]
            end = tokens[-1].end
        entities = scheme.decode([row.tag for row in sentence], mode=mode)
        spans += [Span(tokens[first].start, tokens[last - 1].end, label) for first, last, label in entities]
    identifier = named[1] if named and named[1] not in _NAMELESS else f"{layout.source}:{first.number}"
    return Document(identifier, "".join(pieces), tuple(spans))


def _gaps_by_mark(sentences: Sequence[Block], layout: Layout) -> Iterator[str]:
    """Yield what stands before each token: nothing, a blank or a line break."""
    gap, place = "", layout.space_column
    for sentence in sentences:
        for row in sentence:
            yield gap
            gap = "" if place is not None and row.columns[place] == "-" else " "
        gap = "\n"


def _gaps_by_offset(sentences: Sequence[Block], layout: Layout) -> Iterator[str]:
    """Yield what stands before each token: as many blanks or line breaks as the offsets tell."""
    end = n_blanks = 0
    for n_before, sentence in enumerate(sentences):
        for index, row in enumerate(sentence):
            start, stop = _offsets(row) or (-1, -1)
            n_blanks += max(start - end - 1, 0)
            if n_blanks > _MAX_GAPS and start <= end + MAX_GAP:
                raise CorpusFormatError(
                    f"{layout.source}, line {row.number}: the offsets of this document ask for more than "
                    f"{_MAX_GAPS} blanks beyond those between words; no more are filled in"
                )
            if not end <= start <= end + MAX_GAP or stop - start != len(row.token):
                raise CorpusFormatError(
                    f"{layout.source}, line {row.number}: expected a token that is as long as its offsets "
                    f"say, and starts at {end} or at most {MAX_GAP} characters later, between tabs with "
                    f"start, end and tag, found {show(' '.join(row.columns))}"
                )
            yield ("\n" if n_before and not index else " ") * (start - end)
            end = stop


def _offsets(row: Row) -> tuple[int, int] | None:
    if len(row.columns) != 4 or not all(map(_OFFSET.fullmatch, row.columns[1:3])):
        return None
    return int(row.columns[1]), int(row.columns[2])


# --- writing


def _to_lines(document: Document, scheme: TagScheme, *, exact: bool) -> str:
    """Write one document.

    Raises:
        ValueError: it does not fit.
    """
    if BREAKING.search(document.id) or document.id in _NAMELESS:
        raise ValueError("its id is empty, '-', or holds a tab or a line end")
    tokens = list(iter_tokens(document.text))
    entities = to_entities(document, tokens, exact=exact)
    inside = {word for first, last, _ in entities for word in range(first + 1, last)}
    ends = [0, *(token.end for token in tokens)]
    gaps = [document.text[end : token.start] for end, token in zip(ends, tokens, strict=False)]
    opens = [word > 0 and "\n" in gap and word not in inside for word, gap in enumerate(gaps)]
    _require_readable(document.text, tokens, gaps, opens, exact=exact)
    # A row without a word, always outside, stands for the blank line between two sentences.
    rows: list[Token | None] = []
    places: list[int] = []
    for token, after_break in zip(tokens, opens, strict=True):
        rows += [None, token] if after_break else [token]
        places.append(len(rows) - 1)
    tags = scheme.encode(
        len(rows), [(places[first], places[last - 1] + 1, label) for first, last, label in entities]
    )
    lines = [
        f"{document.text[row.start : row.end]}\t{row.start}\t{row.end}\t{tag}" if row else ""
        for row, tag in zip(rows, tags, strict=True)
    ]
    return "".join(f"{line}\n" for line in (f"{DOCSTART}\t{document.id}\t-\tO", "", *lines, ""))


def _require_readable(
    text: str, tokens: Sequence[Token], gaps: Sequence[str], opens: Sequence[bool], *, exact: bool
) -> None:
    """Refuse a text that would read back longer, shorter or otherwise."""
    for token, gap, after_break in zip(tokens, gaps, opens, strict=True):
        if len(gap) > MAX_GAP:
            raise ValueError(
                f"{len(gap)} characters of white space before {token.start}, more than {MAX_GAP}"
            )
        kept = "\n" if after_break else " "
        if exact and gap.strip(kept):
            raise ValueError(
                f"white space {gap[:20]!r} before {token.start} would read back as {kept * len(gap)!r:.22}; "
                f"pass exact=False to write it all the same"
            )
    if sum(max(len(gap) - 1, 0) for gap in gaps) > _MAX_GAPS:
        raise ValueError(f"more than {_MAX_GAPS} characters of white space beyond those between words")
    if exact and (end := tokens[-1].end if tokens else 0) < len(text):
        raise ValueError(
            f"white space {text[end : end + 20]!r} at the end would be lost; "
            f"pass exact=False to write it all the same"
        )
