from __future__ import annotations

import json
import os
import socket
import string
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from openmed_ner.bundle import Bundle
from openmed_ner.tagging import SubwordTokenizer
from openmed_ner.training.export.runtime import export_runtime
from openmed_ner.training.finetune import train
from openmed_ner.training.passages import PassageSettings, prepare
from tiny import CORPORA, DOCUMENTS, make_backbone, make_recipe

settings.register_profile(
    "offline",
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=int(os.environ.get("OPENMED_NER_EXAMPLES", "50")),
)
settings.load_profile("offline")

torch.set_num_threads(1)  # the models here are so small that a second thread only waits

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = ["aspirin", "cancer", "tumor", "the", "of", "##in", "##er"]


@pytest.fixture(scope="session")
def tokenizer() -> SubwordTokenizer:
    """A BERT-like tokenizer that knows every ASCII word, most of them letter by letter."""
    letters = string.ascii_lowercase + string.digits
    pieces = [*SPECIAL, *letters, *(f"##{letter}" for letter in letters), *string.punctuation, *WORDS]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return SubwordTokenizer(tokenizer)


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A random encoder of two layers, found by its name."""
    folder = make_backbone(tmp_path_factory.mktemp("backbones") / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENMED_NER_BACKBONES", str(folder.parent))
        patch.delenv("OPENMED_NER_OFFLINE", raising=False)
        yield folder


@pytest.fixture(scope="session")
def adapter_bundle(backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A LoRA adapter that has learnt eight sentences by heart."""
    return train(make_recipe(backbone), CORPORA, tmp_path_factory.mktemp("lora"), name="tiny")


@pytest.fixture(scope="session")
def full_bundle(backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same, every parameter trained."""
    recipe = replace(make_recipe(backbone, learning_rate=4e-3, warmup=0.3), method="full")
    return train(recipe, CORPORA, tmp_path_factory.mktemp("full"), name="tiny")


@pytest.fixture(scope="session")
def runtime_bundle(adapter_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The adapter exported to ONNX, in fp32."""
    return export_runtime(
        adapter_bundle,
        tmp_path_factory.mktemp("runtime") / "tiny",
        precision="fp32",
        gold={corpus.head.corpus: corpus.dev for corpus in CORPORA},
        texts="the tiny corpus",
    )


@pytest.fixture(scope="session")
def passages(backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared set of 120 passages of two sources, made of the words of the eight sentences."""
    folder = tmp_path_factory.mktemp("passages")
    random = np.random.default_rng(0)
    with (folder / "texts.jsonl").open("w") as file:
        for number in range(120):
            texts = random.permutation([document.text for document in DOCUMENTS])[:4]
            record = {"id": str(number), "source": f"source-{number % 2}", "text": " ".join(texts)}
            file.write(json.dumps(record) + "\n")
    settings = PassageSettings(
        guard="nothing", language="any", min_subwords=4, near_duplicates=0, held_out=20
    )
    prepare(
        [folder / "texts.jsonl"],
        folder / "set",
        tokenizer_json=(backbone / "tokenizer.json").read_text(),
        settings=settings,
    )
    return folder / "set"


@pytest.fixture
def no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a connection, or asks for a name, fails."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
