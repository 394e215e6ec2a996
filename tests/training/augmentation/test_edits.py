"""Edits of a text carry its spans along."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmed_ner.text import Document, Span
from openmed_ner.training.augmentation.edits import Edit, apply_edits, change_case, select_edits
from openmed_ner.training.augmentation.layouts import LAYOUTS, Layout
from sentences import DOCUMENTS

SENTENCE = "Cisplatin causes renal failure in rats."
DOCUMENT = Document("1", SENTENCE, (Span(0, 9, "Chemical"), Span(17, 30, "Disease")))


def mentions(document: Document) -> list[tuple[str, str]]:
    return [(document.mention(span), span.label) for span in document.spans]


@pytest.mark.parametrize(
    ("edits", "text", "expected"),
    [
        ([Edit(17, 30, "AKI")], "Cisplatin causes AKI in rats.", ["Cisplatin", "AKI"]),
        ([Edit(0, 0, "- ")], f"- {SENTENCE}", ["Cisplatin", "renal failure"]),
        ([Edit(30, 30, "!")], "Cisplatin causes renal failure! in rats.", ["Cisplatin", "renal failure"]),
        ([Edit(17, 17, "x ")], "Cisplatin causes x renal failure in rats.", ["Cisplatin", "renal failure"]),
        ([Edit(22, 23, "\n")], "Cisplatin causes renal\nfailure in rats.", ["Cisplatin", "renal\nfailure"]),
        ([Edit(0, 9, "A"), Edit(9, 17, " - ")], "A - renal failure in rats.", ["A", "renal failure"]),
    ],
)
def test_spans_move_with_the_text(edits: list[Edit], text: str, expected: list[str]) -> None:
    changed = apply_edits(DOCUMENT, edits)
    assert changed.text == text
    assert mentions(changed) == list(zip(expected, ("Chemical", "Disease"), strict=True))


def test_fragments_move_too() -> None:
    document = Document(
        "1", "renal or hepatic failure", (Span(0, 24, "Disease", fragments=((0, 5), (17, 24))),)
    )
    changed = apply_edits(document, [Edit(6, 8, "and")])
    assert changed.mention(changed.spans[0]) == "renal failure"


def test_an_edit_neither_cuts_a_span_nor_overlaps_an_earlier_one() -> None:
    edits = [Edit(17, 30, "AKI"), Edit(10, 20, ""), Edit(25, 39, ""), Edit(17, 30, "ARF"), Edit(9, 10, "\n")]
    assert select_edits(edits, [DOCUMENT]) == [Edit(9, 10, "\n"), Edit(17, 30, "AKI")]


@given(data=st.data())
@settings(max_examples=40)
def test_selected_edits_keep_every_mention_outside_them(data: st.DataObject) -> None:
    places = st.tuples(st.integers(0, len(SENTENCE)), st.integers(0, 6), st.text("ab \n", max_size=3))
    drawn = data.draw(st.lists(places, max_size=8))
    edits = select_edits(
        (Edit(start, min(start + size, len(SENTENCE)), text) for start, size, text in drawn), [DOCUMENT]
    )
    changed = apply_edits(DOCUMENT, edits)
    assert edits == sorted(edits)
    for before, after in zip(DOCUMENT.spans, changed.spans, strict=True):
        touched = any(edit.start < before.end and edit.end > before.start for edit in edits)
        inserted = any(before.start < edit.start == edit.end < before.end for edit in edits)
        assert touched or inserted or changed.mention(after) == DOCUMENT.mention(before)


def test_capitals_keep_every_place() -> None:
    document = Document("1", "Straße: asthma", (Span(8, 14, "Disease"),))
    changed = change_case(document, str.upper)
    assert changed.text == "STRAßE: ASTHMA" and mentions(changed) == [("ASTHMA", "Disease")]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_keeps_the_words_of_every_mention(layout: Layout) -> None:
    text = " ".join(document.text for document in DOCUMENTS)
    spans, offset = [], 0
    for document in DOCUMENTS:
        spans += [Span(span.start + offset, span.end + offset, span.label) for span in document.spans]
        offset += len(document.text) + 1
    document = Document("1", text, tuple(spans))
    edits = select_edits(layout(text, random.Random(1)), [document])
    changed = apply_edits(document, edits)
    assert "\n" in changed.text
    assert [(name.split(), label) for name, label in mentions(changed)] == [
        (name.split(), label) for name, label in mentions(document)
    ]
