"""What a study consists of: which encoders are compared, on which corpora, with how many seeds.

A study's recipe names the recipes of its adaptations by file, lying beside it. Every model is trained from
every encoder by the same settings, and scored on dev and test once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from openmed_ner.errors import RecipeError
from openmed_ner.training.config import Pretraining, Recipe, from_table, read_recipe
from openmed_ner.training.session import BUNDLE

BASELINE = "none"
"""The encoder as it was released."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model that is trained from every encoder.

    Attributes:
        corpora: names from the catalog; one head each.
        seeds: a run for each.
        stages: encoders on the way that it is also trained from, with the first seed.
        training: settings in which this model differs from the study's.
    """

    corpora: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    stages: tuple[str, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Study:
    """A study's recipe.

    Attributes:
        title: what it asks.
        adaptations: recipes of pretraining, by the name of the encoder they make.
        stages: encoders on the way to those, by name: ``ENCODER/rounds/N``, where the recipe keeps round N.
        models: what is trained from each encoder, by name.
        training: how; its corpora, seed and encoder are filled in.
    """

    title: str = ""
    adaptations: Mapping[str, str] = field(default_factory=dict)
    stages: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)
    training: Recipe = field(default_factory=Recipe)

    def __post_init__(self) -> None:
        if BASELINE in self.adaptations:
            raise RecipeError(f"adaptations.{BASELINE}: that name is taken by the encoder as released")
        for name, place in self.stages.items():
            if place.partition("/")[0] not in self.adaptations or name in (BASELINE, *self.adaptations):
                raise RecipeError(f"stages.{name} = {place!r}: expected a new name and ADAPTATION/rounds/N")
        for name, model in self.models.items():
            if unknown := [stage for stage in model.stages if stage not in self.stages]:
                raise RecipeError(f"models.{name}.stages: there is no stage {unknown[0]!r}")
            if not model.corpora or not model.seeds:
                raise RecipeError(f"models.{name}: expected at least one corpus and one seed")

    @property
    def encoders(self) -> tuple[str, ...]:
        """The encoders that are compared, the baseline first."""
        return (BASELINE, *self.adaptations)


@dataclass(frozen=True, slots=True)
class Run:
    """A model to be trained and scored.

    Attributes:
        encoder: the one it starts from.
        model: its name.
        recipe: all settings; the adapted encoder's folder is filled in when it is there.
    """

    encoder: str
    model: str
    recipe: Recipe

    @property
    def name(self) -> str:
        """Its folder in that of the study."""
        return f"models/{self.model}/{self.encoder}/seed-{self.recipe.seed}"


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


def read_adaptation(path: Path, study: Study, encoder: str) -> Pretraining:
    """Read the recipe of one of a study's adaptations, which lies beside the study's own.

    Raises:
        RecipeError: it cannot be read, or is for another backbone than the study's.
    """
    recipe = read_recipe(path.parent / study.adaptations[encoder], kind=Pretraining)
    if recipe.backbone != study.training.backbone:
        raise RecipeError(
            f"{study.adaptations[encoder]}: backbone = {recipe.backbone!r}, but the study trains from "
            f"{study.training.backbone!r}"
        )
    return recipe


def place_of(study: Study, encoder: str) -> str:
    """The folder of an encoder's bundle in that of the study."""
    return f"encoders/{study.stages.get(encoder, f'{encoder}/{BUNDLE}')}"


def iter_runs(study: Study) -> Iterator[Run]:
    """Every model to be trained, seed by seed, so that the first seed of all is there first."""
    for turn in range(max(len(model.seeds) for model in study.models.values())):
        for encoder in (*study.encoders, *study.stages):
            for name, model in study.models.items():
                wanted = encoder in study.encoders or (encoder in model.stages and turn == 0)
                if turn < len(model.seeds) and wanted:
                    recipe = from_table(
                        Recipe, model.training, prefix=f"models.{name}.training.", base=study.training
                    )
                    yield Run(encoder, name, replace(recipe, corpora=model.corpora, seed=model.seeds[turn]))
