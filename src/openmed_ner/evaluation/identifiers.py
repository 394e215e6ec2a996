"""Score the identifiers of gold mentions.

A mention is right if its concepts are exactly the gold ones. A concept is a gold one if its identifier is, or
one of its cross-references: a disease of OMIM may be found as the concept of MeSH that refers to it. Mentions
that the annotators found in no terminology do not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from openmed_ner.linking import Identifier, Link, Linker, link_document
from openmed_ner.text import Document, Span

ATTRIBUTE = "identifier"
"""Attribute of a gold span that holds its identifiers, joined by ``|``."""
UNLINKED = "none"
"""Method of a mention without an identifier."""
_ROUNDS = 1000


@dataclass(frozen=True, slots=True)
class LinkedMention:
    """A gold mention and its link.

    Attributes:
        document: index of its document.
        gold: gold identifiers; none if no terminology has the concept.
        link: the link; ``None`` if there is none.
        seen: true if one of its identifiers appears in training text.
    """

    document: int
    gold: frozenset[str]
    link: Link | None
    seen: bool

    @property
    def is_right(self) -> bool:
        """True if the concepts are exactly the gold ones."""
        if self.link is None:
            return False
        covered: set[str] = set()
        for identifier in self.link.identifiers:
            matches = match_ids(identifier, self.gold)
            if not matches:
                return False
            covered |= matches
        return covered == self.gold


def match_ids(identifier: Identifier, gold: Collection[str]) -> set[str]:
    """Gold identifiers that a concept has."""
    return {identifier.id, *identifier.xrefs}.intersection(gold)


def is_related(identifier: str, gold: Iterable[str], linker: Linker) -> bool:
    """True if a concept is above or below a gold one."""
    return any(linker.is_under(identifier, other) or linker.is_under(other, identifier) for other in gold)


def gold_ids(span: Span) -> frozenset[str]:
    """Gold identifiers of a span."""
    value = dict(span.attributes).get(ATTRIBUTE, "")
    return frozenset(filter(None, str(value).split("|")))


@dataclass(frozen=True, slots=True)
class Gold:
    """Documents whose spans have gold identifiers, and the type of mentions to score.

    Attributes:
        documents: the documents.
        label: the type.
    """

    documents: Sequence[Document]
    label: str

    @property
    def has_identifiers(self) -> bool:
        """True if any mention of the type has one."""
        return any(gold_ids(span) for document in self.documents for span in self.select(document).spans)

    def select(self, document: Document) -> Document:
        """The document with its mentions of the type."""
        return document.with_spans(span for span in document.spans if span.label == self.label)


def link_gold(gold: Gold, linker: Linker, seen: Collection[str] = ()) -> Iterator[LinkedMention]:
    """Link gold mentions.

    Args:
        gold: documents and type.
        linker: the linker to score.
        seen: identifiers that appear in training text.
    """
    for number, document in enumerate(map(gold.select, gold.documents)):
        for span, link in zip(document.spans, link_document(document, linker), strict=True):
            ids = gold_ids(span)
            yield LinkedMention(number, ids, link, not ids.isdisjoint(seen))


def score_mentions(mentions: Sequence[LinkedMention], linker: Linker) -> dict[str, Any]:
    """Accuracy on gold mentions, in all and by way of finding.

    Returns:
        ``accuracy`` with its 95 % ``interval`` (whole documents are drawn), the same for mentions with
        ``seen`` and ``unseen`` identifiers and, with interval, for those whose identifiers the terminologies
        have (``held``: of genes, the human ones), numbers of right and of all mentions by method,
        ``related``: wrong mentions linked to a concept above or below a gold one, ``unlinkable``: mentions
        without a gold identifier, and ``absent``: mentions with one that no terminology has, both with the
        number that got one.
    """
    linkable = [mention for mention in mentions if mention.gold]
    unlinkable = [mention for mention in mentions if not mention.gold]
    in_linker = [mention for mention in linkable if all(identifier in linker for identifier in mention.gold)]
    absent = [mention for mention in linkable if not all(identifier in linker for identifier in mention.gold)]
    methods: dict[str, list[LinkedMention]] = {}
    for mention in linkable:
        methods.setdefault(mention.link.method if mention.link else UNLINKED, []).append(mention)

    return {
        **_summarise(linkable),
        "interval": list(_bootstrap_accuracy(linkable)),
        "seen": _summarise([mention for mention in linkable if mention.seen]),
        "unseen": _summarise([mention for mention in linkable if not mention.seen]),
        "methods": {
            method: {"right": sum(mention.is_right for mention in group), "mentions": len(group)}
            for method, group in sorted(methods.items())
        },
        "related": sum(_has_related(mention, linker) for mention in linkable if not mention.is_right),
        "held": {**_summarise(in_linker), "interval": list(_bootstrap_accuracy(in_linker))},
        "absent": _count_linked(absent),
        "unlinkable": _count_linked(unlinkable),
    }


def list_seen(documents: Iterable[Document]) -> Set[str]:
    """Gold identifiers of some documents."""
    return {identifier for document in documents for span in document.spans for identifier in gold_ids(span)}


def _has_related(mention: LinkedMention, linker: Linker) -> bool:
    identifiers = mention.link.identifiers if mention.link else ()
    return any(is_related(identifier.id, mention.gold, linker) for identifier in identifiers)


def _count_linked(mentions: Sequence[LinkedMention]) -> dict[str, int]:
    return {
        "mentions": len(mentions),
        "linked": sum(mention.link is not None for mention in mentions),
    }


def _summarise(mentions: Sequence[LinkedMention]) -> dict[str, Any]:
    n_right = sum(mention.is_right for mention in mentions)
    return {"mentions": len(mentions), "accuracy": n_right / len(mentions) if mentions else 0.0}


def _bootstrap_accuracy(mentions: Sequence[LinkedMention]) -> tuple[float, float]:
    """Percentile bootstrap interval, drawing whole documents with replacement."""
    totals, right = Counter[int](), Counter[int]()
    for mention in mentions:
        totals[mention.document] += 1
        right[mention.document] += mention.is_right
    if not totals:
        return 0.0, 0.0
    counts = np.array([(right[number], count) for number, count in sorted(totals.items())])
    draws = np.random.default_rng(0).multinomial(len(counts), [1 / len(counts)] * len(counts), size=_ROUNDS)
    sums = draws @ counts
    low, high = np.quantile(sums[:, 0] / sums[:, 1], [0.025, 0.975])
    return float(low), float(high)
