"""Mentions of several concepts: "breast and ovarian cancer" is "breast cancer" and "ovarian cancer".

The parts of an enumeration share words at the end ("cancer") or at the beginning ("hepatitis B and C"). Which
ones they share, the names decide: a reading counts if all of its parts are names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_SEPARATOR = re.compile(r"\s*(?:,\s*(?:and|or)\b|,|/|\band/or\b|\band\b|\bor\b|&)\s*", re.IGNORECASE)
MAX_PARTS = 8
"""Parts of the longest enumeration that is read."""
_MAX_SHARED = 3
"""Words that the parts share at most."""


def iter_readings(mention: str) -> Iterator[tuple[str, ...]]:
    """Yield the readings of an enumeration, those that share no word first; none if it is no enumeration."""
    parts = [part for part in _SEPARATOR.split(mention) if part]
    if not 2 <= len(parts) <= MAX_PARTS:
        return
    yield tuple(parts)
    last, first = parts[-1].split(), parts[0].split()
    for size in range(1, min(len(last) - 1, _MAX_SHARED) + 1):
        shared = " ".join(last[-size:])
        yield (*(f"{part} {shared}" for part in parts[:-1]), parts[-1])
    for size in range(1, min(len(first) - 1, _MAX_SHARED) + 1):
        shared = " ".join(first[:size])
        yield (parts[0], *(f"{shared} {part}" for part in parts[1:]))
