"""Frames of the lines of clinical notes, from ``frames.toml``, and what fills their slots."""

from __future__ import annotations

import random
import string
import tomllib
from importlib.resources import files

_FRAMES = tomllib.loads(files(__package__).joinpath("frames.toml").read_text(encoding="utf-8"))
MENTIONS: tuple[str, ...] = tuple(_FRAMES["mentions"])
"""Frames with slots for mentions."""
PLAIN: tuple[str, ...] = tuple(_FRAMES["plain"])
"""Frames without any mention."""
_VALUES: dict[str, list[str]] = _FRAMES["values"]


def draw_value(slot: str, draws: random.Random) -> str:
    """Draw what fills a slot that is not a mention.

    Raises:
        KeyError: there is no such slot.
    """
    if slot in _VALUES:
        return draws.choice(_VALUES[slot])
    first = draws.randint(1, 5)
    day, month, year = draws.randint(1, 28), draws.randint(1, 12), draws.randint(1980, 2024)
    digits = str(draws.randint(10_000, 99_999_999))
    dates = (f"{month:02}/{day:02}/{year}", f"{year}-{month:02}-{day:02}", f"{day}.{month}.", f"{day} Jan")
    blank = draws.choice(("", " "))
    return {
        "number": str(draws.randint(2, 95)),
        "small": str(draws.randint(0, 15)),
        "large": str(draws.randint(90, 450)),
        "decimal": f"{draws.uniform(0.5, 99):.1f}",
        "year": str(year),
        "date": draws.choice(dates),
        "digits": digits,
        "code": draws.choice(string.ascii_uppercase) + digits[: draws.randint(1, 7)],
        "leads": draws.choice((f"V{first}-V{first + 1}", f"V{first}R", "aVF", "aVL", "II, III, aVF")),
        "level": draws.choice("CTL")
        + f"{first}"
        + draws.choice(("", f"/{first + 1}", f"-{first + 1}", "-S1")),
        "stage": f"T{first - 1}{blank}N{draws.randint(0, 3)}{blank}M{draws.randint(0, 1)}",
    }[slot]
