"""Carry out a study: every step leaves a file, and what has left its file is not done again.

Several processes may work on one study: a step belongs to the one that holds its lock. Dev and test are
scored once, when a model has been trained; the predictions stay beside the scores, so that models
can be compared without asking again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.bundle.manifest import MANIFEST, RECORD
from openmed_ner.bundle.record import provenance, training_splits
from openmed_ner.errors import InputError, RunError
from openmed_ner.evaluation.predictions import predict_gold
from openmed_ner.evaluation.protocols import PROTOCOLS
from openmed_ner.formats.jsonl import write_jsonl
from openmed_ner.inference.tagger import Tagger
from openmed_ner.publish.cards import attach
from openmed_ner.storage import folder_lock, write_json
from openmed_ner.training.config import PretrainRecipe
from openmed_ner.training.engine.processes import count_launched
from openmed_ner.training.engine.session import BUNDLE
from openmed_ner.training.finetune import finetune
from openmed_ner.training.pretrain import pretrain
from openmed_ner.training.search import search
from openmed_ner.training.study.plan import (
    TEXTS,
    Run,
    Start,
    Study,
    iter_adaptations,
    iter_runs,
    name_silver,
    name_texts,
    read_study,
)
from openmed_ner.training.study.silver import SILVER, draw, read_texts, write_documents, write_silver
from openmed_ner.training.study.sources import Sources

logger = logging.getLogger(__name__)
MENTION = PROTOCOLS[:1]
SCORES = "scores.json"


@dataclass(frozen=True, slots=True)
class Step:
    """Something to make, once.

    Attributes:
        name: its folder in that of the study.
        proof: the file in there that says it is done.
        make: makes it, given its folder.
        needs: files that other steps make first.
    """

    name: str
    proof: str
    make: Callable[[Path], None]
    needs: tuple[Path, ...] = ()


def reproduce(
    path: Path,
    folder: Path,
    *,
    passages: Path | None = None,
    texts: Path | None = None,
    only: Callable[[str], bool] = lambda name: True,
    on_step: Callable[[str, str], None] = lambda name, state: None,
) -> bool:
    """Do what is left to do of a study.

    Args:
        path: its recipe.
        folder: where everything goes.
        passages: the prepared set that adaptations read, or a folder with one for each backbone, by its name.
        texts: file, folder or pattern of the texts that teachers read.
        only: whether a step of that name is to be done here.
        on_step: told of each step and ``done``, ``to do``, ``begun``, ``finished``, ``elsewhere`` (another
            process does it) or ``waits`` (for another step).

    Returns:
        Whether everything is done.

    Raises:
        InputError: an adaptation is to be made, but there are no passages; or a teacher has no texts.
        RunError: a launcher started several processes for it.
    """
    if count_launched() > 1:
        raise RunError("a study is not spread by a launcher: start it once for each device, on one folder")
    study = read_study(path)
    left = [
        *_iter_adaptations(path, study, passages),
        *_iter_models(study, folder, Sources(study.corpora, path.parent)),
        *_iter_teachers(study, folder, texts),
    ]
    complete = True
    while ready := [step for step in left if all(file.exists() for file in step.needs)]:
        left = [step for step in left if step not in ready]
        for step in ready:
            complete &= _do(folder / step.name, step, only, on_step)
    for step in left:
        on_step(step.name, "waits")
    return complete and not left


def _iter_adaptations(path: Path, study: Study, passages: Path | None) -> Iterator[Step]:
    for start, recipe in iter_adaptations(path, study):

        def make(folder: Path, start: Start = start, recipe: PretrainRecipe = recipe) -> None:
            read = _passages_for(start, passages)
            pretrain(recipe, read, folder, name=_name_encoder(start), resume=True)

        yield Step(f"encoders/{start.name}", f"{BUNDLE}/{MANIFEST}", make)


def _iter_models(study: Study, folder: Path, sources: Sources) -> Iterator[Step]:
    for run in iter_runs(study):
        adapted = None if run.start.is_released else folder / run.start.bundle
        silver = folder / name_silver(run.silver) / SILVER if run.silver else None
        taught = run.recipe.distillation
        start, teacher, texts = (
            folder / place if place else None for place in (run.recipe.start, taught.teacher, taught.texts)
        )
        soup = [folder / place for place in run.recipe.soup]
        recipe = replace(
            run.recipe,
            adapted=str(adapted or ""),
            start=str(start or ""),
            soup=tuple(map(str, soup)),
            silver=str(silver or run.recipe.silver),
            distillation=replace(taught, teacher=str(teacher or ""), texts=str(texts or "")),
        )

        make = partial(train_and_score, replace(run, recipe=recipe), sources)

        before = [model.parent / SCORES for model in (start, teacher, *soup) if model]
        needs = (adapted and adapted / MANIFEST, silver, texts, *before)
        yield Step(run.name, SCORES, make, tuple(filter(None, needs)))


def _iter_teachers(study: Study, folder: Path, texts: Path | None) -> Iterator[Step]:
    for name, teacher in study.teachers.items():
        if not teacher.texts:
            continue
        run = folder / study.run_of(teacher)
        tags = teacher.by == "texts"

        def make(
            target: Path, name: str = name, run: Path = run, count: int = teacher.texts, tags: bool = tags
        ) -> None:
            if texts is None:
                raise InputError(f"teachers.{name}: it needs texts to read; name them")
            drawn = draw(read_texts(texts), count)
            if tags:
                write_silver(open_bundle(run / BUNDLE), drawn, target / SILVER)
            else:
                write_documents(drawn, target / TEXTS)

        if tags:
            yield Step(name_silver(name), SILVER, make, (run / SCORES,))
        else:
            yield Step(name_texts(name), TEXTS, make)


def _passages_for(start: Start, passages: Path | None) -> Path:
    if passages is None:
        raise InputError(f"{start.name}: the adaptation needs prepared passages; name them")
    own = passages / Path(start.backbone).name
    return own if own.is_dir() else passages


def _name_encoder(start: Start) -> str:
    return f"{Path(start.backbone).name}-{start.adaptation}"


def train_and_score(run: Run, sources: Sources, folder: Path) -> None:
    """Train one model of a study, and score it once: on dev and, by every protocol, on test.

    The scores also go into its bundle and onto its card.
    """
    recipe = run.recipe
    corpora = sources.annotated(recipe)
    learn = search if run.searched else finetune
    bundle = learn(recipe, corpora, folder, name=run.model, resume=True)
    tagger = Tagger.load(bundle)
    learnt = training_splits(bundle.read_json(RECORD))
    results = []
    for split in run.splits:
        for answers in predict_gold(tagger, [sources.gold(name, split, learnt) for name in recipe.corpora]):
            results += [answers.score(protocol) for protocol in (PROTOCOLS if split == "test" else MENTION)]
            with (folder / f"{split}-{answers.gold.corpus}.jsonl").open("w", encoding="utf-8") as file:
                write_jsonl(answers.predicted, file)
    attach(bundle, [row for row in results if row["protocol"] == MENTION[0]])
    record = {"sha256": bundle.sha256, **provenance(), "results": results}
    partial = folder / f"{SCORES}.partial"
    write_json(partial, record)
    partial.replace(folder / SCORES)


def open_run(folder: Path, run: Run) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """The run record and the scores of a model that is done, or ``None``."""
    path = folder / run.name / SCORES
    if not path.exists():
        return None
    bundle = open_bundle(folder / run.name / BUNDLE)
    return bundle.read_json(RECORD), json.loads(path.read_text(encoding="utf-8"))


def open_encoder(target: Path) -> Bundle | None:
    """The bundle of an adapted encoder that is done, or ``None``."""
    return open_bundle(target) if (target / MANIFEST).exists() else None


def _do(folder: Path, step: Step, only: Callable[[str], bool], on_step: Callable[[str, str], None]) -> bool:
    """Do a step unless it is done, not ours, or under way elsewhere; return whether it is done."""
    if (folder / step.proof).exists():
        on_step(step.name, "done")
        return True
    if not only(step.name):
        on_step(step.name, "to do")
        return False
    folder.mkdir(parents=True, exist_ok=True)
    with folder_lock(folder) as ours:
        if not ours:
            on_step(step.name, "elsewhere")
            return False
        if not (folder / step.proof).exists():
            on_step(step.name, "begun")
            step.make(folder)
        on_step(step.name, "finished")
    return True
