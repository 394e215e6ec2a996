"""Score every head on every corpus that annotates one of its types.

Guidelines differ in what they call an entity and where it ends, so these scores say how far two corpora
agree as much as how good a model is. Documents that the bundle was trained on, whole or in part, under any
of its heads, are excluded from every score, and counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from openmed_ner.corpora import CATALOG, Split, load_split
from openmed_ner.corpora.overlap import exclude_overlap
from openmed_ner.evaluation.predictions import TaggerLike
from openmed_ner.evaluation.summary import summarise
from openmed_ner.text import Document


def score_across_catalog(
    tagger: TaggerLike, *, corpora: Sequence[str] = (), split: str, training_splits: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Score all heads on one split of catalogued corpora.

    Args:
        tagger: the system.
        corpora: names of corpora; every corpus with that split if empty.
        split: split to score on.
        training_splits: splits of its own corpora that the system was trained on.

    Yields:
        Rows as of :func:`score_across`.

    Raises:
        CorpusError: a corpus or split is unknown, or an archive is missing or another release.
    """
    names = corpora or [name for name, row in CATALOG.items() if split in row.splits]
    splits = [load_split(name, split) for name in names]
    training = [
        document
        for head in tagger.manifest.heads
        for name in training_splits
        if head.corpus in CATALOG and name in CATALOG[head.corpus].splits
        for document in load_split(head.corpus, name).documents
    ]
    yield from score_across(tagger, splits, training)


def score_across(
    tagger: TaggerLike, splits: Sequence[Split], training: Sequence[Document]
) -> Iterator[dict[str, Any]]:
    """Score all heads on some splits, each text being tagged once.

    Args:
        tagger: the system.
        splits: splits to score on.
        training: all documents that the system was trained on.

    Yields:
        For each head and each split that share a type: head, corpus, split, the types that count, the number
        of excluded documents (``left_out``), and the scores.
    """
    for split in splits:
        types_by_head = {
            head.corpus: sorted(set(head.labels) & set(split.corpus.types)) for head in tagger.manifest.heads
        }
        types_by_head = {head: types for head, types in types_by_head.items() if types}
        if not types_by_head:
            continue
        documents, excluded = exclude_overlap(split.documents, training)
        tagged = list(tagger.pipe(documents, corpora=list(types_by_head)))

        for head, types in types_by_head.items():
            gold = [
                document.with_spans(span for span in document.spans if span.label in types)
                for document in documents
            ]
            predicted = [
                document.with_spans(
                    span for span in document.spans if span.corpus == head and span.label in types
                )
                for document in tagged
            ]
            result = summarise(gold, predicted, head=head, corpus=split.corpus.name, split=split.name)
            yield {**result, "types": types, "left_out": len(excluded)}
