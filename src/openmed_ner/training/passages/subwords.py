"""Encode texts as subwords, many at a time.

Words are cut and encoded as for fine-tuning, by :class:`SubwordTokenizer`; what lies between two blanks is
encoded once and remembered, since an encoder sees each word by itself. So encoding costs a look-up per
word (5 times faster than asking the tokenizer), and no text can spell a special subword: ``[MASK]`` is three
words. Lost numbers become the mask subword.
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
"""Words remembered at once, about 80 MB of them."""


class PassageTokenizer:
    """Cleaned texts to subword ids, without special ones.

    Attributes:
        mask: id of the mask subword.
        size: one past the largest id.
        dtype: the smallest that holds every id, ``uint16`` or ``uint32``.
    """

    def __init__(self, tokenizer_json: str) -> None:
        """Build from the contents of a ``tokenizer.json``.

        Raises:
            BundleError: it is not one, or has no mask subword.
        """
        from tokenizers import Tokenizer

        self._tokenizer = SubwordTokenizer.from_json(tokenizer_json)
        vocabulary: dict[str, int] = Tokenizer.from_str(tokenizer_json).get_vocab(with_added_tokens=True)
        masks = [vocabulary[name] for name in MASKS if name in vocabulary]
        if not masks:
            raise BundleError(
                f"the tokenizer has none of the subwords {', '.join(MASKS)}; pretraining needs it"
            )
        self.mask = masks[0]
        self.size = max(vocabulary.values()) + 1
        self.dtype = np.dtype(np.uint16 if self.size <= 1 << 16 else np.uint32)
        self._known: dict[str, bytes] = {}
        self._known_first: dict[str, bytes] = {}

    @property
    def special(self) -> dict[str, int]:
        """Ids of the special subwords, by what they are for."""
        tokenizer = self._tokenizer
        return {
            "prefix": tokenizer.prefix,
            "suffix": tokenizer.suffix,
            "padding": tokenizer.padding,
            "unknown": tokenizer.unknown,
            "mask": self.mask,
        }

    def encode(self, text: str) -> list[bytes]:
        """The subwords of what stands between the blanks of a cleaned text, as bytes of ``dtype``."""
        first, *rest = text.split(" ")
        for known in (self._known, self._known_first):
            if len(known) > REMEMBERED:
                known.clear()
        if first not in self._known_first:
            (self._known_first[first],) = self._encode([first], "")
        known = self._known
        if missing := list({word: None for word in rest if word not in known}):
            known.update(zip(missing, self._encode(missing, " "), strict=True))
        return [self._known_first[first], *map(known.__getitem__, rest)]

    def lengths(self, parts: Sequence[bytes]) -> list[int]:
        """How many subwords each of some encoded parts has."""
        return [len(part) // self.dtype.itemsize for part in parts]

    def word_lengths(self, part: str, *, first: bool) -> list[int]:
        """How many subwords each word within a part has; ``first`` says that no blank precedes the part."""
        text = part if first else f" {part}"
        tokens = list(iter_tokens(text))
        lengths = self._tokenizer.encode(text, tokens).lengths.tolist()
        lost = [text[token.start : token.end] == LOST for token in tokens]
        return [1 if each else int(length) for each, length in zip(lost, lengths, strict=True)]

    def _encode(self, parts: Sequence[str], blank: str) -> list[bytes]:
        """Encode parts by the tokenizer, each after ``blank``."""
        text = "".join(f"{blank}{part}" for part in parts)
        tokens = list(iter_tokens(text))
        encoding = self._tokenizer.encode(text, tokens)
        ids: list[list[int]] = [[] for _ in parts]
        ends = np.cumsum([len(blank) + len(part) for part in parts])
        owners = np.searchsorted(ends, encoding.starts, side="right").tolist()
        stops = np.cumsum(encoding.lengths).tolist()
        all_ids = encoding.ids.tolist()
        start = 0
        for token, owner, stop in zip(tokens, owners, stops, strict=True):
            lost = text[token.start : token.end] == LOST
            ids[owner] += [self.mask] if lost else all_ids[start:stop]
            start = stop
        return [np.array(each, dtype=self.dtype).tobytes() for each in ids]


_STOP = re.compile(r"""[.!?]["'”’)\]]*$""")


def ends_sentence(word: str) -> bool:
    """Whether a word that stands before a blank is the last of its sentence."""
    return _STOP.search(word) is not None


def cut(
    words: Sequence[str], lengths: Sequence[int], most: int, *, within: Callable[[int], Sequence[int]]
) -> list[tuple[int, int]]:
    """Find where to cut a passage.

    Args:
        words: what stands between its blanks.
        lengths: subwords of each of these.
        most: subwords of a piece at most.
        within: lengths of the parts that one of ``words``, told by its place, may be cut into; together
            they are as long as it, and each ``most`` at most.

    Returns:
        Half-open ranges of subwords, in order; together they are the passage.
    """
    units: list[int] = []
    sentence: list[int] = []
    for place, (word, length) in enumerate(zip(words, lengths, strict=True)):
        sentence += [length] if length <= most else within(place)
        if ends_sentence(word):
            units += _fit(sentence, most)
            sentence = []
    units += _fit(sentence, most)
    edges = list(accumulate(_pack_evenly(units, most), initial=0))
    return list(pairwise(edges))


def _fit(sentence: list[int], most: int) -> list[int]:
    """A sentence as one unit, or as even parts if it is too long."""
    if sum(sentence) <= most:
        return [sum(sentence)] if sentence else []
    return _pack_evenly(sentence, most)


def _pack_evenly(units: Sequence[int], most: int) -> list[int]:
    """Join units to the fewest sums of at most ``most``, the largest being as small as possible."""
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
    """Join units from the left, each sum as large as it may be."""
    sums: list[int] = []
    for unit in units:
        if sums and sums[-1] + unit <= most:
            sums[-1] += unit
        else:
            sums.append(unit)
    return sums
