"""Domain-adaptive pretraining: a run from prepared passages to a bundle that fine-tuning starts from.

If the backbone has no trained language-modelling head, a first stage trains one on the frozen encoder.
Perplexity is measured after that stage and at the end, so the difference is the gain of the encoder. The
second stage trains both; with LoRA, the embeddings that the head shares stay fixed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file

from openmed_ner.bundle import Bundle, Manifest, open_bundle
from openmed_ner.bundle.manifest import TOKENIZER
from openmed_ner.bundle.record import provenance, version
from openmed_ner.errors import InputError, RunError
from openmed_ner.model.architectures import check_fit
from openmed_ner.model.backbones import find_backbone
from openmed_ner.model.bundles import LM_HEAD_WEIGHTS, describe_backbone, save_encoder
from openmed_ner.model.lora import attach_lora
from openmed_ner.model.masked import MaskedLanguageModel, load_masked
from openmed_ner.model.tagger import checkpoint_activations, count_parameters
from openmed_ner.storage import read_json, sha256, write_json
from openmed_ner.tagging import SubwordTokenizer
from openmed_ner.training.config import PretrainRecipe, Schedule
from openmed_ner.training.engine.history import HEAD, History
from openmed_ner.training.engine.loop import StepReport, Trainer
from openmed_ner.training.engine.processes import Processes
from openmed_ner.training.engine.session import BUNDLE, measure, open_run, write_bundle
from openmed_ner.training.objectives.masked_lm import MaskedLanguageModelling
from openmed_ner.training.passages import load_prepared

BEFORE = "before.json"
HEAD_SHARE = 0.1
"""Share of a time limit that the first stage has."""
ROUNDS = "rounds"
"""Folder of the bundles written during a run."""
Stage = Literal["head", "encoder"]


@dataclass(frozen=True, slots=True)
class Stages:
    """Options shared by the stages of a run.

    Attributes:
        folder: folder of the run; the head's stage has a subfolder.
        resume: resume each stage from its checkpoint.
        checkpoint_seconds: time between checkpoints.
        on_step: callback after each step and evaluation, with the name of the stage.
        processes: processes that share the work.
    """

    folder: Path
    resume: bool
    checkpoint_seconds: float
    on_step: Callable[[Stage, StepReport], None]
    processes: Processes

    @contextmanager
    def start(
        self, stage: Stage, objective: MaskedLanguageModelling, *, schedule: Schedule, seed: int
    ) -> Iterator[tuple[Trainer[int], bool]]:
        """Yield the trainer of a stage, and true if it resumes from a checkpoint; measure the energy."""
        with measure(self.processes) as meter:
            trainer: Trainer[int] = Trainer(
                objective,
                schedule=schedule,
                seed=seed,
                folder=self.folder / HEAD if stage == "head" else self.folder,
                checkpoint_seconds=self.checkpoint_seconds,
                on_step=partial(self.on_step, stage),
                meter=meter,
                processes=self.processes,
            )
            yield trainer, self.resume and trainer.resume()


def pretrain(
    recipe: PretrainRecipe,
    passages: Path,
    folder: Path,
    *,
    name: str,
    resume: bool = False,
    checkpoint_seconds: float = 300.0,
    on_step: Callable[[Stage, StepReport], None] = lambda stage, report: None,
    processes: Processes | None = None,
) -> Bundle:
    """Pretrain a backbone on prepared passages and write the bundle to ``folder/bundle``.

    Args:
        recipe: all settings that decide the outcome, except the passages.
        passages: folder written by :func:`openmed_ner.training.passages.prepare`.
        folder: folder of checkpoints, log and bundle.
        name: name of the bundle and its adapter.
        resume: resume from the folder's checkpoint, if there is one.
        checkpoint_seconds: time between checkpoints; every evaluation ends with one, too.
        on_step: callback with the stage after each step and each evaluation, on the main process.
        processes: processes that share the work; by default, those that a launcher started.

    Raises:
        BundleError: the prepared set is damaged.
        InputError: the set was prepared with another tokenizer than the backbone's.
        RecipeError: the recipe does not fit the backbone, the passages or the processes.
        RunError: the folder holds another run, or the run fails.
    """
    processes = open_run(folder, resume=resume, schedule=recipe.schedule, processes=processes)
    folder.mkdir(parents=True, exist_ok=True)

    backbone = find_backbone(recipe.backbone)
    text = (backbone / TOKENIZER).read_text(encoding="utf-8")
    tokenizer = SubwordTokenizer.from_json(text)
    train = load_prepared(passages, "train", licences=recipe.licences)
    held_out = load_prepared(passages, "heldout")
    check_tokenizer(train.manifest, text, recipe.backbone)

    torch.manual_seed(recipe.seed)
    model = load_masked(
        backbone, dropout=recipe.schedule.dropout, attention_dropout=recipe.schedule.attention_dropout
    )
    config, precision = model.encoder.config, recipe.schedule.precision
    check_fit(config, backbone=recipe.backbone, window=recipe.window, precision=precision)
    objective = partial(MaskedLanguageModelling, model, train, held_out, tokenizer, recipe=recipe)
    record = {**provenance(), "processes": processes.describe(), "passages": train.manifest}
    writer = Writer(model, tokenizer, recipe, record, name, backbone)

    def watch(stage: Stage, report: StepReport) -> None:
        on_step(stage, report)
        if stage == "encoder" and report.scores is not None and recipe.keep:
            number = report.epoch + 1
            if number % recipe.keep == 0:
                held_out_scores = {"passages": recipe.held_out, "after": dict(report.scores)}
                writer.write(folder / ROUNDS / str(number), trainer.history, held_out_scores)

    # First stage: a head for a backbone that comes without a trained one.
    stages = Stages(folder, resume, checkpoint_seconds, watch, processes)
    schedule = recipe.schedule
    if not model.head_is_trained and recipe.head_subwords:
        writer.record["head"] = _train_head(recipe, objective, stages)
        schedule = replace(schedule, minutes=(1 - HEAD_SHARE) * schedule.minutes)

    # Second stage: the encoder, measured before and after.
    _unfreeze(model, recipe)
    stage = objective(schedule=schedule, subwords=recipe.subwords)
    with stages.start("encoder", stage, schedule=schedule, seed=recipe.seed) as (trainer, resumed):
        evaluate = partial(trainer.measure, stage.evaluate_all)
        # Measured once, before the first step; a resumed run reads the file.
        if not resumed:
            processes.on_main(lambda: write_json(folder / BEFORE, evaluate()))
        history = trainer.run()
        after = processes.on_main(evaluate)

    before = read_json(folder / BEFORE, error=RunError)
    held_out_scores = {"passages": len(held_out), "before": before, "after": after}
    processes.on_main(partial(writer.write, folder / BUNDLE, history, held_out_scores))
    return open_bundle(folder / BUNDLE)


@dataclass(frozen=True, slots=True)
class Writer:
    """Writer of bundles of an encoder in training.

    Attributes:
        model: encoder and head.
        tokenizer: tokenizer of the encoder.
        recipe: recipe of the run.
        record: entries of the run record that are known before the end.
        name: name of the bundle and its adapter.
        backbone: folder of the backbone's files.
    """

    model: MaskedLanguageModel
    tokenizer: SubwordTokenizer
    recipe: PretrainRecipe
    record: dict[str, Any]
    name: str
    backbone: Path

    def write(self, target: Path, history: History, held_out: Mapping[str, Any]) -> None:
        """Write weights, tokenizer, record and card to a folder.

        Args:
            target: folder of the bundle; an older one is replaced.
            history: history of the run so far.
            held_out: number of scored passages, and the scores.
        """
        trained, total = count_parameters(self.model)
        record = {
            "recipe": asdict(self.recipe),
            **self.record,
            "parameters": {"trained": trained, "total": total, "share": trained / total},
            "held_out": held_out,
            "history": history.to_json(),
            "energy": history.energy.to_json(),
        }

        manifest = Manifest(
            name=self.name,
            kind="adapter" if self.recipe.method == "lora" else "full",
            version=version(),
            heads=(),
            window=self.recipe.window,
            overlap=0,
            backbone=describe_backbone(self.recipe.backbone, self.backbone),
        )

        def save(folder: Path) -> None:
            save_encoder(self.model.encoder, folder, name=self.name, backbone=manifest.backbone)
            save_file(self.model.head_weights(), folder / LM_HEAD_WEIGHTS)

        write_bundle(target, manifest, record, save, self.tokenizer)


def check_tokenizer(manifest: Mapping[str, Any], text: str, backbone: str) -> None:
    """Check that passages were prepared with a backbone's tokenizer.

    Args:
        manifest: manifest of the prepared set.
        text: contents of the backbone's ``tokenizer.json``.
        backbone: name of the backbone, for the message.

    Raises:
        InputError: the set has another tokenizer.
    """
    if manifest["tokenizer"]["sha256"] != sha256(text.encode("utf-8")):
        raise InputError(
            f"the passages were prepared with another tokenizer than that of {backbone}; prepare them again "
            f"with --tokenizer {backbone}"
        )


def _train_head(
    recipe: PretrainRecipe, objective: Callable[..., MaskedLanguageModelling], stages: Stages
) -> Mapping[str, Any]:
    """Train a new head on the frozen encoder; return its entry of the run record."""
    schedule = replace(
        recipe.schedule,
        epochs=1,
        minutes=HEAD_SHARE * recipe.schedule.minutes,
        patience=1,
        learning_rate=recipe.head_learning_rate,
        weight_decay=0.0,
    )
    stage = objective(schedule=schedule, subwords=recipe.head_subwords)
    stage.model.encoder.requires_grad_(False)
    with stages.start("head", stage, schedule=schedule, seed=recipe.seed) as (trainer, _):
        history = trainer.run()
    return {"history": history.to_json(), "energy": history.energy.to_json()}


def _unfreeze(model: MaskedLanguageModel, recipe: PretrainRecipe) -> None:
    """Let everything train; with LoRA, an adapter and the head without the embeddings that it shares."""
    if recipe.schedule.checkpoint_activations:
        checkpoint_activations(model.encoder)
    if recipe.method == "full":
        model.requires_grad_(True)
        return
    head_weights = model.head_weights()
    model.encoder = attach_lora(model.encoder, **asdict(recipe.lora))
    for name, parameter in model.head.named_parameters():
        parameter.requires_grad_(name in head_weights)
