"""The hub's metadata of a bundle: the part of a card that programs read.

Scores are in ``model-index``, one result per corpus and split: precision, recall and F1 of mentions, by
strict matching on characters. A data set's revision is the SHA-256 over the name of its layout and the lines
``<sha256>  <path>`` of the files that the split is read from, as the catalog lists them. What is not
recorded is not in the metadata.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from openmed_ner.bundle.manifest import Manifest
from openmed_ner.corpora import CATALOG
from openmed_ner.publish.cards.energy import find_steps
from openmed_ner.publish.cards.markdown import dig, total
from openmed_ner.storage import sha256

METRICS = {"precision": "Precision", "recall": "Recall", "f1": "F1"}
"""Metrics of the hub's ``model-index``, with their names."""
RELATIONS = {"adapter": "adapter", "full": "finetune", "runtime": "finetune"}
"""The hub's ``base_model_relation`` of each kind of bundle."""


def model_metadata(
    manifest: Manifest, record: Mapping[str, Any], scores: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Collect the metadata of a bundle's card.

    Args:
        manifest: the bundle's manifest.
        record: the run record; may be empty.
        scores: evaluations, as ``evaluate --json`` writes them; mention-level ones are used.
    """
    tags, kind = bool(manifest.heads), "named-entity-recognition"
    results = [_result(score) for score in scores if score.get("protocol") == "mention"]
    emissions = _emissions(manifest, record)
    # The head of somebody's own documents is called after a file, which is no data set of the hub.
    datasets = [head.corpus for head in manifest.heads if head.corpus in CATALOG]

    return {
        "license": manifest.licence.lower(),  # the hub's identifiers are SPDX in lower case
        "language": ["en"],
        "library_name": "openmed-ner",
        "pipeline_tag": "token-classification" if tags else "fill-mask",
        "base_model": manifest.backbone.hub_id,
        "base_model_relation": RELATIONS[manifest.kind],
        **({"datasets": datasets} if datasets else {}),
        **({"metrics": [*METRICS]} if tags else {}),
        "tags": ["biomedical", kind if tags else "domain-adaptation"],
        **({"co2_eq_emissions": emissions} if emissions else {}),
        **({"model-index": [{"name": manifest.name, "results": results}]} if results else {}),
    }


def dataset_revision(corpus: str, split: str) -> str | None:
    """Compute the SHA-256 that pins a catalogued split; ``None`` for what is not in the catalog."""
    row = CATALOG.get(corpus)
    if row is None or split not in row.splits:
        return None
    # Layout and fold are hashed too: two splits may be read from the same files in different ways.
    files = row.splits[split]
    fold = [f"{files.fold.by} {files.fold.numbers}\n"] if files.fold else []
    lines = sorted(f"{member.sha256}  {member.path}\n" for member in files.members)
    return sha256("".join([f"{files.layout}\n", *fold, *lines]).encode())


def _result(score: Mapping[str, Any]) -> dict[str, Any]:
    corpus, split = str(score["corpus"]), str(score["split"])
    row = CATALOG.get(corpus)
    revision = dataset_revision(corpus, split)
    metrics = [
        {
            "type": metric,
            "value": round(score["micro"][metric], 6),
            "name": f"{name}, mentions, strict, on characters",
        }
        for metric, name in METRICS.items()
        if dig(score, "micro", metric) is not None
    ]

    return {
        "task": {"type": "token-classification", "name": "Named entity recognition"},
        "dataset": {
            "type": corpus,
            "name": row.title if row else corpus,
            "split": split,
            **({"revision": revision} if revision else {}),
        },
        "metrics": metrics,
    }


def _emissions(manifest: Manifest, record: Mapping[str, Any]) -> dict[str, Any]:
    """Add up the emissions of all steps, in grams; empty if one step was not measured."""
    steps = find_steps(record)
    co2e_kg = total(step.co2e_kg for step in steps) if steps else None
    if co2e_kg is None:
        return {}
    cores = dig(record, "host", "cores")
    hardware = [dig(record, "host", "processor"), f"{cores} cores" if cores else None]
    return {
        "emissions": round(1000 * co2e_kg, 6),
        "source": f"CodeCarbon (mode: {steps[-1].mode or 'unknown'})",
        "training_type": "fine-tuning" if manifest.heads else "pre-training",
        **({"geographical_location": steps[-1].country} if steps[-1].country else {}),
        **({"hardware_used": ", ".join(filter(None, hardware))} if any(hardware) else {}),
    }
