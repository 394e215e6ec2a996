"""A summary as one HTML page without scripts, which loads nothing: it can be mailed and opened anywhere.

All texts come from the documents and are escaped. Diagrams are drawn here as SVG, so that no other package is
needed, and every diagram comes with a table of its numbers. Identifiers are links, followed only by a click.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, TextIO

from openmed_ner.evaluation.page import Html, section, table, write_page
from openmed_ner.reports.diagrams import Count, draw_columns, draw_rows
from openmed_ner.reports.summary import CONTEXT
from openmed_ner.text.identifier_links import find_address

_OPEN = 6
"""Types whose tables of mentions are open."""
_NPMI = (
    "NPMI is the normalised pointwise mutual information of documents: 1 if both only occur together, "
    "0 if together as often as by chance."
)


def write_summary_page(target: Path | TextIO, summary: Mapping[str, Any], *, title: str) -> None:
    """Write a page.

    Args:
        target: file for the page.
        summary: object of :meth:`openmed_ner.reports.RunSummary.to_json`.
        title: heading of the page.
    """
    n_documents, n_mentions = summary["documents"], summary["mentions"]
    subtitle = f"{n_mentions:,} mentions in {n_documents:,} documents."
    if summary["incomplete_documents"]:
        subtitle += f" {summary['incomplete_documents']:,} documents were not read as a whole."
    write_page(target, title, subtitle, filter(None, _iter_sections(summary)))


def _iter_sections(summary: Mapping[str, Any]) -> Iterator[str]:
    yield _types_section(summary["types"])
    yield _years_section(summary["years"], [row["type"] for row in summary["types"][:8]])
    yield _context_section(summary)
    yield _mentions_section(summary["frequent_mentions"])
    yield _identifiers_section(summary["identifiers"])
    yield _pairs_section(summary)
    yield _notes_section(summary)


def _types_section(types: Sequence[Mapping[str, Any]]) -> str:
    rows = [(row["type"], *_numbers(row)) for row in types]
    counts = [Count(row["type"], row["mentions"]) for row in types]
    caption = "Mentions of each type, and documents with at least one."
    diagram = draw_rows("types", "Mentions by type", caption, counts)
    return section("Types", diagram + table(caption, ("Type", "Mentions", "Documents"), rows))


def _years_section(years: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> str:
    if not years:
        return ""
    caption = "Documents by year of publication, and mentions of the most frequent types in them."
    rows = [
        (
            str(row["year"]),
            f"{row['documents']:,}",
            *(f"{row['types'].get(label, 0):,}" for label in labels),
        )
        for row in years
    ]
    counts = {row["year"]: row["documents"] for row in years}
    # Years without a document are part of the axis.
    columns = [Count(str(year), counts.get(year, 0)) for year in range(min(counts), max(counts) + 1)]
    diagram = draw_columns("years", "Documents by year", caption, columns)
    return section("Years", diagram + table(caption, ("Year", "Documents", *labels), rows))


def _context_section(summary: Mapping[str, Any]) -> str:
    if not summary["context"]:
        return ""
    totals = {row["type"]: row["mentions"] for row in summary["types"]}
    rows = [
        (
            row["type"],
            *(f"{row[name]:,} ({100 * row[name] / totals[row['type']]:.1f} %)" for name in CONTEXT),
        )
        for row in summary["context"]
    ]
    caption = "Mentions that are denied, uncertain, in the past, or about a relative, and their share."
    return section("Context", table(caption, ("Type", *CONTEXT), rows))


def _mentions_section(by_type: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    parts = []
    for number, (label, mentions) in enumerate(by_type.items()):
        rows = [(row["mention"], *_numbers(row)) for row in mentions]
        body = table(f"Most frequent mentions of {label}.", ("Mention", "Mentions", "Documents"), rows)
        is_open = " open" if number < _OPEN else ""
        parts.append(f"<details{is_open}><summary>{escape(label)}</summary>\n{body}</details>\n")
    return section("Mentions", "".join(parts)) if parts else ""


def _identifiers_section(identifiers: Sequence[Mapping[str, Any]]) -> str:
    if not identifiers:
        return ""
    rows = [(row["name"], _link(row["id"]), *_numbers(row)) for row in identifiers]
    caption = "Most frequent identifiers. A mention with several identifiers counts for each."
    return section("Identifiers", table(caption, ("Name", "Identifier", "Mentions", "Documents"), rows))


def _pairs_section(summary: Mapping[str, Any]) -> str:
    columns = ("First", "Second", "Together", "Documents of first", "Documents of second", "NPMI")
    least = summary["options"]["min_documents"]
    parts = []
    for key, caption in (
        ("frequent_pairs", f"Most frequent pairs in one document. {_NPMI}"),
        ("associated_pairs", f"Strongest associations of the pairs in at least {least} documents."),
    ):
        rows = [
            (
                _describe(row["first"]),
                _describe(row["second"]),
                f"{row['documents']:,}",
                f"{row['first']['documents']:,}",
                f"{row['second']['documents']:,}",
                f"{row['npmi']:.2f}",
            )
            for row in summary[key]
        ]
        if rows:
            parts.append(table(caption, columns, rows))
    return section("Co-mentions", "\n".join(parts)) if parts else ""


def _notes_section(summary: Mapping[str, Any]) -> str:
    notes = ["This page contains mentions, so it is as confidential as the texts."]
    if summary["frequent_pairs"]:
        notes.append(
            "A co-mention is two concepts in one document. It is no evidence of a relation between them."
        )
    if summary["crowded_documents"]:
        notes.append(
            f"In {summary['crowded_documents']:,} documents with very many concepts, only those with most "
            "mentions form pairs."
        )
    notes += [
        f"There were too many distinct {name} to hold. Their counts may be too low by up to {undercount:,}."
        for name, undercount in summary["undercounts"].items()
        if undercount
    ]
    items = "".join(f"<li>{escape(note)}</li>\n" for note in notes)
    return section("Notes", f"<ul>\n{items}</ul>\n")


def _numbers(row: Mapping[str, Any]) -> tuple[str, str]:
    return f"{row['mentions']:,}", f"{row['documents']:,}"


def _describe(concept: Mapping[str, Any]) -> Html:
    """A concept with its type, or with a link of its identifier."""
    if "id" in concept:
        return Html(f"{escape(concept['name'])} <small>{_link(concept['id'])}</small>")
    return Html(f"{escape(concept['mention'])} <small>{escape(concept['type'])}</small>")


def _link(identifier: str) -> Html:
    address = find_address(identifier)
    shown = escape(identifier)
    return Html(f'<a href="{escape(address)}" rel="noreferrer">{shown}</a>' if address else shown)
