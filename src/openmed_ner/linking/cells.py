"""Cells in the words of a text: surface markers, and cell lines with the word "cells"."""

from __future__ import annotations

import re

_MARKER = re.compile(r"(?<=\w)(?:(\+|⁺)|[−⁻])(?=\s|$|\()")
_LYMPHOCYTES = re.compile(r"\b([BT])[\s-]cell(s?)\b")
_CELLS = re.compile(r"(?:[\s-]+(?:cell[\s-]+lines?|cells?))+$", re.IGNORECASE)


def spell_markers(mention: str) -> str:
    """Cell with its surface markers in words, as MeSH names it.

    >>> spell_markers("CD4+ T cells")
    'CD4-positive T lymphocytes'
    """
    spelled = _MARKER.sub(lambda sign: "-positive" if sign[1] else "-negative", mention)
    return mention if spelled == mention else _LYMPHOCYTES.sub(r"\1 lymphocyte\2", spelled)


def drop_cells(mention: str) -> str:
    """Cell line without the words that say what it is.

    >>> drop_cells("HeLa cells")
    'HeLa'
    """
    return _CELLS.sub("", mention) or mention
