"""Carry out a study: every step leaves a file, and a step whose file exists is not repeated.

Several processes may work on one study: a step belongs to the process that holds its lock. Dev and test are
scored once, when a model has been trained. The predictions stay beside the scores, so models can be compared
later without tagging again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.bundle.files import MANIFEST
from openmed_ner.bundle.manifest import RECORD
from openmed_ner.bundle.record import provenance, training_splits
from openmed_ner.errors import InputError, RunError
from openmed_ner.evaluation.predictions import predict_gold
from openmed_ner.evaluation.protocols import PROTOCOLS
from openmed_ner.inference.backends import usable_cores
from openmed_ner.inference.tagger import Tagger
from openmed_ner.publish.cards import attach
from openmed_ner.storage import folder_lock, read_json, write_json
from openmed_ner.text import Document
from openmed_ner.training.config import PretrainRecipe, Schedule
from openmed_ner.training.engine.history import CHECKPOINT
from openmed_ner.training.engine.processes import count_launched, join
from openmed_ner.training.engine.session import BUNDLE
from openmed_ner.training.finetune import finetune
from openmed_ner.training.pretrain import pretrain
from openmed_ner.training.search import search
from openmed_ner.training.study.plan import (
    TEXTS,
    PlannedRun,
    Study,
    StudyEncoder,
    iter_adaptations,
    iter_runs,
    silver_folder,
    texts_folder,
)
from openmed_ner.training.study.progress import Clock, ProgressLog, TimeBudget
from openmed_ner.training.study.silver import (
    SILVER,
    draw,
    open_matcher,
    read_texts,
    write_documents,
    write_silver,
)
from openmed_ner.training.study.sources import Sources
from openmed_ner.training.transport.weights import round_bundle

MENTION = PROTOCOLS[:1]
SCORES = "scores.json"


@dataclass(frozen=True, slots=True)
class StudyStep:
    """One unit of work of a study.

    Attributes:
        name: its folder in that of the study.
        output: file in that folder whose existence marks the step as done.
        run: does the work, given the folder and the record of its progress.
        needs: files that other steps write first.
        share: relative time of its training, where the study has a time limit; 0: it does not train.
        can_finish: if true, it can be ended at its checkpoint, or costs little.
    """

    name: str
    output: str
    run: Callable[[Path, ProgressLog], None]
    needs: tuple[Path, ...] = ()
    share: float = 0.0
    can_finish: bool = False


@dataclass(frozen=True, slots=True)
class StepRunner:
    """Runs the steps of a study.

    Attributes:
        folder: folder of the study.
        only: predicate on names; steps it rejects are not run by this process.
        on_step: called with each step and its state.
        budget: time limit, if there is one.
        finish: end the steps in training where they are, and begin no other.
        clock: clock in seconds.
    """

    folder: Path
    only: Callable[[str], bool]
    on_step: Callable[[str, str], None]
    budget: TimeBudget | None
    finish: bool
    clock: Clock

    def run(self, step: StudyStep) -> bool:
        """Run a step unless it is done, deselected or locked by another process; return if it is done."""
        folder = self.folder / step.name
        if (folder / step.output).exists():
            self.on_step(step.name, "done")
            return True
        can_finish = step.can_finish and (not step.share or (folder / CHECKPOINT).exists())
        if not self.only(step.name) or (self.finish and not can_finish):
            self.on_step(step.name, "to do")
            return False

        folder.mkdir(parents=True, exist_ok=True)
        with folder_lock(folder) as is_locked:
            if not is_locked:
                self.on_step(step.name, "elsewhere")
                return False
            # another process may have finished it between the check above and the lock
            if not (folder / step.output).exists():
                self.on_step(step.name, "begun")
                minutes = self.budget.allot(step.name) if self.budget and step.share else 0.0
                log = ProgressLog(folder, minutes=minutes, clock=self.clock)
                step.run(folder, log)
                log.finish()
            self.on_step(step.name, "finished")
        return True


def reproduce(
    study: Study,
    folder: Path,
    *,
    passages: Path | None = None,
    texts: Path | None = None,
    only: Callable[[str], bool] = lambda name: True,
    on_step: Callable[[str, str], None] = lambda name, state: None,
    finish: bool = False,
    clock: Clock = time.monotonic,
) -> bool:
    """Run the steps of a study that are not done yet.

    Args:
        study: the study.
        folder: output folder of all steps.
        passages: prepared set that adaptations read, or a folder with one per backbone, by its name.
        texts: file, folder or pattern of the texts that teachers read.
        only: predicate on names; steps it rejects are not run by this process.
        on_step: called with each step and its state: ``done``, ``to do``, ``begun``, ``finished``,
            ``elsewhere`` (another process runs it) or ``waits`` (for another step).
        finish: end the models in training at their checkpoints, and begin no other step.
        clock: clock in seconds, for the time limit and the records of progress.

    Returns:
        True if every step is done.

    Raises:
        InputError: an adaptation lacks passages, or a teacher lacks texts.
        RunError: a launcher started several processes, or the time limit leaves no time for a step.
    """
    if count_launched() > 1:
        raise RunError(
            "a study does not run under a launcher: start one process per device, all with the same folder"
        )
    waiting = [
        *_iter_adaptations(study, passages),
        *_iter_teachers(study, folder, texts),
        *_iter_models(study, folder, Sources(study.corpora), finish=finish),
    ]

    shares = {step.name: step.share for step in waiting if step.share}
    budget = TimeBudget(folder, study.minutes, shares) if study.minutes else None
    runner = StepRunner(folder, only, on_step, budget, finish, clock)

    # What a step writes may be all that an earlier one waits for, which then goes before the later ones.
    complete = True
    while ready := next((step for step in waiting if all(file.exists() for file in step.needs)), None):
        waiting.remove(ready)
        complete &= runner.run(ready)
    for step in waiting:
        on_step(step.name, "waits")
    return complete and not waiting


def _iter_adaptations(study: Study, passages: Path | None) -> Iterator[StudyStep]:
    for encoder, recipe in iter_adaptations(study):
        # defaults bind the variables of this turn of the loop
        def run(
            folder: Path,
            log: ProgressLog,
            encoder: StudyEncoder = encoder,
            recipe: PretrainRecipe = recipe,
        ) -> None:
            recipe = replace(recipe, schedule=_limit(recipe.schedule, log))
            pretrain(
                recipe,
                _find_passages(encoder, passages),
                folder,
                name=f"{Path(encoder.backbone).name}-{encoder.adaptation}",
                resume=True,
                on_step=lambda stage, report: log.note(report),
            )

        share = study.adaptation_share
        yield StudyStep(f"encoders/{encoder.name}", f"{BUNDLE}/{MANIFEST}", run, share=share)


def _limit(schedule: Schedule, log: ProgressLog) -> Schedule:
    """Give a schedule the time limit of its step, if there is one."""
    minutes = log.progress.minutes
    return replace(schedule, minutes=minutes) if minutes else schedule


def _iter_models(study: Study, folder: Path, sources: Sources, *, finish: bool) -> Iterator[StudyStep]:
    given = set(study.bundles.values())
    for planned in iter_runs(study):
        distillation = planned.recipe.distillation
        start, teacher, texts = (
            folder / path if path else None
            for path in (planned.recipe.start, distillation.teacher, distillation.texts)
        )
        adapted = None if planned.encoder.is_released else folder / planned.encoder.bundle
        silver = folder / silver_folder(planned.silver) / SILVER if planned.silver else None
        soup = [folder / path for path in planned.recipe.soup]
        ensemble = [folder / path for path in distillation.ensemble]

        recipe = replace(
            planned.recipe,
            adapted=str(adapted or ""),
            start=str(start or ""),
            soup=tuple(map(str, soup)),
            silver=str(silver or planned.recipe.silver),
            distillation=replace(
                distillation,
                teacher=str(teacher or ""),
                ensemble=tuple(map(str, ensemble)),
                texts=str(texts or ""),
            ),
        )
        run = partial(train_and_score, replace(planned, recipe=recipe), sources, finish=finish)

        trained = [bundle for bundle in (start, teacher, *soup, *ensemble) if bundle]
        models = [bundle.parent / SCORES for bundle in trained if str(bundle) not in given]
        needs = (adapted and adapted / MANIFEST, silver, texts, *models)
        share = study.models[planned.model].share
        yield StudyStep(planned.name, SCORES, run, tuple(filter(None, needs)), share, can_finish=True)


def _iter_teachers(study: Study, folder: Path, texts: Path | None) -> Iterator[StudyStep]:
    for name, teacher in study.teachers.items():
        if not teacher.texts:
            continue
        if teacher.by == "texts":
            bundle = folder / study.teacher_bundles(teacher)[0]
            run = partial(_tag_texts, study, name, texts, bundle)
            needs = () if teacher.model in study.bundles else (bundle.parent / SCORES,)
            yield StudyStep(silver_folder(name), SILVER, run, needs)
        else:
            run = partial(_draw_texts, study, name, texts)
            yield StudyStep(texts_folder(name), TEXTS, run, can_finish=True)


def _tag_texts(
    study: Study, teacher: str, texts: Path | None, bundle: Path, folder: Path, log: ProgressLog
) -> None:
    write_silver(open_bundle(bundle), _draw(study, teacher, texts), folder / SILVER)


def _draw_texts(study: Study, teacher: str, texts: Path | None, folder: Path, log: ProgressLog) -> None:
    write_documents(_draw(study, teacher, texts), folder / TEXTS)


def _draw(study: Study, teacher: str, texts: Path | None) -> list[Document]:
    """Draw the texts that a teacher reads.

    Raises:
        InputError: there are no texts.
    """
    if texts is None:
        raise InputError(f"teachers.{teacher} needs texts to read; pass them with --texts")
    spec = study.teachers[teacher]
    return draw(read_texts(texts), spec.texts, matcher=open_matcher(study, spec))


def _find_passages(encoder: StudyEncoder, passages: Path | None) -> Path:
    if passages is None:
        raise InputError(f"{encoder.name}: the adaptation needs prepared passages; pass them with --passages")
    of_backbone = passages / Path(encoder.backbone).name
    return of_backbone if of_backbone.is_dir() else passages


def train_and_score(
    run: PlannedRun, sources: Sources, folder: Path, log: ProgressLog, *, finish: bool = False
) -> None:
    """Train one model of a study, and score it once: on dev and, by every protocol, on test.

    The scores also go into its bundle and onto its card.

    Args:
        run: the model.
        sources: documents of the corpora.
        folder: folder of the run.
        log: record of the progress, with the time limit.
        finish: end the training at its checkpoint.
    """
    began = time.monotonic()
    readers = usable_cores() if join().device.type == "cuda" else 1
    recipe = replace(run.recipe, schedule=_limit(run.recipe.schedule, log))
    corpora = sources.annotated(recipe)
    if run.searched:
        bundle = search(recipe, corpora, folder, name=run.model, resume=True)
    else:
        bundle = finetune(
            recipe,
            corpora,
            folder,
            name=run.model,
            resume=True,
            on_step=log.note,
            finish=finish,
            began=began,
            readers=readers,
        )
    if run.weights != "fp32":
        bundle = round_bundle(bundle, run.weights)

    tagger = Tagger.load(bundle, processes=readers)
    trained_on = training_splits(bundle.read_json(RECORD))
    results = []
    for split, corpora_scored in run.scored.items():
        names = [name for name in corpora_scored if sources.has_split(name, split)]
        if not names:
            continue
        gold = [sources.gold(name, split, trained_on) for name in names]
        protocols = PROTOCOLS if split == "test" else MENTION
        for predictions in predict_gold(tagger, gold):
            results += [predictions.score(protocol) for protocol in protocols]
            path = folder / f"{split}-{predictions.gold.corpus}.jsonl"
            write_documents(predictions.predicted, path)

    tagger.close()
    attach(bundle, [row for row in results if row["protocol"] == MENTION[0]])
    # last, since this file marks the step as done
    write_json(folder / SCORES, {"sha256": bundle.sha256, **provenance(), "results": results})


def open_run(folder: Path, run: PlannedRun) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """The run record and the scores of a finished run, or ``None``."""
    path = folder / run.name / SCORES
    if not path.exists():
        return None
    bundle = open_bundle(folder / run.name / BUNDLE)
    return bundle.read_json(RECORD), read_json(path)


def open_encoder(path: Path) -> Bundle | None:
    """The bundle of a finished adaptation, or ``None``."""
    return open_bundle(path) if (path / MANIFEST).exists() else None
