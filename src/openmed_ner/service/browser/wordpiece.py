"""BERT's tokenizer in Python alone, since the library ``tokenizers`` does not run in a browser.

What the tokenizer makes of each character is asked of the library when a page is exported, and the page gets
the answers as a table. Its results then depend neither on the version of Unicode that Python has in a browser
nor on that of the library, which differ.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from openmed_ner.errors import InputError

_MARK = "|"
"""Separates characters that the library normalises together; none of them becomes this sign."""
_BLOCK = 1024
"""Characters that the library is asked about together; its time grows with the square of their number."""
_CODES = (*range(0xD800), *range(0xE000, 0x40000), *range(0xE0000, 0x110000))
"""All characters but halves of surrogate pairs and the planes that Unicode has not begun to fill."""
_KINDS = {"model": "WordPiece", "normalizer": "BertNormalizer", "pre_tokenizer": "BertPreTokenizer"}
"""Parts of BERT's tokenizer."""


def describe_characters(tokenizer_json: str, codes: Iterable[int] = _CODES) -> dict[str, Any]:
    """Ask the library what a tokenizer makes of every character.

    Args:
        tokenizer_json: content of a ``tokenizer.json``.
        codes: the characters, in order; by default all of them.

    Returns:
        ``removed`` and ``spaced``: first and last character of each run that is removed, or set apart by
        blanks. ``forms``: what becomes of the others that change. ``signs``: characters that are words of
        their own.

    Raises:
        InputError: it is not BERT's tokenizer.
    """
    from tokenizers import Tokenizer

    _require_bert(json.loads(tokenizer_json))
    tokenizer = Tokenizer.from_str(tokenizer_json)
    characters = [character for character in map(chr, codes) if character != _MARK]
    blocks = [_MARK.join(block) for block in _blocks(characters)]
    normal = _MARK.join(map(tokenizer.normalizer.normalize_str, blocks)).split(_MARK)
    forms = {character: form for character, form in zip(characters, normal, strict=True) if form != character}

    # Between letters, only a sign is a piece of one character.
    kept = sorted({_MARK, *characters} - forms.keys() | set("".join(forms.values())))
    blocks = [f"a{'a'.join(block)}a" for block in _blocks(kept)]
    pieces = {piece for block in blocks for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(block)}
    removed = [character for character, form in forms.items() if not form]
    spaced = [character for character, form in forms.items() if form == f" {character} "]
    return {
        "removed": _find_runs(removed),
        "spaced": _find_runs(spaced),
        "forms": {character: forms[character] for character in forms.keys() - {*removed, *spaced}},
        "signs": "".join(sorted(piece for piece in pieces if len(piece) == 1 and piece != "a")),
    }


def _blocks(characters: Sequence[str]) -> Iterator[Sequence[str]]:
    return (characters[start : start + _BLOCK] for start in range(0, len(characters), _BLOCK))


def _require_bert(record: Mapping[str, Any]) -> None:
    """Raise an error unless a ``tokenizer.json`` is that of BERT."""
    for part, expected in _KINDS.items():
        if (found := (record.get(part) or {}).get("type")) != expected:
            raise InputError(
                f"tokenizer.json: the {part} is {found}, and a page reads {expected} only; "
                "choose a bundle over a BERT encoder, such as the embedded one"
            )


def _find_runs(characters: Iterable[str]) -> list[list[int]]:
    """First and last of each run of consecutive characters; the characters are in order."""
    runs = groupby(enumerate(map(ord, characters)), key=lambda pair: pair[1] - pair[0])
    codes = [[code for _, code in run] for _, run in runs]
    return [[run[0], run[-1]] for run in codes]


class _Forms(dict[int, str]):
    """What becomes of each character; those of runs are added when they are first asked for."""

    def __init__(self, characters: Mapping[str, Any]) -> None:
        super().__init__((ord(character), form) for character, form in characters["forms"].items())
        runs = [(*run, "") for run in characters["removed"]] + [(*run, " ") for run in characters["spaced"]]
        self._runs = sorted(runs)

    def __missing__(self, code: int) -> str:
        index = bisect_right(self._runs, code, key=lambda run: run[0]) - 1
        _, last, blank = self._runs[index] if index >= 0 else (0, -1, "")
        form = chr(code) if code > last else f"{blank}{chr(code)}{blank}" if blank else ""
        self[code] = form
        return form


@dataclass(frozen=True, slots=True)
class Pieces:
    """Subwords of some words.

    Attributes:
        ids: subword ids.
        word_ids: index of the word of each subword.
    """

    ids: list[int]
    word_ids: list[int]


@dataclass(frozen=True, slots=True)
class AddedToken:
    """A subword beside the vocabulary proper.

    Attributes:
        special: true if it stands for no text.
    """

    special: bool


class WordPieceTokenizer:
    """BERT's tokenizer, with those methods of ``tokenizers.Tokenizer`` that this package calls."""

    pre_tokenizer = None
    """No step that adds blanks."""

    def __init__(self, tokenizer_json: str, characters: Mapping[str, Any]) -> None:
        """Read a tokenizer.

        Args:
            tokenizer_json: content of its ``tokenizer.json``.
            characters: answers of :func:`describe_characters`.
        """
        record = json.loads(tokenizer_json)
        model = record["model"]
        self._json = tokenizer_json
        self._added = {token["id"]: token for token in record["added_tokens"]}
        self._vocabulary: dict[str, int] = {
            **model["vocab"],
            **{token["content"]: number for number, token in self._added.items()},
        }
        self._unknown = self._vocabulary[model["unk_token"]]
        self._prefix: str = model["continuing_subword_prefix"]
        self._longest: int = model["max_input_chars_per_word"]
        self._frame = list(_iter_frame(record["post_processor"]))
        self._forms = _Forms(characters)
        self._signs = {ord(sign): f" {sign} " for sign in characters["signs"]}

    def no_truncation(self) -> None:
        """Texts are never truncated."""

    def no_padding(self) -> None:
        """Texts are never padded."""

    def to_str(self) -> str:
        """Content of the ``tokenizer.json``."""
        return self._json

    def token_to_id(self, name: str) -> int | None:
        """Id of a subword; ``None`` if there is none of this name."""
        return self._vocabulary.get(name)

    def get_vocab(self, *, with_added_tokens: bool = True) -> dict[str, int]:
        """Id of each subword."""
        return self._vocabulary

    def get_vocab_size(self, *, with_added_tokens: bool = True) -> int:
        """Number of subwords."""
        return len(self._vocabulary)

    def get_added_tokens_decoder(self) -> dict[int, AddedToken]:
        """Subwords beside the vocabulary proper, by id."""
        return {number: AddedToken(token["special"]) for number, token in self._added.items()}

    def encode(
        self, words: str | Sequence[str], *, is_pretokenized: bool = False, add_special_tokens: bool = True
    ) -> Pieces:
        """Cut words into subwords.

        Args:
            words: words; an empty text asks for the special subwords that frame a text.
            is_pretokenized: true for words.
            add_special_tokens: true for the frame.

        Raises:
            NotImplementedError: another text is given whole.
        """
        if not words and add_special_tokens:
            return Pieces(self._frame, [])
        if not is_pretokenized or add_special_tokens:
            raise NotImplementedError("expected words, without special subwords")
        cut = [list(self._cut(word)) for word in words]
        owners = [index for index, pieces in enumerate(cut) for _ in pieces]
        return Pieces([piece for pieces in cut for piece in pieces], owners)

    def _cut(self, word: str) -> Iterator[int]:
        """Subword ids of a word, which punctuation and ideographs divide further."""
        for part in word.translate(self._forms).translate(self._signs).split(" "):
            if part:
                yield from self._match(part)

    def _match(self, part: str) -> list[int]:
        """The longest subwords from left to right; the unknown one if they do not cover the part."""
        if len(part) > self._longest:
            return [self._unknown]
        pieces = []
        start = 0
        while start < len(part):
            for end in range(len(part), start, -1):
                piece = part[start:end] if start == 0 else self._prefix + part[start:end]
                if (number := self._vocabulary.get(piece)) is not None:
                    pieces.append(number)
                    start = end
                    break
            else:
                return [self._unknown]
        return pieces


def _iter_frame(processor: Mapping[str, Any]) -> Iterator[int]:
    """Yield the ids of the special subwords around a text, in order."""
    if processor["type"] == "BertProcessing":
        yield from (processor["cls"][1], processor["sep"][1])
        return
    for item in processor["single"]:
        if (special := item.get("SpecialToken")) is not None:
            yield from processor["special_tokens"][special["id"]]["ids"]
