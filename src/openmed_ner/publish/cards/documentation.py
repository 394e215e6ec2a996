"""Technical documentation after Annex IV of the EU AI Act, as far as the records of a bundle go.

The headings are those of Annex IV to Regulation (EU) 2024/1689, in short. Each is filled with what the
manifest, the run record, the scores and the catalog hold; what only a provider or deployer can know is marked
by one kind of line, :data:`OPEN`, and listed again at the end. It is a help and no legal advice: whether a
system is high-risk, and needs such documentation at all, is for its provider to decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from openmed_ner.bundle.manifest import Manifest
from openmed_ner.publish.cards import making, measured
from openmed_ner.publish.cards.content import summarise_content
from openmed_ner.publish.cards.energy import find_steps, write_steps
from openmed_ner.publish.cards.markdown import NOT_RECORDED, OPEN, dig, open_point, show, table
from openmed_ner.publish.cards.model import INTENDED, PROTECTION, describe_use
from openmed_ner.publish.cards.sources import find_adaptation

DISCLAIMER = (
    "This pack is a help, not legal advice. It holds what the records of the model say and nothing else. "
    "Whether a system that uses the model is high-risk under Regulation (EU) 2024/1689, and what "
    "documentation it then needs, is for the provider of that system to decide."
)


def write_documentation(
    manifest: Manifest,
    *,
    record: Mapping[str, Any],
    scores: Sequence[Mapping[str, Any]] = (),
    parity: Mapping[str, Any] | None = None,
) -> str:
    """The pack: Annex IV, the summary of training content, and the list of what is still open.

    Args:
        manifest: what the bundle is.
        record: the run record; may be empty.
        scores: evaluations, as ``evaluate --json`` writes them.
        parity: how far an exported model agrees with the original.
    """
    parts = [f"# Technical documentation of {manifest.name}\n", f"{DISCLAIMER}\n"]
    for heading, texts in _annex(manifest, record, scores, parity):
        parts += [f"## {heading}\n", *texts]
    parts += ["# Summary of training content\n", summarise_content(manifest, record)]
    points = list_open_points("\n".join(parts))
    parts.append(f"# Still to be added: {len(points)} points\n")
    parts.append("".join(f"{number}. {point}\n" for number, point in enumerate(points, 1)))
    return "\n".join(parts)


def list_open_points(text: str) -> list[str]:
    """What a pack leaves to its reader, each with the number of its section."""
    points, section = [], ""
    for line in text.splitlines():
        if line.startswith("#"):
            section = line.strip("# ").split(" ")[0].rstrip(".")
        elif line.startswith(OPEN):
            points.append(f"{section}: {line.removeprefix(OPEN).strip()}")
    return points


def _annex(
    manifest: Manifest,
    record: Mapping[str, Any],
    scores: Sequence[Mapping[str, Any]],
    parity: Mapping[str, Any] | None,
) -> Iterable[tuple[str, Sequence[str]]]:
    yield "1. General description", _general(manifest, record)
    yield (
        "2. Elements of the system and the process of its development",
        _development(manifest, record, scores),
    )
    yield "3. Monitoring, functioning and control", _control(scores)
    yield "4. Appropriateness of the performance metrics", _metrics(scores, parity)
    yield "5. Risk management system", [open_point("the risk management system after Article 9")]
    yield "6. Changes through the lifecycle", _changes(manifest, record)
    yield (
        "7. Standards applied",
        [open_point("harmonised standards applied, or the solutions in their place")],
    )
    yield (
        "8. EU declaration of conformity",
        [open_point("a copy of the declaration after Article 47, if one is due")],
    )
    yield "9. Post-market monitoring", [open_point("the monitoring system and plan after Article 72")]


def _general(manifest: Manifest, record: Mapping[str, Any]) -> list[str]:
    versions = dig(record, "versions") or {}
    files = [[name, f"{file.size:,}", file.sha256] for name, file in sorted(manifest.files.items())]
    return [
        making.describe_product(manifest),
        f"Intended purpose of the model. {INTENDED}",
        open_point("the intended purpose of the system, its provider, and its relation to earlier versions"),
        open_point("how the system interacts with other hardware and software"),
        "Versions of the software that trained it:\n",
        table(("package", "version"), [[*map(str, pair)] for pair in versions.items()])
        if versions
        else f"{NOT_RECORDED}\n",
        "Files of the bundle:\n",
        table(("file", "bytes", "SHA-256"), files) if files else f"{NOT_RECORDED}\n",
        open_point("the forms in which the system is placed on the market or put into service"),
        "The model runs on an ordinary processor. Interfaces: command line, Python, REST.\n",
        open_point("the hardware it is to run on, and the user interface of the deployer"),
        f"Instructions for use:\n\n{describe_use(manifest)}" if manifest.heads else "",
        open_point("instructions for use to the deployer"),
    ]


def _development(
    manifest: Manifest, record: Mapping[str, Any], scores: Sequence[Mapping[str, Any]]
) -> list[str]:
    host = dig(record, "host") or {}
    return [
        "### 2(a) Methods, and pre-trained systems of others\n",
        *_methods(manifest, record),
        "### 2(b) Design\n",
        *_design(manifest, record),
        "### 2(c) Architecture and computational resources\n",
        f"Processor: {show(host.get('processor'))}, cores: {show(host.get('cores'))}.\n",
        write_steps(find_steps(record)),
        "### 2(d) Data\n",
        making.describe_data(manifest, record) if manifest.heads else "See 2(a).\n",
        _hashes(manifest, record),
        open_point("how far these data represent the texts and persons the system is for"),
        "### 2(e) Human oversight\n",
        open_point("the assessment of human oversight after Article 14"),
        "### 2(f) Predetermined changes\n",
        "The weights do not change in use.\n",
        open_point("changes of the system that are planned, and how compliance is kept"),
        "### 2(g) Validation and testing\n",
        measured.describe_scores(scores),
        making.list_leaks(manifest, record, scores),
        open_point("tests on the deployer's own texts, test logs, and reports dated and signed"),
        "### 2(h) Cybersecurity\n",
        "Every file of the bundle is checked by SHA-256 when it is opened. No code of a bundle is run, and "
        "nothing is unpickled.\n",
        open_point("cybersecurity measures of the system"),
    ]


def _methods(manifest: Manifest, record: Mapping[str, Any]) -> list[str]:
    backbone, adaptation = manifest.backbone, find_adaptation(manifest, record)
    return [
        f"Pre-trained encoder: {backbone.name}, {backbone.hub_id}, revision: {show(backbone.revision)}, "
        f"SHA-256: {show(backbone.sha256)}, licence: {show(backbone.licence)}.\n",
        *([making.describe_training(record)] if manifest.heads else []),
        *([making.describe_adaptation(adaptation)] if adaptation or not manifest.heads else []),
    ]


def _design(manifest: Manifest, record: Mapping[str, Any]) -> list[str]:
    recipe = making.list_settings(dig(record, "recipe") or {})
    tagging = (
        "Each window passes the encoder once; a linear layer per corpus gives each word a tag, and the best "
        "well-formed sequence of tags is decoded into mentions."
    )
    return [
        f"Text is cut into windows of {manifest.window} subwords that overlap by {manifest.overlap}.\n",
        *([f"{tagging}\n"] if manifest.heads else []),
        "Settings of the run:\n",
        table(("setting", "value"), recipe) if recipe else f"{NOT_RECORDED}\n",
        open_point("the rationale and the assumptions behind these choices for the system's purpose"),
    ]


def _hashes(manifest: Manifest, record: Mapping[str, Any]) -> str:
    rows = [
        [head.corpus, split, show(dig(record, "data", head.corpus, split, "sha256"))]
        for head in manifest.heads
        for split in ("train", "dev")
    ]
    return table(("corpus", "split", "SHA-256 of the documents and their mentions"), rows) if rows else ""


def _control(scores: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        "Expected accuracy, on texts like those of the corpora:\n",
        *(
            [measured.describe_seen(scores), measured.describe_errors(scores)]
            if scores
            else [measured.UNSCORED]
        ),
        open_point("accuracy for particular groups of persons, and foreseeable unintended outcomes"),
        f"{INTENDED}\n{PROTECTION}",
        "Every result says which characters were read. Each mention has a score between 0 and 1, and a "
        "threshold can be set on it.\n",
        open_point("measures of human oversight, and what the deployer must feed in"),
    ]


def _metrics(scores: Sequence[Mapping[str, Any]], parity: Mapping[str, Any] | None) -> list[str]:
    return [
        "Mentions are what a reader of the result uses, so mentions are counted: by strict matching of both "
        "boundaries and the type. Figures that count words or subwords are not comparable with these. Forms "
        "that training showed are scored apart from forms that it did not.\n",
        measured.PROTOCOL if scores else measured.UNSCORED,
        *([measured.describe_parity(parity)] if parity else []),
        open_point("why these metrics suit the system's purpose"),
    ]


def _changes(manifest: Manifest, record: Mapping[str, Any]) -> list[str]:
    return [
        f"Written by openmed-ner {manifest.version}; commit of the run: {show(dig(record, 'commit'))}.\n",
        open_point("relevant changes made by the provider"),
    ]
