"""Check that a machine has the packages of an unpacked study, and prepare it.

python -m openmed_ner.training.transport.check FOLDER DEVICE
"""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

from openmed_ner.errors import InputError, OpenMedError
from openmed_ner.training.transport.remote import read_settings


def check_machine(folder: Path, device: str) -> str:
    """Check the packages of this machine, prepare it, and describe it.

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
    from openmed_ner.training.transport.machine import prepare_machine

    return prepare_machine(folder, device)


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
