"""Tags of a CoNLL file: checks against its scheme, and the spans of a document that tags can hold.

Nothing is repaired unless asked for. The first tag that breaks the scheme ends the reading, and the rest of
the file is only read to count such lines. In lenient mode they are read as the CoNLL-2000 script does, and
counted in the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from logging import getLogger

from openmed_ner.errors import AnnotationError, CorpusFormatError
from openmed_ner.formats.conll_rows import BREAKING, Block
from openmed_ner.formats.tolerance import OnBad, excerpt, fail
from openmed_ner.text import OUTSIDE, Document, Span, TagScheme, Token
from openmed_ner.text.tags import DecodeMode, Entity

logger = getLogger(__name__)


def check_tags(
    blocks: Iterator[Block], scheme: TagScheme, mode: DecodeMode, source: str, on_bad: OnBad = fail
) -> Iterator[Block]:
    """Yield the blocks that follow the scheme, or all blocks in lenient mode or if ``on_bad`` is given.

    Raises:
        CorpusFormatError: a tag belongs to another scheme.
        AnnotationError: ``mode`` is strict, and a tag breaks the scheme.
    """
    n_breaks = 0
    for block in blocks:
        _require_known(block, scheme, source)
        breaks = list(_iter_breaks(block, scheme))
        if on_bad is not fail:
            for number, message in breaks if mode == "strict" else ():
                on_bad(AnnotationError(f"{source}, line {number}: {message}"))
        elif breaks and mode == "strict":
            number, message = breaks[0]
            n_breaks = len(breaks) + sum(len(list(_iter_breaks(rest, scheme))) for rest in blocks)
            raise AnnotationError(f"{source}, line {number}: {message} ({n_breaks} such lines in this file)")
        n_breaks += len(breaks)
        yield block

    if n_breaks and mode != "strict":
        logger.warning("%s: %d tags break %s and were read as conlleval does", source, n_breaks, scheme.value)


def to_entities(document: Document, tokens: Sequence[Token], *, exact: bool) -> list[Entity]:
    """Place the spans of a document on its tokens, in order of position.

    Raises:
        ValueError: one tag per token cannot hold them, or, if ``exact``, would lose score, corpus or
            attributes.
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
                f"{source}, line {row.number}: {excerpt(row.tag)} is not a tag of {scheme.value}. "
                f"Name the scheme of the file, or none to detect it"
            )


def _iter_breaks(block: Block, scheme: TagScheme) -> Iterator[tuple[int, str]]:
    """Yield the line of each tag that breaks the scheme, and the reason."""
    tags = [None, *(row.tag for row in block), None]
    for index, (before, after) in enumerate(pairwise(tags)):
        if not scheme.may_follow(before, after):
            yield block[min(index, len(block) - 1)].number, _describe_break(before, after, scheme)


def _describe_break(before: str | None, after: str | None, scheme: TagScheme) -> str:
    if after is None:
        finding = f"{excerpt(before or OUTSIDE)} ends a sentence"
    elif before is None:
        finding = f"{excerpt(after)} begins a sentence"
    else:
        finding = f"{excerpt(after)} follows {excerpt(before)}"
    way_out = "let the entity end there" if after in (None, OUTSIDE) else "let it open an entity"
    lenient = 'Read with repair="conlleval" (--from conll-lenient)'
    return f"{finding}, which strict {scheme.value} forbids. {lenient} to {way_out}"


def _refusal(span: Span, starts: dict[int, int], ends: dict[int, int], *, exact: bool) -> str | None:
    """Return the reason why a span cannot be written; ``None`` if it can."""
    if span.fragments:
        return "is discontinuous"
    if span.start not in starts or span.end not in ends:
        return "does not begin and end with a word"
    if BREAKING.search(span.label) or span.label != span.label.strip(" "):
        return "has a label with a tab, a line end or an outer blank"
    if exact and span != Span(span.start, span.end, span.label):
        return (
            "has a score, a corpus or attributes, for which there is no column; "
            "pass exact=False to leave them out"
        )
    return None
