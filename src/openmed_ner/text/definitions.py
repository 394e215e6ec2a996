"""Abbreviations that a text defines itself, after Schwartz and Hearst (2003).

"long form (SF)" and "SF (long form)" are definitions if every letter and digit of the short form appears
in the long form, in order, and the first begins a word there.

A. Schwartz and M. Hearst: A simple algorithm for identifying abbreviation definitions in biomedical text.
Pacific Symposium on Biocomputing 8 (2003), 451-462. Implemented here because existing packages give no
offsets, and keep one definition of a short form per text. There is no dictionary, so abbreviations that the
text does not define stay unexplained, and a long form can begin a word late ("in acute renal failure (RF)"
defines "renal failure").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from string import whitespace

from openmed_ner.text.sentences import iter_sentences

MAX_SHORT = 10
"""Characters of the longest short form, as published."""
_MAX_LONG = 400
"""Most characters of a long form, so that a text without full stops is still read fast."""
_BRACKETS = re.compile(r"(?<=\s)\(([^()]+)\)")
_REST = re.compile(r"[;,]\s.*", re.DOTALL)
_WORD = re.compile(r"\S+")
_TRAILING = f"{whitespace},;:"


@dataclass(frozen=True, slots=True)
class Definition:
    """A place where a text defines an abbreviation.

    Attributes:
        short: range of the short form.
        long: range of the long form.
    """

    short: tuple[int, int]
    long: tuple[int, int]

    @property
    def start(self) -> int:
        """First character of the definition."""
        return min(self.short[0], self.long[0])


def find_definitions(text: str) -> Iterator[Definition]:
    """Yield the definitions of a text, in order of their brackets."""
    if "(" not in text:
        return
    for start, end in iter_sentences(text):
        if text.find("(", start, end) < 0:
            continue
        for brackets in _BRACKETS.finditer(text, start, end):
            if definition := _read_brackets(text, start, brackets):
                yield definition


def _read_brackets(text: str, start: int, brackets: re.Match[str]) -> Definition | None:
    """Read the brackets as a short form, or else the word before them."""
    inner = _strip(text, brackets.start(1), brackets.start(1) + len(_REST.sub("", brackets[1])))
    before = _strip(text, max(start, brackets.start() - _MAX_LONG), brackets.start())
    if _is_short(text[slice(*inner)]):
        return _define(text, inner, before)

    words = list(_WORD.finditer(text, *before))
    if words and _is_short(words[-1][0]) and any(map(str.isupper, words[-1][0])):
        return _define(text, words[-1].span(), inner)
    return None


def _strip(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    return end - len(piece.lstrip()), start + len(piece.rstrip(_TRAILING))


def _is_short(text: str) -> bool:
    return (
        2 <= len(text) <= MAX_SHORT
        and len(text.split()) <= 2
        and text[0].isalnum()
        and any(map(str.isalpha, text))
    )


def _define(text: str, short: tuple[int, int], within: tuple[int, int]) -> Definition | None:
    """Find the shortest long form that ends where ``within`` does."""
    form = text[slice(*short)]
    n_letters = sum(map(str.isalnum, form))
    # The published bound: a long form has at most min(n + 5, 2 n) words for n letters.
    words = list(_WORD.finditer(text, *within))[-min(n_letters + 5, 2 * n_letters) :]
    if not words:
        return None
    start, end = words[0].start(), within[1]
    place = _match(form, text[start:end])
    if place is None:
        return None
    long = text[start + place : end]
    if len(long) <= len(form) or form in long.split() or long.count("(") != long.count(")"):
        return None
    return Definition(short, (start + place, end))


def _match(short: str, long: str) -> int | None:
    """Match the short form from right to left; return the offset of its first character, if all match."""
    letters = [letter for letter in _lower(short) if letter.isalnum()]
    text = _lower(long)
    place = len(text)
    for letter in letters[:0:-1]:
        place = text.rfind(letter, 0, max(place, 0))
    place = text.rfind(letters[0], 0, max(place, 0))
    while place > 0 and text[place - 1].isalnum():
        place = text.rfind(letters[0], 0, place)
    return place if place >= 0 else None


def _lower(text: str) -> str:
    """Lower-case letters one by one; a letter whose lower case has two characters stays, so offsets hold."""
    return "".join(small if len(small := letter.lower()) == 1 else letter for letter in text)


def singular(short: str) -> str:
    """Remove the "s" of a plural from a short form: "NSAIDs"."""
    return short[:-1] if short.endswith("s") and short[-2:-1].isupper() else short
