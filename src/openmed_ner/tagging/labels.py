"""Project gold spans onto words, with an account of the spans that words cannot hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from openmed_ner.text import Account, Document, Span, TagScheme, Token
from openmed_ner.text.tags import Entity

INSIDE_WORD = "a boundary lies inside a word"
OUTER_BLANK = "begins or ends with white space"
DISCONTINUOUS = "is discontinuous"
OVERLAPS = "overlaps a longer or earlier span"
REPEATED = "repeats another span"
UNKNOWN_LABEL = "has a label the head does not know"


def encode_spans(
    document: Document, tokens: Sequence[Token], labels: Sequence[str], *, scheme: TagScheme = TagScheme.IOB2
) -> tuple[list[str], Account]:
    """Write a document's gold spans as one tag per word.

    The longest of overlapping spans is kept, and the first of equal ones: most guidelines call the longer
    mention the entity.

    Returns:
        One tag per token, and an account of every span.
    """
    starts = {token.start: index for index, token in enumerate(tokens)}
    ends = {token.end: index + 1 for index, token in enumerate(tokens)}
    covered = [False] * len(tokens)
    entities: list[Entity] = []
    seen: set[tuple[object, ...]] = set()
    reasons: Counter[str] = Counter()

    # Longest first, so that the nested mention is the one that is lost.
    for span in sorted(document.spans, key=lambda span: (span.start - span.end, span.start)):
        if span.label not in labels:
            reasons[UNKNOWN_LABEL] += 1
        elif span.key in seen:
            reasons[REPEATED] += 1
        elif span.fragments:
            reasons[DISCONTINUOUS] += 1
        elif span.start not in starts or span.end not in ends:
            mention = document.text[span.start : span.end]
            reasons[INSIDE_WORD if mention == mention.strip() else OUTER_BLANK] += 1
        elif any(covered[starts[span.start] : ends[span.end]]):
            reasons[OVERLAPS] += 1
        else:
            first, last = starts[span.start], ends[span.end]
            covered[first:last] = [True] * (last - first)
            entities.append((first, last, span.label))
        seen.add(span.key)

    tags = scheme.encode(len(tokens), entities)
    return tags, Account(len(entities), 0, sum(reasons.values()), dict(reasons))


def decode_spans(
    tags: Sequence[str], tokens: Sequence[Token], *, scheme: TagScheme = TagScheme.IOB2
) -> list[Span]:
    """Turn strict tags back into spans; the inverse of :func:`encode_spans` for all it kept."""
    return [
        Span(tokens[first].start, tokens[last - 1].end, label) for first, last, label in scheme.decode(tags)
    ]
