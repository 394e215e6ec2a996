"""Distillation: a model learns the probabilities of another one beside the annotations.

A document tells only the heads of the corpora that annotate it what is right. A teacher tells every head,
of every word, and how sure it is (Hinton, Vinyals and Dean, Distilling the knowledge in a neural network,
2015). Unless the recipe names another start, what learns goes on from the teacher's own weights, of which it
may keep some layers only (Sanh et al., DistilBERT, 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from openmed_ner.alignment import Head
from openmed_ner.errors import RecipeError
from openmed_ner.model.tagger import TokenTagger
from openmed_ner.training.config import Recipe
from openmed_ner.training.starting import Trained, open_trained


@dataclass(frozen=True, slots=True)
class Teacher:
    """A model that teaches, never trained itself.

    Attributes:
        source: where it comes from.
        model: its encoder and, in the order of the heads that learn, its heads.
        weight: of what it says against the annotations, from 0 to 1.
        temperature: what the logits of both are divided by; above 1, what it thinks unlikely counts for more.
    """

    source: Trained
    model: TokenTagger
    weight: float
    temperature: float

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
    source = open_trained("distillation.teacher", settings.teacher, recipe, backbone)
    layers = [source.find_layer(head.corpus, head.tags) for head in heads]
    for head, layer in zip(heads, layers, strict=True):
        if layer is None:
            raise RecipeError(
                f"distillation.teacher = {settings.teacher!r} has no head of {head.corpus} with the same tags"
            )
    model = TokenTagger(source.model.encoder, heads)
    model.layers = nn.ModuleList(filter(None, layers))
    return Teacher(source, model.eval().requires_grad_(False), settings.weight, settings.temperature)
