"""Document-level decoding: what a text says about a name in one place decides its other places.

A model reads a sentence and its surroundings. It may find "chronic kidney disease (CKD)" and miss the next
CKD, or find a name in two places and miss it in a third. Two rules repair this, after the search for the
best tags and for one head at a time:

- Definitions. If a mention ends where a long form ends, the short form is a mention of its type wherever the
  definition applies. If neither form is a mention where they are defined, the short form is none anywhere.
- Repetition. A name that is a mention in some places and not in others becomes one in all of them, or in
  none: the sign of the mean log-odds over its occurrences decides.

The first rule needs spans only. Averaging log-odds there, too, was not better (EXPERIMENTS.md, 2026-11-28).
The second needs the scores of words that might be part of a mention; all other words count as ``FLOOR``.
Names that are not repeated are left alone, so are spans that merely overlap an occurrence. Applying the rules
twice changes nothing more.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from math import exp, isfinite, log
from typing import Literal, get_args

import numpy as np

from openmed_ner.tagging.heads import FloatArray
from openmed_ner.tagging.subwords import IntArray
from openmed_ner.text import Span, iter_tokens
from openmed_ner.text.definitions import Definition, find_definitions, singular
from openmed_ner.text.occurrences import OccurrenceIndex

DocumentMode = Literal["off", "definitions", "definitions+repetition"]
DOCUMENT_MODES: tuple[DocumentMode, ...] = get_args(DocumentMode)
"""Modes, the simplest first."""
OFF = DOCUMENT_MODES[0]
REPETITION = DOCUMENT_MODES[2]
LEAST = 0.1
"""Smallest probability that a word belongs to a mention that is kept; lower ones count as this one."""
FLOOR = log(LEAST / (1 - LEAST))
Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class DocumentChoice:
    """The mode of one head, chosen on dev.

    Attributes:
        mode: the mode.
        gain: F1 on dev in this mode less that without document-level decoding.
    """

    mode: DocumentMode
    gain: float = 0.0

    def __post_init__(self) -> None:
        if self.mode not in DOCUMENT_MODES:
            raise ValueError(f"a mode is one of {', '.join(DOCUMENT_MODES)}, not {self.mode!r}")
        if not isfinite(self.gain):
            raise ValueError(f"a gain is a finite number, not {self.gain}")


@dataclass(frozen=True, slots=True)
class WordScores:
    """Log-odds that words belong to a mention of one head; words that are not listed have ``FLOOR``.

    Attributes:
        starts: first characters of the words in ascending order, ``(n_words,)``.
        log_odds: their log-odds, between ``FLOOR`` and ``-FLOOR``, ``(n_words,)``.
    """

    starts: IntArray
    log_odds: FloatArray

    def pool(self, ranges: Sequence[Range], n_words: int) -> float:
        """Mean log-odds of the words in ranges of ``n_words`` each."""
        bounds = np.searchsorted(self.starts, np.array(ranges).T)
        listed = sum(
            float(self.log_odds[first:end].sum(dtype=np.float64)) - FLOOR * (end - first)
            for first, end in bounds.T.tolist()
        )
        mean: float = FLOOR + listed / (n_words * len(ranges))
        return mean


_Scores = Callable[[], WordScores]
"""Gives the word scores of one head, which most texts do not need."""


def decode_document(
    text: str,
    layers: Mapping[str, list[Span]],
    modes: Mapping[str, DocumentMode],
    score_words: Callable[[str], WordScores],
) -> dict[str, list[Span]]:
    """Decide the spans of one document by all of its text.

    Args:
        text: the text.
        layers: spans of each head, in the order of the text, without overlaps.
        modes: mode of each head; heads that are missing are ``off``.
        score_words: gives the word scores of a head whose mode has repetition; it is called only if a name
            is a mention in some places and not in others.

    Returns:
        Spans of each head, in the order of the text, without overlaps. Spans that this function added have
        ``evidence`` ``document``.
    """
    active = {corpus: spans for corpus, spans in layers.items() if spans and modes.get(corpus, OFF) != OFF}
    decoded = dict(layers)
    if not active:
        return decoded

    definitions = [definition for definition in find_definitions(text) if _is_distinctive(text, definition)]
    by_corpus = {
        corpus: {text[span.start : span.end] for span in spans}
        for corpus, spans in active.items()
        if modes[corpus] == REPETITION
    }
    # Rules that have nothing to decide are left out, which spares most of the work for most texts.
    occurs_again = cache(lambda name: text.count(name) > 1)
    repeated = {corpus: names for corpus, names in by_corpus.items() if any(map(occurs_again, names))}
    if not definitions:
        active = {corpus: spans for corpus, spans in active.items() if corpus in repeated}
    if not active:
        return decoded

    names: set[str] = set().union(*repeated.values())
    index = OccurrenceIndex(text, names.union(*(_forms(text, definition) for definition in definitions)))
    short_forms = _ShortForms(text, definitions, index)

    for corpus, spans in active.items():
        layer = _Layer(text, spans)
        scores = cache(partial(score_words, corpus))
        if corpus in repeated:
            # A name that is dropped may free a place for a shorter one.
            while layer.apply(_repeat(layer, index, short_forms, scores)):
                pass
        layer.apply(_define(layer, short_forms, scores if corpus in by_corpus else None))
        decoded[corpus] = layer.spans
    return decoded


class _Layer:
    """The spans of one head, to be changed."""

    def __init__(self, text: str, spans: Sequence[Span]) -> None:
        self.text = text
        self.spans = list(spans)
        self._starts = [span.start for span in spans]

    def overlapping(self, place: Range) -> list[Span]:
        """Spans that share a character with a range."""
        first = max(bisect_right(self._starts, place[0]) - 1, 0)
        last = bisect_right(self._starts, place[1] - 1)
        return [span for span in self.spans[first:last] if span.end > place[0]]

    def has(self, place: Range) -> bool:
        """True if a range is a span."""
        return any((span.start, span.end) == place for span in self.overlapping(place))

    def apply(self, changes: Iterable[_Change]) -> bool:
        """Apply changes of disjoint places; return true if a span was dropped."""
        added: list[Span] = []
        dropped: set[Range] = set()
        for change in changes:
            added += change.added
            dropped.update(change.dropped)

        if added or dropped:
            rest = [span for span in self.spans if (span.start, span.end) not in dropped]
            self.spans = sorted([*rest, *added], key=lambda span: span.start)
            self._starts = [span.start for span in self.spans]
        return bool(dropped)


@dataclass(frozen=True, slots=True)
class _Change:
    """Spans to add, and places whose spans go."""

    added: Sequence[Span] = ()
    dropped: Sequence[Range] = ()


# --- Definitions


class _ShortForms:
    """Occurrences of all short forms that a text defines, each with the definition that applies to it.

    That is the last one before the place, or else the first one of this form.
    """

    def __init__(self, text: str, definitions: Sequence[Definition], index: OccurrenceIndex) -> None:
        by_form: dict[str, list[Definition]] = defaultdict(list)
        for definition in definitions:
            by_form[singular(text[slice(*definition.short)])].append(definition)
        forms = [form for definition in definitions for form in _forms(text, definition)]
        by_short_form = {definition.short: definition for definition in definitions}

        self.places = index.find(forms)
        self._starts = [start for start, _ in self.places]
        self.by_definition: dict[Definition, list[Range]] = {definition: [] for definition in definitions}
        for place in self.places:
            candidates = by_form[singular(text[slice(*place)])]
            n_before = bisect_right(candidates, place[0], key=lambda definition: definition.start)
            self.by_definition[by_short_form.get(place) or candidates[max(n_before - 1, 0)]].append(place)

    def overlap(self, place: Range) -> bool:
        """True if a short form shares a character with a range."""
        before = bisect_right(self._starts, place[1] - 1) - 1
        return before >= 0 and self.places[before][1] > place[0]

    def __contains__(self, span: Span) -> bool:
        before = bisect_right(self._starts, span.start) - 1
        return before >= 0 and self.places[before] == (span.start, span.end)


def _is_distinctive(text: str, definition: Definition) -> bool:
    """True if a short form is not written like a word: "all" (acute lymphoblastic leukaemia) is."""
    return any(letter.isupper() or letter.isdigit() for letter in text[slice(*definition.short)])


def _forms(text: str, definition: Definition) -> list[str]:
    """A short form, and its plural if it ends in a capital."""
    form = singular(text[slice(*definition.short)])
    return [form, f"{form}s"] if form[-1].isupper() else [form]


def _define(layer: _Layer, short_forms: _ShortForms, scores: _Scores | None) -> Iterator[_Change]:
    """Let definitions decide short forms; with scores, repetition decides the rest of them.

    Evidence is every span that no other definition can change, so that the decisions are independent.
    """
    for definition, places in short_forms.by_definition.items():
        evidence = [span for span in layer.overlapping(definition.long) if span not in short_forms]
        mention = next((span for span in evidence if span.end == definition.long[1]), None)
        is_open = short_forms.overlap(definition.long) or any(
            span not in short_forms or (span.start, span.end) == definition.short
            for span in layer.overlapping(definition.short)
        )
        if mention is not None:
            yield _add(layer, places, mention, mention.score)
        elif not evidence and not is_open:
            yield _Change(dropped=[place for place in places if layer.has(place)])
        elif scores is not None:
            yield from _decide(layer, places, scores)


def _add(layer: _Layer, places: Iterable[Range], like: Span, score: float | None) -> _Change:
    """Make mentions of the places that no span overlaps, with the type of another mention."""
    return _Change(
        [
            Span(*place, like.label, score, like.corpus, evidence="document")
            for place in places
            if not layer.overlapping(place)
        ]
    )


# --- Repetition


def _repeat(
    layer: _Layer, index: OccurrenceIndex, short_forms: _ShortForms, scores: _Scores
) -> Iterator[_Change]:
    """Decide all names of a layer that are not short forms."""
    names = {
        layer.text[span.start : span.end]
        for span in layer.spans
        if not short_forms.overlap((span.start, span.end))
    }
    by_name: dict[str, list[Range]] = defaultdict(list)
    for place in index.find(names):
        if not short_forms.overlap(place):
            by_name[layer.text[slice(*place)]].append(place)
    for places in by_name.values():
        yield from _decide(layer, places, scores)


def _decide(layer: _Layer, places: Sequence[Range], scores: _Scores) -> Iterator[_Change]:
    """Make all occurrences of a name mentions, or none, if some but not all of them are."""
    if len(places) < 2:
        return
    tagged = [place for place in places if layer.has(place)]
    free = [place for place in places if not layer.overlapping(place)]
    if not tagged or not free:
        return

    n_words = sum(1 for _ in iter_tokens(layer.text[slice(*places[0])]))
    log_odds = scores().pool([*tagged, *free], n_words)
    if log_odds <= 0:
        yield _Change(dropped=tagged)
        return
    mentions = [layer.overlapping(place)[0] for place in tagged]
    ((label, _),) = Counter(mention.label for mention in mentions).most_common(1)
    like = next(mention for mention in mentions if mention.label == label)
    yield _add(layer, free, like, 1 / (1 + exp(-log_odds)))
