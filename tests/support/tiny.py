"""A world small enough to train in a second: a random encoder, the eight sentences, a recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertModel

from openmed_ner.formats.jsonl import write_jsonl
from openmed_ner.tagging import Head
from openmed_ner.training.config import LoraSettings, PretrainRecipe, Recipe, Schedule
from openmed_ner.training.objectives.token_tags import TrainingCorpus
from sentences import only, tiny_tokenizer

torch.set_num_threads(1)  # the models here are so small that a second thread only waits

CORPORA = (
    TrainingCorpus(Head("diseases", ("Disease",)), only("Disease"), only("Disease")),
    TrainingCorpus(Head("chemicals", ("Chemical",)), only("Chemical"), only("Chemical")),
)


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


def make_pretraining(backbone: Path, **values: Any) -> PretrainRecipe:
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
    return PretrainRecipe(backbone=str(backbone), **{**settings, **values})


def write_training(folder: Path) -> None:
    """Write the training documents of each corpus, as studies read them."""
    for corpus in CORPORA:
        with (folder / f"{corpus.head.corpus}.jsonl").open("w") as file:
            write_jsonl(corpus.train, file)
