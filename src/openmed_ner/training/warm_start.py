"""Warm start: fine-tune from a trained model, or a mean of several, instead of a backbone with new heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from openmed_ner.bundle import BackboneReference, Bundle, open_bundle
from openmed_ner.errors import RecipeError
from openmed_ner.model.bundles import load_model, merge_adapter
from openmed_ner.model.tagger import TokenTagger, keep_layers
from openmed_ner.training.config import Recipe


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A trained model with its origin.

    Attributes:
        bundle: bundle of the model.
        model: encoder and heads; an adapter is merged.
        soup: bundles whose weights were averaged with those of the model.
    """

    bundle: Bundle
    model: TokenTagger
    soup: tuple[Bundle, ...] = ()

    def head_layer(self, corpus: str, tags: Sequence[str]) -> nn.Module | None:
        """Output layer of the head of a corpus, if it has the same tags."""
        for head, layer in zip(self.model.heads, self.model.layers, strict=True):
            if head.corpus == corpus and tuple(head.tags) == tuple(tags):
                return layer
        return None

    def copy_encoder(self, encoder: nn.Module, layers: Sequence[int]) -> None:
        """Copy the weights to an encoder of the same backbone, then keep only some of its layers."""
        existing = self.bundle.manifest.encoder_layers
        keep_layers(encoder, existing)
        encoder.load_state_dict(self.model.encoder.state_dict())
        if layers != existing:
            keep_layers(encoder, layers)

    def copy_heads(self, model: TokenTagger) -> None:
        """Copy the weights of the heads that both models have, and of the lexicon tags if both read them."""
        for head, layer in zip(model.heads, model.layers, strict=True):
            if (source := self.head_layer(head.corpus, head.tags)) is not None:
                layer.load_state_dict(source.state_dict())
        if model.lexicon is not None and self.model.lexicon is not None:
            model.lexicon.load_state_dict(self.model.lexicon.state_dict())


def default_overrides(start: Bundle) -> list[str]:
    """Settings for training a bundle further when there is no recipe, as ``key=value``.

    Backbone, windows and layers are those of the bundle, so that it reads text as before. Every parameter is
    trained, at a low learning rate, so that the model forgets little.
    """
    manifest = start.manifest
    return [
        f"backbone={manifest.backbone.name}",
        f"window={manifest.window}",
        f"overlap={manifest.overlap}",
        f"layers={list(manifest.encoder_layers)}",
        "method=full",
        "schedule.learning_rate=2e-4",
    ]


def open_trained(folder: str) -> TrainedModel:
    """Load a trained model.

    Raises:
        BundleError: the bundle is missing, damaged, or of a kind that torch cannot load.
    """
    bundle = open_bundle(Path(folder))
    return TrainedModel(bundle, merge_adapter(load_model(bundle)))


def open_start(recipe: Recipe, backbone: BackboneReference) -> TrainedModel:
    """Load the model that a recipe starts from, or the mean of several (a model soup).

    Args:
        recipe: recipe with a start.
        backbone: backbone of the recipe.

    Raises:
        BundleError: a bundle is missing, damaged, or of a kind that torch cannot load.
        RecipeError: a model has another backbone or other encoder layers than the recipe, or the models of a
            soup differ in heads, layers or lexicon.
    """
    start = _open_matching(recipe, backbone, "start", recipe.start)
    return average(start, [_open_matching(recipe, backbone, "soup", folder) for folder in recipe.soup])


def average(first: TrainedModel, others: Sequence[TrainedModel]) -> TrainedModel:
    """Replace the weights of a model by their mean with those of others (a model soup).

    Args:
        first: model whose weights are replaced.
        others: models with the same heads and layers.

    Returns:
        The first model, with the bundles of the others as ``soup``.

    Raises:
        RecipeError: a model differs from the first in its backbone, heads, layers or lexicon.
    """
    models = [first.model]
    for trained in others:
        prefix = f"soup: {trained.bundle.folder} has"
        if _describe_shape(trained) != _describe_shape(first):
            raise RecipeError(f"{prefix} other heads or layers than {first.bundle.folder}")
        if trained.bundle.manifest.lexicon != first.bundle.manifest.lexicon:
            raise RecipeError(f"{prefix} another lexicon than {first.bundle.folder}")
        # Heads in the same order.
        models.append(TokenTagger(trained.model.encoder, first.model.heads, lexicon=trained.model.lexicon))
        trained.copy_heads(models[-1])

    with torch.no_grad():
        for weights in zip(*(model.parameters() for model in models), strict=True):
            weights[0].copy_(torch.stack(weights).mean(dim=0))
    return replace(first, soup=tuple(trained.bundle for trained in others))


def _describe_shape(trained: TrainedModel) -> object:
    heads = {head.corpus: tuple(head.tags) for head in trained.model.heads}
    manifest = trained.bundle.manifest
    return heads, manifest.encoder_layers, manifest.backbone.sha256


def _open_matching(recipe: Recipe, backbone: BackboneReference, setting: str, folder: str) -> TrainedModel:
    trained = open_trained(folder)
    manifest = trained.bundle.manifest
    prefix = f"{setting} = {folder!r}"
    if manifest.backbone.sha256 != backbone.sha256:
        raise RecipeError(f"{prefix} was made from {manifest.backbone.name}, not from {recipe.backbone}")
    if manifest.encoder_layers not in ((), recipe.layers):
        raise RecipeError(
            f"{prefix} has some layers of the backbone only: expected a bundle with all of them, or layers = "
            f"{list(manifest.encoder_layers)}"
        )
    return trained
