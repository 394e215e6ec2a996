"""The encoders we know, as a table, and where to find their files.

A backbone is looked for as a folder, then under ``OPENMED_NER_BACKBONES``, then on the Hugging Face hub at
a pinned revision. Only safetensors weights are ever read, and no code that comes with a model is run.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from openmed_ner.errors import InputError, RunError

ENVIRONMENT = "OPENMED_NER_BACKBONES"
OFFLINE = "OPENMED_NER_OFFLINE"
FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


@dataclass(frozen=True, slots=True)
class Backbone:
    """A pretrained encoder.

    Attributes:
        name: how recipes call it.
        hub_id: its repository on the Hugging Face hub.
        revision: the commit of that repository.
        licence: SPDX identifier of the weights' licence.
        sha256: of ``model.safetensors``.
    """

    name: str
    hub_id: str
    revision: str
    licence: str
    sha256: str


BACKBONES: Mapping[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        Backbone(
            name="minilm-l6",
            hub_id="sentence-transformers/all-MiniLM-L6-v2",
            revision="c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
            licence="Apache-2.0",
            sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        ),
        Backbone(
            name="mpnet-base",
            hub_id="sentence-transformers/all-mpnet-base-v2",
            revision="e8c3b32edf5434bc2275fc9bab85f82640a19130",
            licence="Apache-2.0",
            sha256="78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
        ),
    )
}

QUERY_VALUE: Mapping[str, tuple[str, ...]] = {
    "bert": ("query", "value"),
    "deberta-v2": ("query_proj", "value_proj"),
    "distilbert": ("q_lin", "v_lin"),
    "electra": ("query", "value"),
    "modernbert": ("Wqkv",),
    "mpnet": ("q", "v"),
    "roberta": ("query", "value"),
    "xlm-roberta": ("query", "value"),
}
"""Names of the query and value projections by architecture (``config.model_type``)."""

LM_HEAD: Mapping[str, tuple[str, ...]] = {
    "bert": ("cls",),
    "deberta-v2": ("cls",),
    "distilbert": ("vocab_transform", "activation", "vocab_layer_norm", "vocab_projector"),
    "electra": ("generator_predictions", "generator_lm_head"),
    "modernbert": ("head", "decoder"),
    "mpnet": ("lm_head",),
    "roberta": ("lm_head",),
    "xlm-roberta": ("lm_head",),
}
"""Modules of the language-modelling head by architecture, in the order they are applied."""


def find_backbone(name: str) -> Path:
    """Return the folder of a backbone's files, fetching them if need be.

    Args:
        name: a row of ``BACKBONES``, a folder, or a hub id with a revision, ``owner/model@revision``.

    Raises:
        InputError: there is no such backbone, or its weights are not the ones we know.
        RunError: it must be fetched, but that is forbidden or fails.
    """
    known = BACKBONES.get(name)
    local = Path(os.environ.get(ENVIRONMENT, "")) / name if os.environ.get(ENVIRONMENT) else Path(name)
    for folder in (Path(name), local):
        if (folder / "config.json").is_file():
            break
    else:
        folder = _fetch(name, known)
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise InputError(f"backbone {name!r}: {weights} is missing; only safetensors weights are read")
    if known and (found := hash_file(weights)) != known.sha256:
        raise InputError(f"backbone {name!r}: {weights} has SHA-256 {found}, expected {known.sha256}")
    return folder


def hash_file(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(name: str, known: Backbone | None) -> Path:
    hub_id, _, revision = (known.hub_id, "", known.revision) if known else name.partition("@")
    if hub_id.count("/") != 1 or not revision:
        raise InputError(
            f"unknown backbone {name!r}: expected one of {', '.join(BACKBONES)}, a folder with config.json "
            f"(here or under {ENVIRONMENT}), or a hub id with its revision (owner/model@commit)"
        )
    if os.environ.get(OFFLINE) == "1":
        raise RunError(f"backbone {name!r} is not under {ENVIRONMENT}, and {OFFLINE}=1 forbids fetching it")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=list(FILES)))
    except Exception as error:  # network, permissions and missing repositories have no common base
        raise RunError(
            f"backbone {name!r} could not be fetched ({type(error).__name__}); place its files in a folder "
            f"named {name} under {ENVIRONMENT}"
        ) from error
