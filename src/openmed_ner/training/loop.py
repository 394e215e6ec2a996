"""The one training loop. What is learned, and from what, is the objective's affair.

A run can be stopped at any moment and goes on as if it had not been: the order of batches and every
random number of a step follow from the seed and the step's number, so a checkpoint holds only
weights, optimiser moments and the history. Weights and checkpoints are replaced in one move.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from openmed_ner.errors import DivergenceError, RunError
from openmed_ner.training.averaging import WeightAverage
from openmed_ner.training.config import Schedule
from openmed_ner.training.energy import Energy, Meter
from openmed_ner.training.log import RunLog

logger = logging.getLogger(__name__)
CHECKPOINT = "checkpoint.safetensors"
BEST = "best.safetensors"
Batch = TypeVar("Batch")
BatchIn = TypeVar("BatchIn", contravariant=True)


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss of one batch.

    Attributes:
        mean: over the targets, a scalar.
        n_targets: how many predictions the mean is over.
        n_subwords: subwords read, without padding.
    """

    mean: Tensor
    n_targets: int
    n_subwords: int


class Objective(Protocol[Batch]):
    """What a run optimises."""

    @property
    def model(self) -> nn.Module:
        """What is trained."""

    def batches(self, epoch: int) -> Sequence[Batch]:
        """The batches of an epoch, in order; the same for the same epoch."""

    def loss(self, batch: Batch) -> Loss:
        """The loss of one batch."""

    def evaluate(self) -> Mapping[str, float]:
        """Scores on held-out data; ``score`` is the one to maximise."""


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


@dataclass(frozen=True, slots=True)
class StepReport:
    """Where a run stands after a step, for a progress display."""

    step: int
    n_steps: int
    epoch: int
    loss: float
    learning_rate: float
    scores: Mapping[str, float] | None = None


def learning_rate(step: int, *, n_steps: int, schedule: Schedule) -> float:
    """Linear warm-up to the peak, then half a cosine down to zero; ``step`` counts from 0."""
    n_warmup = math.ceil(schedule.warmup * n_steps)
    if step < n_warmup:
        return schedule.learning_rate * step / n_warmup
    progress = (step - n_warmup) / max(1, n_steps - n_warmup)
    return schedule.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def autocast_dtype(precision: str) -> torch.dtype | None:
    """The type of autocast arithmetic, or ``None`` for full precision."""
    native = torch.cuda.is_available() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if precision == "bf16" or (precision == "auto" and native) else None


class Trainer(Generic[Batch]):
    """One run of an objective, its optimiser and its files."""

    def __init__(
        self,
        objective: Objective[Batch],
        *,
        schedule: Schedule,
        seed: int,
        folder: Path,
        checkpoint_seconds: float,
        on_step: Callable[[StepReport], None],
        meter: Meter | None = None,
    ) -> None:
        """Prepare a run.

        Args:
            objective: what is optimised.
            schedule: how.
            seed: of all that is random in a step.
            folder: where weights, checkpoints and the log go.
            checkpoint_seconds: time between checkpoints; there is one after every epoch in any case.
            on_step: called after each step and each epoch.
            meter: of the energy this session spends.
        """
        self.objective = objective
        self.schedule = schedule
        self.history = History()
        self._seed = seed
        self._folder = folder
        self._checkpoint_seconds = checkpoint_seconds
        self._on_step = on_step
        self._meter = meter
        self._spent = Energy()
        self._log = RunLog(folder)
        self._trained = {
            name: parameter
            for name, parameter in objective.model.named_parameters()
            if parameter.requires_grad
        }
        self._optimizer = torch.optim.AdamW(
            self._trained.values(), lr=0.0, weight_decay=schedule.weight_decay, fused=True
        )
        self._average = WeightAverage(self._trained, schedule.average)
        self._dtype = autocast_dtype(schedule.precision)
        self._fingerprint = json.dumps([asdict(schedule), seed, sorted(self._trained)], sort_keys=True)

    def run(self) -> History:
        """Train to the last epoch or until patience ends, then restore the best weights."""
        size = self.schedule.accumulate
        batches = [len(self.objective.batches(epoch)) for epoch in range(self.schedule.epochs)]
        lengths = [math.ceil(count / size) for count in batches]
        n_steps = sum(lengths)
        if min(lengths) == 0:
            raise RunError("there is nothing to train on")
        self._log.rewind(steps=self.history.step, evaluations=len(self.history.scores))
        clock = saved = time.monotonic()
        for epoch in range(self.schedule.epochs):
            begin = sum(lengths[:epoch])
            if self.history.step >= begin + lengths[epoch] and len(self.history.scores) > epoch:
                continue
            if self._patience_ended():
                break
            remaining = self.objective.batches(epoch)[(self.history.step - begin) * size :]
            for first in range(0, len(remaining), size):
                report = self._step(remaining[first : first + size], epoch=epoch, n_steps=n_steps)
                now = time.monotonic()
                self.history.seconds += now - clock
                clock = now
                self._note(epoch, loss=report.loss, learning_rate=report.learning_rate)
                self._on_step(report)
                if now - saved > self._checkpoint_seconds:
                    self.save_checkpoint()
                    saved = now
            report = self._end_epoch(epoch, n_epoch_steps=lengths[epoch], n_steps=n_steps)
            now = time.monotonic()
            self.history.seconds += now - clock
            clock = saved = now
            self._note(epoch, scores=report.scores)
            self._on_step(report)
            self.save_checkpoint()
        self._restore(load_file(self._folder / BEST))
        return self.history

    def _step(self, batches: Sequence[Batch], *, epoch: int, n_steps: int) -> StepReport:
        step = self.history.step
        torch.manual_seed(self._seed * 1_000_003 + step)
        rate = learning_rate(step, n_steps=n_steps, schedule=self.schedule)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self.objective.model.train()
        value = self._backward(batches)
        nn.utils.clip_grad_norm_(self._trained.values(), self.schedule.clip)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._average.update(step + 1)
        if not math.isfinite(value):
            raise DivergenceError(f"the loss of step {step} is {value}; lower schedule.learning_rate")
        self.history.step = step + 1
        self.history.epoch_loss += value
        return StepReport(step + 1, n_steps, epoch, value, rate)

    def _backward(self, batches: Sequence[Batch]) -> float:
        """Leave the gradient of the mean over all targets of all batches; return that mean."""
        several = len(batches) > 1
        losses = []
        for batch in batches:
            with self._autocast():
                loss = self.objective.loss(batch)
            (loss.mean * loss.n_targets if several else loss.mean).backward()
            self.history.subwords += loss.n_subwords
            losses.append((loss.mean.item(), loss.n_targets))
        if not several:
            return losses[0][0]
        n_targets = sum(count for _, count in losses)
        gradients = [each.grad for each in self._trained.values() if each.grad is not None]
        torch._foreach_div_(gradients, float(n_targets))
        return sum(mean * count for mean, count in losses) / n_targets

    def _end_epoch(self, epoch: int, *, n_epoch_steps: int, n_steps: int) -> StepReport:
        history = self.history
        scores = self.measure(self.objective.evaluate)
        history.losses.append(history.epoch_loss / n_epoch_steps)
        history.epoch_loss = 0.0
        history.scores.append(scores)
        logger.info("epoch %d: loss %.4f, held-out %s", epoch, history.losses[-1], scores)
        if history.best_epoch < 0 or scores["score"] > history.scores[history.best_epoch]["score"]:
            history.best_epoch = epoch
            _write(self._folder / BEST, self._average.tensors or self._weights(), {})
        return StepReport(history.step, n_steps, epoch, history.losses[-1], 0.0, scores)

    def measure(self, evaluate: Callable[[], Mapping[str, float]]) -> dict[str, float]:
        """Call an evaluation of the model (of its average, if that is kept), in the run's precision."""
        self.objective.model.eval()
        with self._average.applied(), torch.inference_mode(), self._autocast():
            return dict(evaluate())

    def _weights(self) -> dict[str, Tensor]:
        return {name: parameter.detach() for name, parameter in self._trained.items()}

    def _note(self, epoch: int, **values: object) -> None:
        history = self.history
        place = {"step": history.step, "epoch": epoch, "subwords": history.subwords}
        self._log.append({**place, **values, "seconds": round(history.seconds, 3)})

    def _patience_ended(self) -> bool:
        history = self.history
        return (
            len(history.scores) - 1 - history.best_epoch >= self.schedule.patience > 0 <= history.best_epoch
        )

    def _autocast(self) -> torch.autocast:
        device = next(iter(self._trained.values())).device.type
        return torch.autocast(device, dtype=self._dtype or torch.bfloat16, enabled=self._dtype is not None)

    def save_checkpoint(self) -> None:
        """Write everything the run needs to go on."""
        tensors = {f"weight/{name}": value for name, value in self._weights().items()}
        tensors |= {f"average/{name}": value for name, value in self._average.tensors.items()}
        for name, parameter in self._trained.items():
            for key, value in self._optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer/{key}/{name}"] = value
        if self._meter is not None:
            self.history.energy = self._spent + self._meter.read()
        history = {"fingerprint": self._fingerprint, "history": json.dumps(asdict(self.history))}
        _write(self._folder / CHECKPOINT, tensors, history)

    def resume(self) -> bool:
        """Go on from the folder's checkpoint, if it has one.

        Raises:
            RunError: the checkpoint is damaged, or belongs to a run with other settings.
        """
        path = self._folder / CHECKPOINT
        if not path.is_file():
            return False
        try:
            with safe_open(path, framework="pt") as file:
                metadata: dict[str, str] = file.metadata()
            tensors = load_file(path)
        except Exception as error:
            raise RunError(f"{path} cannot be read: {error}; remove it to start over") from error
        if metadata.get("fingerprint") != self._fingerprint:
            raise RunError(f"{path} belongs to a run with other settings; choose another folder")
        groups: dict[str, dict[str, Tensor]] = {"weight": {}, "average": {}}
        for key, value in tensors.items():
            kind, _, name = key.partition("/")
            groups.get(kind, {})[name] = value
        self._restore(groups["weight"])
        self._average.tensors = groups["average"]
        for name, parameter in self._trained.items():
            keys = [key for key in tensors if key.startswith("optimizer/") and key.split("/", 2)[2] == name]
            if keys:
                self._optimizer.state[parameter] = {key.split("/", 2)[1]: tensors[key] for key in keys}
        history = json.loads(metadata["history"])
        self._spent = Energy(**history.pop("energy"))
        self.history = History(**history, energy=self._spent)
        return True

    @torch.no_grad()
    def _restore(self, weights: Mapping[str, Tensor]) -> None:
        for name, value in weights.items():
            self._trained[name].copy_(value)


def _write(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file({name: value.contiguous() for name, value in tensors.items()}, partial, metadata)
    os.replace(partial, path)  # noqa: PTH105 (replace, not rename: also over an existing file)
