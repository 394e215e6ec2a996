"""Likely mistakes in training documents, which are reported and do not stop a run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from openmed_ner.text import Document


def find_slips(splits: Mapping[str, Sequence[Document]]) -> Iterator[str]:
    """Describe ids and texts of several documents, and labels that differ in case or outer blanks only.

    Args:
        splits: documents by split.
    """
    for split, documents in splits.items():
        ids = Counter(document.id for document in documents)
        if repeated := [name for name, count in ids.items() if count > 1]:
            yield f"{len(repeated)} ids of {split} documents occur more than once, such as {repeated[0]!r}"
        yield from _find_repeated_texts(split, documents)

    alike: dict[str, set[str]] = defaultdict(set)
    for documents in splits.values():
        for label in (span.label for document in documents for span in document.spans):
            alike[label.strip().casefold()].add(label)
    for labels in alike.values():
        if len(labels) > 1:
            names = ", ".join(map(repr, sorted(labels)))
            yield f"the labels {names} are learnt as different types; write them alike if they are one"


def _find_repeated_texts(split: str, documents: Sequence[Document]) -> Iterator[str]:
    """Describe texts that several documents of a split share. Each is learnt once, as in the last of them."""
    by_text: dict[str, list[Document]] = defaultdict(list)
    for document in documents:
        by_text[document.text].append(document)
    is_learnt = split == "train"

    n_repeated = len(documents) - len(by_text)
    if is_learnt and n_repeated:
        yield f"{n_repeated} train documents repeat the text of another one; each text is learnt once"
    contradictory = [group for group in by_text.values() if len({_annotation(each) for each in group}) > 1]
    if contradictory:
        outcome = "the last one counts" if is_learnt else "all are scored"
        first, *others = contradictory[0]
        other = next(each for each in others if _annotation(each) != _annotation(first))
        yield (
            f"{len(contradictory)} texts of {split} documents are annotated in different ways, such as "
            f"that of {first.id!r} and {other.id!r}; {outcome}"
        )


def _annotation(document: Document) -> frozenset[object]:
    return frozenset(span.key for span in document.spans)
