"""Encode texts as subwords, many at a time.

Words are cut and encoded as for fine-tuning, by :class:`SubwordTokenizer`; what lies between two blanks is
encoded once and remembered, since an encoder sees each word by itself. So encoding costs a look-up per
word (5 times faster than asking the tokenizer), and no text can spell a special subword: ``[MASK]`` is three
words. Lost numbers become the mask subword.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from openmed_ner.errors import BundleError
from openmed_ner.tagging import SubwordTokenizer
from openmed_ner.text import iter_tokens
from openmed_ner.training.passages.clean import LOST

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
