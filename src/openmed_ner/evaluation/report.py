"""Write the results of an evaluation as one HTML page, for reading and printing.

The page has neither scripts nor links and loads nothing, so it can be mailed and opened anywhere. Gold and
predicted mentions differ by their line (solid below, dashed above), not by colour alone. Every diagram comes
with a table of its numbers. The page contains the texts, so it is as confidential as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, TextIO

from openmed_ner.evaluation.calibration import Bin, expected_calibration_error, reliability
from openmed_ner.evaluation.errors import KINDS, Error, count_errors, find_errors, separate_errors
from openmed_ner.evaluation.page import Bar, draw_bars, highlight, section, table, write_page
from openmed_ner.evaluation.profile import Profile, profile_by_frequency, profile_by_length
from openmed_ner.evaluation.scores import score_documents
from openmed_ner.evaluation.significance import Comparison
from openmed_ner.text import Document, Span

_LEGEND = (
    '<p>In the texts: <mark class="gold">gold only: missed</mark> has a solid line below, '
    '<mark class="predicted">predicted only: spurious</mark> a dashed line above, and what lies in '
    '<mark class="gold predicted">both</mark> has both lines.</p>\n'
)


@dataclass(frozen=True, slots=True)
class System:
    """One of two compared systems: its name, its ``evaluate --json`` result and its predictions."""

    name: str
    result: Mapping[str, Any]
    predicted: Sequence[Document]


def write_report(
    target: Path | TextIO,
    result: Mapping[str, Any],
    gold: Sequence[Document],
    predicted: Sequence[Document],
    *,
    training: Sequence[Document] | None = None,
    n_examples: int = 5,
    n_documents: int = 20,
) -> None:
    """Write scores, errors, calibration, profiles and the worst documents of one evaluated head.

    Args:
        target: file for the page.
        result: scores of the head, as ``evaluate --json`` writes them; ``seen`` and ``unseen`` are optional.
        gold: documents with gold spans.
        predicted: the same documents with predicted spans. Without scores there is no calibration.
        training: training documents of the head; without them there is no profile by frequency.
        n_examples: most examples shown per kind of error.
        n_documents: most documents shown in full.

    Raises:
        InputError: the documents do not belong together.
    """
    errors = _find_all(gold, predicted)
    sections = [
        _scores_section([("all labels", result)]),
        _errors_section([error for document_errors in errors for error in document_errors], n_examples),
        _calibration_section(gold, predicted),
        _profile_section("F1 by length", "words", profile_by_length(gold, predicted)),
    ]
    if training is not None:
        profile = profile_by_frequency(gold, predicted, training)
        sections.append(_profile_section("F1 by frequency", "occurrences in training", profile))
    sections.append(_documents_section(gold, predicted, errors, n_documents))
    write_page(target, _title(result), _subtitle(result), sections)


def write_comparison(
    target: Path | TextIO,
    gold: Sequence[Document],
    first: System,
    second: System,
    *,
    comparison: Comparison | None = None,
    n_examples: int = 5,
) -> None:
    """Write the scores of two systems side by side, with the errors of either and of both.

    Raises:
        InputError: the documents do not belong together.
    """
    pairs = list(zip(_find_all(gold, first.predicted), _find_all(gold, second.predicted), strict=True))
    forth = [separate_errors(left, right) for left, right in pairs]
    back = [separate_errors(right, left) for left, right in pairs]
    only_first, only_second = (
        [error for unshared, _ in separated for error in unshared] for separated in (forth, back)
    )
    both = [pair for _, shared in forth for pair in shared]
    n_shared = count_errors(error for _, shared in back for error, _ in shared)

    sections = [
        _scores_section([(first.name, first.result), (second.name, second.result)]),
        _difference_section(first.name, second.name, comparison) if comparison else "",
        _shared_table(first.name, second.name, only_first, both, n_shared, only_second),
        _examples_section(f"Errors of {first.name} alone", only_first, n_examples),
        _examples_section(f"Errors of {second.name} alone", only_second, n_examples),
        _pairs_section(first.name, second.name, both, n_examples),
    ]
    write_page(target, f"{first.name} and {second.name}", _subtitle(first.result), sections)


def _find_all(gold: Sequence[Document], predicted: Sequence[Document]) -> list[list[Error]]:
    score_documents(gold, predicted)
    return [find_errors(left, right) for left, right in zip(gold, predicted, strict=True)]


def _title(result: Mapping[str, Any]) -> str:
    return f"{result['corpus']}, {result['split']}"


def _subtitle(result: Mapping[str, Any]) -> str:
    return f"{_title(result)}: {result['documents']} documents, protocol {result['protocol']}."


# Scores


def _scores_section(results: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Format a row per result, per label, and for seen and unseen mentions."""
    rows = [row for name, result in results for row in _score_rows(name, result, n_results=len(results))]
    columns = ("", "Precision", "Recall", "F1", "95 % interval", "Found", "Spurious", "Missed")
    return section("Scores", table("Strict mentions: boundaries and label. In percent.", columns, rows))


def _score_rows(name: str, result: Mapping[str, Any], *, n_results: int) -> Iterator[tuple[str, ...]]:
    prefix = f"{name}: " if n_results > 1 else ""
    yield _score_row(name, result["micro"])
    for label, scores in result["per_label"].items():
        yield _score_row(f"{prefix}{label}", scores)
    for key, words in (("seen", "forms seen in training"), ("unseen", "forms not seen in training")):
        if key in result:
            yield _score_row(f"{prefix}{words}", result[key])


def _score_row(name: str, scores: Mapping[str, Any]) -> tuple[str, ...]:
    interval = " to ".join(_percent(edge) for edge in scores["ci95"]) if "ci95" in scores else ""
    shares = (_percent(scores[key]) for key in ("precision", "recall", "f1"))
    return name, *shares, interval, *(str(scores[key]) for key in ("tp", "fp", "fn"))


def _difference_section(first: str, second: str, comparison: Comparison) -> str:
    low, high = comparison.ci95
    row = (
        f"{second} minus {first}",
        f"{-100 * comparison.difference:+.2f}",
        f"{-100 * high:+.2f} to {-100 * low:+.2f}",
        f"{comparison.p_value:.4f}",
    )
    in_points = table("In points of F1.", ("", "Difference", "95 % interval", "p"), [row])
    return section("Difference", in_points)


# Errors


def _errors_section(errors: Sequence[Error], n_examples: int) -> str:
    counts = count_errors(errors)
    rows = [
        (
            kind,
            str(counts[kind]),
            _percent(counts[kind] / len(errors)),
            str(sum(len(error.gold) for error in errors if error.kind == kind)),
            str(sum(len(error.predicted) for error in errors if error.kind == kind)),
        )
        for kind in KINDS
        if counts[kind]
    ]
    columns = ("Kind", "Errors", "Percent", "Gold mentions", "Predictions")
    caption = "Every missed mention and every spurious prediction lies in one error."
    return section("Errors", table(caption, columns, rows) + _LEGEND + _examples(errors, n_examples))


def _examples_section(heading: str, errors: Sequence[Error], n_examples: int) -> str:
    return section(heading, f"<p>{len(errors)} errors.</p>\n{_examples(errors, n_examples)}")


def _examples(errors: Sequence[Error], n_examples: int) -> str:
    """Format examples of every kind; errors of the same words count once, the most frequent come first."""
    parts = []
    for kind, meaning in KINDS.items():
        alike = _group_alike(error for error in errors if error.kind == kind)
        if alike:
            # The example of the meaning would read like one of the errors.
            meaning = meaning.partition("; for example,")[0]
            shown = alike[:n_examples]
            items = "".join(f"<li>{_example(group[0], n_alike=len(group))}</li>\n" for group in shown)
            parts.append(
                f"<h3>{escape(kind)}</h3>\n"
                f"<p>{escape(meaning)}. {_shown(len(shown), len(alike), 'different errors')}</p>\n"
                f"<ul>\n{items}</ul>\n"
            )
    return "".join(parts)


def _group_alike(errors: Iterable[Error]) -> list[list[Error]]:
    """Group errors with the same gold and predicted words, most frequent first."""
    groups: dict[str, list[Error]] = {}
    for error in errors:
        groups.setdefault(_spans_in_words(error).lower(), []).append(error)
    return sorted(groups.values(), key=len, reverse=True)


def _example(error: Error, *, n_alike: int = 1) -> str:
    marked = highlight(error.context, error.gold, error.predicted, offset=error.offset)
    times = f" ({n_alike} times)" if n_alike > 1 else ""
    return f'<p class="text" dir="auto">{marked}</p>\n<small>{_in_words(error)}{times}</small>'


def _in_words(error: Error) -> str:
    """Describe an error for readers who do not see the highlights."""
    return escape(f"{error.document}: {_spans_in_words(error)}")


def _spans_in_words(error: Error) -> str:
    gold, predicted = (
        ", ".join(f"{span.label} “{_mention(error, span)}”" for span in spans) or "nothing"
        for spans in (error.gold, error.predicted)
    )
    return f"gold: {gold}; predicted: {predicted}"


def _mention(error: Error, span: Span) -> str:
    return Document(error.document, error.context).mention(_shift(span, -error.offset))


def _shift(span: Span, by: int) -> Span:
    fragments = tuple((start + by, end + by) for start, end in span.fragments)
    return Span(span.start + by, span.end + by, span.label, span.score, span.corpus, fragments)


def _shared_table(
    first: str,
    second: str,
    only_first: Sequence[Error],
    both: Sequence[tuple[Error, Error]],
    n_shared: Mapping[str, int],
    only_second: Sequence[Error],
) -> str:
    counts = [
        count_errors(only_first),
        count_errors(error for error, _ in both),
        n_shared,
        count_errors(only_second),
    ]
    rows = [
        (kind, *(str(count.get(kind, 0)) for count in counts))
        for kind in KINDS
        if any(count.get(kind) for count in counts)
    ]
    rows.append(("all", *(str(sum(count.values())) for count in counts)))
    columns = ("Kind", f"{first} alone", f"{first}, shared", f"{second}, shared", f"{second} alone")
    caption = (
        "An error is shared if the other system misses the same mention or makes the same spurious "
        "prediction; the two may still be of different kinds."
    )
    return section("Errors", table(caption, columns, rows) + _LEGEND)


def _pairs_section(first: str, second: str, both: Sequence[tuple[Error, Error]], n_examples: int) -> str:
    shown = both[:n_examples]
    items = "".join(
        f"<li>{escape(first)}, {escape(left.kind)}:\n{_example(left)}\n"
        f"{escape(second)}, {escape(right.kind)}:\n{_example(right)}</li>\n"
        for left, right in shown
    )
    intro = f"<p>{_shown(len(shown), len(both), 'errors')}</p>\n"
    return section("Errors of both", f"{intro}<ul>\n{items}</ul>\n" if both else intro)


# Calibration and profiles


def _calibration_section(gold: Sequence[Document], predicted: Sequence[Document]) -> str:
    if any(span.score is None for document in predicted for span in document.spans):
        return section("Calibration", "<p>Not shown: some predictions have no score.</p>\n")

    bins = reliability(gold, predicted)
    error = _percent(expected_calibration_error(bins))
    intro = (
        f"<p>Expected calibration error: {error} %. Bars that end at their line are well calibrated.</p>\n"
    )

    columns = ("Score", "Predictions", "Mean score", "Precision")
    rows = [
        (_range(group), str(group.count), _percent(group.confidence), _percent(group.precision))
        for group in bins
        if group.count
    ]
    bars = [
        Bar(_range(group), group.precision, group.confidence) if group.count else Bar(_range(group), None)
        for group in bins
    ]
    description = "Bars: share of predictions that are right. Lines: their mean score."
    diagram = draw_bars("calibration", "Precision by score", description, bars)
    return section("Calibration", intro + diagram + table("In percent.", columns, rows))


def _range(group: Bin) -> str:
    return f"{group.low:.2g}–{group.high:.2g}"


def _profile_section(heading: str, unit: str, profile: Profile) -> str:
    rows = [
        (
            name,
            *(_percent(share) for share in (counts.precision, counts.recall, counts.f1)),
            *map(str, (counts.tp, counts.fp, counts.fn)),
        )
        for name, counts in profile
    ]
    bars = [Bar(name, counts.f1 if counts.tp + counts.fp + counts.fn else None) for name, counts in profile]
    description = f"F1 by {unit} of the mention; the table below holds the numbers."
    diagram = draw_bars(heading.lower().replace(" ", "-"), heading, description, bars)
    columns = (unit.capitalize(), "Precision", "Recall", "F1", "Found", "Spurious", "Missed")
    return section(heading, diagram + table("Shares in percent.", columns, rows))


# Documents


def _documents_section(
    gold: Sequence[Document],
    predicted: Sequence[Document],
    errors: Sequence[Sequence[Error]],
    n_documents: int,
) -> str:
    """Format the documents with the most errors, each with its mentions marked."""
    # The sort is stable: documents with as many errors keep their order.
    ranked = sorted(range(len(gold)), key=lambda number: -len(errors[number]))
    shown = [number for number in ranked[:n_documents] if errors[number]]
    intro = f"<p>{_shown(len(shown), len(gold), 'documents')} Those with the most errors come first.</p>\n"
    texts = "".join(
        f"<h3>{escape(gold[number].id)}: {_number(len(errors[number]), 'error')}</h3>\n"
        f'<p class="text" dir="auto">'
        f"{highlight(gold[number].text, gold[number].spans, predicted[number].spans)}</p>\n"
        f"<ul>\n{''.join(map(_item, errors[number]))}</ul>\n"
        for number in shown
    )
    return section("Documents", intro + texts)


def _item(error: Error) -> str:
    return f"<li>{escape(error.kind)}: <small>{_in_words(error)}</small></li>\n"


def _shown(n_shown: int, n_all: int, things: str) -> str:
    return f"{n_shown} of {n_all} {things} shown."


def _number(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"
