"""The machine that runs an unpacked study: its device and memory; rounded weights are expanded."""

from __future__ import annotations

from pathlib import Path

import torch

from openmed_ner.model.devices import find_device
from openmed_ner.training.study.cost import estimate_study, require_memory, this_machine
from openmed_ner.training.study.plan import read_study
from openmed_ner.training.transport.contents import BACKBONES
from openmed_ner.training.transport.remote import STUDY
from openmed_ner.training.transport.weights import expand_backbone


def prepare_machine(folder: Path, device: str) -> str:
    """Check the device and the memory, expand the weights of the backbones, and describe the machine.

    Args:
        folder: folder of the unpacked study.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        RunError: there is no CUDA device, or too little memory.
    """
    find_device(device)
    for config in (folder / BACKBONES).rglob("config.json"):
        expand_backbone(config.parent)

    study = read_study(folder / STUDY)
    machine = this_machine()
    require_memory(estimate_study(study, machine), machine)
    return f"torch {torch.__version__}, {machine.name}, {machine.memory / 1e9:.1f} GB free"
