"""The annotated clinic notes that ``benchmarks/notes.py`` scores bundles on."""

from __future__ import annotations

from itertools import pairwise

import pytest

from openmed_ner.formats import read_documents
from openmed_ner.text import Document
from pages import ROOT

NOTES = list(read_documents(ROOT / "benchmarks/notes.jsonl"))


def test_there_are_sixteen_kinds_of_notes() -> None:
    assert len({note.id for note in NOTES}) == len(NOTES) == 16


@pytest.mark.parametrize("note", NOTES, ids=lambda note: note.id)
def test_mentions_are_words_of_the_five_types_that_do_not_overlap(note: Document) -> None:
    assert 500 <= len(note.text) <= 1500
    assert all(one.end <= other.start for one, other in pairwise(note.spans))
    for span in note.spans:
        surface = note.text[span.start : span.end]
        assert span.label in {"Disease", "Chemical", "Gene", "Variant", "Species"}
        assert surface == surface.strip()
        neighbours = (note.text[: span.start][-1:], note.text[span.end :][:1])
        assert not any(character.isalnum() for character in neighbours), surface
