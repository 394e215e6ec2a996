"""What a study consists of: which encoders are compared, on which corpora, with how many seeds.

A study's recipe names the recipes of its adaptations and the files of its own corpora, lying beside it. Every
model is trained from every encoder by the same settings, and scored on dev and test once. An encoder is a
backbone, as released or adapted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from openmed_ner.errors import RecipeError
from openmed_ner.training.config import PretrainRecipe, Recipe
from openmed_ner.training.engine.session import BUNDLE
from openmed_ner.training.recipes import from_table, read_recipe

BASELINE = "none"
"""The encoder as it was released."""
TEXTS = "texts.jsonl"


@dataclass(frozen=True, slots=True)
class OwnCorpus:
    """A corpus that is not in the catalog.

    Attributes:
        train: file or folder of documents to learn from, relative to the recipe.
        dev: documents to choose by.
        test: documents to score once.
        format: of all three; told from their names if empty.
    """

    train: str = ""
    dev: str = ""
    test: str = ""
    format: str = ""


@dataclass(frozen=True, slots=True)
class Teacher:
    """A model of the study that others learn from.

    Attributes:
        model: its name; its first seed teaches.
        encoder: what it was trained from; the first of the study if empty.
        by: ``texts`` that it tags, or its ``probabilities`` on the documents that others learn from
            (``distillation`` in their settings), and on texts if there are any.
        texts: how many, drawn at random from those that are given.
    """

    model: str = ""
    encoder: str = ""
    by: Literal["texts", "probabilities"] = "texts"
    texts: int = 0


@dataclass(frozen=True, slots=True)
class Model:
    """A model that is trained from every encoder.

    Attributes:
        corpora: names from the catalog or of the study's own corpora; one head each.
        seeds: a run for each.
        stages: encoders on the way that it is also trained from, with the first seed.
        searched: try the settings of ``training.search`` on dev, instead of taking those of ``training``.
        tested: score it on test; not for models that are only on the way to others.
        encoders: train it from these only; from all if empty.
        teacher: the one it also learns from, if any; its model stands before.
        start: a model that stands before it, whose first seed it goes on from, if any.
        soup: others that stand before it, the weights of whose first seeds are averaged with the start's.
        training: settings in which this model differs from the study's.
    """

    corpora: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    stages: tuple[str, ...] = ()
    searched: bool = False
    tested: bool = True
    encoders: tuple[str, ...] = ()
    teacher: str = ""
    start: str = ""
    soup: tuple[str, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Study:
    """A study's recipe.

    Attributes:
        title: what it asks.
        backbones: those that are compared; that of ``training`` alone if empty.
        adaptations: recipes of pretraining, by the name of the encoder they make. Where backbones are
            compared, each is adapted, and the recipe's own backbone is not read.
        stages: encoders on the way to those, by name: ``ENCODER/rounds/N``, where the recipe keeps round N.
        corpora: those that are not in the catalog, by name.
        models: what is trained from each encoder, by name.
        teachers: those of them that teach others, by the name that ``models.NAME.teacher`` calls them by.
        training: how; its corpora, seed, backbone and encoder are filled in.
    """

    title: str = ""
    backbones: tuple[str, ...] = ()
    adaptations: Mapping[str, str] = field(default_factory=dict)
    stages: Mapping[str, str] = field(default_factory=dict)
    corpora: Mapping[str, OwnCorpus] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)
    teachers: Mapping[str, Teacher] = field(default_factory=dict)
    training: Recipe = field(default_factory=Recipe)

    def __post_init__(self) -> None:
        if BASELINE in self.adaptations:
            raise RecipeError(f"adaptations.{BASELINE}: that name is taken by the encoder as released")
        if self.stages and len(self.backbones) > 1:
            raise RecipeError("stages: expected none where backbones are compared")
        for name, place in self.stages.items():
            if place.partition("/")[0] not in self.adaptations or name in (BASELINE, *self.adaptations):
                raise RecipeError(f"stages.{name} = {place!r}: expected a new name and ADAPTATION/rounds/N")
        for name, corpus in self.corpora.items():
            if missing := [split for split in ("train", "dev", "test") if not getattr(corpus, split)]:
                raise RecipeError(f"corpora.{name}.{missing[0]}: expected a file or folder of documents")
        for name, teacher in self.teachers.items():
            self._check_teacher(f"teachers.{name}", teacher)
        for name, model in self.models.items():
            self._check(name, model)

    def _check(self, name: str, model: Model) -> None:
        if unknown := [stage for stage in model.stages if stage not in self.stages]:
            raise RecipeError(f"models.{name}.stages: there is no stage {unknown[0]!r}")
        known = [start.name for start in self.starts]
        if unknown := [encoder for encoder in model.encoders if encoder not in known]:
            raise RecipeError(
                f"models.{name}.encoders: there is no encoder {unknown[0]!r}; there are: {', '.join(known)}"
            )
        if not model.corpora or not model.seeds:
            raise RecipeError(f"models.{name}: expected at least one corpus and one seed")

        if model.teacher and model.teacher not in self.teachers:
            raise RecipeError(f"models.{name}.teacher: there is no teacher {model.teacher!r}")
        before = list(self.models)[: list(self.models).index(name)]
        if model.teacher and self.teachers[model.teacher].model not in before:
            raise RecipeError(
                f"models.{name}.teacher = {model.teacher!r}: expected one whose model stands before it"
            )
        if model.start:
            self._check_start(f"models.{name}.start", model, model.start, before)
        elif model.soup:
            raise RecipeError(f"models.{name}.soup: expected nothing, where no start is named")
        for other in model.soup:
            self._check_start(f"models.{name}.soup", model, other, before)

    def _check_start(self, setting: str, model: Model, start: str, before: Sequence[str]) -> None:
        if start not in before:
            raise RecipeError(f"{setting} = {start!r}: expected a model that stands before it")
        known = self.starts_of(self.models[start])
        if unknown := [each.name for each in self.starts_of(model) if each not in known]:
            raise RecipeError(f"{setting}: {start} is not trained from {unknown[0]}")

    def _check_teacher(self, name: str, teacher: Teacher) -> None:
        model = self.models.get(teacher.model)
        if model is None:
            raise RecipeError(f"{name}.model = {teacher.model!r}: expected a model of the study")
        if teacher.texts < 1 and teacher.by == "texts":
            raise RecipeError(f"{name}.texts: expected how many texts it tags")
        encoders = [start.name for start in self.starts_of(model)]
        if teacher.encoder and teacher.encoder not in encoders:
            raise RecipeError(
                f"{name}.encoder = {teacher.encoder!r}: {teacher.model} is trained from {', '.join(encoders)}"
            )

    def run_of(self, teacher: Teacher) -> str:
        """The folder of the run that made a teacher in that of the study."""
        model = self.models[teacher.model]
        encoder = teacher.encoder or self.starts_of(model)[0].name
        return name_run(teacher.model, encoder, model.seeds[0])

    @property
    def starts(self) -> tuple[Start, ...]:
        """The encoders that are compared; of each backbone the one as released first."""
        backbones = self.backbones or (self.training.backbone,)
        return tuple(
            Start(backbone, adaptation, several=len(backbones) > 1)
            for backbone in backbones
            for adaptation in (BASELINE, *self.adaptations)
        )

    @property
    def passing(self) -> tuple[Start, ...]:
        """The encoders on the way, which are trained from but not compared."""
        return tuple(
            Start(self.training.backbone, name, several=False, place=f"encoders/{place}")
            for name, place in self.stages.items()
        )

    def starts_of(self, model: Model) -> list[Start]:
        """The encoders that a model is trained from with every seed."""
        return [start for start in self.starts if not model.encoders or start.name in model.encoders]


@dataclass(frozen=True, slots=True)
class Start:
    """An encoder that models are trained from.

    Attributes:
        backbone: what it was made from.
        adaptation: how it was adapted, or ``none``.
        several: whether it is one of several backbones', so that its name has to say which.
        place: where its bundle is in the study's folder, if it is none of those the names lead to.
    """

    backbone: str
    adaptation: str = BASELINE
    several: bool = False
    place: str = ""

    @property
    def name(self) -> str:
        """What tables and folders call it."""
        if not self.several:
            return self.adaptation
        backbone = Path(self.backbone).name
        return backbone if self.adaptation == BASELINE else f"{backbone}+{self.adaptation}"

    @property
    def is_released(self) -> bool:
        """Whether it is a backbone as it was released."""
        return self.adaptation == BASELINE

    @property
    def bundle(self) -> str:
        """The folder of its bundle in that of the study."""
        return self.place or f"encoders/{self.name}/{BUNDLE}"


@dataclass(frozen=True, slots=True)
class Run:
    """A model to be trained and scored.

    Attributes:
        start: what it is trained from.
        model: its name.
        recipe: all settings; the adapted encoder's folder is filled in when it is there.
        searched: whether settings are tried.
        silver: the teacher whose tagged texts it also learns from, if any; their file is filled in when it
            is there. A teacher by probabilities, the texts it reads and a start stand in the recipe, by
            their places in the study's folder.
        tested: whether it is scored on test.
    """

    start: Start
    model: str
    recipe: Recipe
    searched: bool = False
    silver: str = ""
    tested: bool = True

    @property
    def encoder(self) -> str:
        """Name of the encoder it is trained from."""
        return self.start.name

    @property
    def name(self) -> str:
        """Its folder in that of the study."""
        return name_run(self.model, self.encoder, self.recipe.seed)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits it is scored on; dev says nothing of a model that learnt from it."""
        wanted = {"dev": self.recipe.learn == "train", "test": self.tested}
        return tuple(split for split, scored in wanted.items() if scored)


def name_silver(teacher: str) -> str:
    """The folder of the texts that a teacher tagged in that of the study."""
    return f"silver/{teacher}"


def name_texts(teacher: str) -> str:
    """The folder of the texts that are drawn for a teacher by probabilities in that of the study."""
    return f"texts/{teacher}"


def name_run(model: str, encoder: str, seed: int) -> str:
    """The folder of a run in that of the study."""
    return f"models/{model}/{encoder}/seed-{seed}"


def read_study(path: Path) -> Study:
    """Read a study's recipe.

    Raises:
        RecipeError: it cannot be read, a setting is unknown or wrong, or there is nothing to train.
    """
    study = read_recipe(path, kind=Study)
    if not study.models:
        raise RecipeError(f"{path}: there is nothing to train; add a table [models.NAME] with its corpora")
    list(iter_runs(study))  # the settings of each model are checked now, not when its turn comes
    return study


def read_adaptation(path: Path, study: Study, start: Start) -> PretrainRecipe:
    """Read the recipe of one of a study's adaptations, which lies beside the study's own.

    Raises:
        RecipeError: it cannot be read, or is for another backbone than the study's only one.
    """
    recipe = read_recipe(path.parent / study.adaptations[start.adaptation], kind=PretrainRecipe)
    if start.several:
        return replace(recipe, backbone=start.backbone)
    if recipe.backbone != start.backbone:
        raise RecipeError(
            f"{study.adaptations[start.adaptation]}: backbone = {recipe.backbone!r}, but the study trains "
            f"from {start.backbone!r}"
        )
    return recipe


def iter_adaptations(path: Path, study: Study) -> Iterator[tuple[Start, PretrainRecipe]]:
    """Every encoder to be adapted, and how."""
    for start in study.starts:
        if not start.is_released:
            yield start, read_adaptation(path, study, start)


def iter_runs(study: Study) -> Iterator[Run]:
    """Every model to be trained, seed by seed, so that the first seed of all is there first."""
    for turn in range(max(len(model.seeds) for model in study.models.values())):
        for start in (*study.starts, *study.passing):
            for name, model in study.models.items():
                on_the_way = start.name in model.stages and turn == 0
                if turn < len(model.seeds) and (start in study.starts_of(model) or on_the_way):
                    yield _make_run(study, start, name, model.seeds[turn])


def _make_run(study: Study, start: Start, name: str, seed: int) -> Run:
    model = study.models[name]
    recipe = from_table(Recipe, model.training, prefix=f"models.{name}.training.", base=study.training)
    own = replace(recipe, corpora=model.corpora, seed=seed, backbone=start.backbone)
    if own.distillation.teacher or own.distillation.texts:
        raise RecipeError(
            f"models.{name}.training.distillation: a study names its teachers in [teachers.NAME], "
            'those that teach so with by = "probabilities"'
        )
    if own.start:
        raise RecipeError(
            f"models.{name}.training.start: a study names it in models.{name}.start, as a model"
        )
    places = [
        f"{name_run(each, start.name, study.models[each].seeds[0])}/{BUNDLE}"
        for each in filter(None, (model.start, *model.soup))
    ]
    if places:
        own = replace(own, start=places[0], soup=tuple(places[1:]))
    silver = ""
    if teacher := study.teachers.get(model.teacher):
        if teacher.by == "texts":
            silver = model.teacher
        else:
            place = f"{study.run_of(teacher)}/{BUNDLE}"
            texts = f"{name_texts(model.teacher)}/{TEXTS}" if teacher.texts else ""
            own = replace(own, distillation=replace(own.distillation, teacher=place, texts=texts))
    return Run(start, name, own, searched=model.searched, silver=silver, tested=model.tested)
