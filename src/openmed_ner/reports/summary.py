"""A summary of tagged documents, counted while they stream by.

Mentions that differ in case or white space are one. A concept is an identifier, or else a mention with its
type. Two concepts are a pair if both occur in a document, wherever. How strongly they go together is the
normalised pointwise mutual information of documents (Bouma 2009): 1 if they only occur together, 0 if
together as often as by chance, below 0 if more rarely.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from heapq import nlargest
from itertools import islice
from math import log
from typing import Any

from openmed_ner.reports.concepts import Concept, DocumentConcepts, cut, find_year
from openmed_ner.reports.tallies import Tally, TallyTable
from openmed_ner.text import Document

CONTEXT = ("negated", "hypothetical", "historical", "family")
"""Attributes of context, in the order of the columns."""
Pair = tuple[Concept, Concept]
_REPEATED = 2
"""Documents of a frequent pair."""


@dataclass(frozen=True, slots=True)
class SummaryOptions:
    """Sizes of a summary.

    Attributes:
        top: rows of each table.
        min_documents: documents that a pair needs to be rated by its association.
        capacity: distinct mentions, concepts or pairs that are counted exactly.
        concepts: concepts of a document that form pairs, those with most mentions.
    """

    top: int = 30
    min_documents: int = 3
    capacity: int = 200_000
    concepts: int = 100


class RunSummary:
    """Counts of documents, added one by one."""

    def __init__(self, options: SummaryOptions | None = None) -> None:
        """Start an empty summary.

        Args:
            options: sizes; the defaults if ``None``.
        """
        self.options = options or SummaryOptions()
        capacity = self.options.capacity
        self.n_documents = self.n_mentions = self.n_incomplete = self.n_crowded = 0
        self._types: TallyTable[str] = TallyTable(capacity)
        self._mentions: TallyTable[Concept] = TallyTable(capacity)
        self._concepts: TallyTable[Concept] = TallyTable(capacity)
        self._pairs: TallyTable[Pair] = TallyTable(capacity)
        self._context: dict[str, Counter[str]] = defaultdict(Counter)
        self._years: Counter[int] = Counter()
        self._types_by_year: dict[int, Counter[str]] = defaultdict(Counter)

    def add(self, document: Document) -> None:
        """Count a document."""
        self.n_documents += 1
        self.n_mentions += len(document.spans)
        coverage = document.meta.get("coverage")
        self.n_incomplete += isinstance(coverage, Mapping) and not coverage.get("complete", True)

        labels = Counter(cut(span.label) for span in document.spans)
        for label, count in labels.items():
            self._types.add(label, label, count)
        if (year := find_year(document)) is not None:
            self._years[year] += 1
            self._types_by_year[year].update(labels)
        for span in document.spans:
            self._context[cut(span.label)].update(name for name, _ in span.attributes if name in CONTEXT)

        contents = DocumentConcepts.of(document)
        for table, counted in ((self._mentions, contents.mentions), (self._concepts, contents.concepts)):
            for concept, occurrences in counted.items():
                table.add(concept, occurrences.shown, occurrences.n_mentions)
        self.n_crowded += len(contents.concepts) > self.options.concepts
        for pair in contents.list_pairs(self.options.concepts):
            self._pairs.add(pair, "")

    def to_json(self) -> dict[str, Any]:
        """Build the summary as a JSON object; its keys are explained in ``docs/report.md``."""
        top = self.options.top
        types = list(self._types.items())
        return {
            "documents": self.n_documents,
            "mentions": self.n_mentions,
            "incomplete_documents": self.n_incomplete,
            "types": [{"type": label, **_counts(tally)} for label, tally in types],
            "frequent_mentions": {
                label: [
                    {"mention": tally.shown, **_counts(tally)}
                    for _, tally in self._list_concepts(self._mentions, label)
                ]
                for label, _ in types[:top]
            },
            "identifiers": [
                {"id": concept.name, "name": tally.shown, **_counts(tally)}
                for concept, tally in self._list_concepts(self._concepts, "")
            ],
            "frequent_pairs": self._list_pairs(lambda pair, tally: tally.documents, at_least=_REPEATED),
            "associated_pairs": self._list_pairs(self._rate, at_least=self.options.min_documents),
            "context": self._list_context([label for label, _ in types]),
            "years": [
                {"year": year, "documents": count, "types": dict(self._types_by_year[year].most_common(top))}
                for year, count in sorted(self._years.items())
            ],
            "crowded_documents": self.n_crowded,
            "undercounts": {
                "mentions": self._mentions.undercount,
                "concepts": self._concepts.undercount,
                "pairs": self._pairs.undercount,
            },
            "options": {"top": top, "min_documents": self.options.min_documents},
        }

    def _list_concepts(self, table: TallyTable[Concept], label: str) -> list[tuple[Concept, Tally]]:
        rows = ((concept, tally) for concept, tally in table.items() if concept.type == label)
        return list(islice(rows, self.options.top))

    def _rate(self, pair: Pair, tally: Tally) -> float:
        """Normalised pointwise mutual information of a pair."""
        together = tally.documents
        first, second = (max(self._concepts.documents_of(concept), together) for concept in pair)
        share = together / self.n_documents
        if share == 1:
            return 1.0  # the limit: both are in every document
        return log(share * self.n_documents**2 / (first * second)) / -log(share)

    def _list_pairs(self, rating: Callable[[Pair, Tally], float], *, at_least: int) -> list[dict[str, Any]]:
        """The pairs with the highest rating, of those in enough documents."""
        rated = (
            (rating(pair, tally), tally.documents, pair, tally)
            for pair, tally in self._pairs.items()
            if tally.documents >= at_least
        )
        # Equal pairs come in the order of their names: nlargest keeps the order of the table.
        best = nlargest(self.options.top, rated, key=lambda row: row[:2])
        return [
            {
                "first": self._describe(pair[0]),
                "second": self._describe(pair[1]),
                "documents": tally.documents,
                "npmi": round(self._rate(pair, tally), 4),
            }
            for _, _, pair, tally in best
        ]

    def _describe(self, concept: Concept) -> dict[str, Any]:
        shown = self._concepts.shown(concept) or concept.name
        documents = self._concepts.documents_of(concept)
        if concept.type:
            return {"mention": shown, "type": concept.type, "documents": documents}
        return {"id": concept.name, "name": shown, "documents": documents}

    def _list_context(self, labels: list[str]) -> list[dict[str, Any]]:
        """Mentions of each type with an attribute of context; empty if there are no such attributes."""
        if not any(self._context.values()):
            return []
        return [{"type": label, **{name: self._context[label][name] for name in CONTEXT}} for label in labels]


def _counts(tally: Tally) -> dict[str, int]:
    return {"mentions": tally.mentions, "documents": tally.documents}
