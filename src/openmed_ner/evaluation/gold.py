"""Gold documents to score a head on: a split of a catalogued corpus, or a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from openmed_ner.corpora import find_corpus, load_alternatives, load_split
from openmed_ner.text import Document


@dataclass(frozen=True, slots=True)
class Gold:
    """What a head is scored on.

    Attributes:
        corpus: the head, and the guideline of the gold spans.
        split: what the documents are, for the record.
        documents: with gold spans.
        training: what the head was trained on, if known: mentions whose surface form occurs there are then
            also scored apart from those whose form does not.
        alternatives: the same documents with the spans that the corpus's official scorer also accepts.
    """

    corpus: str
    split: str
    documents: Sequence[Document]
    training: Sequence[Document] | None = None
    alternatives: Sequence[Document] | None = None


def load_gold(name: str, split: str, learnt: Sequence[str] = ("train",)) -> Gold:
    """A split of a catalogued corpus as something to score a head on, and the splits that it learnt from."""
    taught = [each for each in learnt if each in find_corpus(name).splits]
    training = [document for each in taught for document in load_split(name, each).documents]
    documents = load_split(name, split).documents
    return Gold(name, split, documents, training if taught else None, load_alternatives(name, split))
