"""Genes in the words of a text: Greek letters as the letters of symbols, and words such as "gene" dropped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_GREEK: Mapping[str, str] = {
    "alpha": "a",
    "beta": "b",
    "gamma": "g",
    "delta": "d",
    "epsilon": "e",
    "zeta": "z",
    "kappa": "k",
}
_BRACKETS = re.compile(r"\s+\([^()]*\)")
_GENERAL = frozenset(
    ("gene", "protein", "mrna", "transcript", "promoter", "antigen", "peptide", "polypeptide")
)


def drop_brackets(mention: str) -> str:
    """Mention without what it has in brackets, such as the abbreviation of the words before.

    >>> drop_brackets("cyclooxygenase (COX)-2")
    'cyclooxygenase-2'
    """
    return _BRACKETS.sub("", mention) or mention


def iter_symbols(name: str) -> Iterator[str]:
    """Yield other wordings of a normalised gene.

    >>> list(iter_symbols("tgf beta 3 gene"))
    ['tgf beta 3', 'tgfb 3']
    """
    pieces = name.split(" ")
    kept = [piece for piece in pieces if piece not in _GENERAL]
    if kept and kept != pieces:
        yield " ".join(kept)
    letters = [_GREEK.get(piece, piece) for piece in kept]
    if letters != kept and len(letters) > 1:
        yield " ".join(_join_letters(letters))


def _join_letters(pieces: list[str]) -> Iterator[str]:
    """Letters that stand side by side are one piece, as in a symbol; numbers are pieces of their own."""
    word = ""
    for piece in pieces:
        if piece.isdigit():
            if word:
                yield word
            yield piece
            word = ""
        else:
            word += piece
    if word:
        yield word
