"""Cut words into a model's subwords, and count the subwords of each word.

Words are cut by this package, so every kind of tokenizer is aligned in the same way. Each word is passed to
the tokenizer with the blank that precedes it, if any: byte-level and SentencePiece vocabularies mark it. A
word without subwords, such as a control character, gets the unknown subword. Every word therefore owns at
least one subword, and its first one carries the tag.

A tokenizer that adds a blank before a text would add one before every word, and read "IL-2" as "IL - 2".
That setting is switched off. Instead, a blank is added before the first word of a text, and before a word
that follows a blank.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from openmed_ner.errors import BundleError
from openmed_ner.text import Token
from openmed_ner.text.words import has_invisible, iter_ranges, remove_invisible

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.pre_tokenizers import PreTokenizer

IntArray = NDArray[np.int32]
MAX_PIECES = 64
"""Most subwords of a word; a longer one becomes the unknown subword, so that every word fits a window.

BERT's tokenizer does the same beyond 100 characters. Letters with hundreds of combining marks are so long.
"""
BLOCK = 1024
"""Words tokenised at a time: large enough for speed, small enough for constant memory."""
REMEMBERED = 1 << 14
"""Number of words whose subwords are remembered. Beyond it, all are forgotten."""
LONGEST_REMEMBERED = 64
"""Characters of the longest word that is remembered, so that no text can fill the memory."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """Consecutive words of a text and their subwords.

    Attributes:
        starts: first character of each word, ``(n_words,)``.
        ends: one past the last character of each word, ``(n_words,)``.
        lengths: number of subwords of each word, at least 1, ``(n_words,)``.
        ids: subword ids, ``(lengths.sum(),)``.
        lexicon_tags: lexicon tags of each word, see :meth:`openmed_ner.terminologies.Matcher.encode`,
            ``(n_words,)``; ``None`` without a lexicon.
    """

    starts: IntArray
    ends: IntArray
    lengths: IntArray
    ids: IntArray
    lexicon_tags: IntArray | None = None


class SubwordTokenizer:
    """A fast tokenizer with truncation and padding off, and the special ids a model expects."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Adopt a tokenizer, which is changed.

        Raises:
            BundleError: it has no unknown or padding subword, or does not frame a text by two special ones.
        """
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._json = str(tokenizer.to_str())
        self._memory: dict[str, tuple[int, ...]] = {}
        self._blank, self._opening = _disable_blanks(tokenizer)
        framed = tokenizer.encode("").ids
        if len(framed) != 2:
            raise BundleError(f"the tokenizer frames a text with {len(framed)} special subwords; expected 2")
        self.prefix, self.suffix = framed
        self.unknown = self._special("[UNK]", "<unk>")
        self.padding = self._special("[PAD]", "<pad>")

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Build from the contents of a ``tokenizer.json``.

        Raises:
            BundleError: the library cannot read it.
        """
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_str(text)
        except Exception as error:  # the library raises bare Exception
            raise BundleError(f"tokenizer.json cannot be read: {error}") from error
        return cls(tokenizer)

    def __reduce__(self) -> tuple[Callable[[str], SubwordTokenizer], tuple[str]]:
        """Pickle the contents of the file, for another process."""
        return SubwordTokenizer.from_json, (self._json,)

    def to_json(self) -> str:
        """Contents of a ``tokenizer.json`` that neither truncates nor pads."""
        return self._json

    @property
    def mask(self) -> int:
        """Id of the subword that masks another in masked language modelling.

        Raises:
            BundleError: the tokenizer has none.
        """
        return self._special("[MASK]", "<mask>")

    @property
    def specials(self) -> frozenset[int]:
        """Ids of the subwords that stand for no text."""
        added = self._tokenizer.get_added_tokens_decoder()
        special = {number for number, token in added.items() if token.special}
        return frozenset(special) | {self.prefix, self.suffix, self.unknown, self.padding}

    @property
    def vocabulary(self) -> list[str]:
        """Every subword, by id."""
        numbers = self._tokenizer.get_vocab(with_added_tokens=True)
        return sorted(numbers, key=numbers.__getitem__)

    @property
    def n_subwords(self) -> int:
        """Number of subwords of the vocabulary."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def knows(self, word: str) -> bool:
        """True if a word is one subword of the vocabulary."""
        (pieces,) = self._cut([self._blank + word])
        return len(pieces) == 1 and pieces != (self.unknown,)

    def _special(self, *names: str) -> int:
        for name in names:
            if (number := self._tokenizer.token_to_id(name)) is not None:
                return int(number)
        raise BundleError(f"the tokenizer has none of the subwords {', '.join(names)}")

    def encode(self, text: str, tokens: Sequence[Token]) -> Encoding:
        """Cut some consecutive words of a text into subwords, without special ones."""
        return self._encode(text, [(token.start, token.end) for token in tokens])

    def iter_encodings(self, text: str, tokens: Iterable[Token] | None = None) -> Iterator[Encoding]:
        """Encode all words of a text, block by block, in memory that does not grow with its length."""
        ranges = iter_ranges(text) if tokens is None else ((token.start, token.end) for token in tokens)
        while block := list(islice(ranges, BLOCK)):
            yield self._encode(text, block)

    def _encode(self, text: str, ranges: Sequence[tuple[int, int]]) -> Encoding:
        blanks = (self._opening, "", self._blank)  # at the beginning of the text, after a sign, after a blank
        words = [
            blanks[1 + text[start - 1].isspace() if start else 0] + text[start:end] for start, end in ranges
        ]
        if ranges and has_invisible(text[ranges[0][0] : ranges[-1][1]]):
            # BERT's vocabularies drop these characters, others would read them as signs within the word.
            words = [remove_invisible(word) for word in words]

        pieces = self._cut(words)
        lengths = np.fromiter(map(len, pieces), dtype=np.int32, count=len(words))
        ids = np.fromiter(chain.from_iterable(pieces), dtype=np.int32, count=int(lengths.sum()))
        starts, ends = np.array(ranges, dtype=np.int32).reshape(-1, 2).T.copy()
        return Encoding(starts, ends, lengths, ids)

    def _cut(self, words: Sequence[str]) -> list[tuple[int, ...]]:
        """Subword ids of each word. A word's are always the same, so they are remembered."""
        if len(self._memory) > REMEMBERED:
            self._memory = {}
        memory = self._memory  # another thread may begin a new one
        missing = [word for word in dict.fromkeys(words) if word not in memory]
        cut = dict(zip(missing, self._cut_anew(missing), strict=True)) if missing else {}
        memory.update((word, ids) for word, ids in cut.items() if len(word) <= LONGEST_REMEMBERED)
        return [cut.get(word) or memory[word] for word in words]

    def _cut_anew(self, words: Sequence[str]) -> Iterator[tuple[int, ...]]:
        encoded = self._tokenizer.encode(words, is_pretokenized=True, add_special_tokens=False)
        pieces: list[list[int]] = [[] for _ in words]
        for owner, piece in zip(encoded.word_ids, encoded.ids, strict=True):
            if owner is not None:  # special subwords, of which there are none here
                pieces[owner].append(piece)
        for ids in pieces:
            # A word without subwords gets the unknown one, so does a word that is too long.
            yield tuple(ids) if 0 < len(ids) <= MAX_PIECES else (self.unknown,)


def _disable_blanks(tokenizer: Tokenizer) -> tuple[str, str]:
    """Keep a tokenizer from adding blanks.

    Returns:
        The sign for a blank, and the beginning of a text. The sign of SentencePiece is its own mark, since
        some tokenizers strip blanks before they mark them.
    """
    if tokenizer.pre_tokenizer is None:
        return " ", ""
    from tokenizers.pre_tokenizers import ByteLevel, Metaspace

    for step in _steps(tokenizer.pre_tokenizer):
        if isinstance(step, Metaspace):
            blank, opens = step.replacement, step.prepend_scheme != "never"
            step.prepend_scheme = "never"
        elif isinstance(step, ByteLevel):
            blank, opens = " ", step.add_prefix_space
            step.add_prefix_space = False
        else:
            continue
        return blank, blank if opens else ""
    return " ", ""


def _steps(step: PreTokenizer | None) -> Iterator[PreTokenizer]:
    """Yield the steps of a pre-tokenizer, in order."""
    from tokenizers.pre_tokenizers import Sequence as Several

    if isinstance(step, Several):
        for part in step:  # type: ignore[attr-defined]  # it can be indexed, which its stub omits
            yield from _steps(part)
    elif step is not None:
        yield step
