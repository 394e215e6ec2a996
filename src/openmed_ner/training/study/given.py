"""Trained bundles that a study is given, such as the embedded model, as starts and teachers of its models.

They are opened when the recipe is read, so that one that does not fit is named before hours of training.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from openmed_ner.bundle import Bundle, Manifest, open_bundle
from openmed_ner.errors import RecipeError
from openmed_ner.inference.tagger import EMBEDDED, embedded_bundle
from openmed_ner.training.config import Recipe


def find_bundle(place: str, folder: Path) -> Path:
    """Find a bundle: ``embedded``, or its folder, relative to that of a recipe."""
    return embedded_bundle() if place == EMBEDDED else (folder / place).absolute()


def check_bundles(places: Iterable[str], recipes: Iterable[Recipe]) -> None:
    """Check that models can start from the bundles of a study and be taught by them.

    Args:
        places: folders of the bundles.
        recipes: settings of all models.

    Raises:
        BundleError: a bundle is missing or damaged, or has no heads.
        RecipeError: a start has another backbone or layers than its model, or a teacher none of its heads.
    """
    bundles = {place: open_bundle(Path(place)) for place in places}
    for bundle in bundles.values():
        bundle.require_heads()
    for recipe in recipes:
        for place in (recipe.start, *recipe.soup):
            if place in bundles:
                _check_start(bundles[place], recipe)
        for place in (recipe.distillation.teacher, *recipe.distillation.ensemble):
            if place in bundles:
                _check_teacher(bundles[place], recipe)


def describe_recipe(manifest: Manifest) -> Recipe:
    """Settings of the model of a bundle, as far as its size depends on them."""
    return Recipe(
        backbone=manifest.backbone.name,
        layers=manifest.encoder_layers,
        window=manifest.window,
        overlap=manifest.overlap,
    )


def _check_start(bundle: Bundle, recipe: Recipe) -> None:
    manifest = bundle.manifest
    if manifest.backbone.name not in (recipe.backbone, Path(recipe.backbone).name):
        raise RecipeError(
            f"{bundle.folder} was made from {manifest.backbone.name}, so no model of {recipe.backbone} can "
            "start from it"
        )
    if manifest.encoder_layers not in ((), recipe.layers):
        raise RecipeError(
            f"{bundle.folder} has some layers of the backbone only: expected layers = "
            f"{list(manifest.encoder_layers)}"
        )


def _check_teacher(bundle: Bundle, recipe: Recipe) -> None:
    heads = [head.corpus for head in bundle.manifest.heads]
    if not set(heads) & set(recipe.corpora):
        raise RecipeError(
            f"{bundle.folder} teaches {', '.join(heads)}, and its student learns {', '.join(recipe.corpora)}"
        )
