"""The one training loop. What is learned, and from what, is the objective's affair.

A run can be stopped at any moment and goes on as if it had not been: the order of batches follows from the
seed, every random number from the seed, the step and the batch's position in it, so a checkpoint holds only
weights, optimiser moments and the history. For the same reason several processes that share the batches
of a step compute what one would, and a run may go on with more of them or fewer.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Generic

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from openmed_ner.errors import DivergenceError, RunError
from openmed_ner.training.config import Schedule
from openmed_ner.training.engine.averaging import WeightAverage
from openmed_ner.training.engine.energy import Energy, Meter
from openmed_ner.training.engine.history import CHECKPOINT, History, read_tensors, write_tensors
from openmed_ner.training.engine.log import RunLog
from openmed_ner.training.engine.objective import Batch, Loss, Objective
from openmed_ner.training.engine.precision import Precision
from openmed_ner.training.engine.processes import Processes

logger = logging.getLogger(__name__)
BEST = "best.safetensors"
POSITION = 0x9E3779B1
"""What each position in a step adds to the seed. Torch's generator on a CPU uses 32 bits of that; multiples
of this prime, the golden section of their range, lie far apart, so no position meets another's steps."""


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
        processes: Processes | None = None,
    ) -> None:
        """Prepare a run.

        Args:
            objective: what is optimised.
            schedule: how.
            seed: of all that is random in a step.
            folder: where weights, checkpoints and the log go; all processes must see it.
            checkpoint_seconds: time between checkpoints; there is one after every epoch in any case.
            on_step: called after each step and each epoch, on the main process.
            meter: of the energy this session spends; on one process of each machine.
            processes: that share the work; the model is moved to this one's device.
        """
        self.objective = objective
        self.schedule = schedule
        self.history = History()
        self._seed = seed
        self._folder = folder
        self._checkpoint_seconds = checkpoint_seconds
        self._on_step = on_step
        self._meter = meter
        self._processes = processes or Processes()
        self._spent = Energy()
        self._elsewhere = Energy()
        objective.model.to(self._processes.device)
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
        self._precision = Precision(schedule.precision, self._processes.device)
        self._fingerprint = json.dumps([asdict(schedule), seed, sorted(self._trained)], sort_keys=True)

    def run(self) -> History:
        """Train to the last epoch or until patience ends, then restore the best weights."""
        size = self.schedule.accumulate
        batches = [len(self.objective.batches(epoch)) for epoch in range(self.schedule.epochs)]
        lengths = [math.ceil(count / size) for count in batches]
        n_steps = sum(lengths)
        if min(lengths) == 0:
            raise RunError("there is nothing to train on")
        self._begin()
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
                self._tell(report, loss=report.loss, learning_rate=report.learning_rate)
                if now - saved > self._checkpoint_seconds:
                    self.save_checkpoint()
                    saved = now
            report = self._end_epoch(epoch, n_epoch_steps=lengths[epoch], n_steps=n_steps)
            now = time.monotonic()
            self.history.seconds += now - clock
            clock = saved = now
            self._tell(report, scores=report.scores)
            self.save_checkpoint()
        if self._processes.is_main:
            self._restore(load_file(self._folder / BEST))
        self._processes.copy(list(self._trained.values()))
        return self.history

    def _begin(self) -> None:
        """Let all processes start from the same step and weights; no file is changed before they have met."""
        step = self._processes.on_main(lambda: self.history.step)
        if step != self.history.step:
            raise RunError(
                f"{self._folder}: the main process goes on from step {step}, this one finds step "
                f"{self.history.step} there; the folder must be one that all processes see"
            )
        self._processes.copy(list(self._trained.values()))
        if self._processes.is_main:
            self._log.rewind(steps=step, evaluations=len(self.history.scores))

    def _step(self, batches: Sequence[Batch], *, epoch: int, n_steps: int) -> StepReport:
        step = self.history.step
        rate = learning_rate(step, n_steps=n_steps, schedule=self.schedule)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self.objective.model.train()
        value = self._backward(batches)
        nn.utils.clip_grad_norm_(self._trained.values(), self.schedule.clip)
        self._precision.step(self._optimizer)
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
        found = torch.zeros(len(batches), 3, dtype=torch.float64)
        # From last to first: what is drawn after a step, such as a new adapter's weights, then follows from
        # the first batch, and that is the main process's however many there are.
        for position, batch in reversed(list(self._processes.share(batches))):
            torch.manual_seed(self._seed * 1_000_003 + self.history.step + position * POSITION)
            with self._precision.autocast():
                loss: Loss = self.objective.loss(batch)
            self._precision.backward(loss.mean * loss.n_targets if several else loss.mean)
            found[position] = found.new_tensor([loss.mean.item(), loss.n_targets, loss.n_subwords])
        gradients = self._add_up(found)
        self._precision.unscale(self._optimizer)
        means, counts, subwords = found.t().tolist()
        self.history.subwords += int(sum(subwords))
        if not several:
            return float(means[0])
        n_targets = sum(counts)
        torch._foreach_div_(gradients, n_targets)
        return float(sum(mean * count for mean, count in zip(means, counts, strict=True)) / n_targets)

    def _add_up(self, found: Tensor) -> list[Tensor]:
        """Add up losses and gradients over the processes; what none has a gradient of goes without one."""
        parameters = list(self._trained.values())
        reached = torch.tensor([each.grad is not None for each in parameters], dtype=found.dtype)
        self._processes.add([found, reached])
        chosen = [each for each, count in zip(parameters, reached.tolist(), strict=True) if count]
        for each in chosen:
            each.grad = torch.zeros_like(each) if each.grad is None else each.grad
        gradients = [each.grad for each in chosen if each.grad is not None]
        self._processes.add(gradients)
        return gradients

    def _end_epoch(self, epoch: int, *, n_epoch_steps: int, n_steps: int) -> StepReport:
        history = self.history
        scores = self._processes.on_main(lambda: self.measure(self.objective.evaluate))
        self._add_energy()
        history.losses.append(history.epoch_loss / n_epoch_steps)
        history.epoch_loss = 0.0
        history.scores.append(scores)
        logger.info("epoch %d: loss %.4f, held-out %s", epoch, history.losses[-1], scores)
        best = history.scores[history.best_epoch] if history.best_epoch >= 0 else {}
        if not (best and scores) or scores["score"] > best["score"]:
            history.best_epoch = epoch
            if self._processes.is_main:
                write_tensors(self._folder / BEST, self._average.tensors or self._weights(), {})
        return StepReport(history.step, n_steps, epoch, history.losses[-1], 0.0, scores)

    def measure(self, evaluate: Callable[[], Mapping[str, float]]) -> dict[str, float]:
        """Call an evaluation of the model (of its average, if that is kept), in the run's precision."""
        self.objective.model.eval()
        with self._average.applied(), torch.inference_mode(), self._precision.autocast():
            return dict(evaluate())

    def _weights(self) -> dict[str, Tensor]:
        return {name: parameter.detach() for name, parameter in self._trained.items()}

    def _tell(self, report: StepReport, **values: object) -> None:
        """Log where the run stands, and show it."""
        if not self._processes.is_main:
            return
        history = self.history
        place = {"step": history.step, "epoch": report.epoch, "subwords": history.subwords}
        self._log.append({**place, **values, "seconds": round(history.seconds, 3)})
        self._on_step(report)

    def _add_energy(self) -> None:
        """Learn what the other machines of the run have measured so far."""
        if self._processes.count > 1:
            own = self._meter.read() if self._meter else Energy()
            figures = torch.tensor([own.kwh or 0.0, own.co2e_kg or 0.0], dtype=torch.float64)
            total = figures.clone()
            self._processes.add([total])
            kwh, co2e_kg = (total - figures).tolist()
            self._elsewhere = replace(own, kwh=kwh, co2e_kg=co2e_kg) if kwh else Energy()

    def _patience_ended(self) -> bool:
        history = self.history
        return (
            len(history.scores) - 1 - history.best_epoch >= self.schedule.patience > 0 <= history.best_epoch
        )

    def save_checkpoint(self) -> None:
        """Write everything the run needs to go on, on the main process."""
        if not self._processes.is_main:
            return
        tensors = {f"weight/{name}": value for name, value in self._weights().items()}
        tensors |= {f"average/{name}": value for name, value in self._average.tensors.items()}
        for name, parameter in self._trained.items():
            for key, value in self._optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer/{key}/{name}"] = value
        if self._meter is not None:
            self.history.energy = self._spent + self._meter.read() + self._elsewhere
        known = {"fingerprint": self._fingerprint, "history": json.dumps(asdict(self.history))}
        write_tensors(self._folder / CHECKPOINT, tensors, known | self._precision.state)

    def resume(self) -> bool:
        """Go on from the folder's checkpoint, if it has one.

        Raises:
            RunError: the checkpoint is damaged, or belongs to a run with other settings.
        """
        path = self._folder / CHECKPOINT
        if not path.is_file():
            return False
        tensors, metadata = read_tensors(path, self._processes.device)
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
        self._precision.restore(metadata)
        history = json.loads(metadata["history"])
        self._spent = Energy(**history.pop("energy"))
        self.history = History(**history, energy=self._spent)
        return True

    @torch.no_grad()
    def _restore(self, weights: Mapping[str, Tensor]) -> None:
        for name, value in weights.items():
            self._trained[name].copy_(value)
