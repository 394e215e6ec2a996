"""Where and with what a run took place, so that its numbers can be traced and repeated."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from openmed_ner.bundle.manifest import RECORD, Bundle

PACKAGES = (
    "openmed-ner",
    "accelerate",
    "numpy",
    "onnxruntime",
    "peft",
    "tokenizers",
    "torch",
    "transformers",
)


def provenance() -> dict[str, object]:
    """What every results file names: the commit, the versions and the machine."""
    return {"commit": source_commit(), "versions": installed_versions(), "host": describe_host()}


def describe_training(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a results file says of the run behind a model, from its run record."""
    history = record["history"]
    return {
        **{key: record[key] for key in ("commit", "recipe", "parameters", "energy", "host")},
        **{key: record[key] for key in ("start", "teacher") if key in record},
        "best_epoch": history["best_epoch"],
        "processes": record.get("processes", {"count": 1, "device": "cpu"}),
        "epochs": len(history["scores"]),
        "dev": history["scores"][history["best_epoch"]],
        "seconds": history["seconds"],
    }


def training_splits(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The splits that a model has learnt from, so that nothing can be chosen or measured on them any more.

    What the models that it went on from had learnt, or its teacher, it has learnt as well.
    """
    start, teacher = (record.get(origin, {}) for origin in ("start", "teacher"))
    dev = record.get("recipe", {}).get("learn") == "train+dev"
    dev |= any("dev" in origin.get("learnt", ()) for origin in (start, teacher, *start.get("soup", ())))
    return ("train", "dev") if dev else ("train",)


def read_training_splits(bundle: Bundle) -> tuple[str, ...]:
    """Return the splits of its corpora that a bundle was trained on: ``train`` alone if it has no record."""
    return training_splits(bundle.read_json(RECORD) if RECORD in bundle.manifest.files else {})


def describe_bundle(bundle: Bundle, backend: str | None = None) -> dict[str, Any]:
    """Describe a bundle and its training for a results file.

    Args:
        bundle: the bundle that was scored.
        backend: backend that computed it; its own if ``None``.
    """
    manifest = bundle.manifest
    record: dict[str, Any] = {
        "bundle": manifest.name,
        "sha256": bundle.sha256,
        "precision": manifest.precision,
        **({"backend": backend or manifest.backend} if manifest.kind == "runtime" else {}),
        **provenance(),
    }
    if RECORD in manifest.files:
        record["training"] = describe_training(bundle.read_json(RECORD))
    return record


def version() -> str:
    """The version of this package."""
    return metadata.version("openmed-ner")


def installed_versions() -> dict[str, str]:
    """Versions of the packages that decide what a run computes."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def describe_host() -> dict[str, object]:
    """The machine, without anything that names it."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def source_commit() -> str | None:
    """The commit this code was checked out from, ``-dirty`` if changed since; ``None`` if unknown."""
    package = Path(__file__).resolve().parents[1]
    try:
        _git(package, "ls-files", "--error-unmatch", "errors.py")  # else: installed inside another checkout
        head = _git(package, "rev-parse", "HEAD")
        changed = _git(package, "status", "--porcelain", "--", ".")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{head}-dirty" if changed else head


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
