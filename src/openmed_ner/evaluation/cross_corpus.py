"""Score every head on every corpus that annotates one of its types: what a guideline is worth elsewhere.

Guidelines differ in what they call an entity and where it ends, so these scores say how far two corpora
agree as much as how good a model is. Documents that the bundle was trained on, whole or in part, under any
of its heads, are left out of every score, and counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from openmed_ner.corpora import Split
from openmed_ner.corpora.overlap import exclude_overlap
from openmed_ner.evaluation.predictions import TaggerLike
from openmed_ner.evaluation.summary import summarise
from openmed_ner.text import Document


def score_across(
    tagger: TaggerLike, splits: Sequence[Split], training: Sequence[Document]
) -> Iterator[dict[str, Any]]:
    """Score all heads on some splits, each text being tagged once.

    Args:
        tagger: the system.
        splits: what it is scored on.
        training: everything the bundle was trained on.

    Yields:
        For each head and each split that share a type: head, corpus, split, the types that count, how many
        documents were left out, and the scores.
    """
    for split in splits:
        heads = {
            head.corpus: sorted(set(head.labels) & set(split.corpus.types)) for head in tagger.manifest.heads
        }
        heads = {head: types for head, types in heads.items() if types}
        if not heads:
            continue
        documents, left = exclude_overlap(split.documents, training)
        tagged = list(tagger.pipe(documents, corpora=list(heads)))
        for head, types in heads.items():
            gold = [each.with_spans(span for span in each.spans if span.label in types) for each in documents]
            predicted = [
                each.with_spans(span for span in each.spans if span.corpus == head and span.label in types)
                for each in tagged
            ]
            result = summarise(gold, predicted, head=head, corpus=split.corpus.name, split=split.name)
            yield {**result, "types": types, "left_out": len(left)}
