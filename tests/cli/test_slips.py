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
