"""Tiny random encoders of every class we train, each with a tokenizer of its own kind, taught on the spot."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    DebertaV2Config,
    ElectraConfig,
    ModernBertConfig,
    MPNetConfig,
    PreTrainedConfig,
    RobertaConfig,
)
from transformers.models.auto import AutoModel

from openmed_ner.training.passages import PassageSettings, prepare
from sentences import read_marked, tiny_tokenizer

DOCUMENTS = tuple(
    read_marked(str(number), marked)
    for number, marked in enumerate(
        (
            "  [Cisplatin] caused severe {nephrotoxicity} in rats.",
            "Patients with {breast  cancer} received [tamoxifen].",
            "{Breast\u00a0cancer} 😀 and\u3000{myocardial infarction}\nwere seen.",
            "[Ａｓｐｉｒｉｎ] caused no {ﬁbrosis}-like ﬁnding ½ or [IL-2]-induced {e\u0301tat}.",
        )
    )
)
"""With blanks, widths, ligatures and signs that tokenizers normalise away."""
LINES = [document.text for document in DOCUMENTS]
BRACKETS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
ANGLES = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
BERT_SIZES: Mapping[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 96,
    "initializer_range": 0.3,  # random features must differ, for LoRA leaves them as they are
}
DEBERTA_V3: Mapping[str, Any] = {
    "relative_attention": True,
    "position_buckets": 16,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": "p2c|c2p",
    "position_biased_input": False,
    "type_vocab_size": 0,
}


def unigram_tokenizer(prepend_scheme: str = "always", *, old: bool = False) -> Tokenizer:
    """A SentencePiece vocabulary as DeBERTa-v3 has it.

    Args:
        prepend_scheme: whether a text begins with a blank: ``always``, ``first`` (of a text only), ``never``.
        old: laid out as older converters did, which part words by white space first.
    """
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Strip(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    metaspace = pre_tokenizers.Metaspace(prepend_scheme=prepend_scheme)
    steps = [pre_tokenizers.WhitespaceSplit(), metaspace] if old else [metaspace]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    trainer = trainers.UnigramTrainer(
        vocab_size=90, special_tokens=BRACKETS[:4], unk_token="[UNK]", show_progress=False
    )
    tokenizer.train_from_iterator(LINES, trainer)
    tokenizer.add_special_tokens(["[MASK]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return tokenizer


def byte_tokenizer(specials: list[str] = ANGLES, *, add_prefix_space: bool = False) -> Tokenizer:
    """A byte-level vocabulary as RoBERTa and ModernBERT have it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(LINES, trainer)
    first, last = (specials[0], specials[2]) if specials is ANGLES else (specials[1], specials[2])
    framing = [(name, specials.index(name)) for name in (first, last)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=framing
    )
    return tokenizer


def mpnet_tokenizer() -> Tokenizer:
    """BERT's words between RoBERTa's special subwords."""
    known = tiny_tokenizer().get_vocab()
    names = [*ANGLES[:4], "[UNK]", *(each for each in known if each not in BRACKETS), "<mask>"]
    tokenizer = Tokenizer(models.WordPiece({each: n for n, each in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.add_special_tokens([*ANGLES, "[UNK]"])
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def _config(kind: type[PreTrainedConfig], **values: Any) -> Callable[[int], PreTrainedConfig]:
    return lambda size: kind(**{"vocab_size": size, **BERT_SIZES, **values})


AFTER_PADDING = {"pad_token_id": 1, "max_position_embeddings": 98}
SMALL: Mapping[str, tuple[Callable[[], Tokenizer], Callable[[int], PreTrainedConfig]]] = {
    "bert": (tiny_tokenizer, _config(BertConfig)),
    "deberta-always": (unigram_tokenizer, _config(DebertaV2Config, **DEBERTA_V3)),
    "deberta-first": (
        lambda: unigram_tokenizer("first", old=True),
        _config(DebertaV2Config, **DEBERTA_V3),
    ),
    "electra": (tiny_tokenizer, _config(ElectraConfig, embedding_size=16)),
    "modernbert": (
        lambda: byte_tokenizer(BRACKETS),
        _config(
            ModernBertConfig,
            pad_token_id=0,
            cls_token_id=1,
            sep_token_id=2,
            bos_token_id=1,
            eos_token_id=2,
            local_attention=16,
            global_attn_every_n_layers=2,
            initializer_cutoff_factor=3.0,
        ),
    ),
    "mpnet": (mpnet_tokenizer, _config(MPNetConfig, **AFTER_PADDING)),
    "roberta": (byte_tokenizer, _config(RobertaConfig, **AFTER_PADDING, type_vocab_size=1)),
}
"""By name: how to make the tokenizer, and the configuration for a vocabulary of some size."""


def make_backbone(name: str, folder: Path) -> Path:
    """Write a tiny encoder of a kind and its tokenizer, as the hub would hold them."""
    make_tokenizer, make_config = SMALL[name]
    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    AutoModel.from_config(make_config(tokenizer.get_vocab_size())).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def make_passages(backbone: Path, folder: Path) -> Path:
    """A prepared set of 60 passages, made of the words of the documents."""
    folder.mkdir()
    random = np.random.default_rng(0)
    with (folder / "texts.jsonl").open("w", encoding="utf-8") as file:
        for number in range(60):
            text = " ".join(LINES[index] for index in random.permutation(len(LINES))[:4])
            file.write(json.dumps({"id": str(number), "source": "source", "text": text}) + "\n")
    settings = PassageSettings(guard="nothing", language="any", min_subwords=4, near_duplicates=0, held_out=3)
    prepare(
        [folder / "texts.jsonl"],
        folder / "set",
        tokenizer_json=(backbone / "tokenizer.json").read_text(encoding="utf-8"),
        settings=settings,
    )
    return folder / "set"
