"""The model card: what a bundle is, what it was trained on, how it scores, and what it must not be used for.

Every figure comes from the manifest, the run record, the scores or the certificate; where one is missing the
card says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from openmed_ner.bundle.manifest import Manifest
from openmed_ner.publish.cards import making, measured, metadata
from openmed_ner.publish.cards.energy import find_steps, write_steps
from openmed_ner.publish.cards.markdown import NOT_RECORDED, dig, page, show
from openmed_ner.publish.cards.sources import find_adaptation, find_sources

INTENDED = """\
For finding mentions of the listed entity types in English biomedical abstracts and articles, as a step in
text mining and curation. Clinical notes, patents and social media differ from the training text; measure
on your own sample before relying on the results there. The model finds mentions; it does not
link them to a database, and does not tell negated or hypothetical ones from asserted ones. It is not a
medical device and must not decide anything about a patient by itself.
"""
ENCODER_USE = """\
To fine-tune from: `openmed-ner train --adapted FOLDER`. It finds no entities by itself. An adapter is in
peft's format, and loads onto the backbone without this project.
"""
PROTECTION = """\
- Tagging reads the text it is given, on the machine where it runs, and opens no connection. It writes where
  it is told to, and nowhere else.
- The catalog records nothing that the corpora state about personal data, and this project did not search
  their texts for any.
"""
_PASSAGES = "- The passages of the adaptation were not searched for personal data, either.\n"
METHOD = "OpenMed NER, arXiv 2508.01630 (the method; this is an independent implementation)"
Section = tuple[str, str]


def write_card(
    path: Path,
    manifest: Manifest,
    *,
    record: Mapping[str, Any],
    scores: Sequence[Mapping[str, Any]] = (),
    parity: Mapping[str, Any] | None = None,
) -> None:
    """Write the card of a bundle; the arguments are those of :func:`describe_model`."""
    path.write_text(describe_model(manifest, record=record, scores=scores, parity=parity), encoding="utf-8")


def describe_model(
    manifest: Manifest,
    *,
    record: Mapping[str, Any],
    scores: Sequence[Mapping[str, Any]] = (),
    parity: Mapping[str, Any] | None = None,
) -> str:
    """The card of a bundle.

    Args:
        manifest: what the bundle is.
        record: the training run's record; may be empty.
        scores: evaluations, as ``evaluate --json`` writes them.
        parity: how far an exported model agrees with the original.
    """
    sections = _tagger(manifest, record, scores, parity) if manifest.heads else _encoder(manifest, record)
    return page(metadata.describe(manifest, record, scores), manifest.name, sections)


def _tagger(
    manifest: Manifest,
    record: Mapping[str, Any],
    scores: Sequence[Mapping[str, Any]],
    parity: Mapping[str, Any] | None,
) -> list[Section]:
    adaptation = find_adaptation(manifest, record)
    adapted = (
        [("Adaptation to biomedical text", making.describe_adaptation(adaptation))] if adaptation else []
    )
    exported = manifest.kind == "runtime"
    performance = [
        ("Seen and unseen", measured.describe_seen(scores)),
        ("Error profile", measured.describe_errors(scores)),
    ]
    return [
        ("", making.describe_product(manifest)),
        ("Use", describe_use(manifest)),
        ("Training data", making.describe_data(manifest, record)),
        *adapted,
        ("Training", making.describe_training(record)),
        ("Scores", measured.describe_scores(scores)),
        *(performance if scores else []),
        *([("Parity with the original in fp32", measured.describe_parity(parity))] if exported else []),
        ("Energy", write_steps(find_steps(record))),
        ("Intended use and limits", INTENDED),
        ("Known leaks", making.list_leaks(manifest, record, scores)),
        ("Data protection", PROTECTION + (_PASSAGES if adaptation else "")),
        ("Cite", cite(manifest, record)),
    ]


def _encoder(manifest: Manifest, record: Mapping[str, Any]) -> list[Section]:
    return [
        ("", making.describe_product(manifest)),
        ("Use", ENCODER_USE),
        ("Adaptation to biomedical text", making.describe_adaptation(record)),
        ("Energy", write_steps(find_steps(record))),
        ("Known leaks", making.list_leaks(manifest, record)),
        ("Data protection", PROTECTION + _PASSAGES),
        ("Cite", cite(manifest, record)),
    ]


def describe_use(manifest: Manifest) -> str:
    """The two commands that a reader needs, from a copy of the project."""
    extra = "pip install ." if manifest.kind == "runtime" else "pip install '.[train]'"
    return f"```console\n$ {extra}\n$ openmed-ner tag abstract.txt --bundle FOLDER\n```\n"


def cite(manifest: Manifest, record: Mapping[str, Any]) -> str:
    """What to cite: the method, every corpus that has a paper, and this very model."""
    citations = [source.citation for source in find_sources(manifest, record) if source.citation]
    commit = show(dig(record, "commit")) if record else NOT_RECORDED
    own = f"{manifest.name}, openmed-ner {manifest.version}, commit: {commit}"
    return "".join(f"- {line}\n" for line in dict.fromkeys([METHOD, *citations, own]))
