"""One form for the spellings of a name: case, hyphens, Greek letters, plural, possessive, British spelling.

A word becomes zero or more pieces: runs of letters, or of digits. A name becomes the pieces of its words,
joined by blanks, so that "IL-2", "IL 2" and "IL2" are one name, and "β-blockers" is "beta blocker".
Punctuation has no piece. Pieces are keys to compare, not words to read: "metastasis" and "metastases" are
both "metastase".

Short names in capitals are ordinary words in lower case ("CAT", "WAS", "AIDS"). :func:`is_case_sensitive`
tells them apart, and they keep their case.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache

from openmed_ner.text import iter_tokens
from openmed_ner.text.words import MAX_WORD

MAX_CASED = 6
"""Letters of the longest name that keeps its case."""
CASED = "="
"""First character of the key of a case-sensitive name; no normalised name contains it."""
_GREEK = """
alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma sigma tau
upsilon phi chi psi omega
"""

_GREEK_NAMES = {chr(0x3B1 + number): f" {name} " for number, name in enumerate(_GREEK.split())} | {
    "ϐ": " beta ",
    "ϑ": " theta ",
    "ϕ": " phi ",
    "ϖ": " pi ",
    "ϵ": " epsilon ",
    "ı": "i",  # without a decomposition
    "ø": "o",
    "ł": "l",
}
_TRANSLATION = str.maketrans(_GREEK_NAMES)
_PIECE = re.compile(r"[^\W\d_]+|\d+")
_DIGRAPH = re.compile(r"[ao]+e")
APOSTROPHES = "'’"
_MIN_PLURAL = 4
_MIN_BRITISH = 6


@cache
def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


def split_word(word: str) -> tuple[str, ...]:
    """Split a word into its pieces; none for punctuation."""
    if word.isascii():
        folded = word.lower()
    else:
        decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", word).casefold())
        folded = "".join(character for character in decomposed if not _is_mark(character))
        folded = folded.translate(_TRANSLATION)
    return tuple(_fold_spelling(piece) for piece in _PIECE.findall(folded))


@lru_cache(maxsize=1 << 16)
def _fold_spelling(piece: str) -> str:
    """Fold plural and British spelling of a piece in lower case."""
    if len(piece) >= _MIN_PLURAL:
        piece = _singular(piece)
    if len(piece) >= _MIN_BRITISH:
        piece = _DIGRAPH.sub("e", piece)  # anaemia, oedema
        if piece.endswith("our"):
            piece = f"{piece[:-3]}or"  # tumour
    return piece


def _singular(piece: str) -> str:
    if piece.endswith("sis") and len(piece) > 5:
        return f"{piece[:-2]}e"  # as the plural: metastases
    if not piece.endswith("s") or piece.endswith(("ss", "us", "is")):
        return piece
    if piece.endswith("ies") and len(piece) > 4:
        return f"{piece[:-3]}y"
    if piece.endswith(("uses", "sses", "xes", "ches", "shes")):
        return piece[:-2]
    return piece[:-1]


def normalise(name: str) -> str:
    """Return the pieces of a name, joined by blanks; empty if it has neither letters nor digits."""
    if name.isascii() and "'" not in name and len(name) <= MAX_WORD:
        return " ".join(split_word(name))  # as below, since no word is cut
    pieces: list[str] = []
    before = ""
    for token in iter_tokens(name):
        word = name[token.start : token.end]
        if not (word in ("s", "S") and before and before in APOSTROPHES):
            pieces += split_word(word)
        before = word
    return " ".join(pieces)


def is_case_sensitive(name: str) -> bool:
    """Return true for a short word with a capital after its first letter, or of up to three letters with
    any."""
    capitals = name if len(name) <= 3 else name[1:]
    return len(name) <= MAX_CASED and name.isalpha() and any(map(str.isupper, capitals))


def cased_form(word: str) -> str:
    """Form of a case-sensitive name, or of a word that may be one, without the "s" of a plural: "NSAIDs"."""
    return word[:-1] if word.endswith("s") and word[-2:-1].isupper() and len(word) > 2 else word


def name_key(name: str) -> str:
    """Key of a name: its normalised form, or for a case-sensitive name itself after ``CASED``.

    Names with one key are one name. The key of a name without letters and digits is empty.
    """
    form = cased_form(name)
    return f"{CASED}{form}" if is_case_sensitive(form) else normalise(name)
