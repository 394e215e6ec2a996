"""The names of a vocabulary as a layer of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from openmed_ner.linking import Dictionary, Linker, add_names
from openmed_ner.terminologies import build
from openmed_ner.text import Document, Span

TABLE = """id,name,names,type
X:1,kidney disease,renal disease|CKD,Disease
X:2,chronic kidney disease,,Disease
X:3,kidney,,Anatomy
X:4,cat,,Species
X:5,CAT,,Gene
X:6,role,injury|placebo|enzyme|relative,Disease
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vocabulary")
    (folder / "mine.csv").write_text(TABLE, encoding="utf-8")
    build([], folder / "my.terms", vocabularies={folder / "mine.csv": None})
    return folder / "my.terms"


def find(dictionary: Dictionary, text: str, *, nested: bool = False) -> list[tuple[str, str, str]]:
    document = Document("1", text)
    return [
        (document.mention(span), span.label, str(dict(span.attributes)["identifier"]))
        for span in dictionary.find(text, nested=nested)
    ]


def test_the_longest_name_of_a_type_counts_and_types_overlap(folder: Path) -> None:
    dictionary = Dictionary.open(folder)
    text = "Chronic kidney diseases, or a renal-disease"
    longest = [
        ("Chronic kidney diseases", "Disease", "X:2"),
        ("kidney", "Anatomy", "X:3"),
        ("renal-disease", "Disease", "X:1"),
    ]
    assert find(dictionary, text) == longest
    assert find(dictionary, text, nested=True) == [
        longest[0],
        ("kidney diseases", "Disease", "X:1"),
        *longest[1:],
    ]


def test_short_names_in_capitals_keep_their_case(folder: Path) -> None:
    dictionary = Dictionary.open(folder)
    assert set(find(dictionary, "Cats and the gene CAT")) == {
        ("Cats", "Species", "X:4"),
        ("CAT", "Gene", "X:5"),
        ("CAT", "Species", "X:4"),
    }
    assert find(dictionary, "ckd, CKDs") == [("CKDs", "Disease", "X:1")]


@pytest.mark.parametrize("word", ["role", "injury", "Placebo", "enzymes", "relative"])
def test_everyday_words_are_no_names(folder: Path, word: str) -> None:
    assert find(Dictionary.open(folder), f"The {word} of it") == []
    assert Linker.open(folder).link(word, "Disease") is None


def test_the_layer_has_the_name_of_the_folder_and_the_spans_stay(folder: Path) -> None:
    dictionary = Dictionary.open(folder)
    span = Span(2, 16, "Disease", 0.5)
    (document,) = add_names([Document("1", "A kidney disease", (span,))], dictionary)
    assert document.spans[0] == span
    assert [(added.label, added.corpus, added.score) for added in document.spans[1:]] == [
        ("Disease", "my", None),
        ("Anatomy", "my", None),
    ]
    assert dict(document.spans[1].attributes) == {
        "identifier": "X:1",
        "link_score": "1.00",
        "linked_by": "exact",
        "preferred_name": "kidney disease",
    }
    assert dictionary.find("") == []
