"""The models of a study as a suite: per model the bundle with the best dev score, in one folder."""

from __future__ import annotations

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
from openmed_ner.storage import atomic_folder, read_json
from openmed_ner.training.engine.session import BUNDLE
from openmed_ner.training.study.reproduce import MENTION, SCORES


def collect(study: Path, target: Path, *, leave_out: Collection[str] = (), prefix: str = "") -> list[Bundle]:
    """Copy a bundle of every finished model of a study, to be used together.

    Of a model's runs (encoders and seeds), the one with the best mean F1 on dev is copied. A model without
    dev scores must have a single run.

    Args:
        study: folder of the study.
        target: new folder; each bundle lies in it under the name of its model.
        leave_out: models to skip, such as one whose heads other models have, too.
        prefix: prefix of the name of each bundle.

    Raises:
        InputError: the target exists, or a model to leave out does not.
        RunError: no model is finished, or its runs cannot be compared on dev.
        BundleError: the bundles cannot be used together; nothing is left behind.
    """
    if target.exists():
        raise InputError(f"{target} already exists; choose another folder")
    runs = defaultdict(list)
    for path in sorted(study.glob(f"models/*/*/*/{SCORES}")):
        runs[path.relative_to(study).parts[1]].append(path.parent)
    if unknown := set(leave_out) - set(runs):
        raise InputError(
            f"{study}: no model {', '.join(sorted(unknown))}; finished models: {', '.join(runs)}"
        )

    best = {model: _best_run(model, folders) for model, folders in runs.items() if model not in leave_out}
    if not best:
        raise RunError(f"{study}: no finished model")

    # heads or windows may not fit together, which only opening them as a suite tells
    with atomic_folder(target) as partial:
        for model, run in best.items():
            _copy(open_bundle(run / BUNDLE), partial / model, name=f"{prefix}{model}")
        open_bundles(partial)
    return open_bundles(target)


def _best_run(model: str, runs: list[Path]) -> Path:
    scores = {run: _dev_score(run) for run in runs}
    if len(runs) > 1 and None in scores.values():
        raise RunError(f"{model}: {len(runs)} runs, not all with dev scores to select by")
    return max(runs, key=lambda run: scores[run] or 0.0)


def _dev_score(run: Path) -> float | None:
    rows = read_json(run / SCORES)["results"]
    f1 = [row["micro"]["f1"] for row in rows if (row["split"], row["protocol"]) == ("dev", *MENTION)]
    return mean_and_deviation(f1)[0] if f1 else None


def _copy(bundle: Bundle, target: Path, *, name: str) -> None:
    """Copy a bundle under another name, also in its adapter's folder and on its card."""
    shutil.copytree(bundle.folder, target)
    adapters = target / "adapter"
    if adapters.is_dir() and name != bundle.manifest.name:
        (adapters / bundle.manifest.name).rename(adapters / name)
    attach(replace(bundle, folder=target, manifest=replace(bundle.manifest, name=name)))
