"""Go on from a model that was trained before, instead of from a backbone with fresh heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.errors import RecipeError
from openmed_ner.model.bundles import load_model, merge_adapter
from openmed_ner.model.tagger import TokenTagger, keep_layers
from openmed_ner.storage import sha256_file
from openmed_ner.training.config import Recipe


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model that was trained before.

    Attributes:
        bundle: where it comes from.
        model: its encoder and heads; an adapter is merged.
        soup: other bundles that its weights have been averaged with.
    """

    bundle: Bundle
    model: TokenTagger
    soup: tuple[Bundle, ...] = ()

    def find_layer(self, corpus: str, tags: Sequence[str]) -> nn.Module | None:
        """The layer of its head of a corpus, if that has the same tags."""
        for head, layer in zip(self.model.heads, self.model.layers, strict=True):
            if head.corpus == corpus and tuple(head.tags) == tuple(tags):
                return layer
        return None

    def give_encoder(self, encoder: nn.Module, layers: Sequence[int]) -> None:
        """Give an encoder of the same backbone its weights, of some layers only if so wanted."""
        kept = self.bundle.manifest.encoder_layers
        keep_layers(encoder, kept)
        encoder.load_state_dict(self.model.encoder.state_dict())
        if layers != kept:
            keep_layers(encoder, layers)

    def give_heads(self, model: TokenTagger) -> None:
        """Give a model the weights of those of its heads that this one has, too."""
        for head, layer in zip(model.heads, model.layers, strict=True):
            if (own := self.find_layer(head.corpus, head.tags)) is not None:
                layer.load_state_dict(own.state_dict())


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
    """Load a model that was trained before.

    Raises:
        BundleError: it is missing, damaged, or one that torch cannot load.
    """
    bundle = open_bundle(Path(folder))
    return TrainedModel(bundle, merge_adapter(load_model(bundle)))


def open_start(recipe: Recipe, backbone: Path) -> TrainedModel:
    """Load the model that a recipe starts from, or the mean of several.

    Raises:
        BundleError: one is missing, damaged, or one that torch cannot load.
        RecipeError: one was made from another backbone, or keeps layers that the recipe does not; or those to
            be averaged have different heads or layers.
    """
    start = _open_fitting(recipe, backbone, "start", recipe.start)
    others = [_open_fitting(recipe, backbone, "soup", folder) for folder in recipe.soup]
    models = [start.model]
    for other in others:
        if _describe_shape(other) != _describe_shape(start):
            raise RecipeError(f"soup: {other.bundle.folder} has other heads or layers than {recipe.start}")
        models.append(TokenTagger(other.model.encoder, start.model.heads))  # heads in the same order
        other.give_heads(models[-1])
    with torch.no_grad():
        for weights in zip(*(model.parameters() for model in models), strict=True):
            weights[0].copy_(torch.stack(weights).mean(dim=0))
    return replace(start, soup=tuple(other.bundle for other in others))


def _describe_shape(trained: TrainedModel) -> object:
    heads = {head.corpus: tuple(head.tags) for head in trained.model.heads}
    return heads, trained.bundle.manifest.encoder_layers


def _open_fitting(recipe: Recipe, backbone: Path, setting: str, folder: str) -> TrainedModel:
    start = open_trained(folder)
    manifest = start.bundle.manifest
    place = f"{setting} = {folder!r}"
    if manifest.backbone.sha256 != sha256_file(backbone / "model.safetensors"):
        raise RecipeError(f"{place} was made from {manifest.backbone.name}, not from {recipe.backbone}")
    if manifest.encoder_layers not in ((), recipe.layers):
        raise RecipeError(
            f"{place} keeps some layers of the backbone only: expected one with all of them, or layers = "
            f"{list(manifest.encoder_layers)}"
        )
    return start
