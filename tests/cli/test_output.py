"""Output for people: the table, and the summary of many documents."""

from __future__ import annotations

from io import StringIO

from openmed_ner.cli.output import write_summary, write_table
from openmed_ner.text import Document, Span

NOTE = "No fever. Fever\nand rash."
DOCUMENT = Document(
    "note",
    NOTE,
    (
        Span(3, 8, "Disease", 0.9, "a", attributes=(("negated", True),)),
        Span(10, 15, "Disease", 0.8, "a"),
        Span(20, 24, "Symptom", None, None, attributes=(("long_form", "skin rash"),)),
    ),
)


def test_a_table_shows_attributes() -> None:
    file = StringIO()
    write_table([DOCUMENT], file)
    lines = [line.split() for line in file.getvalue().splitlines()]
    assert lines[1:] == [
        ["3-8", "Disease", "0.90", "fever", "[a]", "negated"],
        ["10-15", "Disease", "0.80", "Fever", "[a]"],
        ["20-24", "Symptom", "rash", "[-]", "long_form:", "skin", "rash"],
    ]


def test_a_table_shows_identifiers_with_their_names_alone() -> None:
    link: dict[str, str | bool] = {
        "candidates": "X:1|X:2",
        "identifier": "X:1",
        "link_score": "1.00",
        "linked_by": "exact",
        "preferred_name": "Fever",
        "negated": True,
    }
    file = StringIO()
    write_table([DOCUMENT.with_spans([Span(3, 8, "Disease").with_attributes(link)])], file)
    assert file.getvalue().splitlines()[1].endswith("fever  [-]  X:1 Fever, negated")


def test_a_summary_counts_mentions_by_type() -> None:
    file = StringIO()
    write_summary([DOCUMENT, DOCUMENT], file)
    lines = [line.split() for line in file.getvalue().splitlines()]
    assert lines == [
        ["2", "documents,", "6", "entities"],
        [],
        ["Disease", "4"],
        ["4", "fever"],
        [],
        ["Symptom", "2"],
        ["2", "rash"],
    ]


def test_a_summary_joins_wrapped_mentions_and_steers_no_terminal() -> None:
    texts = ("breast  cancer", "Breast\ncancer", "\x1b[2J")
    documents = [
        Document(str(number), text, (Span(0, len(text), "Disease"),)) for number, text in enumerate(texts)
    ]
    file = StringIO()
    write_summary(documents, file)
    assert "        2  breast cancer\n" in file.getvalue()
    assert "\x1b" not in file.getvalue() and r"\x1b[2J" in file.getvalue()


def test_a_summary_of_nothing_is_one_line() -> None:
    file = StringIO()
    write_summary([Document("a", "Nothing.")], file)
    assert file.getvalue() == "1 document, 0 entities\n"
