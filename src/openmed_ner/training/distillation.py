"""Distillation: a model learns the probabilities of another one beside the annotations.

A document tells only the heads of the corpora that annotate it what is right. A teacher tells every head,
of every word, and how sure it is (Hinton, Vinyals and Dean, Distilling the knowledge in a neural network,
2015). What learns starts from the teacher's own weights, of which it may keep some layers only (Sanh et al.,
DistilBERT, 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from openmed_ner.alignment import Head
from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.errors import RecipeError
from openmed_ner.model.backbones import hash_file
from openmed_ner.model.bundles import load_model, merge_adapter
from openmed_ner.model.tagger import TokenTagger, keep_layers
from openmed_ner.training.config import Recipe


@dataclass(frozen=True, slots=True)
class Teacher:
    """A model that teaches, never trained itself.

    Attributes:
        bundle: where it comes from.
        model: its encoder and, in the order of the heads that learn, its heads; an adapter is merged.
        weight: of what it says against the annotations, from 0 to 1.
        temperature: what the logits of both are divided by; above 1, what it thinks unlikely counts for more.
    """

    bundle: Bundle
    model: TokenTagger
    weight: float
    temperature: float

    def start(self, encoder: nn.Module, layers: Sequence[int]) -> None:
        """Give an encoder of the same backbone the teacher's weights, of some layers only if so wanted."""
        encoder.load_state_dict(self.model.encoder.state_dict())
        keep_layers(encoder, layers)

    @torch.no_grad()
    def answer(self, ids: Tensor, mask: Tensor, rows: Tensor, columns: Tensor) -> list[Tensor]:
        """Logits of each head for some subwords of a batch, in the precision that the caller set."""
        words = self.model.to(ids.device).hidden(ids, mask)[rows, columns]
        return [layer(words) for layer in self.model.layers]

    def divergence(self, taught: Sequence[Tensor], learnt: Sequence[Tensor]) -> Tensor:
        """Kullback-Leibler divergence of what is learnt from what is taught, mean over words and heads.

        It is multiplied by the square of the temperature, by which it would shrink the gradients.
        """
        losses = [
            nn.functional.kl_div(
                nn.functional.log_softmax(own.float() / self.temperature, dim=-1),
                nn.functional.log_softmax(right.float() / self.temperature, dim=-1),
                reduction="batchmean",
                log_target=True,
            )
            for own, right in zip(learnt, taught, strict=True)
        ]
        return torch.stack(losses).mean() * self.temperature**2


def open_teacher(recipe: Recipe, backbone: Path, heads: Sequence[Head]) -> Teacher:
    """Load the teacher that a recipe names.

    Raises:
        BundleError: it is missing, damaged, or one that torch cannot load.
        RecipeError: it reads text in another way than what learns, or lacks a head of it.
    """
    settings = recipe.distillation
    bundle = open_bundle(Path(settings.teacher))
    manifest = bundle.manifest
    place = f"distillation.teacher = {settings.teacher!r}"
    if manifest.backbone.sha256 != hash_file(backbone / "model.safetensors"):
        raise RecipeError(
            f"{place} was made from {manifest.backbone.name}, not from {recipe.backbone}; one of another "
            "backbone can teach by the texts it tags (silver)"
        )
    if manifest.layers:
        raise RecipeError(f"{place} keeps some layers of the backbone only: expected one with all of them")
    model = merge_adapter(load_model(bundle))
    layers = {head.corpus: (head.tags, layer) for head, layer in zip(model.heads, model.layers, strict=True)}
    for head in heads:
        if head.corpus not in layers or layers[head.corpus][0] != head.tags:
            raise RecipeError(f"{place} has no head of {head.corpus} with the same tags")
    model.heads = tuple(heads)
    model.layers = nn.ModuleList(layers[head.corpus][1] for head in heads)
    return Teacher(bundle, model.eval().requires_grad_(False), settings.weight, settings.temperature)
