"""Packages that a run needs, and which of them another machine lacks."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from openmed_ner.bundle import open_bundle
from openmed_ner.errors import InputError, RunError
from openmed_ner.training.study.plan import Study

NEEDED = (
    "bioc",
    "huggingface-hub",
    "numpy",
    "peft",
    "pyyaml",
    "rich",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
    "typer",
)
"""Packages that every study imports."""
USUAL = ("accelerate", "numpy", "peft", "safetensors", "tokenizers", "torch", "transformers")
"""Packages that a machine for training has; what they require is there, too."""
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_ANY_PYTHON = "py3-none-any.whl"
"""End of the names of wheels that hold Python alone."""
_INSTEAD = "pack with --no-wheels, and install the packages on the other machine"


def normalise(name: str) -> str:
    """Normal form of a package's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(names: Iterable[str], *, present: Collection[str] = ()) -> dict[str, str]:
    """Names and installed versions of some packages and of everything they require.

    Args:
        names: names of the packages.
        present: packages to leave out. Where they are, there is also what they require.
    """
    versions: dict[str, str] = {}
    waiting = [normalise(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in versions or name in present:
            continue
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # only needed elsewhere, such as on Windows
            continue
        versions[name] = distribution.version
        for requirement in distribution.requires or ():
            if "extra ==" not in requirement and (match := _NAME.match(requirement)):
                waiting.append(normalise(match[0]))
    return versions


def read_present(path: Path) -> set[str]:
    """Read the names of the packages of another machine, as ``pip freeze`` or ``pip list`` prints them.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}; write it there with: pip freeze > FILE") from error
    matches = (_NAME.match(line.strip()) for line in lines)
    return {normalise(match[0]) for match in matches if match}


def needed_packages(study: Study) -> tuple[str, ...]:
    """Names of the packages that a study imports: those of every study, to read graphs, and to search."""
    kinds = {open_bundle(Path(place)).manifest.kind for place in study.bundles.values()}
    graphs = ("onnx",) if "runtime" in kinds else ()
    search = ("optuna",) if any(model.searched for model in study.models.values()) else ()
    return (*NEEDED, *graphs, *search)


def missing_packages(present: set[str] | None, needed: Sequence[str] = NEEDED) -> dict[str, str]:
    """Names and versions of the packages that another machine lacks.

    Args:
        present: names of its packages; ``None``: those of a usual machine for training.
        needed: names of the packages that a study imports.
    """
    if present is None:
        present = set(requirements(USUAL))
    return requirements(needed, present=present)


def download_wheels(packages: Mapping[str, str], folder: Path, *, python: str) -> None:
    """Download wheels with pip, in the installed versions.

    A package that is published as source alone, such as docopt, is built here.

    Args:
        packages: names and versions.
        folder: folder of the wheels.
        python: version of Python on the other machine, such as ``3.12``.

    Raises:
        RunError: pip fails, or what was built fits the Python of this machine alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not packages:
        return
    names = [f"{name}=={version}" for name, version in packages.items()]
    _run_pip("download", "--python-version", python, "--dest", str(folder), *names)

    sources = [path for path in sorted(folder.iterdir()) if path.suffix != ".whl"]
    if sources:
        built = folder / "built"
        _run_pip("wheel", "--wheel-dir", str(built), *map(str, sources))
        for wheel in sorted(built.iterdir()):
            if not wheel.name.endswith(_ANY_PYTHON):
                raise RunError(f"{wheel.name} fits this machine alone; {_INSTEAD}")
            wheel.rename(folder / wheel.name)
        built.rmdir()
        for path in sources:
            path.unlink()


def _run_pip(command: str, *arguments: str) -> None:
    """Run a command of pip on packages, without what they require.

    Raises:
        RunError: it fails.
    """
    line = [sys.executable, "-m", "pip", command, "--quiet", "--no-deps", *arguments]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RunError(f"pip {command} failed: {done.stderr.strip()}; {_INSTEAD}")
