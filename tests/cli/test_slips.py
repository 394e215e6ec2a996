"""Warnings about documents to train on."""

from __future__ import annotations

from openmed_ner.cli.slips import find_slips
from openmed_ner.text import Document, Span


def test_repeated_ids_and_labels_of_one_meaning_are_named() -> None:
    train = [
        Document("a", "5 mg", (Span(0, 4, "Dose"),)),
        Document("a", "6 mg", (Span(0, 4, "dose "),)),
        Document("b", "7 mg", (Span(0, 4, "DOSE"),)),
    ]
    assert list(find_slips({"train": train, "dev": [Document("a", "x")]})) == [
        "1 ids of train documents occur more than once, such as 'a'",
        "the labels 'DOSE', 'Dose', 'dose ' are learnt as different types; write them alike if they are one",
    ]


def test_documents_without_slips_are_passed_in_silence() -> None:
    documents = [Document("a", "5 mg", (Span(0, 4, "Dose"),)), Document("b", "mg", (Span(0, 2, "Unit"),))]
    assert list(find_slips({"train": documents, "dev": documents})) == []


def test_documents_of_one_text_and_their_differences_are_counted() -> None:
    dose, unit = Span(0, 4, "Dose"), Span(2, 4, "Unit")
    documents = [
        Document("a", "5 mg", (dose,)),
        Document("b", "5 mg", (dose,)),
        Document("c", "5 mg", (dose, unit)),
        Document("c2", "5 mg", (unit, dose)),
        Document("d", "6 mg", (dose,)),
        Document("e", "6 mg", (dose,)),
    ]
    assert list(find_slips({"train": documents, "dev": documents})) == [
        "4 train documents repeat the text of another one; each text is learnt once",
        "1 texts of train documents are annotated in different ways, such as that of 'a' and 'c'; "
        "the last one counts",
        "1 texts of dev documents are annotated in different ways, such as that of 'a' and 'c'; "
        "all are scored",
    ]
