"""The pretrained encoders with a name, as a table, and the search for their files.

A backbone is sought as a folder, then under ``OPENMED_NER_BACKBONES``, then on the Hugging Face hub at a
pinned revision. Only safetensors weights are read, and code that comes with a model is never run. A
repository with pickled weights only has to be converted once, outside of this package.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from openmed_ner.errors import InputError, MissingExtraError, RunError
from openmed_ner.model.architectures import VOCABULARY_FILES, longest_input
from openmed_ner.model.shapes import Shape
from openmed_ner.offline import require_network
from openmed_ner.storage import atomic_path, read_json, sha256_file

ENVIRONMENT = "OPENMED_NER_BACKBONES"
CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
VOCABULARIES = tuple(name for names in VOCABULARY_FILES.values() for name in names)
FILES = (CONFIG, WEIGHTS, TOKENIZER, "tokenizer_config.json", *VOCABULARIES)
ROUNDED = "rounded.json"
"""File beside rounded weights that names the SHA-256 of the released ones."""
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Backbone:
    """A pretrained encoder.

    Attributes:
        name: name in recipes.
        hub_id: repository on the Hugging Face hub; empty if no weights are public.
        revision: commit of that repository; empty if none is pinned.
        licence: SPDX identifier of the weights' licence, or a note in its place.
        sha256: digest of ``model.safetensors``; empty if unknown.
        shape: size and architecture.
        safetensors: if true, the repository has safetensors weights at that revision.
        longest: most subwords it reads at once, special ones included.
        cased: if true, its vocabulary tells upper from lower case.
        standard: if true, ``shape`` and the defaults of its architecture in transformers make its
            configuration, so that a trained model with all weights needs no file of it.
    """

    name: str
    hub_id: str
    revision: str
    licence: str
    sha256: str
    shape: Shape
    safetensors: bool = True
    longest: int = 512
    cased: bool = False
    standard: bool = False


BERT_BASE = Shape("bert", 30_522, embedding=768, hidden=768, layers=12, heads=12, intermediate=3072)
BERT_LARGE = replace(BERT_BASE, hidden=1024, layers=24, heads=16, intermediate=4096, embedding=1024)
DEBERTA_V3_BASE = replace(
    BERT_BASE, architecture="deberta-v2", vocabulary=128_100, positions=0, token_types=0, relative=512
)
DEBERTA_V3_LARGE = replace(
    DEBERTA_V3_BASE, hidden=1024, layers=24, heads=16, intermediate=4096, embedding=1024
)

BACKBONES: Mapping[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        Backbone(
            name="minilm-l6",
            hub_id="sentence-transformers/all-MiniLM-L6-v2",
            revision="c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
            licence="Apache-2.0",
            sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            shape=replace(BERT_BASE, hidden=384, layers=6, intermediate=1536, embedding=384),
            standard=True,
        ),
        Backbone(
            name="mpnet-base",
            hub_id="sentence-transformers/all-mpnet-base-v2",
            revision="e8c3b32edf5434bc2275fc9bab85f82640a19130",
            licence="Apache-2.0",
            sha256="78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
            shape=replace(
                BERT_BASE,
                architecture="mpnet",
                vocabulary=30_527,
                positions=514,
                token_types=0,
                relative=32,
            ),
        ),
        Backbone(
            name="deberta-v3-small",
            hub_id="microsoft/deberta-v3-small",
            revision="a36c739020e01763fe789b4b85e2df55d6180012",
            licence="MIT",
            sha256="",
            shape=replace(DEBERTA_V3_BASE, layers=6),
            safetensors=False,
            cased=True,
        ),
        Backbone(
            name="deberta-v3-base",
            hub_id="microsoft/deberta-v3-base",
            revision="8ccc9b6f36199bec6961081d44eb72fb3f7353f3",
            licence="MIT",
            sha256="",
            shape=DEBERTA_V3_BASE,
            safetensors=False,
            cased=True,
        ),
        Backbone(
            name="deberta-v3-large",
            hub_id="microsoft/deberta-v3-large",
            revision="64a8c8eab3e352a784c658aef62be1662607476f",
            licence="MIT",
            sha256="",
            shape=DEBERTA_V3_LARGE,
            safetensors=False,
            cased=True,
        ),
        Backbone(
            name="pubmedbert-base",
            hub_id="microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract-fulltext",
            revision="e1354b7a3a09615f6aba48dfad4b7a613eef7062",
            licence="MIT",
            sha256="",
            shape=BERT_BASE,
            safetensors=False,
        ),
        Backbone(
            name="pubmedbert-large",
            hub_id="microsoft/BiomedNLP-BiomedBERT-large-uncased-abstract",
            revision="f18ff5ec008285849e7c467b2618262b0def6238",
            licence="MIT",
            sha256="",
            shape=BERT_LARGE,
            safetensors=False,
        ),
        Backbone(
            name="bioelectra-base",
            hub_id="kamalkraj/bioelectra-base-discriminator-pubmed",
            revision="",
            licence="not stated",
            sha256="",
            shape=replace(BERT_BASE, architecture="electra"),
            safetensors=False,
        ),
        Backbone(
            name="bioelectra-large",
            hub_id="",
            revision="",
            licence="not stated",
            sha256="",
            shape=replace(BERT_LARGE, architecture="electra"),
            safetensors=False,
        ),
    )
}


def find_backbone(name: str) -> Path:
    """Return the folder of a backbone's files, and fetch them if necessary.

    A missing ``tokenizer.json`` is made from the vocabulary, once, and stored in the folder, so that every
    later run cuts texts in the same way.

    Args:
        name: a row of ``BACKBONES``, a folder, or a hub id with a commit, ``owner/model@commit``.

    Raises:
        InputError: there is no such backbone, or its files differ from the table.
        MissingExtraError: a package is needed to make the tokenizer.
        RunError: it must be fetched, but that is forbidden or fails; or the tokenizer cannot be stored.
    """
    backbone = BACKBONES.get(name)
    local = Path(os.environ.get(ENVIRONMENT, "")) / name if os.environ.get(ENVIRONMENT) else Path(name)
    for folder in (Path(name), local):
        if (folder / CONFIG).is_file():
            break
    else:
        folder = _fetch(name, backbone)

    weights = folder / WEIGHTS
    if not weights.is_file():
        raise InputError(
            f"backbone {name!r}: {weights} is missing; only safetensors weights are read. "
            f"docs/backbones.md explains how to convert others"
        )
    if backbone:
        _check(backbone, folder)
    if not (folder / TOKENIZER).is_file():
        make_tokenizer(folder)
    return folder


def weights_sha256(folder: Path, *, for_adapter: bool = False) -> str:
    """SHA-256 of a backbone's released weights, also where the folder holds rounded ones.

    Args:
        folder: folder of the backbone.
        for_adapter: if true, weights of 8 bits are not taken for the released ones. They are good enough
            where all of them are trained or replaced.
    """
    if (folder / ROUNDED).is_file():
        record = read_json(folder / ROUNDED)
        if not for_adapter or record["format"] == "bf16":
            return str(record["sha256"])
    return sha256_file(folder / WEIGHTS)


def make_config(name: str, sha256: str) -> Any:
    """Make the transformers configuration of a backbone without its files.

    Args:
        name: name of the backbone.
        sha256: digest of its weights.

    Returns:
        The configuration; ``None`` if these are not the weights of a standard row.
    """
    backbone = BACKBONES.get(name)
    if backbone is None or not backbone.standard or backbone.sha256 != sha256:
        return None
    from transformers import AutoConfig

    shape = backbone.shape
    return AutoConfig.for_model(
        shape.architecture,
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.intermediate,
        max_position_embeddings=shape.positions,
        type_vocab_size=shape.token_types,
    )


def make_tokenizer(folder: Path) -> None:
    """Make a ``tokenizer.json`` from a folder's ``vocab.txt``, SentencePiece model or merges.

    Raises:
        InputError: the folder has no vocabulary, or not one that transformers understands.
        MissingExtraError: SentencePiece is needed and not installed.
        RunError: the folder cannot be written to.
    """
    if not any((folder / name).is_file() for name in VOCABULARIES):
        raise InputError(f"{folder} has neither {TOKENIZER} nor a vocabulary ({', '.join(VOCABULARIES)})")
    from transformers import AutoTokenizer

    names = VOCABULARY_FILES["SentencePiece"]
    if any((folder / name).is_file() for name in names) and find_spec("sentencepiece") is None:
        raise MissingExtraError("sentencepiece", "train")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        text = tokenizer.backend_tokenizer.to_str()
    except Exception as error:  # the libraries raise any type on a damaged vocabulary
        raise InputError(f"{folder}: no tokenizer can be made from its vocabulary: {error}") from error
    try:
        with atomic_path(folder / TOKENIZER) as partial:
            partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RunError(
            f"{folder} has no {TOKENIZER}, and the one made from its vocabulary cannot be written there "
            f"({error}); copy the folder to a place where you may write, under {ENVIRONMENT}"
        ) from error


def _check(backbone: Backbone, folder: Path) -> None:
    """Compare a folder with a row: the digest of the weights if there is one, else the shape.

    Raises:
        InputError: they differ.
    """
    if backbone.sha256:
        weights = folder / WEIGHTS
        if (sha256 := weights_sha256(folder)) != backbone.sha256:
            raise InputError(
                f"backbone {backbone.name!r}: {weights} has SHA-256 {sha256}, expected {backbone.sha256}"
            )
        return

    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder)
    if (shape := Shape.from_config(config)) != backbone.shape or longest_input(config) != backbone.longest:
        raise InputError(
            f"backbone {backbone.name!r}: {folder / CONFIG} describes another encoder: {shape}, "
            f"expected {backbone.shape}; give the folder another name"
        )


def _fetch(name: str, backbone: Backbone | None) -> Path:
    hub_id, revision = _locate(name, backbone)
    require_network(f"fetching backbone {name!r}", instead=f"place it under {ENVIRONMENT}")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=list(FILES)))
    except Exception as error:  # network, permissions and missing repositories have no common base
        raise RunError(
            f"backbone {name!r} could not be fetched ({type(error).__name__}); place its files in a folder "
            f"named {name} under {ENVIRONMENT}"
        ) from error


def _locate(name: str, backbone: Backbone | None) -> tuple[str, str]:
    """Return the repository and the commit to fetch a backbone from.

    Raises:
        InputError: the name is unknown, or there is no commit with safetensors weights.
    """
    place = f"place a folder named {name} with {CONFIG}, {WEIGHTS} and the tokenizer under {ENVIRONMENT}"
    if backbone is None:
        hub_id, _, revision = name.partition("@")
        if hub_id.count("/") != 1 or not _COMMIT.fullmatch(revision):
            raise InputError(
                f"unknown backbone {name!r}: expected one of {', '.join(BACKBONES)}, a folder with "
                f"{CONFIG} (here or under {ENVIRONMENT}), or a hub id with a commit of 40 digits, since "
                f"branches move (owner/model@commit)"
            )
        return hub_id, revision

    if not backbone.hub_id:
        raise InputError(f"backbone {name!r}: it has no public weights; {place}")
    if not backbone.revision:
        raise InputError(
            f"backbone {name!r}: no commit of {backbone.hub_id} is pinned; name one with {WEIGHTS} "
            f"({backbone.hub_id}@commit), or {place}"
        )
    if not backbone.safetensors:
        raise InputError(
            f"backbone {name!r}: {backbone.hub_id} holds only pickled weights at {backbone.revision}, "
            f"which are never read; convert them elsewhere (docs/backbones.md) and {place}"
        )
    return backbone.hub_id, backbone.revision
