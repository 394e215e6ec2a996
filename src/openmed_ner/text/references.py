"""Character references of HTML in plain text, such as ``&nbsp;``, whose names are no words of the text."""

from __future__ import annotations

import re
from html import unescape

_REFERENCE = re.compile(r"&(?:amp;)*(#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


def blank_references(text: str) -> str:
    """Replace references to blanks and signs by the sign and blanks, so that no other character moves.

    Those escaped twice (``&amp;lt;``) are meant, too. References to letters and digits stay, since they
    may be parts of names (``TNF-&alpha;``), and so do unknown ones.

    Returns:
        A text of the same length.
    """
    return _REFERENCE.sub(_blank, text) if "&" in text else text


def _blank(match: re.Match[str]) -> str:
    reference = match[0]
    sign = unescape(f"&{match[1]};")
    if len(sign) != 1 or sign.isalnum():
        return reference
    return (sign if sign.isprintable() else " ").ljust(len(reference))
