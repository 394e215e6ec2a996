"""The device that models are computed on."""

from __future__ import annotations

import torch

from openmed_ner.errors import InputError, RunError

DEVICES = ("auto", "cpu", "cuda")
CPU = torch.device("cpu")


def find_device(name: str) -> torch.device:
    """Find a device.

    Args:
        name: ``cpu``, ``cuda``, or ``auto``: a GPU if there is one, else the processor.

    Raises:
        InputError: the name is unknown.
        RunError: no GPU is visible.
    """
    if name not in DEVICES:
        raise InputError(f"unknown device {name!r}; expected one of {', '.join(DEVICES)}")
    visible = torch.cuda.is_available()
    if name == "cuda" and not visible:
        built = "" if torch.version.cuda else "; this torch was built without CUDA"
        raise RunError(
            f"no CUDA device is visible{built}: check nvidia-smi and CUDA_VISIBLE_DEVICES, or use device cpu"
        )
    return torch.device("cuda" if visible and name != "cpu" else "cpu")
