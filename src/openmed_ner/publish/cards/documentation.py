"""Technical documentation after Annex IV of the EU AI Act, as far as the records of a bundle go.

The headings are those of Annex IV to Regulation (EU) 2024/1689, in short. The manifest, the run record, the
scores and the catalog fill them. What only a provider or deployer can know is left open: such lines begin
with :data:`OPEN`, and are listed again at the end. The pack is a help and no legal advice: its provider
decides whether a system is high-risk and needs such documentation at all.

The summary of training content follows the European Commission's template for general-purpose AI models, in
its three parts: general information, data sources, data processing. It takes no position on whether a tagger
is such a model. Readers know the form, and only recorded values are filled in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from openmed_ner.bundle.manifest import Manifest
from openmed_ner.corpora import CATALOG
from openmed_ner.publish.cards import performance
from openmed_ner.publish.cards.data import DataSource, find_adaptation, find_sources, iter_passages
from openmed_ner.publish.cards.energy import find_steps, write_steps
from openmed_ner.publish.cards.markdown import (
    NOT_RECORDED,
    OPEN,
    dig,
    list_settings,
    open_point,
    show,
    table,
)
from openmed_ner.publish.cards.model import (
    PROTECTION,
    describe_adaptation,
    describe_data,
    describe_intended,
    describe_product,
    describe_training,
    describe_use,
    list_leaks,
)

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
    """Write the pack: Annex IV, the summary of training content, and the list of open points.

    Args:
        manifest: the bundle's manifest.
        record: the run record; may be empty.
        scores: evaluations, as ``evaluate --json`` writes them.
        parity: certificate of an exported model: its agreement with the original.
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
    """List the open points of a pack, each with the number of its section."""
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
    """Yield the nine sections of Annex IV, each with its heading."""
    yield "1. General description", _general(manifest, record)

    development = _development(manifest, record, scores)
    yield "2. Elements of the system and the process of its development", development
    yield "3. Monitoring, functioning and control", _control(manifest, scores)
    yield "4. Appropriateness of the performance metrics", _metrics(scores, parity)
    yield "5. Risk management system", [open_point("the risk management system after Article 9")]
    yield "6. Changes through the lifecycle", _changes(manifest, record)

    standards = open_point("harmonised standards applied, or the solutions in their place")
    yield "7. Standards applied", [standards]

    declaration = open_point("a copy of the declaration after Article 47, if one is due")
    yield "8. EU declaration of conformity", [declaration]
    yield "9. Post-market monitoring", [open_point("the monitoring system and plan after Article 72")]


def _general(manifest: Manifest, record: Mapping[str, Any]) -> list[str]:
    versions = [[*map(str, pair)] for pair in (dig(record, "versions") or {}).items()]
    files = [[name, f"{file.size:,}", file.sha256] for name, file in sorted(manifest.files.items())]

    return [
        describe_product(manifest),
        f"Intended purpose of the model. {describe_intended(manifest)}",
        open_point("the intended purpose of the system, its provider, and its relation to earlier versions"),
        open_point("how the system interacts with other hardware and software"),
        "Versions of the software that trained it:\n",
        table(("package", "version"), versions) if versions else f"{NOT_RECORDED}\n",
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
        describe_data(manifest, record) if manifest.heads else "See 2(a).\n",
        _hashes(manifest, record),
        open_point("how far these data represent the texts and persons the system is for"),
        "### 2(e) Human oversight\n",
        open_point("the assessment of human oversight after Article 14"),
        "### 2(f) Predetermined changes\n",
        "The weights do not change in use.\n",
        open_point("changes of the system that are planned, and how compliance is kept"),
        "### 2(g) Validation and testing\n",
        performance.describe_scores(scores),
        list_leaks(manifest, record, scores),
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
        *([describe_training(manifest, record)] if manifest.heads else []),
        *([describe_adaptation(adaptation)] if adaptation or not manifest.heads else []),
    ]


def _design(manifest: Manifest, record: Mapping[str, Any]) -> list[str]:
    settings = list_settings(dig(record, "recipe") or {})
    tagging = (
        "Each window passes the encoder once; a linear layer per corpus gives each word a tag, and the best "
        "well-formed sequence of tags is decoded into mentions."
    )
    return [
        f"Text is cut into windows of {manifest.window} subwords that overlap by {manifest.overlap}.\n",
        *([f"{tagging}\n"] if manifest.heads else []),
        "Settings of the run:\n",
        table(("setting", "value"), settings) if settings else f"{NOT_RECORDED}\n",
        open_point("the rationale and the assumptions behind these choices for the system's purpose"),
    ]


def _hashes(manifest: Manifest, record: Mapping[str, Any]) -> str:
    rows = [
        [head.corpus, split, show(dig(record, "data", head.corpus, split, "sha256"))]
        for head in manifest.heads
        for split in ("train", "dev")
    ]
    return table(("corpus", "split", "SHA-256 of the documents and their mentions"), rows) if rows else ""


def _control(manifest: Manifest, scores: Sequence[Mapping[str, Any]]) -> list[str]:
    profile = [performance.describe_seen(scores), performance.describe_errors(scores)]
    return [
        "Expected accuracy, on texts like those of the corpora:\n",
        *(profile if scores else [performance.UNSCORED]),
        open_point("accuracy for particular groups of persons, and foreseeable unintended outcomes"),
        f"{describe_intended(manifest)}\n{PROTECTION}",
        "Every result says which characters were read. Each mention has a score between 0 and 1, and a "
        "threshold can be set on it.\n",
        open_point("measures of human oversight, and what the deployer must feed in"),
    ]


def _metrics(scores: Sequence[Mapping[str, Any]], parity: Mapping[str, Any] | None) -> list[str]:
    return [
        "Mentions are what a reader of the result uses, so mentions are counted: by strict matching of both "
        "boundaries and the type. Figures that count words or subwords are not comparable with these. Forms "
        "that training showed are scored apart from forms that it did not.\n",
        performance.PROTOCOL if scores else performance.UNSCORED,
        *([performance.describe_parity(parity)] if parity else []),
        open_point("why these metrics suit the system's purpose"),
    ]


def _changes(manifest: Manifest, record: Mapping[str, Any]) -> list[str]:
    return [
        f"Written by openmed-ner {manifest.version}; commit of the run: {show(dig(record, 'commit'))}.\n",
        open_point("relevant changes made by the provider"),
    ]


def summarise_content(manifest: Manifest, record: Mapping[str, Any]) -> str:
    """Write the summary of a bundle's training content, in three sections."""
    return "\n".join(
        [
            "## A1. General information\n",
            *_content_general(manifest, record),
            "## A2. Data sources\n",
            *_content_sources(manifest, record),
            "## A3. Data processing\n",
            *_content_processing(manifest, record),
        ]
    )


def _content_general(manifest: Manifest, record: Mapping[str, Any]) -> list[str]:
    backbone, adaptation = manifest.backbone, find_adaptation(manifest, record)
    sizes = [
        f"{head.corpus}: {show(dig(record, 'data', head.corpus, 'train', 'documents'), ',')} documents"
        for head in manifest.heads
    ]
    if adaptation:
        sizes.append(f"adaptation: {show(dig(adaptation, 'history', 'subwords'), ',')} subwords")

    return [
        open_point("name and contact of the provider and of an authorised representative"),
        f"Model: {manifest.name}, written by openmed-ner {manifest.version}. It modifies: {backbone.name} "
        f"({backbone.hub_id}, revision: {show(backbone.revision)}).\n",
        open_point("the date on which it was placed on the Union market"),
        f"Modality: text. Sizes: {'; '.join(sizes) or NOT_RECORDED}. Kind of content: texts with annotated "
        "mentions, and passages, as listed. Language of the catalog's corpora: English.\n",
        "What the pre-trained encoder read is for its authors to summarise.\n",
        open_point("when the latest data were acquired"),
    ]


def _content_sources(manifest: Manifest, record: Mapping[str, Any]) -> list[str]:
    sources = [source for source in find_sources(manifest, record) if source.role != "backbone"]
    public = [source for source in sources if source.role != "corpus" or source.name in CATALOG]
    private = [source for source in sources if source not in public]
    none = "None recorded.\n"

    return [
        "### A2.1 Publicly available data sets\n",
        _source_table(public) if public else none,
        "### A2.2 Private data sets of others\n",
        *([_source_table(private), open_point("what these data sets are")] if private else [none]),
        "### A2.3 Data crawled and scraped\n",
        "None recorded. The compilers of the data sets above can say how they obtained their texts.\n",
        "### A2.4 User data\n",
        "None: training reads the data sets above, and nothing that is tagged.\n",
        "### A2.5 Synthetic data\n",
        none,
        "### A2.6 Other sources\n",
        none,
    ]


def _source_table(sources: Sequence[DataSource]) -> str:
    rows = [
        [
            source.name,
            source.role,
            source.licence,
            source.licence_class,
            show(source.home),
            show(source.citation),
        ]
        for source in sources
    ]
    return table(("data set", "role", "terms", "class", "published at", "cite"), rows)


def _content_processing(manifest: Manifest, record: Mapping[str, Any]) -> list[str]:
    adaptation = find_adaptation(manifest, record)
    closed = [
        show(row.get("name")) for row in iter_passages(adaptation) if row.get("licence_class") != "permissive"
    ]
    return [
        "### A3.1 Reservations of rights\n",
        f"Sources of passages whose terms are not permissive: {', '.join(closed) or 'none recorded'}.\n",
        open_point("how reservations under Article 4(3) of Directive (EU) 2019/790 were respected"),
        "### A3.2 Illegal content\n",
        "The texts were not searched for illegal content.\n",
        open_point("measures against illegal content"),
        "### A3.3 Other\n",
        list_leaks(manifest, record),
    ]
