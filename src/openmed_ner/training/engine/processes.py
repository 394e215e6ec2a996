"""The processes that train one model together, and what they say to each other.

Hugging Face Accelerate reads what a launcher (``accelerate launch``, ``torchrun``) tells each process, picks
its device and opens the connection. The sums are our own: gradients are added up in one buffer and divided
by the number of targets of the whole step, so that N processes compute what one would. Accelerate's
``Accelerator`` over torch's ``DistributedDataParallel`` would give the mean of the processes' means, which
weighs a target by the batch it is in. The price: sums wait for the backward pass to end, and the buffer is
one more copy of what is trained, which is little with LoRA.

What is no sum happens once, on the main process, while the others wait: evaluation, checkpoints, log and
bundle. The folder of a run must be one that all processes see.
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

from openmed_ner.errors import MissingExtraError, RecipeError, RunError

Item = TypeVar("Item")
Value = TypeVar("Value")
CPU = torch.device("cpu")
DEVICES = ("auto", "cpu", "cuda")
LONGEST_WAIT = timedelta(hours=12)
"""How long a process waits for another, such as the main one that evaluates, before it gives up."""


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of a run, seen from one of them; by default there is no other.

    Attributes:
        index: of this process, from 0.
        count: how many there are.
        local_index: of this process among those of its machine, from 0.
        device: what this process computes on.
    """

    index: int = 0
    count: int = 1
    local_index: int = 0
    device: torch.device = CPU

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that evaluates and writes."""
        return self.index == 0

    def describe(self) -> Mapping[str, Any]:
        """How many there are, and the kind of device they compute on, for a run record."""
        cuda = self.device.type == "cuda"
        return {"count": self.count, "device": torch.cuda.get_device_name(self.device) if cuda else "cpu"}

    def share(self, items: Iterable[Item]) -> Iterator[tuple[int, Item]]:
        """This process's items, every ``count``-th, each with its position among all."""
        return islice(enumerate(items), self.index, None, self.count)

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes, which hold the same shapes of one type."""
        self._exchange(tensors, distributed.all_reduce)

    def copy(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by the main process's."""
        self._exchange(tensors, lambda buffer: distributed.broadcast(buffer, src=0))

    def on_main(self, make: Callable[[], Value]) -> Value:
        """Make a value of JSON's types on the main process, and give it to all; the others wait for it."""
        if self.count == 1:
            return make()
        text = json.dumps(make()).encode("utf-8") if self.is_main else b""
        size = torch.tensor([len(text)])
        self.copy([size])
        content = torch.tensor(list(text.ljust(int(size))), dtype=torch.uint8)
        self.copy([content])
        value: Value = json.loads(bytes(content.tolist()))
        return value

    def check_step(self, accumulate: int) -> None:
        """Make sure that a step has a batch for every process.

        Raises:
            RecipeError: it has not.
        """
        if accumulate < self.count:
            raise RecipeError(
                f"schedule.accumulate = {accumulate}: a step has fewer batches than there are processes; set "
                f"it to {self.count} or more, and schedule.batch_subwords lower to read as much in a step"
            )

    def _exchange(self, tensors: Sequence[Tensor], exchange: Callable[[Tensor], object]) -> None:
        if self.count == 1 or not tensors:
            return
        with torch.no_grad():
            buffer = torch.cat([each.reshape(-1) for each in tensors]).to(self.device)
            with _explain_loss():
                exchange(buffer)
            for each, part in zip(tensors, buffer.split([each.numel() for each in tensors]), strict=True):
                each.copy_(part.view_as(each))


def join(device: str = "auto") -> Processes:
    """Join the processes that a launcher started; without one, this process is alone.

    Args:
        device: ``cpu``, ``cuda``, or ``auto``: a CUDA device if there is one.

    Raises:
        MissingExtraError: there are several processes, and Accelerate is not installed.
        RecipeError: ``device`` is none of these.
        RunError: no CUDA device is visible, or too few for the processes of this machine.
    """
    kind = _choose_device(device)
    if count_launched() == 1:
        return Processes(device=torch.device(kind))
    n_local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if kind == "cuda" and n_local > torch.cuda.device_count():
        raise RunError(
            f"{n_local} processes on this machine, and {torch.cuda.device_count()} CUDA devices; start one "
            "process per device"
        )
    try:
        from accelerate import PartialState
    except ModuleNotFoundError as error:
        raise MissingExtraError("accelerate", "train") from error
    with _explain_loss():
        state = PartialState(cpu=kind == "cpu", timeout=LONGEST_WAIT)
    device_here = state.device if kind == "cuda" else CPU
    return Processes(state.process_index, state.num_processes, state.local_process_index, device_here)


def count_launched() -> int:
    """How many processes the launcher of this one started, on all machines; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _choose_device(device: str) -> str:
    if device not in DEVICES:
        raise RecipeError(f"device = {device!r}: expected one of {', '.join(DEVICES)}")
    visible = torch.cuda.is_available()
    if device == "cuda" and not visible:
        built = "" if torch.version.cuda else "; this torch was built without CUDA"
        raise RunError(
            f"no CUDA device is visible{built}: see what nvidia-smi and CUDA_VISIBLE_DEVICES say, or train "
            "on device cpu"
        )
    return "cuda" if visible and device != "cpu" else "cpu"


@contextmanager
def _explain_loss() -> Iterator[None]:
    """Say what it means that the connection to another process broke."""
    try:
        yield
    except RuntimeError as error:
        raise RunError(
            f"another process of this run has ended or cannot be reached: {error}; its own message says why. "
            "Start all of them again with --resume"
        ) from error
