"""Mentions below a concept."""

from __future__ import annotations

from pathlib import Path

import pytest

from lexicons import build_store
from openmed_ner.errors import InputError
from openmed_ner.linking import ConceptPlace, Linker, keep_under, list_concepts
from openmed_ner.terminologies import build
from openmed_ner.text import Document, Span


@pytest.fixture(scope="module")
def linker(tmp_path_factory: pytest.TempPathFactory) -> Linker:
    return Linker.open(build_store(tmp_path_factory.mktemp("store")))


def test_mentions_of_a_concept_and_of_those_below_it_stay(linker: Linker) -> None:
    ids = ("MESH:D001943", "MESH:D000544", "MESH:D000544|MESH:D010051", "MESH:C562840", "MESH:D009369", "")
    spans = [
        Span(place, place + 1, "Disease", attributes=(("identifier", name),) if name else ())
        for place, name in enumerate(ids)
    ]
    document = Document("1", "abcdef", tuple(spans))
    (kept,) = keep_under([document], [linker], ["MESH:D009369"])
    assert [span.start for span in kept.spans] == [0, 2, 3, 4]
    (kept,) = keep_under([document], [linker], ["OMIM:104300", "MESH:D010051"])  # by a cross-reference
    assert [span.start for span in kept.spans] == [1, 2]


def test_a_concept_that_no_terminology_has_is_an_error(linker: Linker) -> None:
    with pytest.raises(InputError, match="'D009369'; an identifier has a prefix"):
        keep_under([], [linker], ["MESH:D009369", "D009369"])


def test_concepts_are_listed_with_all_above_them(linker: Linker) -> None:
    values = ("MESH:D001943|MESH:D010051", "OMIM:104300", "X:1")  # one of them by a cross-reference
    spans = [Span(0, 1, "Disease", attributes=(("identifier", value),)) for value in values]
    places = list_concepts([Document("1", "a", tuple(spans))], [linker])
    assert places["MESH:D001943"].parents == places["MESH:D010051"].parents == ("MESH:D009369",)
    assert places["MESH:D009369"] == ConceptPlace("Neoplasms", ())
    assert places["OMIM:104300"].name == "Alzheimer Disease" and "X:1" not in places


def test_a_cycle_in_a_vocabulary_ends(tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("id,name,parents\nX:1,one,X:2\nX:2,two,X:1\nX:3,three,\n", encoding="utf-8")
    build([], tmp_path / "terms", vocabularies={table: "Disease"})
    cyclic = Linker.open(tmp_path / "terms")
    assert cyclic.is_under("X:1", "X:2") and cyclic.is_under("X:2", "X:1")
    assert not cyclic.is_under("X:1", "X:3")
    span = Span(0, 1, "Disease", attributes=(("identifier", "X:1"),))
    places = list_concepts([Document("1", "a", (span,))], [cyclic])
    assert {name: place.parents for name, place in places.items()} == {"X:1": ("X:2",), "X:2": ("X:1",)}
