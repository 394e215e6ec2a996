"""Words and their subwords, for tokenizers of three kinds."""

from __future__ import annotations

from itertools import chain
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from openmed_ner.errors import BundleError
from openmed_ner.tagging import (
    SubwordTokenizer,
    iter_windows,
)
from openmed_ner.tagging.subwords import LONGEST_REMEMBERED, MAX_PIECES
from openmed_ner.text import Token, iter_tokens
from openmed_ner.text.words import remove_invisible
from strategies import texts

BYTE_LEVEL = ["<s>", "</s>", "<pad>", "<unk>"]
CORPUS = [
    "IL-2-induced tumors of the colon",
    "5-fluorouracil in cancer, naïve cells",
    "β-catenin (CTNNB1)",
] * 4


def frame() -> processors.TemplateProcessing:
    return processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)])


@pytest.fixture(scope="session")
def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=320, special_tokens=BYTE_LEVEL, initial_alphabet=alphabet, show_progress=False
        ),
    )
    tokenizer.post_processor = frame()
    return tokenizer


@pytest.fixture(scope="session")
def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"[\p{Cc}\p{Cf}]"), "")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.UnigramTrainer(
            vocab_size=90, special_tokens=BYTE_LEVEL, unk_token="<unk>", show_progress=False
        ),
    )
    tokenizer.post_processor = frame()
    return tokenizer


@pytest.fixture(scope="session", params=["wordpiece", "byte_level", "unigram"])
def any_encoder(request: pytest.FixtureRequest, tokenizer: SubwordTokenizer) -> SubwordTokenizer:
    return (
        tokenizer
        if request.param == "wordpiece"
        else SubwordTokenizer(request.getfixturevalue(request.param))
    )


@given(text=texts)
@example("\0 \u200b\ufeff\u00ad \x01a \x7f")
def test_every_word_owns_a_subword(any_encoder: SubwordTokenizer, text: str) -> None:
    tokens = list(iter_tokens(text))
    encoding = any_encoder.encode(text, tokens)
    assert [*zip(encoding.starts, encoding.ends, strict=True)] == [
        (token.start, token.end) for token in tokens
    ]
    assert (encoding.lengths >= 1).all()
    assert encoding.lengths.sum() == len(encoding.ids)


@given(text=texts)
def test_a_word_is_cut_the_same_way_alone(any_encoder: SubwordTokenizer, text: str) -> None:
    tokens = list(iter_tokens(text))
    alone = [any_encoder.encode(text, [token]).ids.tolist() for token in tokens]
    assert any_encoder.encode(text, tokens).ids.tolist() == list(chain(*alone))


@given(text=texts, block=st.integers(1, 5))
def test_blocks_joined_equal_one_whole_encoding(any_encoder: SubwordTokenizer, text: str, block: int) -> None:
    assume(not text.isspace() and text)
    (whole,) = any_encoder.iter_encodings(text)
    with patch("openmed_ner.tagging.subwords.BLOCK", block):
        parts = list(any_encoder.iter_encodings(text))
    for field in ("starts", "ends", "lengths", "ids"):
        joined = np.concatenate([getattr(part, field) for part in parts])
        np.testing.assert_array_equal(joined, getattr(whole, field))


@given(text=texts)
def test_byte_level_subwords_spell_the_text(byte_level: Tokenizer, text: str) -> None:
    tokenizer = SubwordTokenizer(byte_level)
    spelt = byte_level.decode(tokenizer.encode(text, list(iter_tokens(text))).ids.tolist())
    assert "".join(spelt.split()) == "".join(remove_invisible(text).split())


def test_a_control_character_stands_in_as_unknown(tokenizer: SubwordTokenizer) -> None:
    text = "\0a \u200b\u200b b"
    encoding = tokenizer.encode(text, list(iter_tokens(text)))
    unknown = tokenizer.unknown
    a, b = (tokenizer.encode(letter, [Token(0, 1)]).ids[0] for letter in "ab")
    assert encoding.ids.tolist() == [unknown, a, unknown, unknown, b]


def test_a_word_of_countless_subwords_stands_in_as_unknown(any_encoder: SubwordTokenizer) -> None:
    text = "aspirin e" + "\u0301" * 500 + " 👩" + "\u20dd" * 500 + " cancer"
    (encoding,) = any_encoder.iter_encodings(text)
    assert len(encoding.starts) == 4
    assert encoding.lengths.max() <= MAX_PIECES and encoding.lengths.min() >= 1
    assert encoding.lengths.sum() == len(encoding.ids)
    assert [window.owned for window in iter_windows([encoding], capacity=MAX_PIECES, overlap=0)]


def test_long_words_are_not_remembered(any_encoder: SubwordTokenizer) -> None:
    long = "ab" * LONGEST_REMEMBERED
    first, again = (any_encoder.encode(long, list(iter_tokens(long))) for _ in range(2))
    assert first.ids.tolist() == again.ids.tolist()
    assert not any(long in word for word in any_encoder._memory)


@given(text=texts)
def test_a_saved_encoder_cuts_the_same(any_encoder: SubwordTokenizer, text: str) -> None:
    tokens = list(iter_tokens(text))
    again = SubwordTokenizer.from_json(any_encoder.to_json())
    np.testing.assert_array_equal(again.encode(text, tokens).ids, any_encoder.encode(text, tokens).ids)


def test_truncation_and_padding_are_off(tokenizer: SubwordTokenizer) -> None:
    cutting = Tokenizer.from_str(tokenizer.to_json())
    cutting.enable_truncation(8)
    cutting.enable_padding(length=50)
    text = "the " * 40
    (expected,), (result,) = (entry.iter_encodings(text) for entry in (tokenizer, SubwordTokenizer(cutting)))
    assert result.ids.tolist() == expected.ids.tolist() == [expected.ids[0]] * 40


def test_an_unusable_tokenizer_is_refused(tokenizer: SubwordTokenizer) -> None:
    unframed = Tokenizer(models.WordPiece({"[UNK]": 0, "[PAD]": 1}, unk_token="[UNK]"))
    with pytest.raises(BundleError, match="frames a text with 0 special subwords"):
        SubwordTokenizer(unframed)
    with pytest.raises(BundleError, match="cannot be read"):
        SubwordTokenizer.from_json(tokenizer.to_json()[:-9])
    with pytest.raises(BundleError, match="\\[PAD\\]"):
        SubwordTokenizer.from_json(tokenizer.to_json().replace("[PAD]", "[FILL]"))


def test_characters_that_are_not_seen_are_not_read(tokenizer: SubwordTokenizer) -> None:
    plain, hidden = "aspirin in cancer", "asp\xadirin in can\u200b\u200bcer"
    first, second = (next(tokenizer.iter_encodings(text)) for text in (plain, hidden))
    assert first.ids.tolist() == second.ids.tolist()
    assert second.ends.tolist() == [8, 11, len(hidden)]
