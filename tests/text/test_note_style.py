from __future__ import annotations

import pytest

from openmed_ner.data import read_examples
from openmed_ner.formats import read_documents
from openmed_ner.text.note_style import MOST, is_note_like
from pages import ROOT

NOTES = [document.text for document in read_documents(ROOT / "benchmarks/notes.jsonl")]


def test_most_notes_read_like_notes() -> None:
    assert sum(map(is_note_like, NOTES)) >= 14


def test_abstracts_do_not_read_like_notes() -> None:
    assert not any(is_note_like(document.text) for document in read_examples())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Patients received metformin 500 mg daily, aspirin 100 mg po and 5 mg qd of apixaban.",  # one kind
        "BP 120/80 and HR 70 before, BP 110/70 and HR 64 after treatment.",  # one kind
        "NAD+ and Pt(II) complexes (1:2 w/w). Objective: we compared 5 mg/kg i.v. Conclusions: none.",
        "Findings: the patient denies pain. Plan: none.",  # three times is one sign
    ],
)
def test_an_article_may_have_some_of_the_signs(text: str) -> None:
    assert not is_note_like(text)


def test_headings_in_running_text_count_in_capitals_only() -> None:
    note = "CHIEF COMPLAINT Cough. REVIEW OF SYSTEMS The patient denies fever."
    assert is_note_like(note)
    assert not is_note_like(note.lower())


def test_the_end_of_a_long_text_costs_nothing() -> None:
    assert not is_note_like("x " * MOST + NOTES[1])
