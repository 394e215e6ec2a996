"""What many tests share: hypothesis settings, a tokenizer, and tiny models that a run trains once.

Nothing here imports torch at the top, so tests of the pure packages start at once.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import re
import socket
import string
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.tagging import SubwordTokenizer
from sentences import DOCUMENTS

settings.register_profile(
    "offline",
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=int(os.environ.get("OPENMED_NER_EXAMPLES", "10")),
)
settings.load_profile("offline")

NEEDS_TORCH = re.compile(
    r"^(?:from|import) (?:torch|transformers|peft|onnx|ray|spacy|tiny|architectures"
    r"|openmed_ner\.(?:model|training))\b",
    re.MULTILINE,
)
"""Imports at the top of a module of tests that ``--no-torch`` leaves out."""
TRAINED = {"backbone", "adapter_bundle", "full_bundle", "runtime_bundle", "passages"}
"""Fixtures that train or export; whoever uses one needs torch."""

EMBEDDED: dict[tuple[Any, ...], object] = {}
"""Taggers with the embedded model, by their options."""
BuildOnce = Callable[[str, Callable[[Path], object]], Path]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = ["aspirin", "cancer", "tumor", "the", "of", "##in", "##er"]


class TorchBlocker:
    """Refuse to import torch, as where the extra ``train`` is not installed.

    A ``None`` in ``sys.modules`` would refuse it, too, but SciPy looks there and takes it for a module.
    """

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in ("torch", "transformers", "peft"):
            raise ModuleNotFoundError(f"{name} cannot be imported with --no-torch", name=name)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-torch", action="store_true", help="run only tests that need no torch")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--no-torch"):
        sys.meta_path.insert(0, TorchBlocker())  # type: ignore[arg-type]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if config.getoption("--no-torch") and collection_path.suffix == ".py":
        return bool(NEEDS_TORCH.search(collection_path.read_text(encoding="utf-8"))) or None
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if TRAINED & set(getattr(item, "fixturenames", ())):
            item.add_marker("torch")
    if config.getoption("--no-torch"):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("torch")])
        items[:] = [item for item in items if not item.get_closest_marker("torch")]


def pytest_collection() -> None:
    gc.disable()


def pytest_collection_finish() -> None:
    """Never look again for garbage among the million objects of imported libraries."""
    gc.freeze()
    gc.enable()


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
def build_once(tmp_path_factory: pytest.TempPathFactory) -> BuildOnce:
    """Build a folder that all workers of a run share; whoever comes second waits for the first."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    shared = base / "shared"
    shared.mkdir(exist_ok=True)

    def build_once(name: str, build: Callable[[Path], object]) -> Path:
        folder = shared / name
        with (shared / f"{name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.fstat(lock.fileno()).st_size:  # empty until the folder is complete
                build(folder)
                lock.write("built")
        return folder

    return build_once


@pytest.fixture(scope="session")
def backbone(build_once: BuildOnce) -> Iterator[Path]:
    """A random encoder of two layers, found by its name."""
    from tiny import make_backbone

    folder = build_once("backbones", lambda folder: make_backbone(folder / "tiny")) / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENMED_NER_BACKBONES", str(folder.parent))
        patch.delenv("OPENMED_NER_OFFLINE", raising=False)
        yield folder


@pytest.fixture(scope="session")
def adapter_bundle(backbone: Path, build_once: BuildOnce) -> Bundle:
    """A LoRA adapter that has learnt eight sentences by heart."""
    from openmed_ner.training.finetune import finetune
    from tiny import CORPORA, make_recipe

    folder = build_once("lora", lambda folder: finetune(make_recipe(backbone), CORPORA, folder, name="tiny"))
    return open_bundle(folder / "bundle")


@pytest.fixture(scope="session")
def full_bundle(backbone: Path, build_once: BuildOnce) -> Bundle:
    """The same, every parameter trained."""
    from openmed_ner.training.finetune import finetune
    from tiny import CORPORA, make_recipe

    recipe = replace(make_recipe(backbone, epochs=30, learning_rate=4e-3, warmup=0.3), method="full")
    folder = build_once("full", lambda folder: finetune(recipe, CORPORA, folder, name="tiny"))
    return open_bundle(folder / "bundle")


@pytest.fixture(scope="session")
def runtime_bundle(adapter_bundle: Bundle, build_once: BuildOnce) -> Bundle:
    """The adapter exported to ONNX, in fp32."""
    from openmed_ner.training.export.runtime import export_runtime
    from tiny import CORPORA

    def build(folder: Path) -> None:
        export_runtime(
            adapter_bundle,
            folder,
            precision="fp32",
            gold={corpus.head.corpus: corpus.dev for corpus in CORPORA},
            texts="the tiny corpus",
        )

    return open_bundle(build_once("tiny", build))


@pytest.fixture(scope="session")
def passages(backbone: Path, build_once: BuildOnce) -> Path:
    """A prepared set of 120 passages of two sources, made of the words of the eight sentences."""
    from openmed_ner.training.passages import PassageSettings, prepare

    def build(folder: Path) -> None:
        folder.mkdir()
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

    return build_once("passages", build) / "set"


@pytest.fixture
def shared_embedded_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load the embedded model once for all tests with this fixture: that takes longer than most commands."""
    from openmed_ner.inference.tagger import Tagger

    load = Tagger.load

    def load_once(bundle: Any = None, **options: Any) -> object:
        if bundle is not None:
            return load(bundle, **options)
        key = tuple(sorted(options.items()))
        if key not in EMBEDDED:
            EMBEDDED[key] = load(**options)
        return EMBEDDED[key]

    monkeypatch.setattr(Tagger, "load", load_once)


@pytest.fixture
def no_terminologies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the compiled terminologies of whoever runs the tests."""
    monkeypatch.delenv("OPENMED_NER_TERMINOLOGIES", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")


@pytest.fixture
def no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a connection, or asks for a name, fails."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
