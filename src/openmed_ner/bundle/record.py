"""The origin of a result: commit, versions and machine, so that its numbers can be traced and repeated."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openmed_ner.bundle.manifest import RECORD, Bundle
from openmed_ner.errors import BundleError

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
_PACKAGE = Path(__file__).resolve().parents[1]
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
"""A commit: SHA-1, or SHA-256 in repositories of the newer format."""


def provenance() -> dict[str, object]:
    """Return the commit, the versions and the machine, which every results file names."""
    return {"commit": source_commit(), "versions": installed_versions(), "host": describe_host()}


def describe_training(record: Mapping[str, Any]) -> dict[str, Any]:
    """Extract from a run record the entries that a results file repeats."""
    history = record["history"]
    return {
        **{key: record[key] for key in ("commit", "recipe", "parameters", "energy", "host")},
        **{key: record[key] for key in ("start", "teacher", "averaged") if key in record},
        "best_epoch": history["best_epoch"],
        "processes": record.get("processes", {"count": 1, "device": "cpu"}),
        "epochs": len(history["scores"]),
        "dev": history["scores"][history["best_epoch"]],
        "seconds": history["seconds"],
    }


def training_splits(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the splits that a model was trained on, which can neither select nor evaluate it.

    Splits of the models that it started from, and of its teacher, count as well.
    """
    dev = record.get("recipe", {}).get("learn") == "train+dev"
    dev |= any("dev" in model.get("learnt", ()) for model in _predecessors(record))
    return ("train", "dev") if dev else ("train",)


def corpora_with_dev_learnt(record: Mapping[str, Any]) -> frozenset[str]:
    """Return the corpora whose dev split a model was trained on.

    Those of the models that it started from, and of its teacher, count as well. If one of these was trained
    on dev and its record does not say of which corpora, all corpora of the model count.
    """
    recipe = record.get("recipe", {})
    heads = record.get("data", {}).keys() or recipe.get("corpora", ())
    names = set(heads) - set(recipe.get("keep_dev", ())) if recipe.get("learn") == "train+dev" else set()

    for model in _predecessors(record):
        if "dev" in model.get("learnt", ()):
            names.update(model.get("learnt_dev_of", heads))
    return frozenset(names)


def _predecessors(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Models that a model learnt from or was averaged with."""
    start, teacher = record.get("start", {}), record.get("teacher", {})
    others = (*start.get("soup", ()), *teacher.get("ensemble", ()), *record.get("averaged", ()))
    return [start, teacher, *others]


def read_training_splits(bundle: Bundle) -> tuple[str, ...]:
    """Return the splits of its corpora that a bundle was trained on: ``train`` alone if it has no record.

    Raises:
        BundleError: the record is damaged.
    """
    record = bundle.read_json(RECORD) if RECORD in bundle.manifest.files else {}
    try:
        return training_splits(record)
    except (AttributeError, TypeError) as error:
        raise BundleError(f"{bundle.folder}: {RECORD} is damaged: {error}") from error


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
    """Version of this package."""
    from importlib import metadata  # here and below, since it imports much that tagging does not need

    return metadata.version("openmed-ner")


def installed_versions() -> dict[str, str]:
    """Versions of the packages that decide what a run computes, of those that are installed."""
    from importlib import metadata

    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def describe_host() -> dict[str, object]:
    """Describe the machine, without anything that names it."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def source_commit(package: Path = _PACKAGE) -> str | None:
    """Return the full hash of the commit that is checked out, or ``None`` outside a checkout of the project.

    The hash is read from the files of git; no process is started. Changes since the commit are not
    noticed: that would take git itself. Commit before a run whose numbers are published.

    Args:
        package: folder of the package.
    """
    root = package.parents[1]
    # A wheel lies in site-packages, perhaps inside another project's checkout: only src/ is ours.
    if package.parent.name != "src" or not (root / "pyproject.toml").is_file():
        return None
    try:
        return _read_head(_git_folder(root))
    except (OSError, UnicodeDecodeError):
        return None


def _git_folder(root: Path) -> Path:
    """Return the folder with the HEAD of a checkout; in a worktree, ``.git`` is a file that names it."""
    path = root / ".git"
    if path.is_file():
        return root / path.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
    return path


def _read_head(folder: Path) -> str | None:
    """Resolve HEAD: a commit, or a branch in a file of its own or in ``packed-refs``."""
    head = (folder / "HEAD").read_text(encoding="utf-8").strip()
    if not head.startswith("ref:"):
        return head if _COMMIT.fullmatch(head) else None

    branch = head.removeprefix("ref:").strip()
    common = folder / "commondir"  # branches of a worktree lie in the folder that all worktrees share
    shared = folder / common.read_text(encoding="utf-8").strip() if common.is_file() else folder
    if (shared / branch).is_file():
        commit = (shared / branch).read_text(encoding="utf-8").strip()
        return commit if _COMMIT.fullmatch(commit) else None

    for line in (shared / "packed-refs").read_text(encoding="utf-8").splitlines():
        commit, _, name = line.partition(" ")
        if name == branch and _COMMIT.fullmatch(commit):
            return commit
    return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
