"""CoNLL: one token per line with its tag, blank lines between sentences.

Most files do not record the white space between tokens, so tokens are joined by blanks, and sentences by line
breaks. Files written here keep the offsets: a document opens with ``-DOCSTART-``, its id, ``-`` and ``O``
between tabs, and a line is token, start, end and tag. When read back, a gap between tokens becomes blanks,
and between sentences line breaks. A word has one tag, so spans that overlap, are discontinuous or cut a word
are refused. ``Document.meta`` is not written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from itertools import chain
from logging import getLogger
from typing import Literal, TextIO

from openmed_ner.errors import CorpusFormatError, InputError, UnrepresentableError
from openmed_ner.formats.conll_rows import (
    BREAKING,
    DOCSTART,
    Block,
    ConllLayout,
    Row,
    group_by_document,
    iter_blocks,
)
from openmed_ner.formats.conll_tags import check_tags, to_entities
from openmed_ner.formats.tolerance import OnBad, excerpt, fail, require_utf8
from openmed_ner.text import Document, Span, TagScheme, Token, iter_tokens
from openmed_ner.text.tags import DecodeMode, detect_scheme

MAX_GAP = 10_000
"""Most white space between two tokens, in characters; without a limit two numbers could fill the memory."""
_MAX_GAPS = 1_000_000
"""Most white space of a document, in characters, not counting the first between two tokens."""

_DOCSTART_LINE = re.compile(rf"{DOCSTART}\t([^\t]*)\t-\tO")
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

    A document takes its id from a ``-DOCSTART-`` line in the form written here, else from its source and
    first line. There are no comments: ``#`` is a token.

    Args:
        file: the open file; if it cannot be rewound, scheme detection holds its whole text in memory.
        source: name of the file in messages and document ids.
        scheme: tag scheme; detected from the whole file if ``None``.
        repair: read tags that break the scheme as the CoNLL-2000 script does, instead of refusing them.
        label: label of the bare tags ``B``, ``I``, ``E`` and ``S``.
        tag_column: index of the tag's column.
        space_column: index of a column with ``+`` where white space follows the token and ``-`` where
            none does, as Flair writes it; a sentence ends with a line break in any case.
        on_bad: called with the error of each document that is not UTF-8 or whose offsets do not fit, and of
            each tag that is missing, malformed or breaks the scheme. A file whose most tags are bad is no
            CoNLL, and ends the reading.

    Raises:
        CorpusFormatError: offsets do not fit their tokens.
        AnnotationError: a line lacks a column, or a tag is malformed or breaks the scheme.
    """
    layout = ConllLayout(source, label, tag_column, space_column)
    if scheme is None:
        file = file if file.seekable() else StringIO(file.read(), newline="\n")
        scheme = detect_file_scheme(
            file, source=source, label=label, tag_column=tag_column, tolerant=on_bad is not fail
        )

    mode: DecodeMode = repair or "strict"
    blocks = check_tags(iter_blocks(file, layout, on_bad=on_bad), scheme, mode, source, on_bad)
    # Tags that broke the scheme have been reported, so they only have to be read in some way.
    mode = mode if on_bad is fail else "conlleval"
    for docstart, sentences in group_by_document(blocks, source):
        try:
            document = _to_document(docstart, sentences, layout, scheme, mode)
        except CorpusFormatError as error:
            on_bad(error)
        else:
            yield document


def detect_file_scheme(
    file: TextIO, *, source: str, label: str = "Entity", tag_column: int = -1, tolerant: bool = False
) -> TagScheme:
    """Detect the scheme of a whole file, and return to the position before.

    For the rules see :func:`openmed_ner.text.tags.detect_scheme`.

    Args:
        file: the open file.
        source: name of the file in messages.
        label: label of the bare tags.
        tag_column: index of the tag's column.
        tolerant: if true, lines without a tag or with a malformed one are passed over, unless most are.

    Raises:
        AnnotationError: a line lacks a column, or a tag is malformed.
    """
    begin = file.tell()
    first_bad: InputError | None = None
    n_bad = n_rows = 0

    def count(error: InputError) -> None:
        nonlocal first_bad, n_bad
        first_bad, n_bad = first_bad or error, n_bad + 1

    def iter_tags() -> Iterator[list[str]]:
        nonlocal n_rows
        layout = ConllLayout(source, label, tag_column)
        for block in iter_blocks(file, layout, on_bad=count if tolerant else fail):
            n_rows += len(block)
            yield [row.tag for row in block]

    scheme = detect_scheme(iter_tags())
    if first_bad is not None and 2 * n_bad > n_rows:
        raise CorpusFormatError(str(first_bad))
    file.seek(begin)
    logger.info("%s: tags are read as %s", source, scheme.value)
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
        documents: the documents; spans are read back in order of position.
        file: target.
        scheme: tag scheme.
        exact: refuse documents that would not read back the same: white space other than blanks within a
            line, scores, corpora, attributes. Otherwise white space reads back as blanks (offsets stay true),
            a line break within an entity opens no sentence, and scores, corpora and attributes are dropped.
        on_bad: called with the error of each refused document.

    Raises:
        UnrepresentableError: one tag per word cannot hold a document, or, if ``exact``, it would not read
            back the same.
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
    docstart: Row | None, sentences: Sequence[Block], layout: ConllLayout, scheme: TagScheme, mode: DecodeMode
) -> Document:
    for row in chain([docstart] if docstart else [], *sentences):
        try:
            require_utf8(row.columns[1] if row is docstart else "\t".join(row.columns))
        except ValueError as error:
            raise CorpusFormatError(f"{layout.source}, line {row.number}: {error}") from error

    first = docstart or sentences[0][0]
    # Only files written here have offsets; elsewhere numbers in these columns may mean anything.
    own_line = _DOCSTART_LINE.fullmatch(docstart.columns[1]) if docstart else None
    with_offsets = own_line and layout.space_column is None and any(map(_offsets, chain(*sentences)))
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

    identifier = (
        own_line[1] if own_line and own_line[1] not in _NAMELESS else f"{layout.source}:{first.number}"
    )
    return Document(identifier, "".join(pieces), tuple(spans))


def _gaps_by_mark(sentences: Sequence[Block], layout: ConllLayout) -> Iterator[str]:
    """Yield the gap before each token: nothing, a blank or a line break."""
    gap, index = "", layout.space_column
    for sentence in sentences:
        for row in sentence:
            yield gap
            gap = "" if index is not None and row.columns[index] == "-" else " "
        gap = "\n"


def _gaps_by_offset(sentences: Sequence[Block], layout: ConllLayout) -> Iterator[str]:
    """Yield the gap before each token: the number of blanks or line breaks that the offsets give."""
    end = n_blanks = 0
    for n_before, sentence in enumerate(sentences):
        for index, row in enumerate(sentence):
            start, stop = _offsets(row) or (-1, -1)
            n_blanks += max(start - end - 1, 0)
            if n_blanks > _MAX_GAPS and start <= end + MAX_GAP:
                raise CorpusFormatError(
                    f"{layout.source}, line {row.number}: the offsets of this document need more than "
                    f"{_MAX_GAPS} blanks beyond those between words; at most {_MAX_GAPS} are filled in"
                )
            if not end <= start <= end + MAX_GAP or stop - start != len(row.token):
                raise CorpusFormatError(
                    f"{layout.source}, line {row.number}: expected token, start, end and tag between tabs, "
                    f"the token as long as its offsets say; it starts at {end} or at most {MAX_GAP} "
                    f"characters later, found {excerpt(' '.join(row.columns))}"
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

    # A line break opens a sentence, but not inside an entity, which would be torn in two.
    inside = {word for first, last, _ in entities for word in range(first + 1, last)}
    ends = [0, *(token.end for token in tokens)]
    gaps = [document.text[end : token.start] for end, token in zip(ends, tokens, strict=False)]
    opens_sentence = [word > 0 and "\n" in gap and word not in inside for word, gap in enumerate(gaps)]
    _require_readable(document.text, tokens, gaps, opens_sentence, exact=exact)

    # A row without a word, always outside, stands for the blank line between two sentences.
    rows: list[Token | None] = []
    places: list[int] = []
    for token, after_break in zip(tokens, opens_sentence, strict=True):
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
    text: str, tokens: Sequence[Token], gaps: Sequence[str], opens_sentence: Sequence[bool], *, exact: bool
) -> None:
    """Refuse a text that would read back longer, shorter or otherwise."""
    for token, gap, after_break in zip(tokens, gaps, opens_sentence, strict=True):
        if len(gap) > MAX_GAP:
            raise ValueError(
                f"{len(gap)} characters of white space before {token.start}, more than {MAX_GAP}"
            )
        blank = "\n" if after_break else " "
        if exact and gap.strip(blank):
            raise ValueError(
                f"white space {gap[:20]!r} before {token.start} would read back as {blank * len(gap)!r:.22}; "
                f"pass exact=False to accept that"
            )
    if sum(max(len(gap) - 1, 0) for gap in gaps) > _MAX_GAPS:
        raise ValueError(f"more than {_MAX_GAPS} characters of white space beyond those between words")
    if exact and (end := tokens[-1].end if tokens else 0) < len(text):
        raise ValueError(
            f"white space {text[end : end + 20]!r} at the end would be lost; pass exact=False to accept that"
        )
