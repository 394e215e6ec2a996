"""Sentences by rules, for steps that must stay within one: abbreviations and context.

A sentence ends at a stop before white space, unless the stop belongs to an abbreviation ("Dr.", "E. coli"),
at the end of a line, unless the line was merely wrapped, and before the dash or dot of a list. There is no
model, so a wrapped line that continues with a capital counts as a new sentence, and two lines of a note count
as one if the second begins with a small letter. Where items of lists matter, a short line goes on only if
its last word or the first one of the next line cannot stand there, as "no" and "of". Sentences of more than
2,000 characters are cut.

Three other places end sentences on purpose by simpler rules of their own, which their results depend on: the
search for overlapping corpora, the context of an error, and the cutting of passages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from openmed_ner.text.layout import find_layout

_BORDER = re.compile(r"[.!?]['\"”’)\]]*(?=\s)|[\r\n]\s*|(?<=\s)(?=[-*•]\s[A-Z])")
_LOOK_BACK = 16
"""Characters before a border that the rules look at; no abbreviation is longer."""
_LONGEST = 2_000
"""Greatest length of a sentence; lists and tables without stops would otherwise be one."""
_ABBREVIATION = re.compile(
    r"(?<!\w)(?:dr|mr|mrs|ms|prof|st|vs|e\.g|i\.e|cf|al|ca|approx|pts?|figs?)$", re.IGNORECASE
)
_INITIALS = re.compile(r"(?<!\w)(?:[^\W\d_]\.)*[^\W\d_]$")
_UNFINISHED = re.compile(
    r"(?:,|(?<!\w)(?:and|or|of|the|an?|with|without|no|for|in|to|by|from))$", re.IGNORECASE
)
_CONTINUATION = re.compile(
    r"(?:and|or|of|with|without|for|in|on|at|to|by|from|but|is|are|was|were|than)(?!\w)"
)


def iter_sentences(text: str, *, lists: bool = False) -> Iterator[tuple[int, int]]:
    """Yield the ranges of the sentences in order; together they cover the text.

    Args:
        text: the text.
        lists: if true, short lines may be items of a list, which are sentences of their own.
    """
    start = 0
    breaks = {place.end: place.certain for place in find_layout(text).breaks} if lists else {}
    for border in _BORDER.finditer(text):
        before = text[max(start, border.start() - _LOOK_BACK) : border.start()]
        after = text[border.end() : border.end() + _LOOK_BACK].strip()
        if border[0].isspace():
            ends = _line_ends(before, border[0], after, breaks.get(border.end()))
        else:
            ends = _stop_ends(before, border[0], after)

        if start < border.end() and ends:
            yield from _cut(text, start, border.end())
            start = border.end()

    if start < len(text):
        yield from _cut(text, start, len(text))


def _cut(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield a sentence, or the pieces of a long one, which end in a blank if possible."""
    while end - start > _LONGEST:
        blank = text.rfind(" ", start, start + _LONGEST)
        piece = blank + 1 if blank >= 0 else start + _LONGEST
        yield start, piece
        start = piece
    yield start, end


def _stop_ends(before: str, stop: str, after: str) -> bool:
    if stop != ".":
        return True
    return not (_ABBREVIATION.search(before) or (_INITIALS.search(before) and after[:1].islower()))


def _line_ends(before: str, line_break: str, after: str, is_certain: bool | None) -> bool:
    """Tell whether a sentence ends with a line; ``is_certain`` is ``None`` if the line may be wrapped."""
    # A carriage return and a line feed are one line end.
    if is_certain or line_break.replace("\r\n", "\n").count("\n") > 1:
        return True
    continues = after[:1].islower() if is_certain is None else _CONTINUATION.match(after)
    return not (continues or _UNFINISHED.search(before.rstrip()))
