"""Fine-tuning: a run from recipe to bundle."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import PretrainedConfig

from openmed_ner.bundle import BackboneReference, Bundle, Manifest, open_bundle
from openmed_ner.bundle.files import LEXICON
from openmed_ner.bundle.manifest import RECORD, Adaptation
from openmed_ner.bundle.record import corpora_with_dev_learnt, provenance, training_splits, version
from openmed_ner.errors import RecipeError, RunError
from openmed_ner.model.architectures import check_fit
from openmed_ner.model.bundles import adapted_weights, apply_adaptation, find_origin, save_model
from openmed_ner.model.lora import attach_lora
from openmed_ner.model.tagger import (
    TokenTagger,
    checkpoint_activations,
    count_parameters,
    keep_layers,
    load_encoder,
    make_lexicon,
    use_fused_attention,
)
from openmed_ner.storage import read_json, write_json
from openmed_ner.tagging import Head, SubwordTokenizer, WindowReader, learn_transitions
from openmed_ner.tagging.parallel import ReadingPool
from openmed_ner.text import Document
from openmed_ner.training.augmentation import augment
from openmed_ner.training.comparison import StartWeights
from openmed_ner.training.config import Recipe
from openmed_ner.training.engine.loop import StepReport, Trainer
from openmed_ner.training.engine.processes import Processes
from openmed_ner.training.engine.session import BUNDLE, measure, open_run, write_bundle
from openmed_ner.training.kept_heads import keep_heads, kept_choices
from openmed_ner.training.lexicon import TrainingLexicon, open_training_lexicon
from openmed_ner.training.objectives.distillation import TeacherModel
from openmed_ner.training.objectives.token_tags import Example, TokenTagging, TrainingCorpus
from openmed_ner.training.warm_start import TrainedModel, open_start, open_trained

ORIGINS = "origins.json"
"""Recipe of a run and description of the models it learns from, written before it begins."""


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
    finish: bool = False,
    began: float | None = None,
    readers: int = 1,
) -> Bundle:
    """Fine-tune a backbone on some corpora and write the bundle to ``folder/bundle``.

    Args:
        recipe: all settings that decide the outcome.
        corpora: one corpus per head; trained on ``train``, the epoch selected on ``dev`` if there is one.
        folder: folder of checkpoints, log and bundle.
        name: name of the bundle and its adapter.
        resume: resume from the folder's checkpoint, if there is one.
        checkpoint_seconds: time between checkpoints; every epoch ends with one, too.
        on_step: callback after each step and each epoch, on the main process.
        processes: processes that share the work; by default, those that a launcher started.
        finish: end the run at its checkpoint, without another step: evaluate it and write the bundle. Start
            and teacher are not needed then.
        began: reading of ``time.monotonic`` at which a time limit began; ``None``: that of the first step.
        readers: processes that cut texts into windows and decode dev documents, for a fast GPU; 1 does so in
            this process.

    Raises:
        RecipeError: the recipe does not fit the backbone or the processes, or there is no corpus.
        RunError: the folder holds another run, or the run fails.
    """
    corpora = _prepare_heads(recipe, corpora)
    begun = _open_begun(recipe, finish=finish)
    if begun is not None and recipe.keep_heads:
        corpora = keep_heads(corpora, begun.manifest)
        recipe = replace(recipe, distillation=replace(recipe.distillation, teacher=recipe.start))
    processes = open_run(folder, resume=resume, schedule=recipe.schedule, processes=processes)

    # Everything that can be wrong is opened before time is spent.
    origin = find_origin(recipe.backbone, begun)
    tokenizer = SubwordTokenizer.from_json(origin.tokenizer_json)
    heads = tuple(corpus.head for corpus in corpora)
    adapted = open_adapted(recipe, origin.reference) if recipe.adapted else None
    start = open_start(recipe, origin.reference) if recipe.start and not finish else None
    teacher = _open_teacher(recipe, heads) if not finish else None
    if finish:
        origins: Mapping[str, Any] = read_json(folder / ORIGINS, error=RunError)
    else:
        origins = describe_origins(recipe, adapted=adapted, start=start, teacher=teacher)
        processes.on_main(partial(_write_origins, folder, origins))
    lexicon = open_training_lexicon(recipe, begun)
    corpora = augment(
        corpora,
        recipe.augmentation,
        seed=recipe.seed,
        weights=recipe.weights,
        short_forms=lexicon.short_forms if lexicon else (),
    )
    matcher = lexicon.matcher if lexicon else None
    reader = WindowReader(tokenizer, heads, recipe.window, recipe.overlap, matcher=matcher)
    model = build_model(recipe, origin.encoder, heads, adapted=adapted, start=start, lexicon=lexicon)
    before = StartWeights.copy(model) if recipe.compare_start and start else None
    teachers = [source.model for source in teacher.sources] if teacher else []
    for tagger in (model, *teachers):
        use_fused_attention(tagger.encoder, processes.device)

    with measure(processes) as meter, ExitStack() as stack:
        pool = None
        if readers > 1:
            batches = replace(reader, budget=2 * recipe.schedule.batch_subwords)
            pool = stack.enter_context(ReadingPool(batches, readers))
        objective = TokenTagging(
            model,
            corpora,
            reader,
            schedule=recipe.schedule,
            seed=recipe.seed,
            weights=recipe.weights,
            window_lengths=recipe.window_lengths,
            dev_documents=recipe.dev_documents,
            document_mode=recipe.document_decoding,
            pool=pool,
        )
        precision = recipe.schedule.precision
        if teacher and recipe.distillation.scores == "online":
            objective.soft_targets = teacher.online_targets(tokenizer, processes, precision)
        elif teacher:
            objective.soft_targets = teacher.soft_targets(folder, processes, precision)
        trainer: Trainer[list[Example]] = Trainer(
            objective,
            schedule=recipe.schedule,
            seed=recipe.seed,
            folder=folder,
            checkpoint_seconds=checkpoint_seconds,
            on_step=on_step,
            meter=meter,
            processes=processes,
            finish=finish,
            preparation=0.0 if began is None else time.monotonic() - began,
        )
        if resume:
            trainer.resume()
        history = trainer.run()
        comparison = before and before.keep_best(
            model, objective.evaluate, precision=precision, processes=processes
        )

    trained, total = count_parameters(model)
    record = {
        "recipe": origins["recipe"],
        **provenance(),
        "processes": processes.describe(),
        "data": {corpus.head.corpus: describe_data(corpus) for corpus in corpora if not corpus.is_kept},
        "accounts": {corpus: asdict(account) for corpus, account in objective.accounts.items()},
        "parameters": {"trained": trained, "total": total, "share": trained / total},
        **{key: origins[key] for key in ("adaptation", "start", "teacher") if key in origins},
        **({"lexicon": lexicon.record} if lexicon else {}),
        **({"comparison": comparison} if comparison else {}),
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
        backbone=origin.reference,
        adaptation=Adaptation(adapted.manifest.name, adapted.sha256, recipe.adapted_as) if adapted else None,
        encoder_layers=recipe.layers,
        lexicon=lexicon.reference if lexicon else None,
        **(kept_choices(begun.manifest, heads) if begun and recipe.keep_heads else {}),
    )

    def save(target: Path) -> None:
        save_model(model, target, name=name, backbone=manifest.backbone, adapted=adapted)
        if lexicon:
            (target / LEXICON).write_bytes(lexicon.content)

    processes.on_main(partial(write_bundle, folder / BUNDLE, manifest, record, save, tokenizer))
    return open_bundle(folder / BUNDLE)


def _open_begun(recipe: Recipe, *, finish: bool) -> Bundle | None:
    """Open the bundle of the start. To finish a run, it may spare the backbone and have the lexicon."""
    folder = Path(recipe.start)
    is_needed = not finish or recipe.keep_heads or folder.is_dir()
    return open_bundle(folder) if recipe.start and is_needed else None


def _prepare_heads(recipe: Recipe, corpora: Sequence[TrainingCorpus]) -> list[TrainingCorpus]:
    """Check the documents of each corpus, and add transition scores to its head.

    Raises:
        RecipeError: there is no corpus, or one lacks dev documents.
    """
    if not corpora:
        raise RecipeError("there is nothing to train on: name at least one corpus")
    for corpus in corpora:
        if not corpus.dev and recipe.learn == "train":
            raise RecipeError(f"{corpus.head.corpus}: there are no dev documents to select the epoch on")
    return [
        replace(corpus, head=learn_transitions(corpus.head, corpus.train, weight=recipe.transitions))
        for corpus in corpora
    ]


def describe_origins(
    recipe: Recipe, *, adapted: Bundle | None, start: TrainedModel | None, teacher: TeacherModel | None
) -> Mapping[str, Any]:
    """Describe the recipe and the models that a run learns from, for its record.

    They are written to the folder of the run, so that it can be finished without these models.
    """
    return {
        # Names instead of paths: equal runs on two machines have equal records.
        "recipe": asdict(_without_paths(recipe, adapted=adapted, start=start, teacher=teacher)),
        **({"adaptation": describe_adaptation(adapted)} if adapted else {}),
        **({"start": describe_start(start)} if start else {}),
        **({"teacher": describe_teacher(teacher)} if teacher else {}),
    }


def _write_origins(folder: Path, origins: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / ORIGINS, origins)


def _open_teacher(recipe: Recipe, heads: Sequence[Head]) -> TeacherModel | None:
    settings = recipe.distillation
    if not settings.teacher:
        return None
    ensemble = [open_trained(folder) for folder in settings.ensemble]
    return TeacherModel(open_trained(settings.teacher), heads, settings, ensemble=ensemble)


def open_adapted(recipe: Recipe, backbone: BackboneReference) -> Bundle:
    """Open the adapted encoder that a recipe starts from.

    Raises:
        BundleError: the bundle is damaged, or is not an adapted encoder.
        RecipeError: it was made from another backbone than the recipe's.
    """
    bundle = open_bundle(Path(recipe.adapted))
    adapted_weights(bundle)
    reference = bundle.manifest.backbone
    if reference.sha256 != backbone.sha256:
        raise RecipeError(
            f"{recipe.adapted} was made from {reference.name}, not from {recipe.backbone}: name that backbone"
        )
    return bundle


def describe_adaptation(bundle: Bundle) -> Mapping[str, Any]:
    """Describe the pretraining of an encoder, for the record of a model that is built on it."""
    record = bundle.read_json(RECORD)
    return {
        "name": bundle.manifest.name,
        "sha256": bundle.sha256,
        **{key: record[key] for key in ("recipe", "commit", "passages", "held_out", "parameters", "energy")},
        "history": {key: record["history"][key] for key in ("subwords", "seconds")},
    }


def describe_start(start: TrainedModel) -> Mapping[str, Any]:
    """Describe the model that a run started from, and those averaged with it, for its record."""
    soup = [describe_trained(bundle) for bundle in start.soup]
    return {**describe_trained(start.bundle), **({"soup": soup} if soup else {})}


def describe_teacher(teacher: TeacherModel) -> Mapping[str, Any]:
    """Describe the teacher of a run, and the models averaged with it, for its record."""
    first, *others = [describe_trained(source.bundle) for source in teacher.sources]
    return {**first, **({"ensemble": others} if others else {})}


def describe_trained(bundle: Bundle) -> Mapping[str, Any]:
    """Describe a start or a teacher for the record of a run: energy, time, training splits, its own start."""
    manifest, record = bundle.manifest, bundle.read_json(RECORD)
    return {
        "name": manifest.name,
        "sha256": bundle.sha256,
        "precision": manifest.precision,
        **{key: record[key] for key in ("commit", "energy", "start", "first", "averaged") if key in record},
        "seconds": record["history"]["seconds"],
        "learnt": list(training_splits(record)),
        "learnt_dev_of": sorted(corpora_with_dev_learnt(record)),
    }


def _without_paths(
    recipe: Recipe, *, adapted: Bundle | None, start: TrainedModel | None, teacher: TeacherModel | None
) -> Recipe:
    """Replace the paths of a recipe by names, so that a record holds no path of this machine."""

    def name(bundle: Bundle | None) -> str:
        return bundle.manifest.name if bundle else ""

    return replace(
        recipe,
        adapted=name(adapted),
        start=name(start.bundle if start else None),
        soup=tuple(map(name, start.soup if start else ())),
        silver=Path(recipe.silver).name,
        lexicon=replace(recipe.lexicon, folder=Path(recipe.lexicon.folder).name),
        distillation=replace(
            recipe.distillation,
            teacher=name(teacher.source.bundle if teacher else None),
            ensemble=tuple(name(source.bundle) for source in (teacher.sources[1:] if teacher else ())),
            texts=Path(recipe.distillation.texts).name,
        ),
    )


def build_model(
    recipe: Recipe,
    backbone: Path | PretrainedConfig,
    heads: Sequence[Head],
    *,
    adapted: Bundle | None = None,
    start: TrainedModel | None = None,
    lexicon: TrainingLexicon | None = None,
) -> TokenTagger:
    """Load the backbone, attach the adapter of ``lora``, and add heads, copied from the start if it has them.

    Args:
        recipe: settings of the encoder and its adapter.
        backbone: folder of the backbone, or its configuration if there is a start.
        heads: heads of the model.
        adapted: bundle of an adapted encoder, if any.
        start: trained model to start from, if any.
        lexicon: names of terminologies to read, if any.

    Raises:
        RecipeError: the recipe does not fit the backbone.
    """
    torch.manual_seed(recipe.seed)  # weights of adapters and new heads
    encoder = load_encoder(
        backbone, dropout=recipe.schedule.dropout, attention_dropout=recipe.schedule.attention_dropout
    )
    precision = recipe.schedule.precision
    check_fit(encoder.config, backbone=recipe.backbone, window=recipe.window, precision=precision)

    if adapted is not None:
        encoder = apply_adaptation(encoder, adapted_weights(adapted), mode=recipe.adapted_as)
    if start is not None:
        start.copy_encoder(encoder, recipe.layers)
    else:
        keep_layers(encoder, recipe.layers)

    if recipe.schedule.checkpoint_activations:
        checkpoint_activations(encoder)
    if recipe.method == "lora":
        encoder = attach_lora(encoder, **asdict(recipe.lora))
    model = TokenTagger(encoder, heads)
    if lexicon is not None:
        model.lexicon = make_lexicon(encoder, dropout=recipe.lexicon.dropout)
    if start is not None:
        start.copy_heads(model)
    return model


def describe_data(corpus: TrainingCorpus) -> Mapping[str, Any]:
    """Number and SHA-256 of the documents that a run trained on and was selected on, and ids left out."""
    splits = {name: getattr(corpus, name) for name in ("train", "dev", "silver", "unlabelled", "augmented")}
    sizes = {
        split: {"documents": len(documents), "sha256": hash_documents(documents)}
        for split, documents in splits.items()
        if documents or split in ("train", "dev")
    }
    return {**sizes, "left_out": list(corpus.left_out)}


def hash_documents(documents: Sequence[Document]) -> str:
    """SHA-256 of ids, texts and gold spans, in order."""
    digest = hashlib.sha256()
    for document in documents:
        spans = sorted(span.key for span in document.spans)
        digest.update(repr((document.id, document.text, spans)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
