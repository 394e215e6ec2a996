"""Short clinical notes, written from frames.

The frames hold no names of the types in ``LABELS`` beside their slots, so the annotation of a note is
complete for heads that know no other types.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from string import Formatter

from openmed_ner.text import Document, Span
from openmed_ner.training.augmentation.names import Names

LABELS = frozenset({"Disease", "Chemical", "Gene", "Variant", "Species", "CellLine"})
"""Types that a note is annotated with, or free of."""
_AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
_SHORT = (
    "H/o {Disease} and {Disease}.",
    "{Disease}: stable",
    "{Disease}, {Disease}, {Disease}",
    "Dx: {Disease}",
    "Known case of {Disease} with new onset {Disease}.",
    "No {Disease}, no {Disease}.",
    "Denies {Disease}.",
    "Admitted for {Disease}; course complicated by {Disease}.",
    "Mother had {Disease}, brother has {Disease}.",
    "Family history: {Disease} (father), {Disease} (aunt)",
    "{Disease} - continue {Chemical} {dose}",
    "{Disease} on {Chemical}",
    "{Disease} s/p {Chemical} x {number} days",
    "Allergies: {Chemical} ({Disease})",
    "{Chemical} {dose} PO daily",
    "{Chemical} {dose} BID, {Chemical} {dose} prn",
    "Start {Chemical}, stop {Chemical}.",
    "Treated with {Chemical} and {Chemical}.",
    "{Chemical} held because of {Disease}.",
    "Screened for {Disease}: negative",
    "r/o {Disease}",
    "# {Disease}",
    "{Disease} x {number} yrs",
    "{Disease} since {year}, never hospitalised",
    "Age {number}, {Disease}, {Disease}, presents with {Disease}.",
    "Diagnosed with {Disease} in {year}.",
    "{Disease} remains the main concern.",
    "Recovering well after {Disease}.",
    "Suffers from {Disease}, worse in winter.",
    "He was treated for {Disease} last year.",
    "She takes {Chemical} against {Disease}.",
    "{Disease} was ruled out.",
    "Work-up showed a {Gene} mutation ({Variant}).",
    "{Gene} {Variant} detected, VAF {number}%",
    "Sequencing: {Gene} {Variant}; {Gene} wild type",
    "Tumour carries {Variant} in {Gene}, so {Chemical} was begun.",
    "Carrier of {Gene} {Variant}.",
    "{Gene} expression was low, {Gene} was not tested.",
    "The {Variant} variant was classified as benign.",
)
_HEADINGS = ("PMHx", "Problem list", "Meds", "Home medications", "A/P", "HPI", "Social", "Genetics", "Course")
_DOSES = ("5 mg", "10mg", "40 mg", "500 mg", "1 g", "0.5 mcg", "20 units", "2 tabs", "100 mg/day")


def write_notes(names: Names, n_notes: int, draws: random.Random) -> Iterable[Document]:
    """Yield notes of two to nine lines, annotated with Disease, Chemical, Gene and Variant."""
    frames = [frame for frame in _SHORT if all(map(names.has, _slots(frame) & (LABELS - {"Variant"})))]
    for number in range(n_notes if frames else 0):
        pieces: list[tuple[str, str | None]] = []
        marker, separator = draws.choice(("- ", "", "", "* ", "1) ")), draws.choice(("\n", "\n", " ", "\n\n"))
        for line in range(draws.randint(2, 9)):
            if line:
                pieces.append((separator, None))
            if draws.random() < 0.2:
                pieces.append((draws.choice(_HEADINGS) + draws.choice((":\n", ": ")), None))
            if separator != " ":
                pieces.append((marker, None))
            pieces += _fill(draws.choice(frames), names, draws)
        yield _join(f"note-{number}", pieces)


def _slots(frame: str) -> set[str]:
    return {slot for _, slot, _, _ in Formatter().parse(frame) if slot}


def _fill(frame: str, names: Names, draws: random.Random) -> Iterable[tuple[str, str | None]]:
    """Yield the pieces of a line, each with its type."""
    for text, slot, _, _ in Formatter().parse(frame):
        yield text, None
        if slot == "Variant":
            yield _draw_variant(draws), slot
        elif slot in LABELS:
            yield names.draw(slot, draws), slot
        elif slot:
            values = {"dose": draws.choice(_DOSES), "year": str(draws.randint(1980, 2024))}
            yield values.get(slot, str(draws.randint(2, 90))), None


def _draw_variant(draws: random.Random) -> str:
    """Draw a substitution of a protein or of DNA, or a number of dbSNP; no such variant need exist."""
    before, after = draws.sample(_AMINO_ACIDS, 2)
    place = draws.randint(2, 1500)
    base, other = draws.sample("ACGT", 2)
    return draws.choice(
        (
            f"{before}{place}{after}",
            f"{before}{place}{after}",
            f"p.{before}{place}{after}",
            f"c.{place}{base}>{other}",
            f"rs{draws.randint(10_000, 99_999_999)}",
        )
    )


def _join(name: str, pieces: Iterable[tuple[str, str | None]]) -> Document:
    text, spans = "", []
    for piece, label in pieces:
        if label:
            spans.append(Span(len(text), len(text) + len(piece), label))
        text += piece
    return Document(name, text, tuple(spans))
