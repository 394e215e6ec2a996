"""Breaks in the layout of a text: white space that no mention may cross.

A model reads words, not the white space between them, so a list of one drug per line looks to it like one
long name. A tab, a form feed, a blank line and a row of blanks as between columns part a text. So does the
end of a line before a bullet, a number or a line of signs. Any other line end is wrapped text if the first
word of the next line would not have fitted on the line, if most lines are full, and either long or those of a
column of prose. Below a heading with a colon, lines of one word and lines that all begin with a capital are
items. Any other line end may end one, and the model has to decide. None of the gold mentions that were
counted crosses a line end (EXPERIMENTS.md, 2026-11-28).

Bullets, numbers of items and lines of signs are marks, which belong to no mention.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

_SPACE = re.compile(r"\s{2,}|[^\S ]")
_LINE_END = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_CERTAIN = re.compile(r"[\t\v\f\x1c-\x1e\u2029]")
_BOX = r"\[[ _xX✓✔✗✘]?\]|\( ?\)"
_BULLET = re.compile(rf"(?:[^\w\s\"'“”‘’(){{}}\[\].,:;!?%&@/\\<±°]{{1,3}}(?:[ \t]+(?:{_BOX}))?|{_BOX})(?=\s)")
"""Signs before white space that are no punctuation of prose, a box to tick, or both."""
_NUMBER = re.compile(
    r"(?:\(?(?:\d{1,3}|[A-Za-z]|[ivx]{2,5}|[IVX]{2,5})\)|\[\d{1,3}\]|(?:\d{1,3}|[ivx]{1,5})\.|\d{1,2}-(?!\s+(?:and|or|to)\b))"
    rf"(?:[ \t]+(?:{_BOX}))?(?=\s)"
)
"""Number of an item, also Roman; a letter and a stop would be "E. coli", and "2- and 3-fold" is no item."""
_HYPHENATED = re.compile(r"[^\W\d_][-\u2010]")
_VISIBLE = re.compile(r"[^\W_]")
_BLANKS = re.compile(r"\s*")
_WORD = re.compile(r"\S*")
_COLUMNS = 4
"""Blanks that separate columns; justified text has fewer."""
_FEWEST_ITEMS = 2
"""Items that make a list of the lines below a heading."""
_NARROW = 40
"""Characters of the longest line of wrapped text; shorter lines may be those of a list."""
_COLUMN_LINES = 6
"""Lines of a narrow column, at least; a list of fewer items may look like one by chance."""
_COLUMN_WORDS = 2.5
"""Words of a line of a narrow column, in the mean; in a list of single words, the next one never fits."""
_SHORT_IN_COLUMN, _SHORT_IN_WIDE = 0.1, 0.5
"""Share of short lines, after which the next word fits: the most in a column, and too many in wide text."""
_STOPS = (".", "?", "!", ":", ";")
"""Signs after which a line of wrapped text may be short."""

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Break:
    """White space between two words that may not belong to one mention.

    Attributes:
        start: end of the word before it.
        end: start of the word after it.
        certain: if false, the line may merely be wrapped there.
        paragraph: a number that the line ends of a paragraph share.
    """

    start: int
    end: int
    certain: bool
    paragraph: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of a text.

    Attributes:
        breaks: white space that parts it, in order.
        marks: ranges of bullets, numbers of items and lines of signs, in order.
    """

    breaks: Sequence[Break]
    marks: Sequence[Range]


def find_layout(text: str) -> Layout:
    """Find the breaks and the marks of a text."""
    breaks: list[Break] = []
    paragraphs: list[list[Range]] = [[]]
    line_start = len(text) - len(text.lstrip())
    for space in _SPACE.finditer(text):
        start, end = space.span()
        n_line_ends = len(_LINE_END.findall(space[0]))
        is_certain = n_line_ends > 1 or _CERTAIN.search(space[0]) is not None
        if start == 0 or end == len(text):
            continue
        if not n_line_ends:
            if is_certain or end - start >= _COLUMNS:
                breaks.append(Break(start, end, certain=True))
        else:
            paragraphs[-1].append((line_start, start))
            line_start = end
            if is_certain:
                breaks.append(Break(start, end, certain=True))
                paragraphs.append([])

    paragraphs[-1].append((line_start, len(text.rstrip())))
    for paragraph in paragraphs:
        breaks += _iter_breaks(text, paragraph)
    item_starts = {place.end for place in breaks if place.certain} | {paragraphs[0][0][0]}
    marks = [mark for lines in paragraphs for line in lines if (mark := _find_mark(text, line, item_starts))]
    starts = {place.start for place in breaks}
    for _, end in marks:
        following = _BLANKS.match(text, end).end()  # type: ignore[union-attr]
        if end not in starts and end < following < len(text):
            breaks.append(Break(end, following, certain=True))
    return Layout(sorted(breaks, key=lambda place: place.start), marks)


def skip_mark(text: str, start: int, end: int) -> int:
    """Return the place after white space and the mark of a list item, if there is one."""
    start = _BLANKS.match(text, start, end).end()  # type: ignore[union-attr]
    mark = _BULLET.match(text, start, end) or _NUMBER.match(text, start, end)
    return _BLANKS.match(text, mark.end(), end).end() if mark else start  # type: ignore[union-attr]


def _iter_breaks(text: str, paragraph: Sequence[Range]) -> Iterator[Break]:
    """Yield the breaks between the lines of a paragraph, which are given without outer white space."""
    width = max(end - start for start, end in paragraph)
    is_list = _is_headed_list(text, paragraph)
    is_wrapped = _is_wrapped(text, paragraph, width)
    for line, following in pairwise(paragraph):
        fits = _fits(text, line, following, width)
        certain = _ends_item(text, line, following, is_wrapped=is_wrapped and not fits)
        if certain is not None:
            yield Break(line[1], following[0], certain or is_list, paragraph[0][0])


def _is_headed_list(text: str, paragraph: Sequence[Range]) -> bool:
    """Tell whether a paragraph is a heading with a colon, and items as no wrapped text has them.

    These are single words, or lines that all begin with a capital.
    """
    (_, head_end), *items = paragraph
    if len(items) < _FEWEST_ITEMS or text[head_end - 1 : head_end] not in (":", "\uff1a"):
        return False
    lines = [text[start:end] for start, end in items]
    return all(line[0].isupper() for line in lines) or all(len(line.split()) == 1 for line in lines)


def _is_wrapped(text: str, paragraph: Sequence[Range], width: int) -> bool:
    """Tell whether the line ends of a paragraph may be those of wrapped text: most of its lines are full.

    That is little evidence in narrow lines, since single words and the rows of a table fill them, too. So
    these must be as a narrow column of prose has them.
    """
    n_short = sum(
        _fits(text, line, following, width) and not text.endswith(_STOPS, *line)
        for line, following in pairwise(paragraph)
    )
    if width >= _NARROW:
        return n_short < _SHORT_IN_WIDE * (len(paragraph) - 1)
    lines = [text[start:end] for start, end in paragraph]
    return (
        len(lines) >= _COLUMN_LINES
        and n_short <= _SHORT_IN_COLUMN * len(lines)
        and sum(len(line.split()) for line in lines) >= _COLUMN_WORDS * len(lines)
        and sum(line[:1].islower() for line in lines) >= len(lines) / 2
        and not any("  " in line for line in lines)
    )


def _fits(text: str, line: Range, following: Range, width: int) -> bool:
    """Tell whether the first word of the next line would have fitted on a line."""
    word = _WORD.match(text, *following)
    n_letters = len(word[0]) if word else 0
    return line[1] - line[0] + 1 + n_letters <= width


def _find_mark(text: str, line: Range, item_starts: Collection[int]) -> Range | None:
    """Find the mark at the beginning of a line; a number is one only where an item starts."""
    if not _VISIBLE.search(text, *line):
        return line if line[0] < line[1] else None
    number = _NUMBER.match(text, *line) if line[0] in item_starts else None
    mark = _BULLET.match(text, *line) or number
    return mark and mark.span()


def _ends_item(text: str, line: Range, following: Range, *, is_wrapped: bool) -> bool | None:
    """Tell whether a list item ends with a line: true, false if it may, ``None`` if the line is wrapped."""
    if not (_VISIBLE.search(text, *line) and _VISIBLE.search(text, *following)):
        return True
    if _BULLET.match(text, following[0]):
        return True
    if is_wrapped or _HYPHENATED.match(text, line[1] - 2):
        return None
    return _NUMBER.match(text, following[0]) is not None
