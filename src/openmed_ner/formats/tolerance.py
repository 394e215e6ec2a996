"""What readers and writers do about one bad record among good ones: raise, unless told to go on.

A reader that can tell where the next record begins hands the error to ``on_bad`` and goes on if that
returns; so does a writer before it has written anything of the record. The price: whoever passes something
else than :func:`fail` has to keep account of what is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from openmed_ner.errors import InputError

OnBad = Callable[[InputError], None]


def fail(error: InputError) -> NoReturn:
    """Let one bad record end the reading or the writing."""
    raise error


def require_utf8(line: str) -> None:
    """Refuse a line with bytes that were no UTF-8 and came through as lone surrogates.

    Raises:
        ValueError: it has one; the message names the byte.
    """
    try:
        line.encode()
    except UnicodeEncodeError as error:
        byte = ord(line[error.start]) & 0xFF
        place = len(line[: error.start].encode()) + 1
        raise ValueError(f"not UTF-8: byte 0x{byte:02x} at byte {place} of the line") from None
