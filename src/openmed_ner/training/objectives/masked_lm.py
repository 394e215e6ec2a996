"""Masked language modelling: the model predicts hidden subwords of unlabelled passages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from openmed_ner.model.masked import MaskedLanguageModel
from openmed_ner.tagging import SubwordTokenizer
from openmed_ner.training.config import PretrainRecipe, Schedule
from openmed_ner.training.engine.objective import Loss, to_device
from openmed_ner.training.objectives.masking import find_continuations, hide
from openmed_ner.training.objectives.rows import PassageRows
from openmed_ner.training.passages import PassageSplit


class MaskedLanguageModelling:
    """Cross-entropy over the hidden subwords.

    Every evaluation hides the same subwords of the held-out passages, so perplexities with one tokenizer and
    window are comparable.
    """

    def __init__(
        self,
        model: MaskedLanguageModel,
        train: PassageSplit,
        held_out: PassageSplit,
        tokenizer: SubwordTokenizer,
        *,
        recipe: PretrainRecipe,
        schedule: Schedule,
        subwords: int,
    ) -> None:
        """Set up one stage of a run.

        Args:
            model: model to train; the caller freezes parameters.
            train: passages to train on.
            held_out: passages to measure perplexity on.
            tokenizer: tokenizer with the special subwords and the vocabulary.
            recipe: masking, rows, sources and seed.
            schedule: schedule of this stage.
            subwords: number of subwords to read, padding included.
        """
        self.model: MaskedLanguageModel = model
        self._schedule = schedule
        self._masking = recipe.masking
        self._mask = tokenizer.mask
        self._specials = torch.tensor(sorted(tokenizer.specials))
        vocabulary = tokenizer.vocabulary
        self._continues = torch.from_numpy(find_continuations(vocabulary))

        rows = partial(
            PassageRows,
            tokenizer=tokenizer,
            window=recipe.window,
            packed=recipe.packed,
            budget=schedule.batch_subwords,
        )
        self._rows = rows(train, seed=recipe.seed, weights=recipe.weights)
        self._held_out = rows(held_out, seed=0)
        self._sample = rows(sample_passages(held_out, recipe.held_out), seed=0)

        per_step = self._rows.batch_subwords * schedule.accumulate
        self._steps_per_epoch = math.ceil(subwords / per_step / schedule.epochs)

    def batches(self, epoch: int) -> Sequence[int]:
        """The batches between two evaluations, by number."""
        count = self._steps_per_epoch * self._schedule.accumulate
        return range(epoch * count, (epoch + 1) * count)

    def prepare(self, batches: Sequence[int]) -> None:
        """Nothing is shared by several batches."""

    def loss(self, batch: int) -> Loss:
        """Mean loss over the hidden subwords of a batch; torch's generator chooses them."""
        return self._loss(self._rows, batch, generator=None)

    def evaluate(self) -> Mapping[str, float]:
        """Loss and perplexity on a sample of the held-out passages; ``score`` is the negative loss."""
        return self._perplexity(self._sample)

    def evaluate_all(self) -> Mapping[str, float]:
        """Loss and perplexity on all held-out passages; ``score`` is the negative loss."""
        return self._perplexity(self._held_out)

    def _perplexity(self, rows: PassageRows) -> Mapping[str, float]:
        total, n_targets = 0.0, 0
        for number in range(rows.lay_out(0).n_batches):
            loss = self._loss(rows, number, generator=torch.Generator().manual_seed(number))
            total += loss.mean.item() * loss.n_targets
            n_targets += loss.n_targets
        mean = total / n_targets
        return {"score": -mean, "loss": mean, "perplexity": math.exp(mean)}

    def _loss(self, rows: PassageRows, number: int, *, generator: torch.Generator | None) -> Loss:
        arrays = rows.batch(number)
        ids, mask = (torch.from_numpy(array) for array in arrays)
        inputs, chosen = hide(
            ids,
            torch.isin(ids, self._specials),
            masking=self._masking,
            mask=self._mask,
            n_vocabulary=len(self._continues),
            continues=self._continues,
            generator=generator,
        )

        device = next(self.model.parameters()).device
        logits = self.model(*(to_device(tensor.numpy(), device) for tensor in (inputs, mask, chosen)))
        targets = to_device(ids[chosen].numpy(), device)
        n_targets = max(1, len(targets))
        total: Tensor = nn.functional.cross_entropy(logits.float(), targets, reduction="sum")
        return Loss(total / n_targets, n_targets, int(np.count_nonzero(arrays[1])))


def sample_passages(passages: PassageSplit, count: int) -> PassageSplit:
    """Sample passages, always the same ones; return all if there are at most ``count``."""
    if len(passages) <= count:
        return passages
    chosen = np.sort(np.random.default_rng(0).choice(len(passages), count, replace=False))
    pieces: list[NDArray[Any]] = [passages.piece(number) for number in chosen.tolist()]
    ends = np.cumsum([len(piece) for piece in pieces])
    return replace(passages, ids=np.concatenate(pieces), ends=ends, sources=passages.sources[chosen])
