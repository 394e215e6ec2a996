from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.terminologies.normalisation import CASED, name_key, normalise, split_word
from openmed_ner.text import iter_tokens
from strategies import texts

names = texts | st.text("abcdeinorsuxyhST012 -'α", max_size=30)


@given(names)
def test_normalisation_is_idempotent(name: str) -> None:
    assert normalise(normalise(name)) == normalise(name)


@given(names)
def test_blanks_around_and_between_words_do_not_matter(name: str) -> None:
    assert normalise(f" {name}\n") == normalise(name)
    assert normalise(name.replace(" ", "  ")) == normalise(name)


@given(names)
def test_a_normalised_name_holds_pieces_only(name: str) -> None:
    normalised = normalise(name)
    assert normalised == " ".join(normalised.split())
    assert all(piece.isalpha() or piece.isdecimal() for piece in normalised.split())
    assert CASED not in normalised


@given(st.text("abcXYZ019 -+/,().", max_size=100))
def test_a_name_is_the_pieces_of_its_words(name: str) -> None:
    pieces = [piece for token in iter_tokens(name) for piece in split_word(name[token.start : token.end])]
    assert normalise(name) == " ".join(pieces)


@pytest.mark.parametrize(
    "spellings",
    [
        ("IL-2", "IL 2", "IL2", "il-2", "IL‑2"),
        ("TNF-α", "TNFα", "TNF alpha", "tnf-ALPHA"),
        ("Sjögren's syndrome", "Sjögren’s syndrome", "Sjogren syndrome", "Sjo\u0308gren Syndrome"),
        ("metastases", "metastasis"),
        ("tumours", "tumour", "tumor", "Tumors"),
        ("anaemia", "anemia", "ANAEMIAS"),
        ("viruses", "virus"),
        ("β-blockers", "beta blocker", "Beta-Blockers"),
        ("biopsies", "biopsy"),
        ("µ-opioid", "μ opioid", "mu-opioid"),
        ("CO₂", "co2"),
    ],
)
def test_spellings_of_one_name_are_equal(spellings: tuple[str, ...]) -> None:
    assert len({normalise(spelling) for spelling in spellings}) == 1


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("pus", "pu"),
        ("gas", "ga"),
        ("IL-2", "IL-12"),
        ("vitamin A", "vitamin"),
        ("hepatitis B", "hepatitis C"),
    ],
)
def test_different_names_stay_different(left: str, right: str) -> None:
    assert normalise(left) != normalise(right)


def test_short_names_in_capitals_keep_their_case() -> None:
    assert name_key("CAT") == "=CAT" != name_key("cat")
    assert name_key("NSAIDs") == name_key("NSAID")
    assert name_key("AIDS") == "=AIDS"
    assert name_key("p53") == name_key("P53")  # a digit makes it a symbol in any case
    assert name_key("HEPATITIS") == name_key("hepatitis")
    assert name_key("...") == ""
