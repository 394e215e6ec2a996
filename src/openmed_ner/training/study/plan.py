"""Plan of a study: the encoders that are compared, the models, and a run per model, encoder and seed.

A study's recipe names the recipes of its adaptations and the files of its custom corpora by paths relative to
itself. Every model is trained from every encoder with the same settings, and scored on dev and test once. An
encoder is a backbone, as released or adapted. A recipe is read once: everything else takes the
:class:`Study`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from openmed_ner.errors import RecipeError
from openmed_ner.training.config import PretrainRecipe, Recipe
from openmed_ner.training.engine.session import BUNDLE
from openmed_ner.training.recipes import from_table, read_recipe, require
from openmed_ner.training.study.given import check_bundles, find_bundle
from openmed_ner.training.study.specs import CustomCorpus, ModelSpec, StudyWeights, TeacherSpec

BASELINE = "none"
"""Name of an adaptation: none, the backbone as released."""
TEXTS = "texts.jsonl"


@dataclass(frozen=True, slots=True)
class StudyEncoder:
    """An encoder that models are trained from.

    Attributes:
        backbone: backbone it was made from.
        adaptation: name of its adaptation, or ``none``.
        qualified: if true, its name includes the backbone, since several are compared.
        checkpoint: folder of its bundle in the study's, for a checkpoint of an adaptation; else empty.
    """

    backbone: str
    adaptation: str = BASELINE
    qualified: bool = False
    checkpoint: str = ""

    @property
    def name(self) -> str:
        """Its name in tables and folders."""
        if not self.qualified:
            return self.adaptation
        backbone = Path(self.backbone).name
        return backbone if self.is_released else f"{backbone}+{self.adaptation}"

    @property
    def is_released(self) -> bool:
        """True for a backbone as released."""
        return self.adaptation == BASELINE

    @property
    def bundle(self) -> str:
        """The folder of its bundle in that of the study."""
        return self.checkpoint or f"encoders/{self.name}/{BUNDLE}"


@dataclass(frozen=True, slots=True)
class Study:
    """A study's recipe.

    Attributes:
        title: question that the study answers.
        backbones: backbones to compare; that of ``training`` alone if empty.
        adaptations: recipes of pretraining, by the name of the encoder they make. Where backbones are
            compared, each is adapted, and the recipe's own backbone is not read.
        stages: checkpoints of adaptations, by name: ``ENCODER/rounds/N``, where the recipe keeps round N.
        corpora: custom corpora, by name.
        bundles: trained bundles that models start from or are taught by, by name: folders, relative to the
            recipe, or ``embedded`` for the model in this package.
        models: models to train from each encoder, by name.
        teachers: models that teach others, by the name that ``models.NAME.teacher`` refers to.
        minutes: time for all steps together, divided by their shares; each ends in its time. 0: no limit.
        adaptation_share: relative time of an adaptation, if there is a limit; a model has 1 by default.
        weights: number format of written weights; a model is scored and teaches others with rounded ones.
            An adapter and its heads are rounded to 16 bits at most.
        training: settings of every model; its corpora are the default of models that name none, its seed,
            backbone and encoder are filled in.
    """

    title: str = ""
    backbones: tuple[str, ...] = ()
    adaptations: Mapping[str, str] = field(default_factory=dict)
    stages: Mapping[str, str] = field(default_factory=dict)
    corpora: Mapping[str, CustomCorpus] = field(default_factory=dict)
    bundles: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, ModelSpec] = field(default_factory=dict)
    teachers: Mapping[str, TeacherSpec] = field(default_factory=dict)
    minutes: float = 0.0
    adaptation_share: float = 1.0
    weights: StudyWeights = "fp32"
    training: Recipe = field(default_factory=Recipe)

    def __post_init__(self) -> None:
        require(self.minutes >= 0, "minutes", self.minutes, "0 or more")
        require(self.adaptation_share > 0, "adaptation_share", self.adaptation_share, "a number above 0")
        if BASELINE in self.adaptations:
            raise RecipeError(f"adaptations.{BASELINE}: the name is reserved for the encoder as released")
        if self.stages and len(self.backbones) > 1:
            raise RecipeError("stages: not supported when backbones are compared")
        for name, checkpoint in self.stages.items():
            adaptation = checkpoint.partition("/")[0]
            if adaptation not in self.adaptations or name in (BASELINE, *self.adaptations):
                raise RecipeError(
                    f"stages.{name} = {checkpoint!r}: expected a new name and ADAPTATION/rounds/N"
                )

        for name, corpus in self.corpora.items():
            if missing := [split for split in ("train", "dev", "test") if not getattr(corpus, split)]:
                raise RecipeError(f"corpora.{name}.{missing[0]}: expected a file or folder of documents")
        if both := sorted(self.bundles.keys() & self.models.keys()):
            raise RecipeError(f"bundles.{both[0]}: expected another name than that of a model")
        for name, teacher in self.teachers.items():
            self._check_teacher(f"teachers.{name}", teacher)
        for name, model in self.models.items():
            self._check_model(name, model)

    def _check_model(self, name: str, model: ModelSpec) -> None:
        if unknown := [stage for stage in model.stages if stage not in self.stages]:
            raise RecipeError(f"models.{name}.stages: unknown stage {unknown[0]!r}")
        encoders = [encoder.name for encoder in self.encoders]
        if unknown := [encoder for encoder in model.encoders if encoder not in encoders]:
            raise RecipeError(
                f"models.{name}.encoders: unknown encoder {unknown[0]!r}; "
                f"expected one of {', '.join(encoders)}"
            )
        if not self.corpora_of(model) or not model.seeds:
            raise RecipeError(f"models.{name}: expected at least one corpus and one seed")

        require(model.share > 0, f"models.{name}.share", model.share, "a number above 0")
        is_limited = self.minutes > 0 and model.searched
        require(not is_limited, f"models.{name}.searched", True, "false, since the study has a time limit")
        earlier = list(self.models)[: list(self.models).index(name)]
        if model.teacher:
            self._check_student(f"models.{name}.teacher", model.teacher, earlier)
        if model.start:
            self._check_start(f"models.{name}.start", model, model.start, earlier)
        elif model.soup:
            raise RecipeError(f"models.{name}.soup: requires models.{name}.start")
        for ingredient in model.soup:
            self._check_start(f"models.{name}.soup", model, ingredient, earlier)

    def _check_student(self, setting: str, teacher: str, earlier: Sequence[str]) -> None:
        if teacher not in self.teachers:
            raise RecipeError(f"{setting}: unknown teacher {teacher!r}")
        spec = self.teachers[teacher]
        if not {spec.model, *spec.ensemble} <= {*earlier, *self.bundles}:
            raise RecipeError(f"{setting} = {teacher!r}: expected a teacher whose model is listed earlier")

    def _check_start(self, setting: str, model: ModelSpec, start: str, earlier: Sequence[str]) -> None:
        if start in self.bundles:
            if adapted := [encoder.name for encoder in self.encoders_of(model) if not encoder.is_released]:
                raise RecipeError(f"{setting} = {start!r}: it is not trained from {adapted[0]}")
            return
        if start not in earlier:
            raise RecipeError(f"{setting} = {start!r}: expected a model that is listed earlier, or a bundle")
        available = self.encoders_of(self.models[start])
        if missing := [encoder.name for encoder in self.encoders_of(model) if encoder not in available]:
            raise RecipeError(f"{setting}: {start} is not trained from {missing[0]}")

    def _check_teacher(self, name: str, teacher: TeacherSpec) -> None:
        named = [("model", teacher.model), *(("ensemble", model) for model in teacher.ensemble)]
        for setting, unknown in named:
            if unknown not in self.models and unknown not in self.bundles:
                raise RecipeError(f"{name}.{setting} = {unknown!r}: expected a model or bundle of the study")
        if teacher.ensemble and teacher.by == "texts":
            raise RecipeError(f'{name}.ensemble: expected by = "probabilities"')
        if teacher.texts < 1 and teacher.by == "texts":
            raise RecipeError(f"{name}.texts: expected the number of texts to tag")
        has_names = self.training.lexicon.folder or teacher.model in self.bundles
        if teacher.prefer == "names" and not has_names:
            raise RecipeError(f'{name}.prefer = "names": expected a lexicon in training.lexicon.folder')
        if teacher.model in self.bundles:
            return
        encoders = [encoder.name for encoder in self.encoders_of(self.models[teacher.model])]
        if teacher.encoder and teacher.encoder not in encoders:
            raise RecipeError(
                f"{name}.encoder = {teacher.encoder!r}: {teacher.model} is trained from {', '.join(encoders)}"
            )

    @property
    def encoders(self) -> tuple[StudyEncoder, ...]:
        """The encoders to compare; per backbone, the released one first."""
        backbones = self.backbones or (self.training.backbone,)
        return tuple(
            StudyEncoder(backbone, adaptation, qualified=len(backbones) > 1)
            for backbone in backbones
            for adaptation in (BASELINE, *self.adaptations)
        )

    @property
    def checkpoint_encoders(self) -> tuple[StudyEncoder, ...]:
        """Checkpoints of adaptations: models are trained from them, but they are not compared."""
        return tuple(
            StudyEncoder(self.training.backbone, name, checkpoint=f"encoders/{checkpoint}")
            for name, checkpoint in self.stages.items()
        )

    def corpora_of(self, model: ModelSpec) -> tuple[str, ...]:
        """The corpora of a model: its own, or the default of the study."""
        return model.corpora or self.training.corpora

    def encoders_of(self, model: ModelSpec) -> list[StudyEncoder]:
        """The encoders that a model is trained from with every seed."""
        return [encoder for encoder in self.encoders if not model.encoders or encoder.name in model.encoders]

    def bundle_of(self, source: str, encoder: str) -> str:
        """The folder of the bundle of a start or a teacher.

        Args:
            source: a bundle of the study, whose folder is absolute, or a model: relative to the study's.
            encoder: encoder that the model was trained from.
        """
        if source in self.bundles:
            return self.bundles[source]
        return f"{run_folder(source, encoder, self.models[source].seeds[0])}/{BUNDLE}"

    def teacher_bundles(self, teacher: TeacherSpec) -> tuple[str, ...]:
        """The folders of the bundles of a teacher and of its ensemble, see :meth:`bundle_of`."""
        folders = []
        for name in (teacher.model, *teacher.ensemble):
            encoder = ""
            if name in self.models:
                encoders = [encoder.name for encoder in self.encoders_of(self.models[name])]
                encoder = teacher.encoder if teacher.encoder in encoders else encoders[0]
            folders.append(self.bundle_of(name, encoder))
        return tuple(folders)


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A model to be trained and scored.

    Attributes:
        encoder: encoder it is trained from.
        model: name of the model.
        recipe: all settings. Paths in it (a teacher by probabilities, the texts it reads, a start) are
            relative to the study's folder, unless they are those of its bundles. The adapted encoder is
            filled in once it is available.
        searched: if true, settings are searched.
        silver: teacher whose tagged texts it also learns from; their file is filled in once available.
        tested: if true, it is scored on test.
        weights: number format of the weights of its bundle.
    """

    encoder: StudyEncoder
    model: str
    recipe: Recipe
    searched: bool = False
    silver: str = ""
    tested: bool = True
    weights: StudyWeights = "fp32"

    @property
    def name(self) -> str:
        """Its folder in that of the study."""
        return run_folder(self.model, self.encoder.name, self.recipe.seed)

    @property
    def scored(self) -> Mapping[str, tuple[str, ...]]:
        """The corpora that it is scored on, by split, but for dev documents that it was trained on."""
        recipe = self.recipe
        dev = recipe.corpora if recipe.learn == "train" else recipe.keep_dev
        return {"dev": dev, "test": recipe.corpora if self.tested else ()}


def silver_folder(teacher: str) -> str:
    """The folder of the texts that a teacher tagged, in that of the study."""
    return f"silver/{teacher}"


def texts_folder(teacher: str) -> str:
    """The folder of the texts drawn for a teacher by probabilities, in that of the study."""
    return f"texts/{teacher}"


def run_folder(model: str, encoder: str, seed: int) -> str:
    """The folder of a run in that of the study."""
    return f"models/{model}/{encoder}/seed-{seed}"


def read_study(path: Path) -> Study:
    """Read a study's recipe; the files it names are resolved against its folder.

    Raises:
        RecipeError: it cannot be read, a setting is unknown or wrong, or there is no model.
        BundleError: one of its bundles is missing or damaged.
    """
    study = read_recipe(path, kind=Study)
    if not study.models:
        raise RecipeError(f"{path}: no model to train; add a table [models.NAME] with its corpora")
    folder = path.parent
    study = replace(
        study,
        adaptations={name: str(folder / recipe) for name, recipe in study.adaptations.items()},
        corpora={name: corpus.beside(folder) for name, corpus in study.corpora.items()},
        bundles={name: str(find_bundle(place, folder)) for name, place in study.bundles.items()},
    )
    # Report a wrong setting of the last model before hours of training.
    check_bundles(study.bundles.values(), [run.recipe for run in iter_runs(study)])
    return study


def iter_adaptations(study: Study) -> Iterator[tuple[StudyEncoder, PretrainRecipe]]:
    """Yield every encoder to be adapted that a model is trained from, with its recipe.

    Raises:
        RecipeError: a recipe cannot be read, or is for another backbone than the study's only one.
    """
    needed = {encoder for model in study.models.values() for encoder in study.encoders_of(model)}
    used = {stage for model in study.models.values() for stage in model.stages}
    staged = {study.stages[stage].partition("/")[0] for stage in used}
    for encoder in study.encoders:
        if not encoder.is_released and (encoder in needed or encoder.adaptation in staged):
            yield encoder, _read_adaptation(study, encoder)


def iter_runs(study: Study) -> Iterator[PlannedRun]:
    """Yield every model to be trained, the first seed of all models before the second of any."""
    # a table of all models is complete, if without deviations, after a fraction of the time
    for turn in range(max(len(model.seeds) for model in study.models.values())):
        for encoder in (*study.encoders, *study.checkpoint_encoders):
            for name, model in study.models.items():
                is_stage = encoder.name in model.stages and turn == 0
                if turn < len(model.seeds) and (encoder in study.encoders_of(model) or is_stage):
                    yield _plan_run(study, encoder, name, model.seeds[turn])


def _read_adaptation(study: Study, encoder: StudyEncoder) -> PretrainRecipe:
    path = study.adaptations[encoder.adaptation]
    recipe = read_recipe(Path(path), kind=PretrainRecipe)
    if encoder.qualified:
        return replace(recipe, backbone=encoder.backbone)
    if recipe.backbone != encoder.backbone:
        raise RecipeError(
            f"{path}: backbone = {recipe.backbone!r}, but the study trains from {encoder.backbone!r}"
        )
    return recipe


def _plan_run(study: Study, encoder: StudyEncoder, name: str, seed: int) -> PlannedRun:
    model = study.models[name]
    recipe = from_table(Recipe, model.training, prefix=f"models.{name}.training.", base=study.training)
    recipe = replace(recipe, corpora=study.corpora_of(model), seed=seed, backbone=encoder.backbone)
    distillation = recipe.distillation
    if distillation.teacher or distillation.texts or distillation.ensemble:
        raise RecipeError(
            f"models.{name}.training.distillation: name the teacher in a table [teachers.NAME] with "
            'by = "probabilities"'
        )
    if recipe.start:
        raise RecipeError(f"models.{name}.training.start: name the model in models.{name}.start")

    # weights are of one encoder, so a model starts from the run that was trained from the same one
    if model.start:
        start, *soup = (study.bundle_of(source, encoder.name) for source in (model.start, *model.soup))
        recipe = replace(recipe, start=start, soup=tuple(soup))

    silver = ""
    if teacher := study.teachers.get(model.teacher):
        if teacher.by == "texts":
            silver = model.teacher
        else:
            first, *others = study.teacher_bundles(teacher)
            texts = f"{texts_folder(model.teacher)}/{TEXTS}" if teacher.texts else ""
            distillation = replace(distillation, teacher=first, ensemble=tuple(others), texts=texts)
            recipe = replace(recipe, distillation=distillation)
    weights = model.weights or study.weights
    return PlannedRun(encoder, name, recipe, model.searched, silver, model.tested, weights)
