"""History of a run, and the checkpoint file that holds it.

Files of tensors are replaced in one move, so a killed run leaves the old file or the new one.
"""

from __future__ import annotations

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
from openmed_ner.storage import atomic_path
from openmed_ner.training.engine.energy import Energy

CHECKPOINT = "checkpoint.safetensors"


@dataclass(slots=True)
class History:
    """State of a run that is not weights: counters, losses, scores, time and energy.

    Attributes:
        step: number of finished steps.
        subwords: subwords read in these steps, without padding.
        losses: mean training loss of each epoch.
        scores: held-out scores after each epoch.
        best_epoch: epoch of the best score, from 0; -1 before the first.
        seconds: time spent, over all sessions of the run.
        epoch_loss: sum of the step losses of the current epoch.
        energy: energy spent, over all sessions of the run.
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
        """The history as a JSON object, without the energy, which the run record lists separately."""
        return {key: value for key, value in asdict(self).items() if key != "energy"}


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and metadata to a file, in one move, and wait until it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path, durable=True) as partial:
        save_file({name: value.contiguous() for name, value in tensors.items()}, partial, dict(metadata))


def read_tensors(path: Path, device: torch.device) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    """Read the tensors of a file onto a device, and its metadata.

    Raises:
        RunError: the file is damaged.
    """
    with refuse_damaged(path):
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] | None = file.metadata()
        return load_file(path, str(device)), metadata or {}


@contextmanager
def refuse_damaged(path: Path) -> Iterator[None]:
    """Turn any error of reading a run's file into one that says what to do.

    Raises:
        RunError: the file cannot be read.
    """
    try:
        yield
    except Exception as error:  # safetensors raises an exception type of its own
        raise RunError(f"cannot read {path}: {error}; remove the file to start over") from error
