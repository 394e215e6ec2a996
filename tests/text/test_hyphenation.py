"""Words that a hyphen parts at a line end are read as one, and every position stays that of the text."""

from __future__ import annotations

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openmed_ner.text import Span, iter_tokens
from openmed_ner.text.hyphenation import join_name, read_text
from openmed_ner.text.words import count_visible

VOCABULARY = frozenset({"myocardial", "inter", "il", "a"})


def read(text: str) -> str:
    return read_text(text, lambda word: word.lower() in VOCABULARY).text


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("acute myocar-\ndial infarction", "acute myocardial infarction"),
        ("Myocar-\r\n   dial infarction", "Myocardial infarction"),
        ("MYOCAR\u2010\nDIAL", "MYOCARDIAL"),
        ("nephropathy: nephro-\npathy", "nephropathy: nephropathy"),  # stands elsewhere in the text
        ("a Nephropathy, nephro-\npathy", "a Nephropathy, nephropathy"),
        ("glomeru\xad\nlus", "glomerulus"),  # a soft hyphen means nothing else
        ("nephro-\npathy", "nephro-\npathy"),  # nothing speaks for it
        ("international and inter-\nnational", "international and inter-\nnational"),  # "inter" is a word
        ("nephro pathy, nephropathy: nephro-\npathy", "nephro pathy, nephropathy: nephro-\npathy"),
        ("IL-2-\ninduced IL-\nTwo", "IL-2-\ninduced IL-\nTwo"),
        ("myocar-\n\ndial", "myocar-\n\ndial"),  # a new paragraph
        ("myocar- dial", "myocar- dial"),
        ("2myocar-\ndial myocar-\ndial2", "2myocar-\ndial myocar-\ndial2"),  # letters and digits are one word
        ("e\u0301myocar-\ndial", "e\u0301myocar-\ndial"),
        ("心-\n臓 心\xad\n臓", "心-\n臓 心\xad\n臓"),  # ideographs are words of their own
        ("myo-\nmyocar-\ndial", "myo-\nmyocardial"),
        ("a" * 60 + "\xad\n" + "b" * 60, "a" * 60 + "\xad\n" + "b" * 60),  # no word is so long
        ("-\ndial, myocar-\n", "-\ndial, myocar-\n"),
    ],
)
def test_parts_are_joined_where_something_speaks_for_it(text: str, reading: str) -> None:
    assert read(text) == reading


PIECES = st.lists(
    st.sampled_from(
        [
            "myocar",
            "dial",
            "-\n",
            "-\r\n ",
            "\xad\n",
            "\u2010\n",
            " ",
            "\n",
            "-",
            "é",
            "e\u0301",
            "心",
            "x" * 40,
            "2",
            "_",
            ",",
        ]
    ),
    max_size=20,
).map("".join)


@given(text=PIECES | st.text(string.ascii_lowercase[:3] + "-\n \xad", max_size=30))
@example("myocar-\ndialdial myocar-\ndial")
def test_a_reading_keeps_every_position(text: str) -> None:
    reading = read_text(text, lambda word: word in VOCABULARY)
    assert count_visible(reading.text) + reading.n_unread == count_visible(text)

    tokens = list(iter_tokens(reading.text))
    spans = reading.restore(Span(token.start, token.end, "x") for token in tokens)
    n_joined = 0
    for token, span in zip(tokens, spans, strict=True):
        original = text[span.start : span.end]
        assert not original[0].isspace() and not original[-1].isspace()
        assert reading.place_of(span.start) == token.start
        if original != reading.text[token.start : token.end]:
            n_joined += 1
            assert join_name(original) == reading.text[token.start : token.end]
    assert n_joined == reading.n_unread
    assert sum(span.end - span.start for span in spans) >= count_visible(text)
    # Words of the text that are not joined stay words.
    kept = {(span.start, span.end) for span in spans}
    assert len(kept - {(token.start, token.end) for token in iter_tokens(text)}) == n_joined


@given(text=st.text(max_size=40).filter(lambda text: not set(text) & set("\n\r&")))
def test_a_text_without_line_ends_is_read_as_it_is(text: str) -> None:
    reading = read_text(text, lambda _: True)
    assert reading.text is text and not reading.n_unread


def test_a_name_is_joined_without_evidence() -> None:
    assert join_name("dilated cardio-\nmyopathy") == "dilated cardiomyopathy"
    assert join_name("IL-2-\ninduced") == "IL-2-\ninduced"
