"""Sentences by rules, for steps that must stay within one: abbreviations and context.

A sentence ends at a stop before white space, unless the stop belongs to an abbreviation ("Dr.", "E. coli"),
at the end of a line, unless the line was merely wrapped, and before the dash or dot of a list. There is no
model, so a wrapped line that continues with a capital counts as a new sentence, and two lines of a note count
as one if the second begins with a small letter. Sentences of more than 2,000 characters are cut.

Three other places end sentences on purpose by simpler rules of their own, which their results depend on: the
search for overlapping corpora, the context of an error, and the cutting of passages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

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


def iter_sentences(text: str) -> Iterator[tuple[int, int]]:
    """Yield the ranges of the sentences in order; together they cover the text."""
    start = 0
    for border in _BORDER.finditer(text):
        before = text[max(start, border.start() - _LOOK_BACK) : border.start()]
        ends = _line_ends if border[0].isspace() else _stop_ends
        after = text[border.end() : border.end() + 2].strip()

        if start < border.end() and ends(before, border[0], after):
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


def _line_ends(before: str, line_break: str, after: str) -> bool:
    # A carriage return and a line feed are one line end.
    is_blank_line = line_break.replace("\r\n", "\n").count("\n") > 1
    return is_blank_line or not (after[:1].islower() or _UNFINISHED.search(before.rstrip()))
