"""Words of a text with exact offsets.

A word is a run of letters, digits and combining marks; every other character that is not white space is a
word of its own. The public biomedical corpora are tokenised in this way: they split at all punctuation, so
that ``IL-2-induced`` can hold the entity ``IL-2``. Here it extends to any script. Ideographs are single
words, as in BERT's tokenizer, and a run longer than ``MAX_WORD`` characters is cut, so that every word fits
into a model's window. An entity that ends inside a run cannot be represented, and is counted as lost.

A character that is not seen, such as a soft hyphen, does not end a run that goes on behind it. Text from
PDFs and web pages is full of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise, starmap
from unicodedata import category

from openmed_ner.text.document import Token

MAX_WORD = 64
"""Greatest length of a word, in characters without combining marks."""

_IDEOGRAPH = "\u2e80-\u2fdf\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"

_ASCII_WORD = re.compile(rf"[A-Za-z0-9]{{1,{MAX_WORD}}}|\S")
"""A word of a text in ASCII without invisible characters, which most English abstracts are."""

_INVISIBLE = re.compile(
    r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffd]+"
)
"""Controls and formats, such as soft hyphens and joiners, and the sign for a lost character."""


@cache
def _word(*, invisible: bool) -> re.Pattern[str]:
    """Compile the pattern of a word, on first use.

    ``re`` has no class for combining marks and does not count them as parts of words, which would break up
    a decomposed "é" and most Indic words. Their ranges are therefore taken from Unicode itself.

    Args:
        invisible: if true, characters that are not seen may be parts of words; without them it is faster.
    """
    marks = _mark_ranges()
    letter = rf"(?![{_IDEOGRAPH}])[^\W_]"
    joint = rf"(?:{_INVISIBLE.pattern}(?={letter}))?" if invisible else ""
    return re.compile(rf"(?:{letter}[{marks}]*{joint}){{1,{MAX_WORD}}}|\S[{marks}]*")


def _mark_ranges() -> str:
    """All combining marks, as ranges of a class of characters."""
    # They lie in this range, but for the variation selectors added below, and none is a letter or a digit.
    candidates = re.findall(r"\W", "".join(map(chr, range(0x300, 0x1F000))))
    codes = [ord(character) for character in candidates if category(character)[0] == "M"]
    firsts = [code for before, code in pairwise([0, *codes]) if code != before + 1]
    lasts = [code for code, after in pairwise([*codes, 0]) if after != code + 1]
    ranges = zip(map(chr, firsts), map(chr, lasts), strict=True)
    return "".join(f"{first}-{last}" for first, last in ranges) + "\U000e0100-\U000e01ef"


def iter_tokens(text: str) -> Iterator[Token]:
    """Yield the words of a text in order; together they cover every character that is not white space."""
    return starmap(Token, iter_ranges(text))


def iter_ranges(text: str) -> Iterator[tuple[int, int]]:
    """Yield first character and end of each word: what :func:`iter_tokens` yields, without its objects."""
    invisible = has_invisible(text)
    word = _ASCII_WORD if text.isascii() and not invisible else _word(invisible=invisible)
    return map(re.Match.span, word.finditer(text))


def has_invisible(text: str) -> bool:
    """True if a text holds characters that are not seen."""
    return _INVISIBLE.search(text) is not None


def remove_invisible(text: str) -> str:
    """Remove the characters that are not seen."""
    return _INVISIBLE.sub("", text)


def count_visible(text: str, block: int = 1 << 16) -> int:
    """Count the characters that are not white space, in constant memory.

    Independent of :func:`iter_tokens` on purpose: a comparison of the two proves coverage.
    """
    return sum(sum(map(len, text[start : start + block].split())) for start in range(0, len(text), block))
