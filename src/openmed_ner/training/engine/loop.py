"""The training loop, shared by all objectives.

A run can be stopped at any moment and resumes as if it had not been stopped. The order of batches follows
from the seed, and every random number from the seed, the step and the position of the batch in the step. So
a checkpoint holds only weights, optimiser moments and the history. For the same reason several processes
that share the batches of a step compute what one would, and a run may resume with more of them or fewer.

With a time limit, the learning rate follows the clock instead of the steps alone. A run then ends in time on
any machine, but two runs are no longer equal to the last digit.

A GPU computes while the next steps are prepared, as long as nothing asks for a result. So losses are read
every ``READ_EVERY`` steps there, and a divergence is noticed that much later, but before a checkpoint.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Generic

import torch
from torch import Tensor, nn

from openmed_ner.errors import DivergenceError, RunError
from openmed_ner.training.config import Schedule
from openmed_ner.training.engine.averaging import WeightAverage
from openmed_ner.training.engine.checkpoints import restore_state, restore_weights
from openmed_ner.training.engine.energy import Energy, Meter
from openmed_ner.training.engine.history import (
    CHECKPOINT,
    History,
    read_tensors,
    refuse_damaged,
    write_tensors,
)
from openmed_ner.training.engine.log import RunLog
from openmed_ner.training.engine.objective import Batch, Loss, Objective
from openmed_ner.training.engine.precision import Precision
from openmed_ner.training.engine.processes import Processes
from openmed_ner.training.engine.steps import PendingStep, StepReport, learning_rate

__all__ = ["BEST", "CHECKPOINT", "History", "Loss", "StepReport", "Trainer", "learning_rate"]
logger = logging.getLogger(__name__)
BEST = "best.safetensors"
POSITION = 0x9E3779B1
"""Seed offset of each position in a step. Torch's CPU generator uses 32 bits of a seed; multiples of this
prime, the golden ratio of that range, lie far apart, so positions do not share seeds."""
READ_EVERY = 20
"""Number of steps after which a GPU is asked for their losses."""
PREPARED_STEPS = 64
"""Number of steps that an objective prepares at once."""


class Trainer(Generic[Batch]):
    """One run of an objective, with its optimiser and its files."""

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
        finish: bool = False,
        preparation: float = 0.0,
    ) -> None:
        """Prepare a run.

        Args:
            objective: model, batches, loss and evaluation.
            schedule: settings of the optimisation.
            seed: seed of everything random in a step.
            folder: folder of weights, checkpoints and log; all processes must see it.
            checkpoint_seconds: time between checkpoints; every epoch ends with one, too.
            on_step: callback after each step and each epoch, on the main process.
            meter: energy meter of this session, on one process per machine.
            processes: processes that share the work; the model moves to the device of this one.
            finish: end the run at its checkpoint, without another step.
            preparation: seconds of a time limit that have passed before the first step of this session.
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
        self._finish = finish
        self._limit = max(1.0, 60 * schedule.minutes - preparation) if schedule.minutes else 0.0
        self._pending: list[PendingStep] = []
        self._read_every = READ_EVERY if self._processes.device.type == "cuda" else 1

        self._earlier_energy = Energy()
        self._remote_energy = Energy()
        self._log = RunLog(folder)

        objective.model.to(self._processes.device)
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
        # A checkpoint only fits a run with the same settings and the same trained parameters.
        self._fingerprint = json.dumps([asdict(schedule), seed, sorted(self._trained)], sort_keys=True)

    def run(self) -> History:
        """Train to the last epoch or until patience runs out, then restore the best weights."""
        size = self.schedule.accumulate
        batches = [len(self.objective.batches(epoch)) for epoch in range(self.schedule.epochs)]
        lengths = [math.ceil(count / size) for count in batches]
        n_steps = sum(lengths)
        if min(lengths) == 0:
            raise RunError("an epoch has no batches: there is nothing to train on")

        self._synchronise()
        clock = saved = time.monotonic()
        for epoch in range(self.schedule.epochs):
            begin = sum(lengths[:epoch])
            if len(self.history.scores) > epoch:
                continue  # finished before the checkpoint
            if self._patience_ended() or self._is_over(begin):
                break

            # A resumed run skips the batches of its earlier steps.
            remaining = self.objective.batches(epoch)[(self.history.step - begin) * size :]
            for first in range(0, len(remaining), size):
                if self._time_share() >= 1:
                    break
                if first % (PREPARED_STEPS * size) == 0:
                    self.objective.prepare(remaining[first : first + PREPARED_STEPS * size])
                step = self._step(remaining[first : first + size], epoch=epoch, n_steps=n_steps)
                now = time.monotonic()
                self.history.seconds += now - clock
                clock = now
                self._pending.append(replace(step, seconds=self.history.seconds))
                if len(self._pending) >= self._read_every:
                    self._read_losses()
                if now - saved > self._checkpoint_seconds:
                    self.save_checkpoint()
                    saved = now

            self._read_losses()
            report = self._end_epoch(epoch, n_epoch_steps=self.history.step - begin, n_steps=n_steps)
            now = time.monotonic()
            self.history.seconds += now - clock
            clock = saved = now
            self._report(report, scores=report.scores)
            self.save_checkpoint()

        if self._processes.is_main:
            if self._finish and not (self._folder / BEST).exists():  # they were not carried along
                write_tensors(self._folder / BEST, self._average.tensors or self._weights(), {})
            best, _ = read_tensors(self._folder / BEST, self._processes.device)
            with refuse_damaged(self._folder / BEST):
                restore_weights(self._trained, best)
        self._processes.broadcast(list(self._trained.values()))
        return self.history

    def _synchronise(self) -> None:
        """Start all processes from the same step and weights; change no file before they agree.

        Raises:
            RunError: the processes resume from different steps.
        """
        step = self._processes.on_main(lambda: self.history.step)
        if step != self.history.step:
            raise RunError(
                f"{self._folder}: the main process resumes from step {step}, this one from step "
                f"{self.history.step}; use a folder that all processes see"
            )
        self._processes.broadcast(list(self._trained.values()))
        if self._processes.is_main:
            self._log.rewind(steps=step, evaluations=len(self.history.scores))

    def _step(self, batches: Sequence[Batch], *, epoch: int, n_steps: int) -> PendingStep:
        """Make one optimiser step on some batches, shared by all processes."""
        step, several = self.history.step, len(batches) > 1

        # 1. Learning rate: linear warm-up, then half a cosine, over the steps or the time if that is shorter.
        progress = max(step, self._time_share() * n_steps)
        rate = learning_rate(progress, n_steps=n_steps, schedule=self.schedule)
        for group in self._optimizer.param_groups:
            group["lr"] = rate

        # 2. Forward and backward over this process's batches. Columns of counts: targets, subwords.
        # In reverse, so that the random state is left by batch 0, which always runs on the main process:
        # anything drawn after the step is then independent of the number of processes.
        self.objective.model.train()
        counts = torch.zeros(len(batches), 2, dtype=torch.float64)
        means = torch.zeros(len(batches), dtype=torch.float64, device=self._processes.device)
        for position, batch in reversed(list(self._processes.share(batches))):
            torch.manual_seed(self._seed * 1_000_003 + step + position * POSITION)
            with self._precision.autocast():
                loss: Loss = self.objective.loss(batch)
            # Gradients of sums; 3. divides them, so that a target weighs the same in every batch.
            self._precision.backward(loss.mean * loss.n_targets if several else loss.mean)
            means[position] = loss.mean.detach()  # stays on the device, so that nobody waits for it
            counts[position] = counts.new_tensor([loss.n_targets, loss.n_subwords])

        # 3. Gradients and losses of the whole step: sum over processes, undo the fp16 scale, take the mean.
        gradients = self._sum_gradients(means, counts)
        self._precision.unscale(self._optimizer)
        n_targets, n_subwords = counts.t().tolist()
        if several:
            torch._foreach_div_(gradients, sum(n_targets))

        # 4. Clip, update the weights (fp16 skips a step that overflowed) and their average.
        nn.utils.clip_grad_norm_(self._trained.values(), self.schedule.clip)
        self._precision.step(self._optimizer)
        self._optimizer.zero_grad(set_to_none=True)
        self._average.update(step + 1)

        # 5. Record the step.
        self.history.subwords += int(sum(n_subwords))
        self.history.step = step + 1
        report = StepReport(step + 1, n_steps, epoch, math.nan, rate)
        return PendingStep(report, means, tuple(n_targets), self.history.subwords)

    def _read_losses(self) -> None:
        """Read the losses of the steps since the last reading, and report them.

        Raises:
            DivergenceError: a loss is not a finite number.
        """
        for pending in self._pending:
            report = pending.read()
            if not math.isfinite(report.loss):
                raise DivergenceError(
                    f"the loss of step {report.step - 1} is {report.loss}; lower schedule.learning_rate"
                )
            self.history.epoch_loss += report.loss
            self._report(report, pending, loss=report.loss, learning_rate=report.learning_rate)
        self._pending = []

    def _sum_gradients(self, means: Tensor, counts: Tensor) -> list[Tensor]:
        """Sum losses, counts and gradients over the processes, in place.

        A batch may leave parameters without a gradient, such as those of a head that it has no tags for. A
        parameter gets one on all processes, or on none: AdamW skips parameters without a gradient.

        Returns:
            The summed gradients.
        """
        parameters = list(self._trained.values())
        reached = torch.tensor([p.grad is not None for p in parameters], dtype=counts.dtype)
        self._processes.sum([means])
        self._processes.sum([counts, reached])

        gradients = []
        for parameter, n_processes in zip(parameters, reached.tolist(), strict=True):
            if n_processes:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                gradients.append(parameter.grad)
        self._processes.sum(gradients)
        return gradients

    def _end_epoch(self, epoch: int, *, n_epoch_steps: int, n_steps: int) -> StepReport:
        """Evaluate, record the epoch, and write the weights if they are the best so far."""
        history = self.history
        scores = self._processes.on_main(lambda: self.measure(self.objective.evaluate))
        self._update_remote_energy()
        history.losses.append(history.epoch_loss / max(1, n_epoch_steps))
        history.epoch_loss = 0.0
        history.scores.append(scores)
        logger.info("epoch %d: loss %.4f, held-out %s", epoch, history.losses[-1], scores)

        # Without scores, the last epoch is the best; so it is where the weights of a better one are missing.
        best = history.scores[history.best_epoch] if history.best_epoch >= 0 else {}
        is_present = self._processes.on_main((self._folder / BEST).is_file)
        if not (best and scores and is_present) or scores["score"] > best["score"]:
            history.best_epoch = epoch
            if self._processes.is_main:
                write_tensors(self._folder / BEST, self._average.tensors or self._weights(), {})
        return StepReport(history.step, n_steps, epoch, history.losses[-1], 0.0, scores)

    def measure(self, evaluate: Callable[[], Mapping[str, float]]) -> dict[str, float]:
        """Evaluate the model, or its weight average if there is one, in the run's precision."""
        self.objective.model.eval()
        with self._average.applied(), torch.inference_mode(), self._precision.autocast():
            return dict(evaluate())

    def _weights(self) -> dict[str, Tensor]:
        return {name: parameter.detach() for name, parameter in self._trained.items()}

    def _report(self, report: StepReport, pending: PendingStep | None = None, **values: object) -> None:
        """Write a line of the log and call ``on_step``."""
        if not self._processes.is_main:
            return
        totals = pending or self.history
        position = {"step": report.step, "epoch": report.epoch, "subwords": totals.subwords}
        self._log.append({**position, **values, "seconds": round(totals.seconds, 3)})
        self._on_step(report)

    def _update_remote_energy(self) -> None:
        """Collect the energy that the other machines of the run have measured so far."""
        if self._processes.count > 1:
            local = self._meter.read() if self._meter else Energy()
            figures = torch.tensor([local.kwh or 0.0, local.co2e_kg or 0.0], dtype=torch.float64)
            total = figures.clone()
            self._processes.sum([total])
            kwh, co2e_kg = (total - figures).tolist()
            self._remote_energy = replace(local, kwh=kwh, co2e_kg=co2e_kg) if kwh else Energy()

    def _time_share(self) -> float:
        """Share of the time limit that has passed, by the clock of the main process; 0 without a limit."""
        if self._finish:
            return 1.0
        if not self._limit:
            return 0.0
        seconds = self._processes.on_main(lambda: self.history.seconds)
        return min(1.0, seconds / self._limit)

    def _is_over(self, begin: int) -> bool:
        """Return whether the time is over and an epoch that begins at this step has nothing to evaluate.

        Raises:
            RunError: the run is to be finished, and no step was made.
        """
        if self._finish and self.history.step == 0:
            raise RunError(f"{self._folder}: the run has no checkpoint to finish; train it first")
        return self._time_share() >= 1 and self.history.step <= begin

    def _patience_ended(self) -> bool:
        """True after too many epochs without a better score, or once none can be better.

        A run without a score above 0 continues.
        """
        history = self.history
        best = history.scores[history.best_epoch].get("score", 0.0) if history.best_epoch >= 0 else 0.0
        if best in (0.0, 1.0):
            return best == 1.0
        return len(history.scores) - 1 - history.best_epoch >= self.schedule.patience

    def save_checkpoint(self) -> None:
        """Write everything that the run needs to resume, on the main process."""
        self._read_losses()
        if not self._processes.is_main:
            return
        tensors = {f"weight/{name}": value for name, value in self._weights().items()}
        tensors |= {f"average/{name}": value for name, value in self._average.tensors.items()}
        for name, parameter in self._trained.items():
            for key, value in self._optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer/{key}/{name}"] = value

        if self._meter is not None:
            self.history.energy = self._earlier_energy + self._meter.read() + self._remote_energy
        metadata = {"fingerprint": self._fingerprint, "history": json.dumps(asdict(self.history))}
        write_tensors(self._folder / CHECKPOINT, tensors, metadata | self._precision.state)

    def resume(self) -> bool:
        """Restore the folder's checkpoint.

        Returns:
            False if there is none.

        Raises:
            RunError: the checkpoint is damaged, or belongs to a run with other settings.
        """
        path = self._folder / CHECKPOINT
        if not path.is_file():
            return False
        tensors, metadata = read_tensors(path, self._processes.device)
        if metadata.get("fingerprint") != self._fingerprint:
            raise RunError(f"{path} belongs to a run with other settings; choose another folder")

        with refuse_damaged(path):
            history = History.from_json(metadata["history"])
            self._average.tensors = restore_state(self._trained, self._optimizer, self._average, tensors)
            self._precision.restore(metadata)
        self.history, self._earlier_energy = history, history.energy
        return True
