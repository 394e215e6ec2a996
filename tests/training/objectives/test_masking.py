from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertTokenizerFast, DataCollatorForLanguageModeling

from openmed_ner.tagging import SubwordTokenizer
from openmed_ner.training.config import Masking
from openmed_ner.training.objectives.masking import find_continuations, hide
from sentences import DOCUMENTS, tiny_tokenizer

TOKENIZER = BertTokenizerFast(tokenizer_object=tiny_tokenizer())
ENCODER = SubwordTokenizer(tiny_tokenizer())
VOCABULARY = ENCODER.vocabulary
CONTINUES = torch.from_numpy(find_continuations(VOCABULARY))
SPECIALS = torch.tensor(sorted(ENCODER.specials))
BATCH = TOKENIZER(
    [*(document.text for document in DOCUMENTS), "unheard words zzz"], padding=True, return_tensors="pt"
)
FIXED = torch.tensor(
    [
        TOKENIZER.get_special_tokens_mask(row, already_has_special_tokens=True)
        for row in BATCH["input_ids"].tolist()
    ]
)


def hide_here(ids: torch.Tensor, masking: Masking) -> tuple[torch.Tensor, torch.Tensor]:
    return hide(
        ids,
        torch.isin(ids, SPECIALS),
        masking=masking,
        mask=ENCODER.mask,
        n_vocabulary=len(VOCABULARY),
        continues=CONTINUES,
    )


@given(seed=st.integers(0, 2**31), share=st.floats(0.01, 0.99))
def test_masks_are_those_of_transformers(seed: int, share: float) -> None:
    collator = DataCollatorForLanguageModeling(TOKENIZER, mlm_probability=share)
    torch.manual_seed(seed)
    expected = collator.torch_mask_tokens(BATCH["input_ids"].clone(), FIXED)
    torch.manual_seed(seed)
    inputs, chosen = hide_here(BATCH["input_ids"], Masking(share))
    assert torch.equal(inputs, expected[0])
    assert torch.equal(torch.where(chosen, BATCH["input_ids"], -100), expected[1])


@given(seed=st.integers(0, 2**31), share=st.floats(0.01, 0.99))
def test_whole_words_are_chosen_as_by_transformers(seed: int, share: float) -> None:
    collator = DataCollatorForLanguageModeling(  # which masks every chosen subword in this mode
        TOKENIZER, mlm_probability=share, whole_word_mask=True, mask_replace_prob=1.0, random_replace_prob=0.0
    )
    words = [re.sub(r"[^ a-z]", "", document.text.lower()) for document in DOCUMENTS]  # a stop joins its word
    batch = TOKENIZER(words, padding=True, return_offsets_mapping=True, return_tensors="pt")
    ids = batch["input_ids"]
    torch.manual_seed(seed)
    _, expected = collator.torch_mask_tokens(ids.clone(), torch.isin(ids, SPECIALS), batch["offset_mapping"])
    torch.manual_seed(seed)
    _, chosen = hide_here(ids, Masking(share, whole_words=True))
    assert torch.equal(torch.where(chosen, ids, -100), expected)


def test_of_what_is_chosen_eight_in_ten_are_masked_and_one_in_ten_is_random() -> None:
    ids = torch.randint(5, len(VOCABULARY) - 1, (400, 100))
    torch.manual_seed(0)
    inputs, chosen = hide_here(ids, Masking())
    masked = (inputs == ENCODER.mask) & chosen
    changed = (inputs != ids) & ~masked
    assert chosen.float().mean() == pytest.approx(0.15, abs=0.01)
    assert masked.sum() / chosen.sum() == pytest.approx(0.8, abs=0.02)
    assert changed.sum() / chosen.sum() == pytest.approx(0.1, abs=0.02)
    assert torch.equal(inputs[~chosen], ids[~chosen])


@given(seed=st.integers(0, 2**31))
def test_a_word_is_chosen_whole_or_not_at_all(seed: int) -> None:
    torch.manual_seed(seed)
    ids = BATCH["input_ids"]
    _, chosen = hide_here(ids, Masking(0.5, whole_words=True))
    inner = CONTINUES[ids]
    assert torch.equal(chosen[:, 1:][inner[:, 1:]], chosen[:, :-1][inner[:, 1:]])


@given(seed=st.integers(0, 2**31), whole_words=st.booleans())
def test_a_lost_number_is_never_to_be_guessed(seed: int, whole_words: bool) -> None:
    ids = BATCH["input_ids"].clone()
    ids[:, 3] = ENCODER.mask
    torch.manual_seed(seed)
    _, chosen = hide_here(ids, Masking(0.9, whole_words))
    assert not chosen[:, 3].any()


@pytest.mark.parametrize(
    ("vocabulary", "expected"),
    [
        (["[CLS]", "in", "##hibit", "or"], [False, False, True, False]),
        (["<s>", "▁in", "hibit", "▁or"], [True, False, True, False]),
        (["<s>", "Ġin", "hibit", "Ġor"], [True, False, True, False]),
    ],
)
def test_vocabularies_tell_where_words_go_on(vocabulary: list[str], expected: list[bool]) -> None:
    assert np.array_equal(find_continuations(vocabulary), expected)
