"""What has happened in a run so far, and the checkpoint file that keeps it.

Files of tensors are replaced in one move, so a run that is killed has the old one or the new one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from openmed_ner.errors import RunError
from openmed_ner.training.engine.energy import Energy

CHECKPOINT = "checkpoint.safetensors"


@dataclass(slots=True)
class History:
    """What happened so far.

    Attributes:
        step: steps taken.
        subwords: subwords read in them, without padding.
        losses: mean training loss of each epoch.
        scores: held-out scores after each epoch.
        best_epoch: epoch of the best score, from 0; -1 before the first.
        seconds: time spent, over all sessions of the run.
        epoch_loss: sum of the losses of the epoch under way.
        energy: spent over all sessions of the run.
    """

    step: int = 0
    subwords: int = 0
    losses: list[float] = field(default_factory=list)
    scores: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = -1
    seconds: float = 0.0
    epoch_loss: float = 0.0
    energy: Energy = field(default_factory=Energy)

    def to_json(self) -> dict[str, Any]:
        """The history as a JSON object, without energy, which has a place of its own in the run record."""
        return {key: value for key, value in asdict(self).items() if key != "energy"}


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and texts to a file, in one move."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file({name: value.contiguous() for name, value in tensors.items()}, partial, dict(metadata))
    os.replace(partial, path)  # noqa: PTH105 (replace, not rename: also over an existing file)


def read_tensors(path: Path, device: torch.device) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    """The tensors of a checkpoint, on a device, and its texts.

    Raises:
        RunError: it is damaged.
    """
    with refuse_damaged(path):
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] | None = file.metadata()
        return load_file(path, str(device)), metadata or {}


@contextmanager
def refuse_damaged(path: Path) -> Iterator[None]:
    """Say what to do about a file of a run that cannot be read.

    Raises:
        RunError: reading it failed.
    """
    try:
        yield
    except Exception as error:
        raise RunError(f"{path} cannot be read: {error}; remove it to start over") from error
