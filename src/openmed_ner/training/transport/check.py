"""Check that a machine can run an unpacked study: packages, device and memory; expand rounded weights.

python -m openmed_ner.training.transport.check FOLDER DEVICE
"""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

from openmed_ner.errors import InputError, OpenMedError, RunError
from openmed_ner.training.transport.remote import STUDY, read_settings


def check_machine(folder: Path, device: str) -> str:
    """Check this machine and describe it.

    Args:
        folder: folder of the unpacked study.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        InputError: packages are missing.
        RunError: there is no CUDA device, or too little memory.
    """
    settings = read_settings(folder)
    missing = [name for name in settings["needed"] if not _is_installed(name)]
    if missing:
        raise InputError(
            f"packages are missing: {', '.join(missing)}; pack again with the list of this machine's "
            "packages (pip freeze > FILE, then --present FILE), so that their wheels come along"
        )

    # After the check of packages, since torch may be one that is missing.
    import torch

    from openmed_ner.training.study.cost import estimate_study, require_memory, this_machine
    from openmed_ner.training.study.plan import read_study
    from openmed_ner.training.transport.contents import BACKBONES
    from openmed_ner.training.transport.weights import expand_backbone

    if device == "cuda" and not torch.cuda.is_available():
        built = "" if torch.version.cuda else "; this torch was built without CUDA"
        raise RunError(f"no CUDA device is visible{built}: check nvidia-smi, or use --device cpu")
    for config in (folder / BACKBONES).rglob("config.json"):
        expand_backbone(config.parent)

    study = read_study(folder / STUDY)
    machine = this_machine()
    require_memory(estimate_study(study, machine), machine)
    return f"torch {torch.__version__}, {machine.name}, {machine.memory / 1e9:.1f} GB free"


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    try:
        print(check_machine(Path(sys.argv[1]), sys.argv[2]))
    except OpenMedError as error:
        print(f"openmed-ner: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
