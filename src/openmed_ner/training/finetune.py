"""A fine-tuning run from recipe to bundle."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from openmed_ner.bundle import Bundle, Manifest, open_bundle
from openmed_ner.bundle.manifest import RECORD, TOKENIZER, Adaptation
from openmed_ner.bundle.record import provenance, training_splits, version
from openmed_ner.corpora import SPLITS, find_corpus, load_split
from openmed_ner.corpora.overlap import exclude_overlap
from openmed_ner.errors import CorpusError, RecipeError
from openmed_ner.formats import read_documents
from openmed_ner.model.architectures import check_fit
from openmed_ner.model.backbones import find_backbone
from openmed_ner.model.bundles import adapted_weights, apply_adaptation, describe_backbone, save_model
from openmed_ner.model.lora import attach_lora
from openmed_ner.model.tagger import (
    TokenTagger,
    checkpoint_activations,
    count_parameters,
    keep_layers,
    load_encoder,
)
from openmed_ner.storage import sha256_file
from openmed_ner.tagging import Head, SubwordTokenizer, WindowReader, learn_transitions
from openmed_ner.text import Document
from openmed_ner.training.config import Recipe
from openmed_ner.training.engine.loop import StepReport, Trainer
from openmed_ner.training.engine.processes import Processes
from openmed_ner.training.engine.session import BUNDLE, measure, open_run, write_bundle
from openmed_ner.training.objectives.distillation import TeacherModel
from openmed_ner.training.objectives.token_tags import Example, TokenTagging, TrainingCorpus, list_texts
from openmed_ner.training.warm_start import TrainedModel, open_start, open_trained

Splits = Mapping[str, Sequence[Document]]


def load_corpora(recipe: Recipe) -> list[TrainingCorpus]:
    """Load what a recipe's corpora of the catalog teach, and what chooses."""
    return build_corpora(
        {
            Head(name, find_corpus(name).types): {
                split: load_split(name, split).documents for split in SPLITS
            }
            for name in recipe.corpora
        },
        recipe,
    )


def build_corpora(corpora: Mapping[Head, Splits], recipe: Recipe) -> list[TrainingCorpus]:
    """What heads learn from and are chosen by, without what stands in a held-out document of any of them.

    Args:
        corpora: splits by name, ``test`` if there is one, of each head.
        recipe: whether dev is learnt from, and whether anything is left out.
    """
    taught, chooses = (("train", "dev"), ()) if recipe.learn == "train+dev" else (("train",), ("dev",))

    def take(splits: Splits, names: Sequence[str]) -> tuple[Document, ...]:
        return tuple(document for name in names for document in splits.get(name, ()))

    gathered = [
        TrainingCorpus(head, take(each, taught), take(each, chooses)) for head, each in corpora.items()
    ]
    held_out = []
    if recipe.leave_out == "held-out":
        held_out = [document for each in corpora.values() for document in take(each, (*chooses, "test"))]
        gathered = [_without(corpus, held_out) for corpus in gathered]
    if recipe.silver:
        gathered = add_silver(gathered, Path(recipe.silver), held_out)
    if recipe.distillation.texts:
        unlabelled, _ = exclude_overlap(list(read_documents(Path(recipe.distillation.texts))), held_out)
        gathered = [replace(corpus, unlabelled=tuple(unlabelled)) for corpus in gathered]
    return gathered


def add_silver(
    corpora: Sequence[TrainingCorpus], path: Path, held_out: Sequence[Document]
) -> list[TrainingCorpus]:
    """Let every head also learn what another model found for it, but in held-out documents.

    Raises:
        CorpusError: a head finds nothing in the file, or a label that is not its own.
        InputError, CorpusFormatError: the file cannot be read.
    """
    documents, left = exclude_overlap(list(read_documents(path)), held_out)
    taught = []
    for corpus in corpora:
        name = corpus.head.corpus
        own = [each.with_spans(span for span in each.spans if span.corpus == name) for each in documents]
        labels = {span.label for document in own for span in document.spans}
        if not labels:
            raise CorpusError(f"{path}: no entity is of {name}; tag it with a bundle that has this head")
        if unknown := sorted(labels - set(corpus.head.labels)):
            raise CorpusError(f"{path}: {name} has no label {unknown[0]!r}")
        ids = (*corpus.left_out, *(document.id for document in left))
        taught.append(replace(corpus, silver=tuple(own), left_out=ids))
    return taught


def infer_head(name: str, splits: Splits, places: Mapping[str, object]) -> Head:
    """The head that documents of one's own teach: the types that occur in those to learn from.

    Args:
        name: of the head.
        splits: documents by split.
        places: where the documents of a split stand, for messages.

    Raises:
        CorpusError: there is no entity to learn, or another split has a type that is not learnt.
    """
    types = {
        split: {span.label for document in documents for span in document.spans}
        for split, documents in splits.items()
    }
    if not types["train"]:
        raise CorpusError(f"{places['train']}: no document has an entity; there is nothing to learn")
    for split, found in types.items():
        if unknown := sorted(found - types["train"]):
            raise CorpusError(
                f"{places[split]}: the label {unknown[0]!r} does not occur in {places['train']}"
            )
    return Head(name, tuple(sorted(types["train"])))


def _without(corpus: TrainingCorpus, held_out: Sequence[Document]) -> TrainingCorpus:
    kept, left = exclude_overlap(corpus.train, held_out)
    return replace(corpus, train=tuple(kept), left_out=tuple(document.id for document in left))


def finetune(
    recipe: Recipe,
    corpora: Sequence[TrainingCorpus],
    folder: Path,
    *,
    name: str,
    resume: bool = False,
    checkpoint_seconds: float = 60.0,
    on_step: Callable[[StepReport], None] = lambda report: None,
    processes: Processes | None = None,
) -> Bundle:
    """Fine-tune a backbone on some corpora and write the bundle to ``folder/bundle``.

    Args:
        recipe: everything that decides the outcome.
        corpora: one head each; their ``train`` teaches, their ``dev`` chooses if there is one.
        folder: where checkpoints and the bundle go.
        name: of the bundle and its adapter.
        resume: go on from the folder's checkpoint; without one, start.
        checkpoint_seconds: time between checkpoints; there is one after every epoch in any case.
        on_step: called after each step and each epoch, on the main process.
        processes: that share the work; those that a launcher started by default.

    Raises:
        RecipeError: the recipe does not fit the backbone or the processes, or names no corpus.
        RunError: the folder holds another run, or the run fails.
    """
    if not corpora:
        raise RecipeError("there is nothing to train on: name at least one corpus")
    for corpus in corpora:
        if not corpus.dev and recipe.learn == "train":
            raise RecipeError(f"{corpus.head.corpus}: there are no dev documents to choose by")
    corpora = [
        replace(corpus, head=learn_transitions(corpus.head, corpus.train, weight=recipe.transitions))
        for corpus in corpora
    ]
    processes = open_run(folder, resume=resume, schedule=recipe.schedule, processes=processes)
    backbone = find_backbone(recipe.backbone)
    tokenizer = SubwordTokenizer.from_json((backbone / TOKENIZER).read_text(encoding="utf-8"))
    heads = tuple(corpus.head for corpus in corpora)
    reader = WindowReader(tokenizer, heads, recipe.window, recipe.overlap)
    adapted = open_adapted(recipe, backbone) if recipe.adapted else None
    start = open_start(recipe, backbone) if recipe.start else None
    teacher = None
    if recipe.distillation.teacher:
        teacher = TeacherModel(open_trained(recipe.distillation.teacher), heads, recipe.distillation)
    model = build_model(recipe, backbone, heads, adapted=adapted, start=start)
    with measure(processes) as meter:
        lessons = None
        if teacher:
            texts = list_texts(corpora)
            lessons = teacher.teach(texts, folder, processes, recipe.schedule.precision)
        objective = TokenTagging(
            model,
            corpora,
            reader,
            schedule=recipe.schedule,
            seed=recipe.seed,
            weights=recipe.weights,
            lessons=lessons,
        )
        trainer: Trainer[list[Example]] = Trainer(
            objective,
            schedule=recipe.schedule,
            seed=recipe.seed,
            folder=folder,
            checkpoint_seconds=checkpoint_seconds,
            on_step=on_step,
            meter=meter,
            processes=processes,
        )
        if resume:
            trainer.resume()
        history = trainer.run()
    trained, total = count_parameters(model)
    record = {
        "recipe": asdict(_without_places(recipe, adapted=adapted, start=start, teacher=teacher)),
        **provenance(),
        "processes": processes.describe(),
        "data": {corpus.head.corpus: describe_data(corpus) for corpus in corpora},
        "accounts": {corpus: asdict(account) for corpus, account in objective.accounts.items()},
        "parameters": {"trained": trained, "total": total, "share": trained / total},
        **({"adaptation": describe_adaptation(adapted)} if adapted else {}),
        **({"start": describe_start(start)} if start else {}),
        **({"teacher": describe_trained(teacher.source.bundle)} if teacher else {}),
        "history": history.to_json(),
        "energy": history.energy.to_json(),
    }
    manifest = Manifest(
        name=name,
        kind="adapter" if recipe.method == "lora" else "full",
        version=version(),
        heads=heads,
        window=recipe.window,
        overlap=recipe.overlap,
        backbone=describe_backbone(recipe.backbone, backbone),
        adaptation=Adaptation(adapted.manifest.name, adapted.sha256, recipe.adapted_as) if adapted else None,
        encoder_layers=recipe.layers,
    )
    save = partial(save_model, model, name=name, backbone=manifest.backbone, adapted=adapted)
    processes.on_main(partial(write_bundle, folder / BUNDLE, manifest, record, save, tokenizer))
    return open_bundle(folder / BUNDLE)


def open_adapted(recipe: Recipe, backbone: Path) -> Bundle:
    """Open the adapted encoder a recipe starts from.

    Raises:
        BundleError: it is none, or must not be trusted.
        RecipeError: it was made from another backbone than the recipe's.
    """
    bundle = open_bundle(Path(recipe.adapted))
    adapted_weights(bundle)
    reference = bundle.manifest.backbone
    if reference.sha256 != sha256_file(backbone / "model.safetensors"):
        raise RecipeError(
            f"{recipe.adapted} was made from {reference.name}, not from {recipe.backbone}: name that backbone"
        )
    return bundle


def describe_adaptation(bundle: Bundle) -> Mapping[str, Any]:
    """What an adapted encoder was taught, for the record of a model that stands on it."""
    record = bundle.read_json(RECORD)
    return {
        "name": bundle.manifest.name,
        "sha256": bundle.sha256,
        **{key: record[key] for key in ("recipe", "commit", "passages", "held_out", "parameters", "energy")},
        "history": {key: record["history"][key] for key in ("subwords", "seconds")},
    }


def describe_start(start: TrainedModel) -> Mapping[str, Any]:
    """The model that a run went on from, for its record, and those whose weights were averaged with its."""
    soup = [describe_trained(bundle) for bundle in start.soup]
    return {**describe_trained(start.bundle), **({"soup": soup} if soup else {})}


def describe_trained(bundle: Bundle) -> Mapping[str, Any]:
    """A model that a run went on from, or that taught, for its record: what it took, and its own start."""
    manifest, record = bundle.manifest, bundle.read_json(RECORD)
    return {
        "name": manifest.name,
        "sha256": bundle.sha256,
        "precision": manifest.precision,
        **{key: record[key] for key in ("commit", "energy", "start") if key in record},
        "seconds": record["history"]["seconds"],
        "learnt": list(training_splits(record)),
    }


def _without_places(
    recipe: Recipe, *, adapted: Bundle | None, start: TrainedModel | None, teacher: TeacherModel | None
) -> Recipe:
    """The recipe with the names of what it was given, and not where on this machine they lie."""

    def name(bundle: Bundle | None) -> str:
        return bundle.manifest.name if bundle else ""

    return replace(
        recipe,
        adapted=name(adapted),
        start=name(start.bundle if start else None),
        soup=tuple(map(name, start.soup if start else ())),
        silver=Path(recipe.silver).name,
        distillation=replace(
            recipe.distillation,
            teacher=name(teacher.source.bundle if teacher else None),
            texts=Path(recipe.distillation.texts).name,
        ),
    )


def build_model(
    recipe: Recipe,
    backbone: Path,
    heads: Sequence[Head],
    *,
    adapted: Bundle | None = None,
    start: TrainedModel | None = None,
) -> TokenTagger:
    """Load the backbone, put the adapter on it if the recipe wants one, and heads, fresh where none is given.

    Raises:
        RecipeError: the recipe does not fit the backbone.
    """
    torch.manual_seed(recipe.seed)
    encoder = load_encoder(
        backbone, dropout=recipe.schedule.dropout, attention_dropout=recipe.schedule.attention_dropout
    )
    precision = recipe.schedule.precision
    check_fit(encoder.config, backbone=recipe.backbone, window=recipe.window, precision=precision)
    if adapted is not None:
        encoder = apply_adaptation(encoder, adapted_weights(adapted), mode=recipe.adapted_as)
    if start is not None:
        start.give_encoder(encoder, recipe.layers)
    else:
        keep_layers(encoder, recipe.layers)
    if recipe.schedule.checkpoint_activations:
        checkpoint_activations(encoder)
    if recipe.method == "lora":
        encoder = attach_lora(encoder, **asdict(recipe.lora))
    model = TokenTagger(encoder, heads)
    if start is not None:
        start.give_heads(model)
    return model


def describe_data(corpus: TrainingCorpus) -> Mapping[str, Any]:
    """Size and SHA-256 of what a run learnt from and chose by, and what it left out."""
    splits = {each: getattr(corpus, each) for each in ("train", "dev", "silver", "unlabelled")}
    sizes = {
        split: {"documents": len(documents), "sha256": hash_documents(documents)}
        for split, documents in splits.items()
        if documents or split in ("train", "dev")
    }
    return {**sizes, "left_out": list(corpus.left_out)}


def hash_documents(documents: Sequence[Document]) -> str:
    """SHA-256 over texts and gold spans, in order."""
    digest = hashlib.sha256()
    for document in documents:
        spans = sorted(span.key for span in document.spans)
        digest.update(repr((document.id, document.text, spans)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
