"""CoNLL: one token per line with its tag, blank lines between sentences.

Columns stand between tabs, or between blanks where a line has no tab; the token comes first. Such a
file does not say what stood between its tokens, so their text is joined by blanks, and sentences by
line breaks. What is written here keeps the offsets: a document opens with ``-DOCSTART-``, its id,
``-`` and ``O`` between tabs, and a line is token, start, end and tag; read back, a gap between
tokens is blanks, and line breaks between sentences. The price: a word has one tag, so spans that
overlap, are discontinuous or cut a word are refused. ``Document.meta`` is not written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import chain, pairwise
from logging import getLogger
from typing import Literal, TextIO

from openmed_ner.errors import CorpusFormatError, UnrepresentableError
from openmed_ner.formats.tolerance import OnBad, fail
from openmed_ner.text import OUTSIDE, Document, Span, TagScheme, Token, iter_tokens
from openmed_ner.text.schemes import DecodeMode, Entity, detect_scheme, split_tag

MAX_GAP = 10_000
"""White space between two tokens, in characters; more would let two numbers fill the memory."""
_MAX_GAPS = 1_000_000
"""White space of a whole document, in characters, not counting the first between two tokens."""

_DOCSTART = "-DOCSTART-"
_HEAD = re.compile(rf"{_DOCSTART}\t([^\t]*)\t-\tO")
_NAMELESS = ("", "-")
_OFFSET = re.compile("[0-9]{1,18}")
_BREAKING = re.compile("[\t\n\r]")

logger = getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Layout:
    """What to call a file, where its columns stand, and the label of a tag without one."""

    source: str
    label: str = ""
    tag_column: int = -1
    space_column: int | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    """A line that is not blank: a token and its tag, or the head of a document."""

    number: int
    columns: tuple[str, ...]
    tag: str

    @property
    def token(self) -> str:
        """The first column."""
        return self.columns[0]


_Block = Sequence[_Row]
"""The rows of a sentence, or the head of a document alone."""


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
    layout = _Layout(source, label, tag_column, space_column)
    if scheme is None:
        file = file if file.seekable() else StringIO(file.read(), newline="\n")
        scheme = detect_file_scheme(file, source=source, label=label, tag_column=tag_column)
    mode: DecodeMode = repair or "strict"
    blocks = _check(_iter_blocks(file, layout), scheme, mode, source)
    for head, sentences in _group(blocks, source):
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

    The rules are those of :func:`openmed_ner.text.schemes.detect_scheme`.

    Raises:
        CorpusFormatError: a line lacks a column, or a tag is malformed.
    """
    begin = file.tell()
    blocks = _iter_blocks(file, _Layout(source, label, tag_column))
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


def _iter_blocks(file: TextIO, layout: _Layout) -> Iterator[_Block]:
    rows: list[_Row] = []
    for number, line in enumerate(file, start=1):
        content = (line.removeprefix("\ufeff") if number == 1 else line).removesuffix("\n").removesuffix("\r")
        columns = _split(content)
        opens = columns[:1] == (_DOCSTART,)
        if rows and (opens or not columns):
            yield rows
            rows = []
        if opens:
            yield [_Row(number, (_DOCSTART, content), OUTSIDE)]
        elif columns:
            rows.append(_to_row(number, columns, layout))
    if rows:
        yield rows


def _split(line: str) -> tuple[str, ...]:
    if not line.strip():
        return ()
    if "\t" in line:
        return tuple(line.split("\t"))
    return tuple(column for column in line.split(" ") if column)


def _to_row(number: int, columns: tuple[str, ...], layout: _Layout) -> _Row:
    where = f"{layout.source}, line {number}"
    last = len(columns) - 1
    place = layout.tag_column + (len(columns) if layout.tag_column < 0 else 0)
    if not columns[0] or not 0 < place <= last:
        raise CorpusFormatError(
            f"{where}: expected a token, and a tag in column {layout.tag_column}, "
            f"found {_show(' '.join(columns))}. Name the column of the tags with tag_column"
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
    return _Row(number, columns, tag)


def _require_space_mark(columns: tuple[str, ...], place: int, where: str) -> None:
    if not -len(columns) <= place < len(columns) or columns[place] not in ("+", "-"):
        raise CorpusFormatError(
            f"{where}: expected '+' or '-' in column {place}, found {_show(' '.join(columns))}. "
            f"Leave out space_column if the file has no such column"
        )


def _check(blocks: Iterator[_Block], scheme: TagScheme, mode: DecodeMode, source: str) -> Iterator[_Block]:
    """Pass on the blocks that follow the scheme; the first that does not ends the reading, unless lenient."""
    n_breaks = 0
    for block in blocks:
        _require_known(block, scheme, source)
        breaks = list(_iter_breaks(block, scheme))
        if breaks and mode == "strict":
            number, message = breaks[0]
            n_breaks = len(breaks) + sum(len(list(_iter_breaks(rest, scheme))) for rest in blocks)
            raise CorpusFormatError(
                f"{source}, line {number}: {message} ({n_breaks} such lines in this file)"
            )
        n_breaks += len(breaks)
        yield block
    if n_breaks:
        logger.warning("%s: %d tags break %s and were read as conlleval does", source, n_breaks, scheme.value)


def _require_known(block: _Block, scheme: TagScheme, source: str) -> None:
    for row in block:
        if row.tag[0] not in OUTSIDE + scheme.positions:
            raise CorpusFormatError(
                f"{source}, line {row.number}: {_show(row.tag)} is not a tag of {scheme.value}. "
                f"Name the scheme the file is written in, or none to have it told"
            )


def _iter_breaks(block: _Block, scheme: TagScheme) -> Iterator[tuple[int, str]]:
    """Yield the line of each tag that breaks the scheme, and what is wrong with it."""
    tags = [None, *(row.tag for row in block), None]
    for index, (before, after) in enumerate(pairwise(tags)):
        if not scheme.may_follow(before, after):
            yield block[min(index, len(block) - 1)].number, _describe_break(before, after, scheme)


def _describe_break(before: str | None, after: str | None, scheme: TagScheme) -> str:
    if after is None:
        found = f"{_show(before or OUTSIDE)} ends a sentence"
    elif before is None:
        found = f"{_show(after)} begins a sentence"
    else:
        found = f"{_show(after)} follows {_show(before)}"
    way_out = "let the entity end there" if after in (None, OUTSIDE) else "let it open an entity"
    lenient = 'Read with repair="conlleval" (--from conll-lenient)'
    return f"{found}, which strict {scheme.value} forbids. {lenient} to {way_out}"


def _show(content: str) -> str:
    return repr(content[:60])


def _group(blocks: Iterable[_Block], source: str) -> Iterator[tuple[_Row | None, list[_Block]]]:
    """Yield the head of each document, and its sentences."""
    head: _Row | None = None
    sentences: list[_Block] = []
    n_headless = 0
    for block in blocks:
        if block[0].token != _DOCSTART:
            sentences.append(block)
        elif n_headless:
            raise CorpusFormatError(
                f"{source}, line {block[0].number}: a {_DOCSTART} line after tokens that have none. "
                f"Put one before the first token, or take them all out"
            )
        else:
            if head:
                yield head, sentences
            head, sentences = block[0], []
        if not head:
            yield None, sentences
            sentences = []
            n_headless += 1
    if head:
        yield head, sentences


def _to_document(
    head: _Row | None, sentences: Sequence[_Block], layout: _Layout, scheme: TagScheme, mode: DecodeMode
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
        spans += _to_spans(sentence, tokens, scheme, mode)
    identifier = named[1] if named and named[1] not in _NAMELESS else f"{layout.source}:{first.number}"
    return Document(identifier, "".join(pieces), tuple(spans))


def _to_spans(
    sentence: _Block, tokens: Sequence[Token], scheme: TagScheme, mode: DecodeMode
) -> Iterator[Span]:
    for first, last, label in scheme.decode([row.tag for row in sentence], mode=mode):
        yield Span(tokens[first].start, tokens[last - 1].end, label)


def _gaps_by_mark(sentences: Sequence[_Block], layout: _Layout) -> Iterator[str]:
    """Yield what stands before each token: nothing, a blank or a line break."""
    gap = ""
    for sentence in sentences:
        for row in sentence:
            yield gap
            marked = layout.space_column is not None
            gap = "" if marked and row.columns[layout.space_column or 0] == "-" else " "
        gap = "\n"


def _gaps_by_offset(sentences: Sequence[_Block], layout: _Layout) -> Iterator[str]:
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
                    f"start, end and tag, found {_show(' '.join(row.columns))}"
                )
            yield ("\n" if n_before and not index else " ") * (start - end)
            end = stop


def _offsets(row: _Row) -> tuple[int, int] | None:
    if len(row.columns) != 4 or not all(map(_OFFSET.fullmatch, row.columns[1:3])):
        return None
    return int(row.columns[1]), int(row.columns[2])


# --- writing


def _to_lines(document: Document, scheme: TagScheme, *, exact: bool) -> str:
    """Write one document.

    Raises:
        ValueError: it does not fit.
    """
    if _BREAKING.search(document.id) or document.id in _NAMELESS:
        raise ValueError("its id is empty, '-', or holds a tab or a line end")
    tokens = list(iter_tokens(document.text))
    entities = _to_entities(document, tokens, exact=exact)
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
    return "".join(f"{line}\n" for line in (f"{_DOCSTART}\t{document.id}\t-\tO", "", *lines, ""))


def _to_entities(document: Document, tokens: Sequence[Token], *, exact: bool) -> list[Entity]:
    starts = {token.start: word for word, token in enumerate(tokens)}
    ends = {token.end: word + 1 for word, token in enumerate(tokens)}
    spans = sorted(document.spans, key=lambda span: span.key)
    for span in spans:
        if reason := _refusal(span, starts, ends, exact=exact):
            raise ValueError(f"span {span.start}..{span.end} ({span.label}) {reason}")
    for before, after in pairwise(spans):
        if after.start < before.end:
            way_out = "; choose one corpus" if before.corpus != after.corpus else ""
            raise ValueError(
                f"spans {before.start}..{before.end} ({before.label}) and {after.start}..{after.end} "
                f"({after.label}) overlap, and a word has one tag{way_out}"
            )
    return [(starts[span.start], ends[span.end], span.label) for span in spans]


def _refusal(span: Span, starts: dict[int, int], ends: dict[int, int], *, exact: bool) -> str | None:
    """Why a span cannot be written, if so."""
    if span.fragments:
        return "is discontinuous"
    if span.start not in starts or span.end not in ends:
        return "does not begin and end with a word"
    if _BREAKING.search(span.label) or span.label != span.label.strip(" "):
        return "has a label with a tab, a line end or an outer blank"
    if exact and (span.score is not None or span.corpus is not None or span.attributes):
        return (
            "has a score, a corpus or attributes, for which there is no column; "
            "pass exact=False to leave them out"
        )
    return None


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
