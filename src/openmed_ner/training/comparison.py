"""The better of a start and what training made of it, or the mean of both.

Further training can lose what a model knew. On dev documents, the trained weights, those of the start and
their mean (a model soup; Wortsman et al., 2022, arXiv 2203.05482) are compared, for two more evaluations.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from openmed_ner.training.engine.precision import Precision
from openmed_ner.training.engine.processes import Processes

TRAINED, MEAN, START = "trained", "mean", "start"
Scores = Mapping[str, float]
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StartWeights:
    """Weights of a model before its training.

    Attributes:
        parameters: trained parameters of the model, by name.
        tensors: copies of their values.
    """

    parameters: Mapping[str, nn.Parameter]
    tensors: Mapping[str, Tensor]

    @classmethod
    def copy(cls, model: nn.Module) -> StartWeights:
        """Copy the weights of a model that is about to be trained."""
        parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
        return cls(parameters, {name: value.detach().clone() for name, value in parameters.items()})

    def keep_best(
        self,
        model: nn.Module,
        evaluate: Callable[[], Scores],
        *,
        precision: str,
        processes: Processes,
    ) -> dict[str, object]:
        """Leave the weights in the model that are best on dev. Of equal ones, these are the trained ones.

        Args:
            model: the trained model.
            evaluate: scores the model on dev documents.
            precision: precision of the schedule.
            processes: processes of the run.

        Returns:
            ``kept``, the name of the best weights, and ``dev``, the scores of all.
        """
        trained = {name: value.detach().clone() for name, value in self.parameters.items()}
        start = {name: value.to(trained[name].device) for name, value in self.tensors.items()}
        mean = {name: (value + start[name]) / 2 for name, value in trained.items()}
        candidates = {TRAINED: trained, MEAN: mean, START: start}
        arithmetic = Precision(precision, processes.device)

        def measure() -> dict[str, Scores]:
            scores: dict[str, Scores] = {}
            for name, weights in candidates.items():
                self._set(weights)
                with torch.inference_mode(), arithmetic.autocast():
                    scores[name] = dict(evaluate())
            return scores

        model.eval()
        scores = processes.on_main(measure)
        kept = max(scores, key=lambda name: scores[name]["score"])
        logger.info("kept the weights of: %s, dev %s", kept, scores)
        self._set(candidates[kept])
        processes.broadcast(list(self.parameters.values()))
        return {"kept": kept, "dev": scores}

    @torch.no_grad()
    def _set(self, weights: Mapping[str, Tensor]) -> None:
        for name, value in weights.items():
            self.parameters[name].copy_(value)
