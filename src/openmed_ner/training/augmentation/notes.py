"""Short clinical notes, written from frames.

The frames hold no names of the types in ``LABELS`` beside their slots, so the annotation of a note is
complete for heads that know no other types.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from string import Formatter

from openmed_ner.text import Document, Span
from openmed_ner.training.augmentation.frames import MENTIONS, PLAIN, draw_value
from openmed_ner.training.augmentation.names import Names

LABELS = frozenset({"Disease", "Chemical", "Gene", "Variant", "Species", "CellLine"})
"""Types that a note is annotated with, or free of."""
_AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
_HEADINGS = ("PMHx", "Problem list", "Meds", "Home medications", "A/P", "HPI", "Social", "Genetics", "Course")
_PLAIN_SHARE = 0.4
"""Share of the lines that name nothing."""


def write_notes(names: Names, n_notes: int, draws: random.Random) -> Iterable[Document]:
    """Yield notes of two to nine lines, annotated with Disease, Chemical, Gene and Variant."""
    frames = [frame for frame in MENTIONS if all(map(names.has, _slots(frame) & (LABELS - {"Variant"})))]
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
            lines = PLAIN if draws.random() < _PLAIN_SHARE else frames
            pieces += _fill(draws.choice(lines), names, draws)
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
            yield draw_value(slot, draws), None


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
