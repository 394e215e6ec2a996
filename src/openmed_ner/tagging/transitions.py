"""Transition scores between tags, estimated from annotated documents, for decoding."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from openmed_ner.tagging.heads import Head
from openmed_ner.tagging.labels import encode_spans
from openmed_ner.text import Document, iter_tokens

UNSEEN = 0.5
"""Added to the count of each transition that the scheme allows."""
DIGITS = 3
"""Decimals of a score in the manifest."""


def learn_transitions(head: Head, documents: Iterable[Document], *, weight: float) -> Head:
    """Return a head with the transition scores of some documents.

    A model scores every word by itself, given the text. Decoding adds the evidence that one word does not
    show, a tag being likelier after some tags than after others:
    ``weight * (log P(tag | before) - log P(tag))``.

    Args:
        head: the head; its scheme and labels give the tags.
        documents: documents with gold spans; each text begins after ``O``.
        weight: 1 would trust these frequencies as much as the model; 0 adds nothing.
    """
    if not weight:
        return replace(head, transitions=())
    index = {tag: number for number, tag in enumerate(head.tags)}
    allowed = np.isfinite(head.transition_costs)
    counts = np.where(allowed, UNSEEN, 0.0)

    for document in documents:
        tags, _ = encode_spans(document, list(iter_tokens(document.text)), head.labels, scheme=head.scheme)
        # A text begins after O, the tag 0.
        sequence = [0, *(index[tag] for tag in tags)]
        np.add.at(counts, (sequence[:-1], sequence[1:]), 1)

    after = counts / counts.sum(axis=1, keepdims=True)
    anywhere = counts.sum(axis=0) / counts.sum()
    scores = weight * np.log(np.where(allowed, after / anywhere, 1.0))
    return replace(head, transitions=tuple(tuple(row) for row in scores.round(DIGITS).tolist()))
