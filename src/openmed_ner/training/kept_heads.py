"""Heads of a start that a new model keeps beside its own.

No document annotates them. The start is their teacher on the training documents, so that the encoder, which
they share with the new heads, does not drift away from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from openmed_ner.bundle import Manifest
from openmed_ner.tagging import Head
from openmed_ner.training.objectives.token_tags import TrainingCorpus


def keep_heads(corpora: Sequence[TrainingCorpus], start: Manifest) -> list[TrainingCorpus]:
    """Add the heads of the start that no corpus has, without documents."""
    names = {corpus.head.corpus for corpus in corpora}
    heads = (head for head in start.heads if head.corpus not in names)
    return [*corpora, *(TrainingCorpus(head, (), (), is_kept=True) for head in heads)]


def kept_choices(start: Manifest, heads: Sequence[Head]) -> dict[str, Any]:
    """Select the type merges and the document-level decoding of the start that hold for the new model.

    A type that a new head annotates as well is merged by score, since no rule of the start names this head.

    Args:
        start: manifest of the start.
        heads: heads of the new model.

    Returns:
        The fields ``merges`` and ``document_decoding`` of its manifest.
    """
    corpora = {head.corpus for head in heads if head in start.heads}
    new = {label for head in heads if head.corpus not in corpora for label in head.labels}
    return {
        "merges": {
            label: merge
            for label, merge in start.merges.items()
            if label not in new and corpora.issuperset(merge.order)
        },
        "document_decoding": {
            corpus: choice for corpus, choice in start.document_decoding.items() if corpus in corpora
        },
    }
