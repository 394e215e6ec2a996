"""Make the files of the toy study: small random encoders, texts and annotated documents.

    python tools/make_toy.py runs/toy

Names are put together from syllables, and sentences are templates, so scores mean nothing. The study shows
that every step works on a machine without network, corpora and backbones.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import BertConfig, BertModel, ElectraConfig, ElectraModel

from openmed_ner.formats.jsonl import write_jsonl
from openmed_ner.inference.tagger import embedded_bundle
from openmed_ner.text import Document, Span

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
SYLLABLES = ["ba", "ce", "di", "fo", "gu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "za"]
BEGINNINGS = {"Chemical": ("chlor", "cyclo", "meth", "sulf"), "Disease": ("cardi", "derma", "hyper", "neuro")}
TEMPLATES = (
    "Patients with {Disease} were given {Chemical} for two weeks.",
    "{Chemical} and {Chemical} did not change the course of {Disease}.",
    "We report a case of {Disease} after treatment with {Chemical}.",
    "No patient had {Disease} at the end of the study.",
    "The dose of {Chemical} was doubled in the second group.",
    "The aim of the study was to compare two ways of treatment.",
    "In rats, {Chemical} led to {Disease} and to loss of weight.",
    "These results need to be confirmed in larger groups.",
)
SIZES = {"train": 60, "dev": 20, "test": 20}
SHAPE = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}


def name(label: str, rng: random.Random) -> str:
    """A made-up chemical or disease; its beginning determines the type."""
    return rng.choice(BEGINNINGS[label]) + "".join(rng.choices(SYLLABLES, k=rng.randint(1, 3)))


def documents(prefix: str, count: int, rng: random.Random) -> Iterator[Document]:
    """Documents of four sentences."""
    for number in range(count):
        text, spans = "", []
        for template in rng.choices(TEMPLATES, k=4):
            text += " " if text else ""
            rest = template
            while "{" in rest:
                before, _, rest = rest.partition("{")
                label, _, rest = rest.partition("}")
                text += before
                start = len(text)
                text += name(label, rng)
                spans.append(Span(start, len(text), label))
            text += rest
        yield Document(f"{prefix}-{number}", text, tuple(spans))


def write_backbones(folder: Path) -> None:
    """Write a random BERT and a random ELECTRA with the embedded model's vocabulary."""
    tokenizer = embedded_bundle() / "tokenizer.json"
    for kind, config, model in (("bert", BertConfig, BertModel), ("electra", ElectraConfig, ElectraModel)):
        target = folder / f"toy-{kind}"
        torch.manual_seed(0)
        size = {"vocab_size": 30_522, "max_position_embeddings": 128, "initializer_range": 0.2}
        extra = {"embedding_size": SHAPE["hidden_size"]} if kind == "electra" else {}
        model(config(**SHAPE, **size, **extra)).save_pretrained(target)
        shutil.copy(tokenizer, target / "tokenizer.json")


def main(folder: Path) -> None:
    """Write the folder."""
    write_backbones(folder / "backbones")
    rng = random.Random(0)
    for split, count in SIZES.items():
        with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as file:
            write_jsonl(documents(split, count, rng), file)
    with (folder / "texts.jsonl").open("w", encoding="utf-8") as file:
        for document in documents("text", 400, rng):
            second = next(documents("text", 1, rng))
            record = {"id": document.id, "source": "toy", "text": f"{document.text} {second.text}"}
            file.write(json.dumps(record) + "\n")
    for recipe in ("toy.toml", "toy-adapt.toml"):
        shutil.copy(RECIPES / recipe, folder / recipe)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
