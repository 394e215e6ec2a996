"""Scores of identifiers for ``openmed-ner evaluate --ids``, and their lines on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from openmed_ner.corpora import SPLITS, find_corpus, load_split
from openmed_ner.errors import InputError
from openmed_ner.evaluation.concepts import score_concepts
from openmed_ner.evaluation.identifiers import Gold, link_gold, list_seen, score_mentions
from openmed_ner.inference.tagger import Tagger
from openmed_ner.linking import LINKED_TYPES, Linker, LinkingOptions, learn_identifiers
from openmed_ner.terminologies.store import Store, find_store
from openmed_ner.text import Document


def score_identifiers(
    names: Sequence[str],
    split: str,
    terminologies: str | None,
    *,
    learnt: Sequence[str] = (),
    tagger: Tagger | None = None,
    within: Sequence[str] = (),
    types: Sequence[str] = (),
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """Score and print the identifiers of corpora, per type.

    Args:
        names: corpora of the catalog whose release has identifiers.
        split: split to score on.
        terminologies: folder of compiled terminologies; that of the environment if ``None``.
        learnt: splits of the same corpora whose mentions are learnt.
        tagger: also scored end to end, by the concepts of each document.
        within: prefixes of the terminologies to link to; all if empty.
        types: types to score; all if empty.
        limit: number of documents of each corpus to score, the first ones; all if ``None``.

    Raises:
        InputError: a corpus has no identifiers for a type that can be linked, or a split to learn from is
            the one to score on.
    """
    if split in learnt:
        raise InputError(f"the {split} split cannot be learnt and scored")

    store = Store.open(find_store(terminologies))
    indices = store.open_indices()
    options = LinkingOptions(within=tuple(within))
    rows = []
    for name in names:
        documents = load_split(name, split, identifiers=True).documents[:limit]
        training = {part: load_split(name, part, identifiers=True).documents for part in _list_earlier(split)}
        identifiers = store.read_learnt()
        if learnt:
            identifiers = learn_identifiers(document for part in learnt for document in training[part])
        # Unseen is relative to all training text, also where only a part of it was learnt.
        seen = list_seen(document for part in training.values() for document in part)
        linker = Linker(indices, identifiers, options)

        for label in find_corpus(name).types:
            # Some types of a corpus have no terminology, such as variants.
            if LINKED_TYPES.get(label) not in indices or (types and label not in types):
                continue
            gold = Gold(documents, label)
            if not gold.has_identifiers:
                continue
            mentions = list(link_gold(gold, linker, seen))
            row: dict[str, Any] = {
                "corpus": name,
                "split": split,
                "type": label,
                "learnt": list(learnt),
                "within": [*within],
            }
            row |= score_mentions(mentions, linker)
            if tagger is not None:
                row["concepts"] = score_concepts(gold, _tag(tagger, documents, name, label), linker, seen)
            typer.echo(describe_identifiers(row))
            rows.append(row)

    if not rows:
        raise InputError(f"{', '.join(names)}: no identifiers of a type that these terminologies have")
    return rows


def describe_identifiers(row: dict[str, Any]) -> str:
    """One line of scores."""
    low, high = row["interval"]
    methods = ", ".join(
        f"{name} {counts['right']}/{counts['mentions']}" for name, counts in row["methods"].items()
    )
    line = (
        f"{row['corpus']} {row['split']}, {row['type']}: {100 * row['accuracy']:.1f} % of {row['mentions']} "
        f"gold mentions are right ({100 * low:.1f} to {100 * high:.1f}): {methods}; "
        f"{row['related']} wrong ones are above or below"
    )
    return f"{line}; {_describe_concepts(row['concepts'])}" if "concepts" in row else line


def _describe_concepts(concepts: Mapping[str, Any]) -> str:
    low, high = concepts["intervals"]["f1"]
    methods = ", ".join(
        f"{name} {counts['right']}/{counts['right'] + counts['wrong']}"
        for name, counts in concepts["methods"].items()
    )
    return (
        f"concepts of documents: F1 {100 * concepts['f1']:.1f} ({100 * low:.1f} to {100 * high:.1f}; "
        f"precision {100 * concepts['precision']:.1f}, recall {100 * concepts['recall']:.1f}): {methods}; "
        f"{concepts['related']} wrong ones are above or below"
    )


def _list_earlier(split: str) -> tuple[str, ...]:
    """Splits that a linker for a split may have learnt from: train for dev, train and dev for test."""
    return SPLITS[: SPLITS.index(split)]


def _tag(tagger: Tagger, documents: Sequence[Document], corpus: str, label: str) -> list[Document]:
    """Tag with the head of a corpus, or with all heads of a type if there is none."""
    if corpus in tagger.corpora:
        return list(tagger.pipe(documents, corpora=[corpus], types=[label]))
    return list(tagger.pipe(documents, types=[label]))
