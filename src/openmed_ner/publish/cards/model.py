"""The model card: what a bundle is, what it was trained on, how it scores, and what it must not be used for.

Every figure comes from the manifest, the run record, the scores or the certificate. Where one is missing the
card says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from openmed_ner.bundle import Bundle, seal
from openmed_ner.bundle.manifest import CARD, PARITY, RECORD, SCORES, LexiconReference, Manifest
from openmed_ner.corpora import CATALOG
from openmed_ner.publish.cards import performance
from openmed_ner.publish.cards.data import (
    OWNERS,
    describe_passages,
    find_adaptation,
    find_sources,
    iter_passages,
)
from openmed_ner.publish.cards.energy import find_steps, write_steps
from openmed_ner.publish.cards.markdown import (
    NO_RECORD,
    NOT_RECORDED,
    bullets,
    dig,
    page,
    percent,
    show,
    table,
)
from openmed_ner.publish.cards.metadata import model_metadata
from openmed_ner.storage import atomic_file, write_json

INTENDED = """\
For finding mentions of the listed entity types in English biomedical abstracts and articles, as a step in
text mining and curation. Clinical notes, patents and social media differ from the training text; measure
on your own sample before relying on the results there. The model finds mentions; it does not
link them to a database, and does not tell negated or hypothetical ones from asserted ones. It is not a
medical device and must not decide anything about a patient by itself.
"""
OWN_INTENDED = """\
For finding mentions of the listed entity types in texts like those that their owner annotated ({heads}).
Measure on your own sample before relying on the results elsewhere. It is not a medical device and must not
decide anything about a patient by itself.
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
METHOD = "OpenMed NER, arXiv 2508.01630 (the method; this is an independent implementation)"
PRODUCTS = {
    "adapter": "LoRA adapter and heads",
    "full": "Fully fine-tuned encoder and heads",
    "runtime": "ONNX model that needs no torch",
}
ENCODERS = {"adapter": "a LoRA adapter and a language-modelling head", "full": "every weight"}
_PASSAGES = "- The passages of the adaptation were not searched for personal data, either.\n"
_GUARDS = {
    "catalog": "No passage shares a sentence with any of the {count} dev and test splits of the catalog.",
    "available": "No passage shares a sentence with any of the {count} available dev and test splits.",
    "nothing": "Passages were not compared with dev and test documents.",
}
_LEFT_OUT = {
    "held-out": "Training documents that appear, whole or by half, in a dev or test split of these corpora "
    "were left out.",
    "nothing": "Training documents that also appear in a dev or test split were not left out.",
}
_TERMS = (
    "Sources of the class {classes} were read. Look at their terms before any commercial use, or adapt again "
    "with `--licences permissive`."
)
Section = tuple[str, str]


def describe_model(
    manifest: Manifest,
    *,
    record: Mapping[str, Any],
    scores: Sequence[Mapping[str, Any]] = (),
    parity: Mapping[str, Any] | None = None,
) -> str:
    """Write the card of a bundle.

    Args:
        manifest: the bundle's manifest.
        record: the training run's record; may be empty.
        scores: evaluations, as ``evaluate --json`` writes them.
        parity: certificate of an exported model: its agreement with the original.
    """
    sections = _tagger(manifest, record, scores, parity) if manifest.heads else _encoder(manifest, record)
    return page(model_metadata(manifest, record, scores), manifest.name, sections)


def write_card(
    path: Path,
    manifest: Manifest,
    *,
    record: Mapping[str, Any],
    scores: Sequence[Mapping[str, Any]] = (),
    parity: Mapping[str, Any] | None = None,
) -> None:
    """Write the card of a bundle to a file; the other arguments are those of :func:`describe_model`."""
    with atomic_file(path) as file:
        file.write(describe_model(manifest, record=record, scores=scores, parity=parity))


def read_records(bundle: Bundle) -> dict[str, Any]:
    """Read the records of a bundle's card: ``record``, ``scores`` and ``parity``, empty if missing."""
    record, scores, parity = (
        bundle.read_json(name) if name in bundle.manifest.files else {} for name in (RECORD, SCORES, PARITY)
    )
    return {"record": record, "scores": scores.get("results", ()), "parity": parity or None}


def attach(bundle: Bundle, scores: Sequence[Mapping[str, Any]] | None = None) -> Bundle:
    """Write a bundle's card anew from its records, and the manifest, which holds the card's digest.

    Args:
        bundle: the bundle; its other files stay as they are.
        scores: evaluations to add to the bundle first, as ``evaluate --json`` writes them.
    """
    records = read_records(bundle)
    if scores is not None:
        write_json(bundle.folder / SCORES, {"results": list(scores)})
        records["scores"] = scores
    write_card(bundle.folder / CARD, bundle.manifest, **records)
    # Last, since the manifest holds the digests of the other files.
    return seal(bundle.folder, bundle.manifest)


def _tagger(
    manifest: Manifest,
    record: Mapping[str, Any],
    scores: Sequence[Mapping[str, Any]],
    parity: Mapping[str, Any] | None,
) -> list[Section]:
    adaptation = find_adaptation(manifest, record)
    adapted = [("Adaptation to biomedical text", describe_adaptation(adaptation))]
    profile = [
        ("Seen and unseen", performance.describe_seen(scores)),
        ("Error profile", performance.describe_errors(scores)),
    ]
    decoding = [("Document-level decoding", performance.describe_document_decoding(manifest))]
    export = [("Parity with the original in fp32", performance.describe_parity(parity))]

    return [
        ("", describe_product(manifest)),
        ("Use", describe_use(manifest)),
        ("Training data", describe_data(manifest, record)),
        *(adapted if adaptation else []),
        *([("Lexicon", describe_lexicon(manifest.lexicon))] if manifest.lexicon else []),
        ("Training", describe_training(manifest, record)),
        ("Scores", performance.describe_scores(scores)),
        *(decoding if manifest.document_decoding else []),
        *(profile if scores else []),
        *(export if manifest.kind == "runtime" else []),
        ("Energy", write_steps(find_steps(record))),
        ("Intended use and limits", describe_intended(manifest)),
        ("Known leaks", list_leaks(manifest, record, scores)),
        ("Data protection", PROTECTION + (_PASSAGES if adaptation else "")),
        ("Cite", cite(manifest, record)),
    ]


def _encoder(manifest: Manifest, record: Mapping[str, Any]) -> list[Section]:
    return [
        ("", describe_product(manifest)),
        ("Use", ENCODER_USE),
        ("Adaptation to biomedical text", describe_adaptation(record)),
        ("Energy", write_steps(find_steps(record))),
        ("Known leaks", list_leaks(manifest, record)),
        ("Data protection", PROTECTION + _PASSAGES),
        ("Cite", cite(manifest, record)),
    ]


def describe_product(manifest: Manifest) -> str:
    """Describe the bundle in a sentence or two."""
    backbone = manifest.backbone
    origin = (
        f"{backbone.name} ({backbone.hub_id} at {backbone.revision or 'a local folder'}, {backbone.licence})"
    )
    if manifest.encoder_layers:
        origin += f", of which layers {', '.join(map(str, manifest.encoder_layers))} were kept (from 0),"

    if manifest.heads:
        types = sorted({label for head in manifest.heads for label in head.labels})
        product = (
            f"Biomedical named entity recognition: {', '.join(types)}. {PRODUCTS[manifest.kind]}, "
            f"{manifest.precision}, heads: {len(manifest.heads)}, on one pass of {origin}."
        )
    else:
        method = f"masked language modelling: {ENCODERS[manifest.kind]}"
        product = f"{origin} adapted to biomedical text by {method}."
    return (
        f"{product} Licence of the weights: {manifest.licence}. Written by openmed-ner {manifest.version}.\n"
    )


def describe_intended(manifest: Manifest) -> str:
    """Describe what the bundle is for; own documents may be of any kind."""
    corpora = [head.corpus for head in manifest.heads if head.corpus not in CATALOG]
    text = OWN_INTENDED.format(heads=", ".join(corpora)) if corpora else ""
    is_own = bool(corpora) and len(corpora) == len(manifest.heads)
    return text if is_own else "\n".join(filter(None, [text, INTENDED]))


def describe_use(manifest: Manifest) -> str:
    """Write the two commands that a reader needs, from a copy of the project."""
    extra = "pip install ." if manifest.kind == "runtime" else "pip install '.[train]'"
    return f"```console\n$ {extra}\n$ openmed-ner tag abstract.txt --bundle FOLDER\n```\n"


def describe_data(manifest: Manifest, record: Mapping[str, Any]) -> str:
    """Write a table of the corpora of the heads: sizes, terms and citations."""
    corpora = {source.name: source for source in find_sources(manifest, record) if source.role == "corpus"}
    rows = [
        [
            head.corpus,
            ", ".join(head.labels),
            _sizes(dig(record, "data", head.corpus)),
            corpora[head.corpus].licence,
            corpora[head.corpus].citation or OWNERS,
        ]
        for head in manifest.heads
    ]
    return table(("head", "labels", "documents train/dev", "licence of the corpus", "cite"), rows)


def _sizes(data: Mapping[str, Any] | None) -> str:
    sizes = "/".join(show(dig(data, split, "documents"), ",") for split in ("train", "dev"))
    if silver := dig(data, "silver", "documents"):
        sizes += f"; {show(silver, ',')} tagged by another model"
    if left_out := dig(data, "left_out"):
        sizes += f"; {len(left_out)} left out"
    return sizes


def describe_adaptation(record: Mapping[str, Any]) -> str:
    """Describe the domain-adaptive pretraining: method, passages with their terms, and perplexity."""
    if not record:
        return NO_RECORD
    perplexity = ", ".join(
        f"{show(dig(record, 'held_out', time, 'perplexity'), '.2f')} {time}" for time in ("before", "after")
    )
    rows = list(iter_passages(record))
    closed = sorted({str(row.get("licence_class")) for row in rows} - {"permissive"})

    lines = [
        f"{_method(record)}, subwords: {show(dig(record, 'history', 'subwords'), ',')}; "
        f"{_parameters(record)}. Perplexity on held-out pieces "
        f"({show(dig(record, 'held_out', 'passages'), ',')}): {perplexity}. "
        f"{_time(record)} Commit: {show(dig(record, 'commit'))}.",
        "",
        describe_passages(rows),
        *([_TERMS.format(classes=" and ".join(closed)), ""] if closed else []),
        _guard(dig(record, "passages", "guard")),
        "",
    ]
    return "\n".join(lines)


def describe_lexicon(lexicon: LexiconReference) -> str:
    """Describe the names that a model reads beside the text, with the terms of their terminologies."""
    rows = [
        (source.title, source.version or NOT_RECORDED, source.licence, source.home)
        for source in lexicon.terminologies
    ]
    return (
        f"The model sees which words are among {lexicon.names:,} names of these terminologies.\n\n"
        + table(("terminology", "version", "licence", "home"), rows)
    )


def _guard(guard: Mapping[str, Any] | None) -> str:
    sentence = _GUARDS.get(dig(guard, "mode"), f"Comparison with dev and test splits: {NOT_RECORDED}.")
    splits = dig(guard, "splits")
    return sentence.format(count=NOT_RECORDED if splits is None else len(splits))


def describe_training(manifest: Manifest, record: Mapping[str, Any]) -> str:
    """Describe the training run: method, start, teacher, selection of the epoch, own dev scores, and time."""
    if not record:
        return NO_RECORD
    best = dig(record, "history", "best_epoch")  # from 0
    scores = dig(record, "history", "scores")
    selection = "Epoch selected on the dev splits"
    if dig(record, "recipe", "learn") == "train+dev":
        kept = ", ".join(dig(record, "recipe", "keep_dev") or ())
        selection = "Trained on the dev splits, too"
        selection += (
            f", but not those of {kept}, which select the epoch" if kept else "; the last epoch is kept"
        )
    return (
        f"{_method(record)}; {_parameters(record)}.{_start(record)}{_teacher(record)}{_averaged(record)} "
        f"{selection}: "
        f"{show(None if best is None else best + 1)} of {show(scores and len(scores))}."
        f"{_dev(manifest, scores, best)} {_time(record)} "
        f"Processor: {show(dig(record, 'host', 'processor'))}. Commit: {show(dig(record, 'commit'))}.\n"
    )


def _dev(manifest: Manifest, scores: Sequence[Mapping[str, float]] | None, best: int | None) -> str:
    """Dev F1 of heads that are not of the catalog, which no table of scores lists."""
    chosen = scores[best] if scores and best is not None and 0 <= best < len(scores) else {}
    rows = [
        f"{head.corpus} {percent(chosen[head.corpus])}"
        for head in manifest.heads
        if head.corpus not in CATALOG and head.corpus in chosen
    ]
    return f" F1 on the dev documents, which selected the epoch: {', '.join(rows)}." if rows else ""


def _start(record: Mapping[str, Any]) -> str:
    start = dig(record, "start", "name")
    if not start:
        return ""
    soup = [str(model.get("name")) for model in dig(record, "start", "soup") or ()]
    mean = "the mean of the weights of" if soup else "the weights of"
    return f" It started from {mean} {' and '.join([start, *soup])}."


def _averaged(record: Mapping[str, Any]) -> str:
    others = record.get("averaged", ())
    if not others:
        return ""
    shares = [f"{show(model.get('name'))} ({show(model.get('share'), '.0%')})" for model in others]
    own = 1 - sum(model.get("share", 0.0) for model in others)
    return f" Its weights are the mean of this run's ({own:.0%}) and those of {' and '.join(shares)}."


def _teacher(record: Mapping[str, Any]) -> str:
    teacher = dig(record, "teacher", "name")
    if not teacher:
        return ""
    others = [str(model.get("name")) for model in dig(record, "teacher", "ensemble") or ()]
    mean = "mean probabilities" if others else "probabilities"
    # Every corpus of a run records the same set of unlabelled texts.
    counts = [dig(data, "unlabelled", "documents") for data in (record.get("data") or {}).values()]
    texts = f", on {show(counts[0], ',')} texts without annotation as well" if any(counts) else ""
    return f" It was also trained on the {mean} of {' and '.join([teacher, *others])}{texts}."


def _method(record: Mapping[str, Any]) -> str:
    return f"Method: {show(dig(record, 'recipe', 'method'))}, seed: {show(dig(record, 'recipe', 'seed'))}"


def _parameters(record: Mapping[str, Any]) -> str:
    trained, whole, share = (dig(record, "parameters", key) for key in ("trained", "total", "share"))
    return f"parameters trained: {show(trained, ',')} of {show(whole, ',')} ({percent(share)} %)"


def _time(record: Mapping[str, Any]) -> str:
    return f"Minutes: {show(dig(record, 'history', 'seconds'), '.0f', scale=1 / 60)}."


def list_leaks(
    manifest: Manifest, record: Mapping[str, Any], scores: Sequence[Mapping[str, Any]] = ()
) -> str:
    """List known overlaps of training with dev and test, and the catalog's notes on the corpora."""
    names = [*(head.corpus for head in manifest.heads), *(str(score.get("corpus")) for score in scores)]
    rows = [CATALOG[name] for name in dict.fromkeys(names) if name in CATALOG]
    unknown = f"Whether training documents that appear in a dev or test split were left out: {NOT_RECORDED}."
    rule = _LEFT_OUT.get(dig(record, "recipe", "leave_out"), unknown)
    adaptation = find_adaptation(manifest, record)
    lines = [
        *([rule] if manifest.heads else []),
        *([f"Adaptation: {_guard(dig(adaptation, 'passages', 'guard'))}"] if adaptation else []),
        "What the backbone read in its own pretraining was not compared with any corpus.",
        *(f"{row.name}: {row.note}" for row in rows if row.note),
    ]
    return bullets(lines)


def cite(manifest: Manifest, record: Mapping[str, Any]) -> str:
    """List what to cite: the method, every corpus that has a paper, and the model itself."""
    citations = [source.citation for source in find_sources(manifest, record) if source.citation]
    commit = show(dig(record, "commit")) if record else NOT_RECORDED
    model = f"{manifest.name}, openmed-ner {manifest.version}, commit: {commit}"
    return bullets(dict.fromkeys([METHOD, *citations, model]))
