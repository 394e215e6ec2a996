"""Classify errors: every error of strict matching lies in exactly one group, of exactly one kind.

A missed and a spurious mention form a group if they share their boundaries, or else if they overlap. A wrong
mention that touches no other stays alone. The kind follows from the group and the text around it; kinds are
tried in the order of :data:`KINDS`. An error caused by a coordination counts as that, be it a boundary error
or a merged, missed or spurious mention. Names that look like abbreviations (most names of genes) count as
abbreviations. Overlap is that of whole mentions, gaps of a discontinuous one included.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from openmed_ner.evaluation.matching import boundaries, distinct_spans
from openmed_ner.evaluation.scores import score_document
from openmed_ner.text import Document, Span
from openmed_ner.text.definitions import find_definitions

KINDS = {
    "type": "right boundaries, wrong label; for example, “cisplatin” is Chemical, predicted as Disease",
    "split": "one mention predicted in pieces; for example, “renal | failure”",
    "nested": (
        "missed or spurious, inside or around a mention that was found; "
        "for example, “colon” missed within “colon cancer”, which was found"
    ),
    "coordination": (
        "wrong boundaries, or a merged, missed or spurious mention, across a conjunction; "
        "for example, “breast and ovarian cancer”, predicted: “ovarian cancer”"
    ),
    "merged": (
        "several mentions predicted as one; for example, “Parkinson disease” and “PD” in "
        "“Parkinson disease (PD)”"
    ),
    "type-and-boundary": (
        "overlap, but wrong label and wrong boundaries; for example, “insulin” in “insulin resistance”"
    ),
    "abbreviation": (
        "an abbreviation with wrong boundaries, missed or spurious; "
        "for example, “DMD” missed in “Duchenne dystrophy (DMD)”"
    ),
    "boundary-left": (
        "right label, wrong start; for example, “acute renal failure”, predicted: “renal failure”"
    ),
    "boundary-right": "right label, wrong end; for example, “seizure disorder”, predicted: “seizure”",
    "boundary-both": (
        "right label, wrong start and end; for example, “acute renal failure”, predicted: “renal”"
    ),
    "boundary-inner": "right label, start and end, but other pieces: a discontinuous mention predicted whole",
    "missed": "no prediction overlaps the mention, other than right ones",
    "spurious": "the prediction overlaps no mention, other than mentions that were found",
}
"""Every kind of error with its meaning and an example; the first that applies counts."""

_COORDINATOR = re.compile(r"(?<=[\w)\]])(?:\s*,)?\s+(?:and/or|and|or|&)\s+(?=[\w(\[])", re.IGNORECASE)
_COMMA = re.compile(r"(?<=[\w)\]])\s*,\s+(?=[\w(\[])")
_BRACKETED = re.compile(r"\(\s*([^\s()]{2,10})\s*\)")
_SENTENCE_END = re.compile(r"(?<=[a-z0-9)][.!?])\s+|\n")
_MAX_CONTEXT = 160
"""Characters of a sentence shown on each side of an error."""


@dataclass(frozen=True, slots=True)
class Error:
    """One error of strict matching.

    Attributes:
        kind: a key of :data:`KINDS`.
        gold: missed mentions, in order.
        predicted: spurious predictions, in order.
        document: id of the document.
        context: sentence around the error, shortened if it is long.
        offset: first character of ``context`` in the document.
    """

    kind: str
    gold: tuple[Span, ...]
    predicted: tuple[Span, ...]
    document: str
    context: str
    offset: int


@dataclass(frozen=True, slots=True)
class _Group:
    """Missed and spurious mentions that belong together; either may be absent."""

    gold: tuple[Span, ...]
    predicted: tuple[Span, ...]

    @property
    def spans(self) -> tuple[Span, ...]:
        return self.gold + self.predicted

    @property
    def start(self) -> int:
        return min(span.start for span in self.spans)

    @property
    def end(self) -> int:
        return max(span.end for span in self.spans)


def find_errors(gold: Document, predicted: Document) -> list[Error]:
    """Group and classify the errors of strict matching, in the order of the text.

    Every false negative lies in the ``gold`` of exactly one error and every false positive in the
    ``predicted`` of exactly one. The order of the spans changes nothing.

    Raises:
        InputError: the documents differ in id or text.
    """
    score_document(gold, predicted)
    gold_spans, predicted_spans = distinct_spans(gold), distinct_spans(predicted)
    gold_keys, predicted_keys = ({span.key for span in spans} for spans in (gold_spans, predicted_spans))
    right = [span for span in gold_spans if span.key in predicted_keys]
    missed = [span for span in gold_spans if span.key not in predicted_keys]
    spurious = [span for span in predicted_spans if span.key not in gold_keys]
    groups = sorted(_group(missed, spurious), key=lambda group: (group.start, list(map(_key, group.spans))))
    return [_describe(gold, group, _classify(gold.text, group, right)) for group in groups]


def count_errors(errors: Iterable[Error]) -> Counter[str]:
    """Count errors by kind. Counts add."""
    return Counter(error.kind for error in errors)


def separate_errors(
    errors: Sequence[Error], reference: Sequence[Error]
) -> tuple[list[Error], list[tuple[Error, Error]]]:
    """Separate the errors that only one system makes from those that a second system makes as well.

    Both lists come from one gold document. Errors are shared if they miss the same mention, or if
    the same prediction is spurious in both.

    Args:
        errors: errors of the first system.
        reference: errors of the second system.

    Returns:
        The errors of the first system alone, and its shared errors, each with the first that it shares.
    """
    # Reversed, so that the first of several errors with one key remains.
    error_by_key = {key: error for error in reversed(reference) for key in _wrong_keys(error)}
    unshared, shared = [], []
    for error in errors:
        matches = [error_by_key[key] for key in _wrong_keys(error) if key in error_by_key]
        if matches:
            shared.append((error, min(matches, key=reference.index)))
        else:
            unshared.append(error)
    return unshared, shared


def _wrong_keys(error: Error) -> set[tuple[object, ...]]:
    origins = {"gold": error.gold, "predicted": error.predicted}
    return {(origin, *span.key) for origin, spans in origins.items() for span in spans}


def _group(missed: Sequence[Span], spurious: Sequence[Span]) -> list[_Group]:
    """Join equal boundaries, then connect what overlaps; missed mentions alone never connect."""
    shared = {boundaries(span.key) for span in missed} & {boundaries(span.key) for span in spurious}
    same = [
        _Group(
            *(tuple(span for span in spans if boundaries(span.key) == edges) for spans in (missed, spurious))
        )
        for edges in shared
    ]

    groups = [_Group((span,), ()) for span in missed if boundaries(span.key) not in shared]
    for span in (span for span in spurious if boundaries(span.key) not in shared):
        touched = [group for group in groups if any(_overlap(span, other) for other in group.gold)]
        groups = [group for group in groups if group not in touched]
        groups.append(_join([*touched, _Group((), (span,))]))
    return same + groups


def _join(groups: Sequence[_Group]) -> _Group:
    return _Group(
        tuple(sorted((span for group in groups for span in group.gold), key=_key)),
        tuple(sorted((span for group in groups for span in group.predicted), key=_key)),
    )


def _key(span: Span) -> tuple[object, ...]:
    return span.key


def _overlap(left: Span, right: Span) -> bool:
    return left.start < right.end and right.start < left.end


def _inside(inner: Span, outer: Span) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end


def _classify(text: str, group: _Group, right: Sequence[Span]) -> str:
    """Name the first kind that applies."""
    if group.gold and group.predicted:
        return _classify_overlap(text, group)
    (span,) = group.spans
    if any(_inside(span, other) or _inside(other, span) for other in right):
        return "nested"
    return _cause(text, group) or ("missed" if group.gold else "spurious")


def _classify_overlap(text: str, group: _Group) -> str:
    gold, predicted = group.gold, group.predicted
    if boundaries(gold[0].key) == boundaries(predicted[0].key):
        return "type"
    labels, guesses = ({span.label for span in spans} for spans in (gold, predicted))
    if labels & guesses and _are_pieces(predicted, gold):
        return "split"
    if labels & guesses and _are_pieces(gold, predicted):
        return "coordination" if _is_coordination(text, group) else "merged"
    if labels != guesses:
        return "type-and-boundary"
    return _cause(text, group) or _boundary_kind(group)


def _are_pieces(pieces: Sequence[Span], whole: Sequence[Span]) -> bool:
    """Return whether several disjoint mentions lie in a single one."""
    return (
        len(whole) == 1 < len(pieces)
        and all(_inside(piece, whole[0]) for piece in pieces)
        and all(before.end <= after.start for before, after in pairwise(pieces))
    )


def _boundary_kind(group: _Group) -> str:
    """Compare the outermost boundaries of gold and predicted mentions."""
    left, right = (_Group(group.gold, ()), _Group((), group.predicted))
    names = {
        (False, False): "boundary-inner",
        (True, False): "boundary-left",
        (False, True): "boundary-right",
        (True, True): "boundary-both",
    }
    return names[left.start != right.start, left.end != right.end]


def _cause(text: str, group: _Group) -> str | None:
    if _is_coordination(text, group):
        return "coordination"
    return "abbreviation" if _is_about_abbreviation(text, group) else None


def _is_coordination(text: str, group: _Group) -> bool:
    """Return whether gold and predicted differ by a conjunction between two words of the group.

    A comma counts in a series that "and" or "or" closes: "diabetes, type 2" is not a coordination.
    """
    phrase, disputed = text[group.start : group.end], _disputed(group)
    conjunctions = list(_COORDINATOR.finditer(phrase))
    # "diabetes, type 2" has a comma only; "breast, colon and lung cancer" has "and" as well.
    commas = list(_COMMA.finditer(phrase)) if conjunctions else []
    return any(
        not disputed.isdisjoint(range(group.start + match.start(), group.start + match.end()))
        for match in conjunctions + commas
    )


def _disputed(group: _Group) -> set[int]:
    """Return the characters that only gold or only predicted mentions cover, with or without gaps."""
    whole = [_cover((span.start, span.end) for span in spans) for spans in (group.gold, group.predicted)]
    exact = [
        _cover(piece for span in spans for piece in span.fragments or ((span.start, span.end),))
        for spans in (group.gold, group.predicted)
    ]
    return (whole[0] ^ whole[1]) | (exact[0] ^ exact[1])


def _cover(ranges: Iterable[tuple[int, int]]) -> set[int]:
    return {position for start, end in ranges for position in range(start, end)}


def _is_about_abbreviation(text: str, group: _Group) -> bool:
    """Return whether the mention, or a disputed bracket, is an abbreviation."""
    if any(_is_abbreviation(text, span.start, span.end) for span in group.gold or group.predicted):
        return True
    disputed = _disputed(group)
    return any(
        disputed.issuperset(range(match.start(1), match.end(1))) and _is_abbreviation(text, *match.span(1))
        for match in _BRACKETED.finditer(text, group.start, group.end)
    )


def _is_abbreviation(text: str, start: int, end: int) -> bool:
    """Return whether a mention is one short word, mostly of capitals or defined in brackets."""
    mention = text[start:end]
    if not 2 <= len(mention) <= 10 or any(map(str.isspace, mention)):
        return False
    n_capitals = sum(map(str.isupper, mention))
    mostly_capitals = n_capitals > 1 and 2 * n_capitals > sum(map(str.isalpha, mention))
    return mostly_capitals or _is_defined(text, start, end)


def _is_defined(text: str, start: int, end: int) -> bool:
    """Return whether the text defines a mention as a short form in brackets right here."""
    # Ten letters allow at most 15 words before the bracket, which 200 characters nearly always hold.
    first = max(0, start - 200)
    return any(
        definition.short == (start - first, end - first)
        for definition in find_definitions(text[first : end + 5])
    )


def _describe(document: Document, group: _Group, kind: str) -> Error:
    low, high = _sentence(document.text, group.start, group.end)
    return Error(kind, group.gold, group.predicted, document.id, document.text[low:high], low)


def _sentence(text: str, start: int, end: int) -> tuple[int, int]:
    """Find the sentence around a range, at most ``_MAX_CONTEXT`` characters more on each side."""
    low, high = max(0, start - _MAX_CONTEXT), min(len(text), end + _MAX_CONTEXT)
    ends_before = [match.end() for match in _SENTENCE_END.finditer(text, low, start)]
    end_after = _SENTENCE_END.search(text, end, high)
    return ends_before[-1] if ends_before else low, end_after.start() if end_after else high
