from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.corpora import CATALOG
from openmed_ner.tagging.entity_types import BROADER, DETAILS, find_main_types

TYPES = sorted({label for corpus in CATALOG.values() for label in corpus.types})


@given(types=st.lists(st.sampled_from([*TYPES, "Custom"])))
def test_a_type_is_left_out_only_for_a_broader_one(types: list[str]) -> None:
    main = find_main_types(types)
    assert list(main) == [label for label in dict.fromkeys(types) if label in main]
    assert all(label in DETAILS or BROADER[label] in main for label in set(types) - set(main))
    assert bool(main) == bool(types)


def test_types_and_their_broader_types_are_those_of_corpora() -> None:
    assert {*BROADER, *BROADER.values(), *DETAILS} <= set(TYPES)
    assert not set(BROADER) & set(BROADER.values())


def test_a_detail_is_a_main_type_where_it_is_asked_for() -> None:
    assert find_main_types(["Dose", "Procedure"]) == ("Dose",)
    assert find_main_types(["Dose", "Procedure"], details=()) == ("Dose", "Procedure")
