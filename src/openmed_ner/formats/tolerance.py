"""Treatment of one bad record among good ones: an error, unless the caller asks to continue.

A reader that can tell where the next record begins hands the error to ``on_bad`` and continues if that
returns. A writer does so before it has written anything of the record. A caller that passes anything but
:func:`fail` has to keep account of what is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NoReturn

from openmed_ner.errors import InputError
from openmed_ner.text import Span

OnBad = Callable[[InputError], None]
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair, which JSON can spell and no file in UTF-8 can hold."""
CONVERT = "for example: iconv -f windows-1252 -t utf-8 FILE"
"""Conversion to UTF-8 from the encoding that most texts have that are in none of Unicode's."""
_SHOWN = 60


def fail(error: InputError) -> NoReturn:
    """Let one bad record end the reading or the writing."""
    raise error


def excerpt(content: str) -> str:
    """Quote the beginning of a string for a message."""
    return repr(content[:_SHOWN])


def check_mention(text: str, span: Span, mention: str, *, subject: str) -> None:
    """Refuse a span that covers another text than its file says.

    Lengths are compared first and messages quote the beginning only, so that many spans over a long text
    take no more time than their mentions are long.

    Args:
        text: text of the document.
        span: the span, which lies within the text.
        mention: the mention as the file has it; that of a discontinuous span is joined by blanks.
        subject: holder of the mention, for the message: ``the row``.

    Raises:
        ValueError: they differ.
    """
    pieces = span.fragments or ((span.start, span.end),)
    length = sum(end - start for start, end in pieces) + len(pieces) - 1
    if length == len(mention) and " ".join(text[start:end] for start, end in pieces) == mention:
        return
    places = ", ".join(f"{start}..{end}" for start, end in pieces[:_SHOWN])
    covered = " ".join(text[start : min(end, start + _SHOWN)] for start, end in pieces[:_SHOWN])
    raise ValueError(f"characters {places} are {excerpt(covered)}, but {subject} has {excerpt(mention)}")


def require_characters(value: str, name: str) -> None:
    """Refuse a string that UTF-8 cannot hold.

    Raises:
        ValueError: it has half of a surrogate pair; the message calls it ``name``.
    """
    if LONE_SURROGATE.search(value):
        raise ValueError(f"the {name} holds half of a surrogate pair, which is not a character")


def require_utf8(line: str, name: str = "the line") -> None:
    """Refuse a line with bytes that are not UTF-8 and were read as lone surrogates.

    Args:
        line: the line.
        name: its name in the message.

    Raises:
        ValueError: it has one; the message names the byte.
    """
    try:
        line.encode()
    except UnicodeEncodeError as error:
        byte = ord(line[error.start]) & 0xFF  # surrogateescape maps byte 0xNN to U+DCNN
        place = len(line[: error.start].encode()) + 1
        raise ValueError(
            f"not UTF-8: byte 0x{byte:02x} at byte {place} of {name}. "
            f"If the whole file is in another encoding, convert it, {CONVERT}"
        ) from None
