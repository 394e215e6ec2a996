"""The model card: what a bundle is, what it was trained on, how it scores, and what it must not be used for.

Every figure comes from the run record or the scores file; where one is missing the card says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from openmed_ner.bundle.manifest import Manifest
from openmed_ner.corpora import CATALOG

_INTENDED = """## Intended use and limits

For finding mentions of the listed entity types in English biomedical abstracts and articles, as a step in
text mining and curation. Clinical notes, patents and social media differ from the training text; measure
on your own sample before relying on the results there. The model finds mentions; it does not
link them to a database, and does not tell negated or hypothetical ones from asserted ones. It is not a
medical device and must not decide anything about a patient by itself.
"""


def write_card(
    path: Path,
    manifest: Manifest,
    *,
    record: Mapping[str, Any],
    scores: Sequence[Mapping[str, Any]] = (),
    parity: Mapping[str, Any] | None = None,
) -> None:
    """Write the card of a bundle.

    Args:
        path: the file.
        manifest: what the bundle is.
        record: the training run's record.
        scores: evaluations, as ``evaluate --json`` writes them.
        parity: how far an exported model agrees with the original.
    """
    if manifest.heads:
        adapted = [_adaptation(record["adaptation"])] if "adaptation" in record else []
        parts = [_front(manifest), _data(manifest, record), *adapted, _training(record), _scores(scores)]
        if parity:
            parts.append(_parity(parity))
        parts.append(_INTENDED)
    else:
        parts = [_encoder_front(manifest), _adaptation(record), _ENCODER_USE]
    path.write_text("\n".join(parts), encoding="utf-8")


def _matter(manifest: Manifest, *, task: str, tag: str) -> str:
    """The hub's metadata and the title."""
    return f"""---
license: {manifest.licence.lower()}
language: en
library_name: openmed-ner
pipeline_tag: {task}
base_model: {manifest.backbone.hub_id}
tags: [biomedical, {tag}]
---

# {manifest.name}
"""


def _front(manifest: Manifest) -> str:
    types = sorted({label for head in manifest.heads for label in head.labels})
    backbone = manifest.backbone
    return f"""{_matter(manifest, task="token-classification", tag="named-entity-recognition")}
Biomedical named entity recognition: {", ".join(types)}. {_KINDS[manifest.kind]}, {manifest.precision},
{len(manifest.heads)} heads on one pass of {backbone.name} ({backbone.hub_id} at
{backbone.revision or "a local folder"}, {backbone.licence}). Written by openmed-ner {manifest.version}.
"""


def _encoder_front(manifest: Manifest) -> str:
    backbone = manifest.backbone
    return f"""{_matter(manifest, task="fill-mask", tag="domain-adaptation")}
{backbone.name} ({backbone.hub_id} at {backbone.revision or "a local folder"}, {backbone.licence}) adapted to
biomedical text by masked language modelling: {_ENCODERS[manifest.kind]}.
Written by openmed-ner {manifest.version}.
"""


def _adaptation(record: Mapping[str, Any]) -> str:
    """Domain-adaptive pretraining: how, on what, under which terms, and what it changed."""
    recipe, held_out, parameters = record["recipe"], record["held_out"], record["parameters"]
    history = record["history"]
    measured = [
        f"{held_out[when]['perplexity']:.2f} {when}" for when in ("before", "after") if when in held_out
    ]
    lines = [
        "## Adaptation to biomedical text",
        "",
        f"Method {recipe['method']}, seed {recipe['seed']}, {history['subwords']:,} subwords; "
        f"{parameters['trained']:,} of {parameters['total']:,} parameters trained "
        f"({100 * parameters['share']:.2f} %). Perplexity on {held_out['passages']:,} held-out pieces: "
        f"{', '.join(measured)}. {history['seconds'] / 60:.0f} minutes; "
        f"{_describe_energy(record['energy'])}. Commit {record['commit']}.",
        "",
        "| source | licence | class | passages read | kept | dropped |",
        "|---|---|---|---|---|---|",
    ]
    classes: set[str] = set()
    for source in record["passages"]["sources"]:
        left_out = recipe["licences"] == "permissive" and source["licence_class"] != "permissive"
        if left_out or recipe["weights"].get(source["name"]) == 0:
            continue
        dropped = ", ".join(f"{reason} {count:,}" for reason, count in source["dropped"].items()) or "none"
        lines.append(
            f"| {source['name']} | {source['licence']} | {source['licence_class']} | {source['read']:,} "
            f"| {source['kept']:,} | {dropped} |"
        )
        classes.add(source["licence_class"])
    guard = record["passages"]["guard"]
    if closed := sorted(classes - {"permissive"}):
        lines += ["", _TERMS.format(classes=" and ".join(closed))]
    lines += ["", _GUARDS[guard["mode"]].format(count=len(guard["splits"]))]
    return "\n".join([*lines, ""])


_TERMS = (
    "Sources of the class {classes} were read. Look at their terms before any commercial use, or adapt again "
    "with `--licences permissive`."
)
_GUARDS = {
    "catalog": "No passage shares a sentence with any of the {count} dev and test splits of the catalog.",
    "available": "No passage shares a sentence with any of the {count} dev and test splits at hand.",
    "nothing": "Passages were not compared with dev and test documents.",
}
_ENCODERS = {"adapter": "a LoRA adapter and a language-modelling head", "full": "every weight"}
_ENCODER_USE = """## Use

To fine-tune from: `openmed-ner train --adapted`. It finds no entities by itself. An adapter is in peft's
format, and loads onto the backbone without this project.
"""
_KINDS = {
    "adapter": "LoRA adapter and heads",
    "full": "Fully fine-tuned encoder and heads",
    "runtime": "ONNX model that needs no torch",
}


def _data(manifest: Manifest, record: Mapping[str, Any]) -> str:
    lines = [
        "## Training data",
        "",
        "| head | labels | documents train/dev | licence of the corpus | cite |",
        "|---|---|---|---|---|",
    ]
    for head in manifest.heads:
        data = record.get("data", {}).get(head.corpus, {})
        sizes = "/".join(str(data[split]["documents"]) for split in ("train", "dev") if split in data)
        if data.get("left_out"):
            sizes += f"; {len(data['left_out'])} left out"
        row = CATALOG.get(head.corpus)
        licence, citation = (row.licence, row.citation) if row else ("stated by its owner", "")
        lines.append(f"| {head.corpus} | {', '.join(head.labels)} | {sizes} | {licence} | {citation} |")
    left = (
        "Left out: training documents that stand, whole or by half, in a dev or test split of these corpora."
    )
    told = ["", left] if any("left out" in line for line in lines) else []
    return "\n".join([*lines, *told, ""])


def _training(record: Mapping[str, Any]) -> str:
    if not record:
        return "## Training\n\nNo run record is at hand.\n"
    recipe, history, energy = record["recipe"], record["history"], record["energy"]
    parameters = record["parameters"]
    return f"""## Training

Method {recipe["method"]}, seed {recipe["seed"]}; {parameters["trained"]:,} of {parameters["total"]:,}
parameters trained ({100 * parameters["share"]:.2f} %);
epoch {history["best_epoch"] + 1} of {len(history["scores"])} chosen on dev;
{history["seconds"] / 60:.0f} minutes on {record["host"]["processor"]}; {_describe_energy(energy)}.
Commit {record["commit"]}.
"""


def _describe_energy(energy: Mapping[str, Any]) -> str:
    if energy["kwh"] is None:
        return "energy not measured"
    grid = f" at {energy['kg_co2e_per_kwh']:.3f} kg/kWh" if energy.get("kg_co2e_per_kwh") else ""
    return (
        f"{1000 * energy['kwh']:.1f} Wh, {1000 * energy['co2e_kg']:.1f} g CO2e on the grid of "
        f"{energy['country']}{grid} (mode: {energy['mode']})"
    )


def _scores(scores: Sequence[Mapping[str, Any]]) -> str:
    if not scores:
        return "## Scores\n\nNot evaluated yet.\n"
    lines = [
        "## Scores",
        "",
        "| corpus | split | protocol | precision | recall | F1 | 95 % interval |",
        "|---|---|---|---|---|---|---|",
    ]
    for score in scores:
        micro = score["micro"]
        low, high = micro["ci95"]
        values = " | ".join(f"{100 * micro[key]:.2f}" for key in ("precision", "recall", "f1"))
        lines.append(
            f"| {score['corpus']} | {score['split']} | {score['protocol']} | {values} "
            f"| {100 * low:.1f} to {100 * high:.1f} |"
        )
    return "\n".join([*lines, *_notes(score["corpus"] for score in scores), ""])


def _notes(names: Iterable[str]) -> list[str]:
    """What was scored, for each corpus of the catalog that has something to say about it."""
    rows = [CATALOG[name] for name in dict.fromkeys(names) if name in CATALOG]
    notes = [f"- {row.name}: {row.note}" for row in rows if row.note]
    return ["", *notes] if notes else []


def _parity(parity: Mapping[str, Any]) -> str:
    differences = "; ".join(
        f"{name} {100 * row['f1_difference']:+.2f}" for name, row in parity.get("corpora", {}).items()
    )
    return f"""## Parity with the original in fp32

{100 * parity["span_agreement"]:.2f} % of spans agree over {parity["documents"]} documents
({parity["texts"]}). Difference in dev F1, in points: {differences or "not measured"}.
"""
