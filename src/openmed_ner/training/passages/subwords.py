"""Encode passages as subwords, and cut long ones into pieces.

Words are encoded as for fine-tuning, by :class:`SubwordTokenizer`. Text between two blanks is encoded once
and cached, since words are encoded separately. So encoding costs a look-up per word (5 times faster than the
tokenizer), and no text can spell a special subword: ``[MASK]`` is three words. Lost numbers become the mask
subword.

Pieces end at the end of a sentence: after a stop before a blank. That also cuts after "e.g.", which costs
little. Of all ways with the fewest pieces, the one with the smallest largest piece is taken, filled from the
left. A sentence that is too long itself is first cut evenly between words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from openmed_ner.errors import BundleError
from openmed_ner.tagging import SubwordTokenizer
from openmed_ner.text import iter_tokens
from openmed_ner.training.passages.text import LOST

Ids = NDArray[np.uint16] | NDArray[np.uint32]
MASKS = ("[MASK]", "<mask>")
REMEMBERED = 1 << 19
"""Maximum number of cached words, about 80 MB."""


class PassageTokenizer:
    """Encodes cleaned texts as subword ids, without special ones.

    Attributes:
        mask: id of the mask subword.
        size: one past the largest id.
        dtype: smallest data type that holds every id, ``uint16`` or ``uint32``.
    """

    def __init__(self, tokenizer_json: str) -> None:
        """Build from the contents of a ``tokenizer.json``.

        Raises:
            BundleError: the contents are damaged, or the tokenizer has no mask subword.
        """
        from tokenizers import Tokenizer

        self._tokenizer = SubwordTokenizer.from_json(tokenizer_json)
        vocabulary: dict[str, int] = Tokenizer.from_str(tokenizer_json).get_vocab(with_added_tokens=True)
        masks = [vocabulary[name] for name in MASKS if name in vocabulary]
        if not masks:
            raise BundleError(
                f"the tokenizer has none of the subwords {', '.join(MASKS)}; pretraining needs one"
            )
        self.mask = masks[0]
        self.size = max(vocabulary.values()) + 1
        self.dtype = np.dtype(np.uint16 if self.size <= 1 << 16 else np.uint32)
        self._cache: dict[str, bytes] = {}
        self._first_cache: dict[str, bytes] = {}

    @property
    def special(self) -> dict[str, int]:
        """Ids of the special subwords, by purpose."""
        tokenizer = self._tokenizer
        return {
            "prefix": tokenizer.prefix,
            "suffix": tokenizer.suffix,
            "padding": tokenizer.padding,
            "unknown": tokenizer.unknown,
            "mask": self.mask,
        }

    def encode(self, text: str) -> list[bytes]:
        """Encode the parts of a cleaned text between its blanks, each as bytes of ``dtype``."""
        first, *rest = text.split(" ")
        for cache in (self._cache, self._first_cache):
            if len(cache) > REMEMBERED:
                cache.clear()

        # Some tokenizers encode the first word, which no blank precedes, in another way.
        if first not in self._first_cache:
            (self._first_cache[first],) = self._encode([first], "")
        cache = self._cache
        if missing := list({word: None for word in rest if word not in cache}):
            cache.update(zip(missing, self._encode(missing, " "), strict=True))
        return [self._first_cache[first], *map(cache.__getitem__, rest)]

    def lengths(self, parts: Sequence[bytes]) -> list[int]:
        """Number of subwords of each encoded part."""
        return [len(part) // self.dtype.itemsize for part in parts]

    def word_lengths(self, part: str, *, first: bool) -> list[int]:
        """Number of subwords of each word in a part; ``first``: no blank precedes the part."""
        text = part if first else f" {part}"
        tokens = list(iter_tokens(text))
        lengths = self._tokenizer.encode(text, tokens).lengths.tolist()
        lost = [text[token.start : token.end] == LOST for token in tokens]
        return [1 if is_lost else int(length) for is_lost, length in zip(lost, lengths, strict=True)]

    def _encode(self, parts: Sequence[str], blank: str) -> list[bytes]:
        """Encode parts by the tokenizer, each after ``blank``."""
        text = "".join(f"{blank}{part}" for part in parts)
        tokens = list(iter_tokens(text))
        encoding = self._tokenizer.encode(text, tokens)
        ids: list[list[int]] = [[] for _ in parts]
        ends = np.cumsum([len(blank) + len(part) for part in parts])
        # The tokenizer sees all parts in one call; each token belongs to the part that its start lies in.
        owners = np.searchsorted(ends, encoding.starts, side="right").tolist()
        stops = np.cumsum(encoding.lengths).tolist()
        all_ids = encoding.ids.tolist()

        start = 0
        for token, owner, stop in zip(tokens, owners, stops, strict=True):
            lost = text[token.start : token.end] == LOST
            ids[owner] += [self.mask] if lost else all_ids[start:stop]
            start = stop
        return [np.array(part_ids, dtype=self.dtype).tobytes() for part_ids in ids]


_STOP = re.compile(r"""[.!?]["'”’)\]]*$""")


def ends_sentence(word: str) -> bool:
    """Return whether a word before a blank is the last of its sentence."""
    return _STOP.search(word) is not None


def cut(
    words: Sequence[str], lengths: Sequence[int], most: int, *, within: Callable[[int], Sequence[int]]
) -> list[tuple[int, int]]:
    """Cut a passage into pieces.

    Args:
        words: parts of the passage between its blanks.
        lengths: number of subwords of each word.
        most: maximum number of subwords of a piece.
        within: function from the index of a word to the lengths of its parts, each at most ``most``; they
            add up to the length of the word.

    Returns:
        Half-open ranges of subwords, in order; together they are the passage.
    """
    units: list[int] = []
    sentence: list[int] = []
    for index, (word, length) in enumerate(zip(words, lengths, strict=True)):
        sentence += [length] if length <= most else within(index)
        if ends_sentence(word):
            units += _fit(sentence, most)
            sentence = []
    units += _fit(sentence, most)
    edges = list(accumulate(_pack_evenly(units, most), initial=0))
    return list(pairwise(edges))


def _fit(sentence: list[int], most: int) -> list[int]:
    """Return a sentence as one unit, or as even parts if it is too long."""
    if sum(sentence) <= most:
        return [sum(sentence)] if sentence else []
    return _pack_evenly(sentence, most)


def _pack_evenly(units: Sequence[int], most: int) -> list[int]:
    """Join units to the fewest sums of at most ``most``, the largest being as small as possible."""
    # The number of sums never rises with the limit, so a bisection finds the lowest limit that keeps it.
    fewest = len(_pack(units, most))
    low, high = max(units, default=0), most
    while low < high:
        middle = (low + high) // 2
        if len(_pack(units, middle)) <= fewest:
            high = middle
        else:
            low = middle + 1
    return _pack(units, low)


def _pack(units: Sequence[int], most: int) -> list[int]:
    """Join units from the left, each sum as large as possible."""
    sums: list[int] = []
    for unit in units:
        if sums and sums[-1] + unit <= most:
            sums[-1] += unit
        else:
            sums.append(unit)
    return sums
