"""Likely mistakes in training documents, which are reported and do not stop a run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from openmed_ner.text import Document


def find_slips(splits: Mapping[str, Sequence[Document]]) -> Iterator[str]:
    """Describe ids that several documents share, and labels that differ in case or outer blanks only.

    Args:
        splits: documents by split.
    """
    for split, documents in splits.items():
        ids = Counter(document.id for document in documents)
        if repeated := [name for name, count in ids.items() if count > 1]:
            yield f"{len(repeated)} ids of {split} documents occur more than once, such as {repeated[0]!r}"

    alike: dict[str, set[str]] = defaultdict(set)
    for documents in splits.values():
        for label in (span.label for document in documents for span in document.spans):
            alike[label.strip().casefold()].add(label)
    for labels in alike.values():
        if len(labels) > 1:
            names = ", ".join(map(repr, sorted(labels)))
            yield f"the labels {names} are learnt as different types; write them alike if they are one"
