"""Mentions of several concepts: "breast and ovarian cancer" is "breast cancer" and "ovarian cancer".

The parts of an enumeration share words at the end ("cancer"), at the beginning ("hepatitis B and C"), or both
("type 1 and 2 diabetes"). Which ones they share, the names decide: a reading counts if all of its parts are
names. Symbols of genes share their beginning: "ERK1/2" is "ERK1" and "ERK2", "TGF-beta1 and -beta2" is
"TGF-beta1" and "TGF-beta2", "IL-1α/β" is "IL-1α" and "IL-1β".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

_BETWEEN = r"\s*(?:,\s*(?:and|or)\b|,|/|\band/or\b|\band\b|\bor\b|&)\s*"
_SEPARATOR = re.compile(_BETWEEN, re.IGNORECASE)
_COORDINATION = re.compile(r"\b(?:and|or)\b", re.IGNORECASE)
_NUMBER = re.compile(r"\d")
_MAX_SYMBOLS = 100
"""Characters of the longest enumeration of symbols, whose search takes longer than its length."""
_GREEK = r"(?:alpha|beta|gamma|delta|epsilon|zeta|[αβγδεζ])"
_TAIL = rf"(?:\d+[A-Za-z]?|[IVX]+|[A-Z]|{_GREEK})"
_LETTERED = re.compile(rf"(.*[^\s\d,/]\s?-?\d+\s?-?)(?:{_GREEK}|[A-Z])(?:{_BETWEEN}-?(?:{_GREEK}|[A-Z]))+")
_NUMBERED = re.compile(rf"(.*?[^\s\d,/]\s?-?){_TAIL}(?:{_BETWEEN}-?{_TAIL})+")
_HYPHENATED = re.compile(rf"(.+-)[^\s-]+(?:{_BETWEEN}-[^\s,/-]+)+")
_SYMBOLS = (_LETTERED, _NUMBERED, _HYPHENATED)
MAX_PARTS = 16
"""Parts of the longest enumeration that is read."""
_MAX_SHARED = 3
"""Words that the parts share at most."""


def is_numbered(mention: str) -> bool:
    """True if a mention has the word "and" or "or", and a number, which belongs to the words beside it."""
    return _NUMBER.search(mention) is not None and _COORDINATION.search(mention) is not None


def count_parts(mention: str) -> int:
    """Number of parts of a mention that "and", "or", commas and slashes make."""
    return len(_split(mention))


def iter_readings(mention: str, *, symbols: bool = False) -> Iterator[tuple[str, ...]]:
    """Yield the readings of an enumeration, those that share no word first; none if it is no enumeration.

    Args:
        mention: text of the mention.
        symbols: if true, it may be one of symbols, which has no other reading.

    >>> list(iter_readings("caspase-3/7", symbols=True))
    [('caspase-3', 'caspase-7')]
    """
    parts = _split(mention)
    if not 2 <= len(parts) <= MAX_PARTS:
        return
    short = symbols and len(mention) <= _MAX_SYMBOLS
    if short and (enumeration := next(filter(None, (form.fullmatch(mention) for form in _SYMBOLS)), None)):
        stem = enumeration[1]
        yield (parts[0], *(f"{stem}{part.lstrip('-')}" for part in parts[1:]))
        return
    yield tuple(parts)
    last, first = parts[-1].split(), parts[0].split()
    for size in range(1, min(len(last) - 1, _MAX_SHARED) + 1):
        shared = " ".join(last[-size:])
        yield (*(f"{part} {shared}" for part in parts[:-1]), parts[-1])
    for size in range(1, min(len(first) - 1, _MAX_SHARED) + 1):
        shared = " ".join(first[:size])
        yield (parts[0], *(f"{shared} {part}" for part in parts[1:]))
    for before, after in product(range(1, len(first)), range(1, len(last))):
        if max(before, after) <= _MAX_SHARED:
            begin, end = " ".join(first[:before]), " ".join(last[-after:])
            yield (
                f"{parts[0]} {end}",
                *(f"{begin} {part} {end}" for part in parts[1:-1]),
                f"{begin} {parts[-1]}",
            )


def _split(mention: str) -> list[str]:
    return [part for part in _SEPARATOR.split(mention) if part]
