"""Restoring of a run: weights, their average, and the moments of the optimiser.

The weights alone are enough: moments and average then start anew. Such a checkpoint comes from another
machine, from which only the weights were carried.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from openmed_ner.training.engine.averaging import WeightAverage

Parameters = Mapping[str, nn.Parameter]


def restore_state(
    trained: Parameters, optimizer: Optimizer, average: WeightAverage, tensors: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Restore the weights and moments of a checkpoint.

    Args:
        trained: trained parameters, by name.
        optimizer: optimiser of the parameters.
        average: average of the weights.
        tensors: tensors of the checkpoint.

    Returns:
        The averages by parameter name; empty without decay.

    Raises:
        KeyError, ValueError: tensors are missing, unknown or of another shape.
    """
    groups: dict[str, dict[str, Tensor]] = {"weight": {}, "average": {}}
    states: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        kind, _, name = key.partition("/")
        if kind == "optimizer":
            entry, _, name = name.partition("/")
            states.setdefault(name, {})[entry] = value
        else:
            groups[kind][name] = value

    for names in (states, groups["average"]):
        if unknown := sorted(names.keys() - trained.keys()):
            raise ValueError(f"{unknown[0]} is not trained in this run")
    if groups["average"] and groups["average"].keys() != trained.keys():
        raise ValueError("the average of some weights is missing")

    restore_weights(trained, groups["weight"])
    for name, state in states.items():
        optimizer.state[trained[name]] = dict(state)
    if average.decay and not groups["average"]:
        return {name: parameter.detach().clone() for name, parameter in trained.items()}
    return groups["average"]


@torch.no_grad()
def restore_weights(trained: Parameters, weights: Mapping[str, Tensor]) -> None:
    """Restore all weights.

    Raises:
        ValueError: weights are missing, unknown or of another shape.
    """
    if different := sorted(weights.keys() ^ trained.keys()):
        raise ValueError(f"{different[0]} is missing, or is not trained in this run")
    for name, value in weights.items():
        if value.shape != trained[name].shape:
            raise ValueError(f"{name} has shape {tuple(value.shape)}")
    for name, value in weights.items():
        trained[name].copy_(value)
