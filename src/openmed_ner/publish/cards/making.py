"""How a bundle was made, from its run record: its data, its adaptation, its training, and known leaks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from openmed_ner.bundle.manifest import Manifest
from openmed_ner.corpora import CATALOG
from openmed_ner.publish.cards.markdown import NOT_RECORDED, dig, percent, show, table
from openmed_ner.publish.cards.sources import OWNERS, find_adaptation, find_sources, iter_passages

NO_RECORD = "No run record is at hand.\n"
PRODUCTS = {
    "adapter": "LoRA adapter and heads",
    "full": "Fully fine-tuned encoder and heads",
    "runtime": "ONNX model that needs no torch",
}
ENCODERS = {"adapter": "a LoRA adapter and a language-modelling head", "full": "every weight"}
_GUARDS = {
    "catalog": "No passage shares a sentence with any of the {count} dev and test splits of the catalog.",
    "available": "No passage shares a sentence with any of the {count} dev and test splits at hand.",
    "nothing": "Passages were not compared with dev and test documents.",
}
_LEFT_OUT = {
    "held-out": "Training documents that stand, whole or by half, in a dev or test split of these corpora "
    "were left out.",
    "nothing": "Training documents that also stand in a dev or test split were not left out.",
}


def describe_product(manifest: Manifest) -> str:
    """What the bundle is, in a sentence or two."""
    backbone = manifest.backbone
    origin = (
        f"{backbone.name} ({backbone.hub_id} at {backbone.revision or 'a local folder'}, {backbone.licence})"
    )
    if manifest.encoder_layers:
        origin += f", of which layers {', '.join(map(str, manifest.encoder_layers))} were kept (from 0),"
    if not manifest.heads:
        what = f"{origin} adapted to biomedical text by masked language modelling: {ENCODERS[manifest.kind]}."
    else:
        types = sorted({label for head in manifest.heads for label in head.labels})
        what = (
            f"Biomedical named entity recognition: {', '.join(types)}. {PRODUCTS[manifest.kind]}, "
            f"{manifest.precision}, heads: {len(manifest.heads)}, on one pass of {origin}."
        )
    return f"{what} Licence of the weights: {manifest.licence}. Written by openmed-ner {manifest.version}.\n"


def describe_data(manifest: Manifest, record: Mapping[str, Any]) -> str:
    """The corpora behind the heads, with their sizes, terms and what to cite."""
    terms = {source.name: source for source in find_sources(manifest, record) if source.role == "corpus"}
    rows = [
        [
            head.corpus,
            ", ".join(head.labels),
            _sizes(dig(record, "data", head.corpus)),
            terms[head.corpus].licence,
            terms[head.corpus].citation or OWNERS,
        ]
        for head in manifest.heads
    ]
    return table(("head", "labels", "documents train/dev", "licence of the corpus", "cite"), rows)


def _sizes(data: Mapping[str, Any] | None) -> str:
    sizes = "/".join(show(dig(data, split, "documents"), ",") for split in ("train", "dev"))
    silver = dig(data, "silver", "documents")
    left = dig(data, "left_out")
    return "".join(
        (
            sizes,
            f"; {show(silver, ',')} tagged by another model" if silver else "",
            f"; {len(left)} left out" if left else "",
        )
    )


def describe_adaptation(record: Mapping[str, Any]) -> str:
    """Domain-adaptive pretraining: how, on what, under which terms, and what it changed."""
    if not record:
        return NO_RECORD
    measured = ", ".join(
        f"{show(dig(record, 'held_out', when, 'perplexity'), '.2f')} {when}" for when in ("before", "after")
    )
    rows = list(iter_passages(record))
    closed = sorted({str(row.get("licence_class")) for row in rows} - {"permissive"})
    lines = [
        f"{_method(record)}, subwords: {show(dig(record, 'history', 'subwords'), ',')}; "
        f"{_parameters(record)}. Perplexity on held-out pieces "
        f"({show(dig(record, 'held_out', 'passages'), ',')}): {measured}. "
        f"{_time(record)} Commit: {show(dig(record, 'commit'))}.",
        "",
        describe_passages(rows),
        *([_TERMS.format(classes=" and ".join(closed)), ""] if closed else []),
        _guard(dig(record, "passages", "guard")),
        "",
    ]
    return "\n".join(lines)


_TERMS = (
    "Sources of the class {classes} were read. Look at their terms before any commercial use, or adapt again "
    "with `--licences permissive`."
)


def describe_passages(rows: Iterable[Mapping[str, Any]]) -> str:
    """What became of the passages of each source, with its terms."""
    columns = ("source", "licence", "class", "passages read", "kept", "dropped")
    return table(
        columns,
        (
            [
                show(row.get("name")),
                show(row.get("licence")),
                show(row.get("licence_class")),
                show(row.get("read"), ","),
                show(row.get("kept"), ","),
                list_counts(row.get("dropped")),
            ]
            for row in rows
        ),
    )


def list_counts(counts: Mapping[str, int] | None) -> str:
    """Reasons with how often each applied."""
    if counts is None:
        return NOT_RECORDED
    return ", ".join(f"{reason} {count:,}" for reason, count in counts.items()) or "none"


def list_settings(settings: Mapping[str, Any]) -> list[list[str]]:
    """Settings as rows of a table."""
    return [
        [key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)]
        for key, value in settings.items()
    ]


def _guard(guard: Mapping[str, Any] | None) -> str:
    sentence = _GUARDS.get(dig(guard, "mode"), f"Comparison with dev and test splits: {NOT_RECORDED}.")
    splits = dig(guard, "splits")
    return sentence.format(count=NOT_RECORDED if splits is None else len(splits))


def describe_training(record: Mapping[str, Any]) -> str:
    """What was trained, for how long, and who chose what is kept."""
    if not record:
        return NO_RECORD
    best = dig(record, "history", "best_epoch")
    scores = dig(record, "history", "scores")
    who = (
        "The dev splits were learnt from, and the last epoch is kept"
        if dig(record, "recipe", "learn") == "train+dev"
        else "The dev splits chose the epoch"
    )
    start, teacher = (dig(record, what, "name") for what in ("start", "teacher"))
    others = [str(each.get("name")) for each in dig(record, "start", "soup") or ()]
    mean = "the mean of the weights of {}" if others else "the weights of {}"
    taught = f" It started from {mean.format(' and '.join([start, *others]))}." if start else ""
    unlabelled = [dig(each, "unlabelled", "documents") for each in (record.get("data") or {}).values()]
    texts = f", also on {show(unlabelled[0], ',')} texts without annotation" if any(unlabelled) else ""
    taught += f" It learnt the probabilities of {teacher}, too{texts}." if teacher else ""
    return (
        f"{_method(record)}; {_parameters(record)}.{taught} {who}: "
        f"{show(None if best is None else best + 1)} of {show(scores and len(scores))}. {_time(record)} "
        f"Processor: {show(dig(record, 'host', 'processor'))}. Commit: {show(dig(record, 'commit'))}.\n"
    )


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
    """What stands on both sides of a split, and what to know of a corpus before trusting a score."""
    names = [*(head.corpus for head in manifest.heads), *(str(score.get("corpus")) for score in scores)]
    rows = [CATALOG[name] for name in dict.fromkeys(names) if name in CATALOG]
    choice = dig(record, "recipe", "leave_out")
    rule = f"Whether training documents that stand in a dev or test split were left out: {NOT_RECORDED}."
    adaptation = find_adaptation(manifest, record)
    lines = [
        *([_LEFT_OUT.get(choice, rule)] if manifest.heads else []),
        *([f"Adaptation: {_guard(dig(adaptation, 'passages', 'guard'))}"] if adaptation else []),
        "What the backbone read in its own pretraining was not compared with any corpus.",
        *(f"{row.name}: {row.note}" for row in rows if row.note),
    ]
    return "".join(f"- {line}\n" for line in lines)
