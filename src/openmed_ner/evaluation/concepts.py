"""Score the concepts that a system finds in each document: sets of identifiers, gold against predicted.

A concept counts once per document, wherever and however often it is mentioned, as in BioCreative V. An
identifier for a mention that annotators found in no terminology is an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmed_ner.evaluation.identifiers import Gold, gold_ids, is_related, match_ids
from openmed_ner.linking import METHODS, Identifier, Linker, Method, link_document
from openmed_ner.text import Document

_ROUNDS = 1000


@dataclass(frozen=True, slots=True)
class DocumentConcepts:
    """The concepts of one document.

    Attributes:
        expected: gold identifiers.
        found: gold identifiers that were found, with the most certain way of finding each.
        spurious: concepts that have no gold identifier, likewise.
    """

    expected: frozenset[str]
    found: Mapping[str, Method]
    spurious: Mapping[Identifier, Method]

    @property
    def counts(self) -> tuple[int, int, int]:
        """Numbers of concepts found, spurious and missed."""
        return len(self.found), len(self.spurious), len(self.expected) - len(self.found)


def score_concepts(
    gold: Gold, predicted: Iterable[Document], linker: Linker, seen: Collection[str] = ()
) -> dict[str, Any]:
    """Precision, recall and F1 of the concepts of each document, over all documents.

    Args:
        gold: documents and type.
        predicted: the same documents with predicted spans.
        linker: links the predicted spans.
        seen: identifiers that appear in training text.

    Returns:
        ``precision``, ``recall`` and ``f1`` with their 95 % intervals in ``intervals`` (whole documents are
        drawn), numbers of ``documents`` and gold ``concepts``, the gold concepts found of those with ``seen``
        and ``unseen`` identifiers, numbers of right and wrong concepts by method, and ``related``: wrong
        concepts above or below a gold one of their document.
    """
    pairs = zip(gold.documents, predicted, strict=True)
    documents = [_compare(gold.select(left), gold.select(right), linker) for left, right in pairs]
    counts = np.array([document.counts for document in documents], dtype=np.int64).reshape(-1, 3)
    precision, recall, f1 = _rate(counts.sum(axis=0, keepdims=True))[:, 0].tolist()
    return {
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "intervals": _bootstrap(counts),
        "documents": len(documents),
        "concepts": sum(len(document.expected) for document in documents),
        "seen": _count_found(documents, lambda identifier: identifier in seen),
        "unseen": _count_found(documents, lambda identifier: identifier not in seen),
        "methods": _count_methods(documents),
        "related": sum(
            is_related(identifier.id, document.expected, linker)
            for document in documents
            for identifier in document.spurious
        ),
    }


def _compare(gold: Document, predicted: Document, linker: Linker) -> DocumentConcepts:
    expected = frozenset(identifier for span in gold.spans for identifier in gold_ids(span))
    found: dict[str, Method] = {}
    spurious: dict[Identifier, Method] = {}
    links = filter(None, link_document(predicted, linker))
    for link in sorted(links, key=lambda link: METHODS.index(link.method)):
        for identifier in link.identifiers:
            matches = match_ids(identifier, expected)
            for match in matches:
                found.setdefault(match, link.method)
            if not matches:
                spurious.setdefault(identifier, link.method)
    return DocumentConcepts(expected, found, spurious)


def _count_found(documents: Sequence[DocumentConcepts], is_counted: Callable[[str], bool]) -> dict[str, int]:
    pairs = [
        (identifier in document.found)
        for document in documents
        for identifier in document.expected
        if is_counted(identifier)
    ]
    return {"concepts": len(pairs), "found": sum(pairs)}


def _count_methods(documents: Sequence[DocumentConcepts]) -> dict[str, dict[str, int]]:
    right = Counter(method for document in documents for method in document.found.values())
    wrong = Counter(method for document in documents for method in document.spurious.values())
    return {
        method: {"right": right[method], "wrong": wrong[method]}
        for method in METHODS
        if right[method] or wrong[method]
    }


def _rate(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Precision, recall and F1 of rows of counts, ``(3, n_rows)``; 0 where nothing is counted."""
    found, spurious, missed = counts.T
    totals = np.stack([found + spurious, found + missed, 2 * found + spurious + missed])
    rates: NDArray[np.float64] = np.stack([found, found, 2 * found]) / np.maximum(totals, 1)
    return rates


def _bootstrap(counts: NDArray[np.int64]) -> dict[str, list[float]]:
    """Percentile bootstrap intervals, drawing whole documents with replacement."""
    n_documents = len(counts)
    if not n_documents:
        return {}
    draws = np.random.default_rng(0).multinomial(n_documents, [1 / n_documents] * n_documents, size=_ROUNDS)
    limits = np.quantile(_rate(draws @ counts), [0.025, 0.975], axis=1).T
    return dict(zip(("precision", "recall", "f1"), limits.tolist(), strict=True))
