"""Text with entities: the values that all other packages exchange.

All positions are half-open ranges of Unicode code points of the original text, so that
``text[span.start:span.end]`` is the mention in any script. Nothing here normalises, strips or re-joins text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from openmed_ner.text.dataframe import to_dataframe
from openmed_ner.text.html import show

if TYPE_CHECKING:
    from pandas import DataFrame


Evidence = Literal["sentence", "document"]
EVIDENCE: tuple[Evidence, ...] = get_args(Evidence)
"""What may have decided a span."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word: characters ``start`` to ``end`` of a text."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(f"a token needs 0 <= start < end, not {self.start}..{self.end}")


@dataclass(frozen=True, slots=True)
class Span:
    """A mention of an entity.

    Attributes:
        start: first character.
        end: one past the last character.
        label: entity type, such as ``Disease``.
        score: confidence between 0 and 1; ``None`` for gold spans.
        corpus: annotation guideline of the span; ``None`` if there is only one.
        fragments: ranges of a discontinuous mention, in order, from ``start`` to ``end`` with gaps between;
            empty for a contiguous mention.
        attributes: properties of the mention, as (name, value) pairs sorted by name: ``("negated", True)``,
            ``("long_form", "acute kidney injury")``.
        evidence: ``sentence`` if the words at this place and around it decided the span; ``document`` if
            other places of the text did, see :mod:`openmed_ner.tagging.document_decoding`.
    """

    start: int
    end: int
    label: str
    score: float | None = None
    corpus: str | None = None
    fragments: tuple[tuple[int, int], ...] = ()
    attributes: tuple[tuple[str, str | bool], ...] = ()
    evidence: Evidence = "sentence"

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(f"a span needs 0 <= start < end, not {self.start}..{self.end}")
        if not self.label:
            raise ValueError("a span needs a label")
        if self.score is not None and not 0.0 <= self.score <= 1.0:
            raise ValueError(f"a score lies between 0 and 1, not at {self.score}")

        if self.fragments:
            edges = [edge for fragment in self.fragments for edge in fragment]
            # Strictly ascending edges: fragments that touch would be one fragment.
            ordered = all(before < after for before, after in pairwise(edges))
            if len(self.fragments) < 2 or not ordered or (edges[0], edges[-1]) != (self.start, self.end):
                raise ValueError(
                    f"fragments go from {self.start} to {self.end} in order, with gaps, not {self.fragments}"
                )

        if self.attributes and any(before >= after for (before, _), (after, _) in pairwise(self.attributes)):
            raise ValueError(f"attributes are sorted by name, each name once, not {self.attributes}")
        if self.evidence not in EVIDENCE:
            raise ValueError(f"evidence is one of {', '.join(EVIDENCE)}, not {self.evidence!r}")

    @property
    def key(self) -> tuple[int, int, str, *tuple[tuple[int, int], ...]]:
        """Key of strict matching: boundaries and label, and the fragments if there are several."""
        return self.start, self.end, self.label, *self.fragments

    def with_attributes(self, attributes: Mapping[str, str | bool]) -> Self:
        """The same span with more attributes; they replace existing ones of the same names."""
        if not attributes:
            return self
        return replace(self, attributes=tuple(sorted({**dict(self.attributes), **attributes}.items())))


@dataclass(frozen=True, slots=True)
class Document:
    """A text and its spans, which may nest and overlap.

    Gold and predicted annotations are two documents with one text.

    Attributes:
        id: name of the document.
        text: the text, unchanged.
        spans: mentions of entities.
        meta: further data from the source file.
    """

    id: str
    text: str
    spans: tuple[Span, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for span in self.spans:
            if span.end > len(self.text):
                raise ValueError(
                    f"document {self.id!r}: span {span.start}..{span.end} ({span.label}) "
                    f"ends beyond the text of {len(self.text)} characters"
                )

    def mention(self, span: Span) -> str:
        """Return the text of a span; the fragments of a discontinuous one are joined by blanks."""
        pieces = span.fragments or ((span.start, span.end),)
        return " ".join(self.text[start:end] for start, end in pieces)

    def with_spans(self, spans: Iterable[Span]) -> Self:
        """Return the same document with other spans."""
        return replace(self, spans=tuple(spans))

    def to_hf(self) -> list[dict[str, Any]]:
        """Return the spans in the form of a Hugging Face token-classification pipeline with aggregation.

        Each has ``entity_group``, ``score``, ``word``, ``start`` and ``end``, and additionally ``corpus``.
        That form has no place for attributes and fragments.
        """
        return [
            {
                "entity_group": span.label,
                "score": span.score,
                "word": self.mention(span),
                "start": span.start,
                "end": span.end,
                "corpus": span.corpus,
            }
            for span in self.spans
        ]

    def to_dataframe(self) -> DataFrame:
        """Build a pandas table with one row per span; see :func:`openmed_ner.to_dataframe`."""
        return to_dataframe([self])

    def _repr_html_(self) -> str:
        """Render the text with its spans marked, for notebooks."""
        return show(self)


@dataclass(frozen=True, slots=True)
class Account:
    """Numbers of entities that a step kept, split, lost and met again. Accounts add.

    Attributes:
        kept: entities represented exactly.
        split: entities represented in more than one piece.
        lost: entities not represented.
        reasons: number of splits and losses by reason.
        repeated: entities that an equal one in another document of the same text stands for.
    """

    kept: int = 0
    split: int = 0
    lost: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    repeated: int = 0

    @property
    def total(self) -> int:
        """Number of all entities."""
        return self.kept + self.split + self.lost + self.repeated

    def __add__(self, other: Account) -> Account:
        return Account(
            self.kept + other.kept,
            self.split + other.split,
            self.lost + other.lost,
            dict(Counter(self.reasons) + Counter(other.reasons)),
            self.repeated + other.repeated,
        )

    def __str__(self) -> str:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(self.reasons.items()))
        return (
            f"{self.kept} kept, {self.split} split, {self.lost} lost"
            + (f" ({reasons})" if reasons else "")
            + (f", {self.repeated} repeated in documents of the same text" if self.repeated else "")
        )


@dataclass(frozen=True, slots=True)
class Coverage:
    """Part of a text that a model read.

    Attributes:
        characters: length of the text.
        windows: number of windows given to the model.
        complete: if true, every character that is not white space lies in exactly one decoded word.
    """

    characters: int
    windows: int
    complete: bool
