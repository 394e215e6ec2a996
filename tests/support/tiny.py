"""A world small enough to train in a second: a random encoder, eight sentences, a recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from openmed_ner.tagging import Head
from openmed_ner.text import Document, Span
from openmed_ner.training.config import LoraSettings, Pretraining, Recipe, Schedule
from openmed_ner.training.objectives.token_tags import Annotated

SENTENCES = (
    ("[Cisplatin] caused severe {nephrotoxicity} in rats."),
    ("Patients with {breast cancer} received [tamoxifen]."),
    ("No effect was seen."),
    ("[Aspirin] reduced the risk of {myocardial infarction}."),
    ("{Breast cancer} and {myocardial infarction} were seen in patients."),
    ("Rats received [aspirin], and no {nephrotoxicity} was seen."),
    ("The effect of [tamoxifen] and [cisplatin] in rats."),
    ("Severe {myocardial infarction} in patients with {breast cancer}."),
)
LABELS = {"[": "Chemical", "{": "Disease"}


def read_marked(identifier: str, marked: str) -> Document:
    """Turn ``[chemical]`` and ``{disease}`` into a text and its spans."""
    text, spans, start = "", [], 0
    for character in marked:
        if character in LABELS:
            start, label = len(text), LABELS[character]
        elif character in "]}":
            spans.append(Span(start, len(text), label))
        else:
            text += character
    return Document(identifier, text, tuple(spans))


DOCUMENTS = tuple(read_marked(str(number), marked) for number, marked in enumerate(SENTENCES))


def only(label: str) -> tuple[Document, ...]:
    return tuple(each.with_spans(span for span in each.spans if span.label == label) for each in DOCUMENTS)


CORPORA = (
    Annotated(Head("diseases", ("Disease",)), only("Disease"), only("Disease")),
    Annotated(Head("chemicals", ("Chemical",)), only("Chemical"), only("Chemical")),
)


def tiny_tokenizer() -> Tokenizer:
    words = sorted(
        {word.lower() for each in DOCUMENTS for word in each.text.replace(".", "").replace(",", "").split()}
    )
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789"]
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        ".",
        ",",
        "-",
        *letters,
        *(f"##{each}" for each in letters),
        *words,
        "[MASK]",
    ]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def make_backbone(folder: Path) -> Path:
    """Write a random BERT of 2 layers and its tokenizer, as the hub would hold them."""
    tokenizer = tiny_tokenizer()
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=96,
        initializer_range=0.3,  # random features must differ, for LoRA leaves them as they are
    )
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    return folder


def make_recipe(backbone: Path, **schedule: object) -> Recipe:
    settings = {
        "epochs": 60,
        "patience": 60,
        "batch_subwords": 32,
        "learning_rate": 5e-3,
        "label_smoothing": 0.0,
        "dropout": 0.0,
        "precision": "fp32",
        **schedule,
    }
    return Recipe(
        backbone=str(backbone),
        window=80,
        overlap=16,
        lora=LoraSettings(rank=8, alpha=16.0, targets="all-linear"),
        schedule=Schedule(**settings),  # type: ignore[arg-type]
    )


def make_pretraining(backbone: Path, **values: Any) -> Pretraining:
    settings = {
        "subwords": 6_000,
        "head_subwords": 2_000,
        "head_learning_rate": 1e-2,
        "window": 40,
        "held_out": 3,
        "lora": LoraSettings(rank=4, alpha=8.0, targets="all-linear"),
        "schedule": Schedule(
            epochs=3, patience=3, batch_subwords=160, learning_rate=1e-2, dropout=0.1, precision="fp32"
        ),
    }
    return Pretraining(backbone=str(backbone), **{**settings, **values})
