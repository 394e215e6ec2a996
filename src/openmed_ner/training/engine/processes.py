"""Processes that train one model together, and their communication.

Hugging Face Accelerate reads the environment set by a launcher (``accelerate launch``, ``torchrun``), picks
the device and opens the connection. Gradients are summed here, in one buffer, and divided by the number of
targets of the whole step, so N processes compute what one would. ``DistributedDataParallel`` would give the
mean of the processes' means, which weighs a target by the size of its batch. Our sum waits for the end of
the backward pass and needs one more copy of the trained weights; with LoRA both cost little.

Evaluation, checkpoints, log and bundle are the main process's work, and the others wait. All processes must
see the folder of the run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from openmed_ner.errors import RecipeError, RunError, require_extra
from openmed_ner.model.devices import CPU, find_device

Item = TypeVar("Item")
Value = TypeVar("Value")
LONGEST_WAIT = timedelta(hours=12)
"""Longest time that a process waits for another one, such as for an evaluation on the main process."""


@dataclass(frozen=True, slots=True)
class Processes:
    """Processes of a run, seen from one of them; by default a single one.

    Attributes:
        index: rank of this process, from 0.
        count: number of processes.
        local_index: rank of this process on its machine, from 0.
        device: device of this process.
    """

    index: int = 0
    count: int = 1
    local_index: int = 0
    device: torch.device = CPU

    @property
    def is_main(self) -> bool:
        """True on the process that evaluates and writes files."""
        return self.index == 0

    def describe(self) -> Mapping[str, Any]:
        """Number of processes and their kind of device, for a run record."""
        cuda = self.device.type == "cuda"
        return {"count": self.count, "device": torch.cuda.get_device_name(self.device) if cuda else "cpu"}

    def share(self, items: Iterable[Item]) -> Iterator[tuple[int, Item]]:
        """Yield this process's items, every ``count``-th, with their positions among all items."""
        return islice(enumerate(items), self.index, None, self.count)

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes; they agree in shapes and data type."""
        self._exchange(tensors, distributed.all_reduce)

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by that of the main process."""
        self._exchange(tensors, lambda buffer: distributed.broadcast(buffer, src=0))

    def on_main(self, compute: Callable[[], Value]) -> Value:
        """Compute a JSON value on the main process and return it on all; the others wait for it."""
        if self.count == 1:
            return compute()
        text = json.dumps(compute()).encode("utf-8") if self.is_main else b""
        size = torch.tensor([len(text)])
        self.broadcast([size])
        content = torch.tensor(list(text.ljust(int(size))), dtype=torch.uint8)
        self.broadcast([content])
        value: Value = json.loads(bytes(content.tolist()))
        return value

    def check_step(self, accumulate: int) -> None:
        """Check that a step has at least one batch per process.

        Raises:
            RecipeError: ``accumulate`` is lower than the number of processes.
        """
        if accumulate < self.count:
            raise RecipeError(
                f"schedule.accumulate = {accumulate}: a step needs a batch for each process; set "
                f"it to {self.count} or more, and lower schedule.batch_subwords to keep the size of a step"
            )

    def _exchange(self, tensors: Sequence[Tensor], exchange: Callable[[Tensor], object]) -> None:
        if self.count == 1 or not tensors:
            return
        with torch.no_grad():
            # One buffer, so one message instead of one per tensor.
            buffer = torch.cat([tensor.reshape(-1) for tensor in tensors]).to(self.device)
            with _explain_disconnect():
                exchange(buffer)
            for tensor, part in zip(tensors, buffer.split([t.numel() for t in tensors]), strict=True):
                tensor.copy_(part.view_as(tensor))


def join(device: str = "auto") -> Processes:
    """Join the processes that a launcher started; without a launcher, return a single process.

    Args:
        device: ``cpu``, ``cuda``, or ``auto``: a CUDA device if there is one.

    Raises:
        InputError: ``device`` has another value.
        MissingExtraError: there are several processes, and Accelerate is not installed.
        RunError: no CUDA device is visible, or too few for the processes of this machine.
    """
    place = find_device(device)
    if count_launched() == 1:
        return Processes(device=place)
    n_local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if place.type == "cuda" and n_local > torch.cuda.device_count():
        raise RunError(
            f"{n_local} processes but {torch.cuda.device_count()} CUDA devices on this machine; start one "
            "process per device"
        )

    accelerate = require_extra("accelerate", "train")
    with _explain_disconnect():
        state = accelerate.PartialState(cpu=place.type == "cpu", timeout=LONGEST_WAIT)
    local_device = state.device if place.type == "cuda" else CPU
    return Processes(state.process_index, state.num_processes, state.local_process_index, local_device)


def count_launched() -> int:
    """Number of processes that the launcher started, on all machines; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def _explain_disconnect() -> Iterator[None]:
    """Turn a broken connection to another process into a message that explains it."""
    try:
        yield
    except RuntimeError as error:
        raise RunError(
            f"another process of this run has ended or is unreachable: {error}; see its own message. Then "
            "start all processes again with --resume"
        ) from error
