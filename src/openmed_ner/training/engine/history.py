"""History of a run, and the checkpoint file that holds it.

Files of tensors are replaced in one move, so a killed run leaves the old file or the new one. They carry a
digest of their content, without which a flipped bit would train on in silence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from openmed_ner.errors import RunError
from openmed_ner.storage import atomic_path
from openmed_ner.training.engine.energy import Energy

CHECKPOINT = "checkpoint.safetensors"
HEAD = "head"
"""Folder, in that of a language model, of the stage that trains its head."""
_DIGEST = "sha256"
"""Name of the digest in the metadata; files of earlier versions have none."""


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

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a history from a checkpoint.

        Raises:
            ValueError, TypeError, KeyError: the text is not a history.
        """
        record = json.loads(text)
        history = cls(**record | {"energy": Energy(**record["energy"])})
        if not all(isinstance(value, int) for value in (history.step, history.subwords, history.best_epoch)):
            raise TypeError("a count of the history is not a whole number")
        scores = [value for epoch in history.scores for value in dict(epoch).values()]
        numbers = (*history.losses, *scores, history.seconds, history.epoch_loss)
        if not all(isinstance(value, int | float) for value in numbers):
            raise TypeError("a loss, a score or a time of the history is not a number")
        if not -1 <= history.best_epoch < len(history.scores):
            raise ValueError(f"the best epoch is {history.best_epoch}, of {len(history.scores)}")
        return history

    def to_json(self) -> dict[str, Any]:
        """The history as a JSON object, without the energy, which the run record lists separately."""
        return {key: value for key, value in asdict(self).items() if key != "energy"}


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and metadata to a file, in one move, and wait until it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Copied from a GPU once, not for the digest and again for the file.
    copied = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with atomic_path(path, durable=True) as partial:
        save_file(copied, partial, {**metadata, _DIGEST: _digest(copied, metadata)})


def read_tensors(path: Path, device: torch.device) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    """Read the tensors of a file onto a device, and its metadata.

    Raises:
        RunError: the file is damaged.
    """
    with refuse_damaged(path):
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
        tensors = load_file(path)
        digest = metadata.pop(_DIGEST, None)
        if digest is not None and digest != _digest(tensors, metadata):
            raise RunError("its content has another SHA-256 than when it was written")
        return {name: value.to(device) for name, value in tensors.items()}, metadata


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """SHA-256 of names, types, shapes and values in the memory of this process, and of the metadata."""
    digest = hashlib.sha256(json.dumps(sorted(metadata.items())).encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


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
