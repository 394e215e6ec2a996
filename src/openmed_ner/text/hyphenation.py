"""Words that a hyphen parts at the end of a line, as in text from PDFs: "myocar-", line end, "dial".

Such a hyphen may as well be one of the word itself ("IL-2-", line end, "induced"). The parts are joined only
if the joined word stands elsewhere in the text or is known, and the first part neither does nor is. A soft
hyphen before a line end has no other meaning, so its parts are always joined. The rule was chosen on dev
splits (EXPERIMENTS.md, 2026-11-28 and 2026-11-29).

A model reads the joined words. All positions in results are those of the original text.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from unicodedata import category

from openmed_ner.text.document import Span
from openmed_ner.text.references import blank_references
from openmed_ner.text.words import MAX_WORD, count_visible, has_invisible, iter_ranges

_SOFT = "\xad"
_HYPHEN = re.compile(rf"[-\u2010{_SOFT}] *(?:\r\n|[\n\r]) *")
_LETTERS = re.compile(r"[^\W\d_]+")
_LAST_LETTERS = re.compile(r"[^\W\d_]+\Z")
_RUN = re.compile(r"[^\W_]+")

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _PartedWord:
    """A word that may be parted by a hyphen at a line end.

    Attributes:
        start: first character of the first part.
        hyphen: range of the hyphen and the white space around the line end.
        end: one past the last character of the second part.
        first: the first part.
        joined: both parts.
    """

    start: int
    hyphen: Range
    end: int
    first: str
    joined: str


class Reading:
    """A text without the hyphens that part its words, and the places of its characters in the original.

    Attributes:
        original: the text.
        text: the text as it is read.
        n_unread: number of visible characters that it lacks.
    """

    def __init__(self, original: str, hyphens: Sequence[Range] = (), *, legible: str | None = None) -> None:
        """Leave out ranges of a text.

        Args:
            original: the text.
            hyphens: ranges of one hyphen and white space each, inside of words, in order.
            legible: the text without references to signs, each character in its place.
        """
        self.original = original
        legible = original if legible is None else legible
        self.text = legible
        self._ends = [end for _, end in hyphens]
        self._removed = [0, *accumulate(end - start for start, end in hyphens)]
        self._places = [
            start - removed for (start, _), removed in zip(hyphens, self._removed[:-1], strict=True)
        ]
        if hyphens:
            bounds = [0, *(edge for hyphen in hyphens for edge in hyphen), len(original)]
            self.text = "".join(
                legible[start:end] for start, end in zip(bounds[::2], bounds[1::2], strict=True)
            )
        self.n_unread = len(hyphens)
        if legible is not original:
            self.n_unread += count_visible(original) - count_visible(legible)

    def original_range(self, start: int, end: int) -> Range:
        """Return the place in the original of a range of the reading."""
        return (
            start + self._removed[bisect_right(self._places, start)],
            end + self._removed[bisect_left(self._places, end)],
        )

    def place_of(self, position: int) -> int:
        """Return the place in the reading of a position of the original that is inside of no hyphen."""
        return position - self._removed[bisect_right(self._ends, position)]

    def restore(self, spans: Iterable[Span]) -> list[Span]:
        """Return spans of the reading as spans of the original; they have no fragments."""
        if not self._places:
            return list(spans)
        ranges = ((span, *self.original_range(span.start, span.end)) for span in spans)
        return [replace(span, start=start, end=end) for span, start, end in ranges]


def read_text(text: str, is_known: Callable[[str], bool]) -> Reading:
    """Join the parted words of a text, and read references of HTML as the signs that they mean.

    Args:
        text: the text.
        is_known: tells whether a word is known beside the text, as to a vocabulary or a lexicon.
    """
    legible = blank_references(text)
    return Reading(text, _find_hyphens(legible, is_known), legible=legible)


def join_name(name: str) -> str:
    """Join the parts of a name without looking for evidence, for a look-up that refuses what is no name."""
    return Reading(name, [word.hyphen for word in _iter_parted(name)]).text


def _find_hyphens(text: str, is_known: Callable[[str], bool]) -> list[Range]:
    """Find the hyphens, each with its line end, that part words."""
    words = list(_iter_parted(text))
    if not words:
        return []

    wanted = {form.lower() for word in words for form in (word.first, word.joined)}
    starts = {word.start for word in words}
    standing = {
        form
        for run in _RUN.finditer(text)
        if (form := run[0].lower()) in wanted and run.start() not in starts
    }

    def is_word(form: str) -> bool:
        return form.lower() in standing or is_known(form)

    hyphens: list[Range] = []
    end = 0
    for word in words:
        is_parted = text[word.hyphen[0]] == _SOFT or (is_word(word.joined) and not is_word(word.first))
        if is_parted and word.start >= end:
            hyphens.append(word.hyphen)
            end = word.end
    return hyphens


def _iter_parted(text: str) -> Iterator[_PartedWord]:
    """Yield the words of letters that may be parted, in order; one part may belong to two of them."""
    for hyphen in _HYPHEN.finditer(text):
        first = _LAST_LETTERS.search(text[max(hyphen.start() - MAX_WORD, 0) : hyphen.start()])
        second = _LETTERS.match(text, hyphen.end(), hyphen.end() + MAX_WORD)
        if first is None or second is None:
            continue
        start, joined = hyphen.start() - len(first[0]), first[0] + second[0]
        is_whole = not any(map(_is_inside, (text[start - 1 : start], text[second.end() : second.end() + 1])))
        # One word also once it is joined, which ideographs are not; and "-Disease" begins another one.
        is_word = len(list(iter_ranges(joined))) == 1 and (second[0].islower() or joined.isupper())
        if is_whole and is_word:
            yield _PartedWord(start, hyphen.span(), second.end(), first[0], joined)


def _is_inside(character: str) -> bool:
    """True if a word continues at a character: a letter, a digit, a combining mark, or an invisible one."""
    return character.isalnum() or has_invisible(character) or category(character or " ")[0] == "M"
