"""White space that parts a text, and white space that does not."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.text.layout import find_layout

LINE = "This line of wrapped text ends in the middle of a chronic"


def describe(text: str) -> str:
    """Mark certain breaks by ``|``, possible ones by ``?``, and enclose marks."""
    layout = find_layout(text)
    signs = {place.start: "|" if place.certain else "?" for place in layout.breaks}
    starts, ends = ({mark[side] for mark in layout.marks} for side in (0, 1))
    result = ""
    for place, letter in enumerate(text):
        result += "}" * (place in ends) + signs.get(place, "") + "{" * (place in starts) + letter
    return result + "}" * (len(text) in ends)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("asthma and gout", "asthma and gout"),
        ("asthma\n\ngout", "asthma|\n\ngout"),
        ("asthma\r\n \r\ngout", "asthma|\r\n \r\ngout"),
        ("asthma\tgout", "asthma|\tgout"),
        ("asthma\fgout", "asthma|\fgout"),
        ("asthma\vgout", "asthma|\vgout"),
        ("asthma\u2029gout", "asthma|\u2029gout"),
        ("asthma     gout", "asthma|     gout"),
        ("asthma   gout", "asthma   gout"),
        ("asthma\ngout", "asthma?\ngout"),
        ("asthma\r\ngout", "asthma?\r\ngout"),
        ("asthma\u2028gout", "asthma?\u2028gout"),
        (" asthma \n gout\n", " asthma? \n gout\n"),
        ("- asthma\n- gout", "{-}| asthma|\n{-}| gout"),
        ("* asthma\n\n* gout", "{*}| asthma|\n\n{*}| gout"),
        ("1. asthma\n2) gout", "{1.}| asthma|\n{2)}| gout"),
        ("(a) asthma\n(b) gout", "{(a)}| asthma|\n{(b)}| gout"),
        ("[x] asthma\n[ ] gout", "{[x]}| asthma|\n{[ ]}| gout"),
        ("- [x] asthma\n- [ ] gout", "{- [x]}| asthma|\n{- [ ]}| gout"),
        ("1. ( ) asthma\n2. ( ) gout", "{1. ( )}| asthma|\n{2. ( )}| gout"),
        ("[1] asthma\n[2] gout", "{[1]}| asthma|\n{[2]}| gout"),
        ("1- asthma\n2- gout", "{1-}| asthma|\n{2-}| gout"),
        ("(i) asthma\n(ii) gout", "{(i)}| asthma|\n{(ii)}| gout"),
        ("i. asthma\nii. gout", "{i.}| asthma|\n{ii.}| gout"),
        (
            "-- asthma\n\u2010 gout\n» fever\n\uf0b7 rash",
            "{--}| asthma|\n{\u2010}| gout|\n{»}| fever|\n{\uf0b7}| rash",
        ),
        ("2- and 3-fold\n% of (\n) was", "2- and 3-fold?\n% of (?\n) was"),
        ("E. coli\nS. aureus", "E. coli?\nS. aureus"),
        ("asthma\n-----\ngout", "asthma|\n{-----}|\ngout"),
        ("2.5 mg\n5 mg", "2.5 mg?\n5 mg"),
        ("Drugs:\naspirin\nzinc", "Drugs:|\naspirin|\nzinc"),
        ("Problems:\r\nAsthma\r\nDiabetes mellitus", "Problems:|\r\nAsthma|\r\nDiabetes mellitus"),
        ("Problem:\nchronic\npulmonary disease", "Problem:?\nchronic?\npulmonary disease"),
        ("Problem:\nasthma", "Problem:?\nasthma"),
        ("Drugs\naspirin\nzinc", "Drugs?\naspirin?\nzinc"),
        (f"{LINE}\nobstructive pulmonary disease of the lung", None),
        (f"{LINE}\n   obstructive pulmonary disease", None),
        (f"{LINE} hepatitis\n2. We", None),
        ("short but hyphen-\nated", None),
        (f"{LINE}\nobstructive pulmonary disease.\nNext", None),
    ],
)
def test_breaks_and_marks(text: str, expected: str | None) -> None:
    """``None`` stands for no break at the first line end."""
    if expected is None:
        first = text.index("\n")
        assert all(not place.start <= first < place.end for place in find_layout(text).breaks)
    else:
        assert describe(text) == expected


COLUMN = """we saw him with a chronic
obstructive pulmonary
disease of both lungs.
He has had it for many
years, so that he cannot
work as a miner any more"""


def test_a_narrow_column_is_wrapped() -> None:
    # The last word before the full stop is followed by a line whose first word would have fitted.
    assert describe(COLUMN) == COLUMN.replace(".\n", ".?\n")


@pytest.mark.parametrize(
    "items",
    [
        ["aspirin", "metformin", "lisinopril", "digoxin", "warfarin", "omeprazole"],
        [
            "pain in the chest",
            "gout",
            "loss of weight and appetite",
            "pain in both of the legs",
            "a b c",
            "d e f",
        ],
        COLUMN.split("\n")[:3],
        COLUMN.title().split("\n"),
        [
            "sodium  5 mg",
            "iodine 10 mg",
            "copper  8 mg",
            "cobalt  8 mg",
            "nickel  2 mg",
            "silver  1 mg",
        ],
        [
            "aspirin in the morning, with a glass of water",
            "gout",
            "zinc",
            "chronic pain in the left leg and in the foot",
        ],
    ],
    ids=["single words never fit", "short lines", "few lines", "capitals", "table", "one long line"],
)
def test_lists_and_tables_are_not_wrapped(items: list[str]) -> None:
    assert describe("\n".join(items)) == "?\n".join(items)


@given(text=st.text(st.sampled_from("ab .-\t\n\r\f1)\u2028\xa0"), max_size=40))
def test_breaks_are_white_space_between_visible_characters(text: str) -> None:
    layout = find_layout(text)
    for place in layout.breaks:
        assert text[place.start : place.end].isspace()
        assert not text[place.start - 1].isspace() and not text[place.end].isspace()
    for start, end in layout.marks:
        assert text[start:end].strip() == text[start:end] != ""


def test_layout_is_found_in_linear_time() -> None:
    start = time.process_time()
    for text in ("a" + " " * 200_000 + "b", "a\n" * 50_000, "\t" * 200_000, " \n" * 100_000, "- " * 50_000):
        find_layout(text)
    assert time.process_time() - start < 10
