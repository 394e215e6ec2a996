"""References of HTML in plain text."""

from __future__ import annotations

from html import escape, unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.inference.tagger import Tagger
from openmed_ner.text.hyphenation import Reading, read_text
from openmed_ner.text.references import blank_references
from openmed_ner.text.words import count_visible


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("p &lt; 0.05", "p <    0.05"),
        ("aspirin&nbsp;100 mg", "aspirin      100 mg"),
        ("aspirin&#160;and &#x22;ASA&quot;", 'aspirin      and "     ASA"     '),
        ("R&amp;D, &amp;lt;5", "R&    D, <       5"),
        ("TNF-&alpha; &unknown; AT&T; &", "TNF-&alpha; &unknown; AT&T; &"),
    ],
)
def test_references_to_signs_are_read_as_signs(text: str, read: str) -> None:
    assert blank_references(text) == read


@given(st.text(alphabet='aB1 &<>";-\n#xampltnbs\xa0'))
def test_no_character_moves(text: str) -> None:
    for written in (text, escape(text)):
        read = blank_references(written)
        assert len(read) == len(written)
        if "&" not in text:
            assert "".join(read.split()) == "".join(unescape(written).split())


@given(st.lists(st.sampled_from(["myocar-\ndial", "myocardial", "&nbsp;", "&lt;", "&alpha;", " ", "5"])))
def test_positions_are_those_of_the_original(parts: list[str]) -> None:
    text = "".join(parts)
    reading = read_text(text, "myocardial".__eq__)
    assert isinstance(reading, Reading) and reading.original is text
    assert count_visible(reading.text) + reading.n_unread == count_visible(text)
    for place in range(len(text)):
        if text[place] in "5α":
            assert reading.text[reading.place_of(place)] == text[place]


def test_the_names_of_references_are_not_mentions() -> None:
    text = "Given aspirin&nbsp;100&nbsp;mg for lung&nbsp;cancer &amp; cisplatin, p &lt; 0.05."
    document = Tagger.load()(text)
    mentions = {text[span.start : span.end] for span in document.spans}
    assert {"aspirin", "cisplatin"} <= mentions and "nbsp" not in mentions and "amp" not in mentions
    assert document.meta["coverage"]["complete"]
