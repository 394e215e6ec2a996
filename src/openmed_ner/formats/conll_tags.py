"""Tags of a CoNLL file: whether they follow its scheme, and which spans of a document they can hold.

Nothing is repaired unasked: the first tag that breaks the scheme ends the reading, unless the caller wants
such tags read as the CoNLL-2000 script does, and then they are counted in the log. The price: a refusal
tells the number of such lines too, so the rest of the file is read for nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from logging import getLogger

from openmed_ner.errors import CorpusFormatError
from openmed_ner.formats.conll_rows import BREAKING, Block, show
from openmed_ner.text import OUTSIDE, Document, Span, TagScheme, Token
from openmed_ner.text.tags import DecodeMode, Entity

logger = getLogger(__name__)


def check_tags(blocks: Iterator[Block], scheme: TagScheme, mode: DecodeMode, source: str) -> Iterator[Block]:
    """Pass on the blocks that follow the scheme, or all of them if lenient.

    Raises:
        CorpusFormatError: a tag is of another scheme, or, if ``mode`` is strict, breaks this one.
    """
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


def to_entities(document: Document, tokens: Sequence[Token], *, exact: bool) -> list[Entity]:
    """Place the spans of a document on its tokens, in order of position.

    Raises:
        ValueError: one tag per token cannot hold them, or, if ``exact``, not all that is known of them.
    """
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


def _require_known(block: Block, scheme: TagScheme, source: str) -> None:
    for row in block:
        if row.tag[0] not in OUTSIDE + scheme.positions:
            raise CorpusFormatError(
                f"{source}, line {row.number}: {show(row.tag)} is not a tag of {scheme.value}. "
                f"Name the scheme the file is written in, or none to have it told"
            )


def _iter_breaks(block: Block, scheme: TagScheme) -> Iterator[tuple[int, str]]:
    """Yield the line of each tag that breaks the scheme, and what is wrong with it."""
    tags = [None, *(row.tag for row in block), None]
    for index, (before, after) in enumerate(pairwise(tags)):
        if not scheme.may_follow(before, after):
            yield block[min(index, len(block) - 1)].number, _describe_break(before, after, scheme)


def _describe_break(before: str | None, after: str | None, scheme: TagScheme) -> str:
    if after is None:
        found = f"{show(before or OUTSIDE)} ends a sentence"
    elif before is None:
        found = f"{show(after)} begins a sentence"
    else:
        found = f"{show(after)} follows {show(before)}"
    way_out = "let the entity end there" if after in (None, OUTSIDE) else "let it open an entity"
    lenient = 'Read with repair="conlleval" (--from conll-lenient)'
    return f"{found}, which strict {scheme.value} forbids. {lenient} to {way_out}"


def _refusal(span: Span, starts: dict[int, int], ends: dict[int, int], *, exact: bool) -> str | None:
    """Why a span cannot be written, if so."""
    if span.fragments:
        return "is discontinuous"
    if span.start not in starts or span.end not in ends:
        return "does not begin and end with a word"
    if BREAKING.search(span.label) or span.label != span.label.strip(" "):
        return "has a label with a tab, a line end or an outer blank"
    if exact and (span.score is not None or span.corpus is not None or span.attributes):
        return (
            "has a score, a corpus or attributes, for which there is no column; "
            "pass exact=False to leave them out"
        )
    return None
