"""The models of a study as a suite: of each, the bundle that dev chooses, side by side in one folder."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.bundle.suite import open_bundles
from openmed_ner.errors import InputError, RunError
from openmed_ner.evaluation.scores import mean_and_deviation
from openmed_ner.publish.cards import attach
from openmed_ner.training.engine.session import BUNDLE
from openmed_ner.training.study.reproduce import MENTION, SCORES


def collect(study: Path, target: Path, *, leave_out: Collection[str] = (), prefix: str = "") -> list[Bundle]:
    """Copy a bundle of every model of a study that is done, to be used together.

    Of the encoders and seeds that a model was trained with, the one with the best mean F1 on dev is taken. A
    model without dev scores has to have one run only.

    Args:
        study: its folder.
        target: a new folder; each bundle lies in it under the name of its model.
        leave_out: models that are not taken, such as one whose heads others have, too.
        prefix: put before the name of each bundle.

    Raises:
        InputError: the target exists, or there is no model of a name that is to be left out.
        RunError: no model is done, or dev cannot choose between its runs.
        BundleError: the bundles cannot be used together; nothing is left behind.
    """
    if target.exists():
        raise InputError(f"{target} already exists; choose another folder")
    runs = defaultdict(list)
    for path in sorted(study.glob(f"models/*/*/*/{SCORES}")):
        runs[path.relative_to(study).parts[1]].append(path.parent)
    if unknown := set(leave_out) - set(runs):
        raise InputError(f"no model {', '.join(sorted(unknown))} in {study}; there are: {', '.join(runs)}")
    chosen = {model: _choose(model, found) for model, found in runs.items() if model not in leave_out}
    if not chosen:
        raise RunError(f"{study}: no model is done")
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for model, run in chosen.items():
            _copy(open_bundle(run / BUNDLE), partial / model, name=f"{prefix}{model}")
        open_bundles(partial)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return open_bundles(target)


def _choose(model: str, runs: list[Path]) -> Path:
    found = {run: _dev_score(run) for run in runs}
    if len(runs) > 1 and None in found.values():
        raise RunError(f"{model}: {len(runs)} runs, and not all of them have scores on dev to choose by")
    return max(runs, key=lambda run: found[run] or 0.0)


def _dev_score(run: Path) -> float | None:
    rows = json.loads((run / SCORES).read_text(encoding="utf-8"))["results"]
    f1 = [row["micro"]["f1"] for row in rows if (row["split"], row["protocol"]) == ("dev", *MENTION)]
    return mean_and_deviation(f1)[0] if f1 else None


def _copy(bundle: Bundle, target: Path, *, name: str) -> None:
    """Copy a bundle under another name, which its adapter's folder and its card bear, too."""
    shutil.copytree(bundle.folder, target)
    adapters = target / "adapter"
    if adapters.is_dir() and name != bundle.manifest.name:
        (adapters / bundle.manifest.name).rename(adapters / name)
    attach(replace(bundle, folder=target, manifest=replace(bundle.manifest, name=name)))
