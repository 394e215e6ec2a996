"""A fine-tuning run from recipe to bundle."""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from openmed_ner.alignment import Head, Reader, SubwordEncoder
from openmed_ner.bundle import Bundle, Manifest, open_bundle, seal
from openmed_ner.bundle.card import write_card
from openmed_ner.bundle.manifest import CARD, RECORD, TOKENIZER, write_json
from openmed_ner.bundle.record import provenance, version
from openmed_ner.corpora import SPLITS, find_corpus, load_split
from openmed_ner.corpora.quality import leave_out as find_copies
from openmed_ner.errors import RecipeError, RunError
from openmed_ner.model.backbones import find_backbone
from openmed_ner.model.bundles import refer, save_model
from openmed_ner.model.lora import attach_lora
from openmed_ner.model.tagger import TokenTagger, count_parameters, load_encoder
from openmed_ner.text import Document
from openmed_ner.training.config import Recipe
from openmed_ner.training.energy import measure_energy
from openmed_ner.training.finetune import Annotated, Example, FineTuning
from openmed_ner.training.loop import CHECKPOINT, StepReport, Trainer

BUNDLE = "bundle"
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEEP = 1 << 30


def load_corpora(names: Sequence[str], *, leave_out: str = "held-out") -> list[Annotated]:
    """Load the training and dev documents of catalogued corpora.

    Args:
        names: corpora of the catalog.
        leave_out: ``held-out`` or ``nothing``, as in the recipe.
    """
    splits = {name: {split: load_split(name, split).documents for split in SPLITS} for name in names}
    held_out = [document for each in splits.values() for split in ("dev", "test") for document in each[split]]
    corpora = [
        Annotated(Head(name, find_corpus(name).types), each["train"], each["dev"])
        for name, each in splits.items()
    ]
    return [without(corpus, held_out) for corpus in corpora] if leave_out == "held-out" else corpora


def without(corpus: Annotated, held_out: Sequence[Document]) -> Annotated:
    """A corpus without the training documents that stand in a held-out one."""
    kept, left = find_copies(corpus.train, held_out)
    return replace(corpus, train=tuple(kept), left_out=tuple(document.id for document in left))


def train(
    recipe: Recipe,
    corpora: Sequence[Annotated],
    folder: Path,
    *,
    name: str,
    resume: bool = False,
    checkpoint_seconds: float = 60.0,
    on_step: Callable[[StepReport], None] = lambda report: None,
) -> Bundle:
    """Fine-tune a backbone on some corpora and write the bundle to ``folder/bundle``.

    Args:
        recipe: everything that decides the outcome.
        corpora: one head each; their ``train`` teaches, their ``dev`` chooses.
        folder: where checkpoints and the bundle go.
        name: of the bundle and its adapter.
        resume: go on from the folder's checkpoint; without one, start.
        checkpoint_seconds: time between checkpoints; there is one after every epoch in any case.
        on_step: called after each step and each epoch.

    Raises:
        RecipeError: the recipe does not fit the backbone or names no corpus.
        RunError: the folder holds another run, or the run fails.
    """
    if not corpora:
        raise RecipeError("there is nothing to train on: name at least one corpus")
    for corpus in corpora:
        if not corpus.dev:
            raise RecipeError(f"{corpus.head.corpus}: there are no dev documents to choose by")
    if not resume and (folder / CHECKPOINT).exists():
        raise RunError(f"{folder} already holds a run; resume it, or choose another folder")
    keep_memory()
    backbone = find_backbone(recipe.backbone)
    encoder = SubwordEncoder.from_json((backbone / TOKENIZER).read_text(encoding="utf-8"))
    heads = tuple(corpus.head for corpus in corpora)
    reader = Reader(encoder, heads, recipe.window, recipe.overlap)
    model = build_model(recipe, backbone, heads)
    objective = FineTuning(model, corpora, reader, schedule=recipe.schedule, seed=recipe.seed)
    trainer: Trainer[list[Example]] = Trainer(
        objective,
        schedule=recipe.schedule,
        seed=recipe.seed,
        folder=folder,
        checkpoint_seconds=checkpoint_seconds,
        on_step=on_step,
    )
    if resume:
        trainer.resume()
    with measure_energy() as energy:
        history = trainer.run()
    trained, total = count_parameters(model)
    record = {
        "recipe": asdict(recipe),
        **provenance(),
        "data": {corpus.head.corpus: describe_data(corpus) for corpus in corpora},
        "accounts": {corpus: asdict(account) for corpus, account in objective.accounts.items()},
        "parameters": {"trained": trained, "total": total, "share": trained / total},
        "history": asdict(history),
        "energy": asdict(energy),
    }
    manifest = Manifest(
        name=name,
        kind="adapter" if recipe.method == "lora" else "full",
        version=version(),
        heads=heads,
        window=recipe.window,
        overlap=recipe.overlap,
        backbone=refer(recipe.backbone, backbone),
    )
    return _write_bundle(folder, manifest, model, encoder, record)


def build_model(recipe: Recipe, backbone: Path, heads: Sequence[Head]) -> TokenTagger:
    """Load the backbone, put the adapter on it if the recipe wants one, and fresh heads.

    Raises:
        RecipeError: the recipe's windows are longer than the backbone reads.
    """
    torch.manual_seed(recipe.seed)
    encoder = load_encoder(
        backbone, dropout=recipe.schedule.dropout, attention_dropout=recipe.schedule.attention_dropout
    )
    if recipe.method == "lora":
        encoder = attach_lora(encoder, **asdict(recipe.lora))
    model = TokenTagger(encoder, heads)
    if recipe.window > model.longest:
        raise RecipeError(
            f"window = {recipe.window}: {recipe.backbone} reads at most {model.longest} subwords"
        )
    return model


def describe_data(corpus: Annotated) -> Mapping[str, Any]:
    """Size and SHA-256 of what a run learnt from and chose by, and what it left out."""
    sizes = {
        split: {"documents": len(documents), "sha256": hash_documents(documents)}
        for split, documents in (("train", corpus.train), ("dev", corpus.dev))
    }
    return {**sizes, "left_out": list(corpus.left_out)}


def hash_documents(documents: Sequence[Document]) -> str:
    """SHA-256 over texts and gold spans, in order."""
    digest = hashlib.sha256()
    for document in documents:
        spans = sorted(span.key for span in document.spans)
        digest.update(repr((document.id, document.text, spans)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def keep_memory() -> None:
    """Let the C library keep freed memory instead of returning it to the system after every batch.

    Activations of a few megabytes are mapped and unmapped at each layer otherwise; keeping them made
    steps of six windows of 320 subwords a third faster here. Does nothing without glibc.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(_M_MMAP_THRESHOLD, _KEEP)
            libc.mallopt(_M_TRIM_THRESHOLD, _KEEP)


def _write_bundle(
    folder: Path, manifest: Manifest, model: TokenTagger, encoder: SubwordEncoder, record: Mapping[str, Any]
) -> Bundle:
    partial, target = folder / f"{BUNDLE}.partial", folder / BUNDLE
    for leftover in (partial, target):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir(parents=True)
    save_model(model, partial, name=manifest.name, backbone=manifest.backbone)
    (partial / TOKENIZER).write_text(encoder.to_json(), encoding="utf-8")
    write_json(partial / RECORD, record)
    write_card(partial / CARD, manifest, record=record)
    seal(partial, manifest)
    partial.rename(target)
    return open_bundle(target)
