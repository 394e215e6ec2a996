"""The spans that a caller asks for, out of those of all heads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Self, SupportsFloat

from openmed_ner.bundle import Manifest
from openmed_ner.errors import InputError, suggest
from openmed_ner.tagging.type_merging import TypeMerge
from openmed_ner.text import Span


@dataclass(frozen=True, slots=True)
class SpanSelection:
    """Heads, types and the lowest score of the spans to keep.

    Attributes:
        corpora: heads that have to be computed.
        types: entity types to keep; all of the heads if ``None``.
        merges: rule that makes one layer of a type; types without a rule keep a layer for each head.
        threshold: lowest score to keep.
    """

    corpora: frozenset[str]
    types: Sequence[str] | None
    merges: Mapping[str, TypeMerge]
    threshold: float = 0.0

    @classmethod
    def make(
        cls,
        manifest: Manifest,
        corpora: Sequence[str] | None,
        types: Sequence[str] | None,
        *,
        layers: bool,
        threshold: float,
    ) -> Self:
        """Find the heads and the rules that a choice of spans needs.

        Args:
            manifest: the model.
            corpora: heads to use, each with a layer of its own; all if ``None``.
            types: entity types to keep; all of the heads in use if ``None``.
            layers: if true, keep a layer for each head.
            threshold: lowest score to keep.

        Raises:
            InputError: no corpus is named, or the threshold is out of range.
        """
        check_threshold(threshold)
        if corpora is not None and not corpora:
            raise InputError("corpora is empty; name a head of this bundle, or leave it out")
        merged = types if corpora is None and not layers else ()
        merges = {label: manifest.merge_of(label) for label in merged or ()}
        used = {corpus for merge in merges.values() for corpus in merge.used}
        every = (head.corpus for head in manifest.heads)
        return cls(frozenset(corpora or used or every), types, merges, threshold)

    def keep(self, spans: Iterable[Span]) -> list[Span]:
        """Return the spans to keep: by score, then by type, then one layer for each merged type."""
        confident = [span for span in spans if (span.score or 0.0) >= self.threshold]
        if self.types is None:
            return confident

        by_type = {label: [span for span in confident if span.label == label] for label in self.types}
        layers = (
            self.merges[label](by_type[label]) if label in self.merges else by_type[label]
            for label in by_type
        )
        return sorted(chain.from_iterable(layers), key=lambda span: (span.start, span.end))

    def allows(self, label: str, corpus: str) -> bool:
        """Return whether spans of this type and head can be kept."""
        if self.types is not None and label not in self.types:
            return False
        return corpus in self.merges[label].used if label in self.merges else True


def check_threshold(threshold: object) -> None:
    """Refuse a threshold that is out of range.

    Raises:
        InputError: it is not a number from 0 to 1.
    """
    if not isinstance(threshold, SupportsFloat) or not 0.0 <= float(threshold) <= 1.0:
        raise InputError(f"threshold {threshold!r}: expected a number between 0 and 1")


def read_names(names: Iterable[str] | None, choices: Sequence[str], kind: str) -> Sequence[str] | None:
    """Return names as a sequence, which can be read more than once, after a check.

    Raises:
        InputError: a name is not one of the choices, or the names are one string.
    """
    if isinstance(names, str):
        raise InputError(f"expected a list of names, such as [{names!r}], found the string {names!r}")
    names = None if names is None else tuple(names)
    for name in names or ():
        if not isinstance(name, str):
            raise InputError(f"expected names of a {kind}, such as {choices[0]!r}, found {name!r}")
        if name not in choices:
            near = suggest(name, choices) or f"; this bundle knows: {', '.join(choices)}"
            raise InputError(f"unknown {kind} {name!r}{near}")
    return names
