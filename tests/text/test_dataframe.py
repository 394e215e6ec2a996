"""Documents as Hugging Face entities, as a table, and as HTML in a notebook."""

from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import openmed_ner
from openmed_ner import Document, MissingExtraError, Span
from openmed_ner.errors import UnrepresentableError
from openmed_ner.text.dataframe import COLUMNS, to_dataframe
from openmed_ner.text.html import _MAX_LANES, SHOWN, _assign_lanes, legend, mark, show
from strategies import at_most, documents

pd = pytest.importorskip("pandas")

TEXT = "No fever, but ARF after cisplatin."
DOCUMENT = Document(
    "note",
    TEXT,
    (
        Span(3, 8, "Disease", 0.75, "ncbi-disease", attributes=(("negated", True),)),
        Span(14, 17, "Disease", attributes=(("long_form", "acute renal failure"),)),
        Span(0, 8, "Finding", fragments=((0, 2), (3, 8))),
    ),
)


class Reader(HTMLParser):
    """What a browser would show, and with which tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.shown, self.tags, self.attributes, self.labels = "", [], [], []
        self.tags_open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag != "br":
            self.tags_open.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag: str) -> None:
        self.tags_open.remove(tag)

    def handle_data(self, data: str) -> None:
        if "sub" in self.tags_open:  # the label of an entity
            self.labels.append(data)
        else:
            self.shown += data


# --- Hugging Face


@given(document=documents(scored=True))
def test_every_span_is_an_entity_in_the_shape_of_a_pipeline(document: Document) -> None:
    entities = document.to_hf()
    assert len(entities) == len(document.spans)
    for entity, span in zip(entities, document.spans, strict=True):
        assert list(entity) == ["entity_group", "score", "word", "start", "end", "corpus"]
        assert entity["word"] == document.text[entity["start"] : entity["end"]]
        assert (entity["entity_group"], entity["score"]) == (span.label, span.score)


# --- pandas


def test_a_table_has_a_row_per_entity_and_a_column_per_attribute() -> None:
    frame = DOCUMENT.to_dataframe()
    assert list(frame.columns) == [*COLUMNS, "long_form", "negated"]
    assert frame.text.tolist() == ["fever", "ARF", "No fever"]
    assert frame.iloc[0].to_dict() | {"long_form": None} == {
        "document": "note", "start": 3, "end": 8, "text": "fever", "label": "Disease", "score": 0.75,
        "corpus": "ncbi-disease", "evidence": "sentence", "long_form": None, "negated": True,
    }  # fmt: skip
    assert frame.negated.isna().tolist() == [False, True, True]
    assert frame.long_form.tolist()[1] == "acute renal failure"


@at_most(40)
@given(corpus=st.lists(documents(scored=True), max_size=3))
def test_columns_keep_their_types_whatever_is_in_them(corpus: list[Document]) -> None:
    frame = openmed_ner.to_dataframe(corpus)
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == COLUMNS
    assert len(frame) == sum(len(document.spans) for document in corpus)
    spans = [span for document in corpus for span in document.spans]
    assert list(zip(frame.start, frame.end, frame.label, strict=True)) == [span.key for span in spans]
    assert frame.score.isna().tolist() == [span.score is None for span in spans]


@pytest.mark.parametrize(
    ("values", "kind"), [((True, False), "boolean"), (("a", "b"), "string"), ((True, "b"), "object")]
)
def test_an_attributes_column_is_of_the_kind_of_its_values(values: tuple[str | bool, ...], kind: str) -> None:
    spans = [Span(0, 1, "X", attributes=(("seen", value),)) for value in values]
    frame = Document("1", "a", (*spans, Span(0, 1, "X"))).to_dataframe()
    assert str(frame.seen.dtype) == kind and frame.seen.tolist()[:2] == list(values)
    assert frame.seen.isna().tolist() == [False, False, True]


def test_an_attribute_may_not_hide_a_column() -> None:
    document = Document("1", "a", (Span(0, 1, "X", attributes=(("score", "7"),)),))
    with pytest.raises(UnrepresentableError, match=r"document '1': the attribute 'score' of span 0\.\.1"):
        document.to_dataframe()


def test_a_missing_pandas_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"openmed-ner\[notebooks\]"):
        to_dataframe([DOCUMENT])


# --- notebooks


@given(document=documents(scored=True))
def test_what_is_shown_is_the_text_and_its_legend(document: Document) -> None:
    page = Reader(document._repr_html_())
    assert page.shown == Reader(legend(document)).shown + document.text
    assert set(page.tags) <= {"div", "small", "mark", "sub"}
    assert {name for name, _ in page.attributes} <= {"style", "title"}


@at_most(40)
@given(document=documents(scored=True), limit=st.integers(0, 12))
def test_a_long_text_is_cut_and_says_what_is_missing(document: Document, limit: int) -> None:
    page = Reader(show(document, limit=limit))
    hidden = len(document.text) - limit
    if hidden <= 0:
        assert page.shown == Reader(show(document)).shown
    else:
        n_hidden = sum(span.start >= limit for span in document.spans)
        note = f"… {hidden} more characters with {n_hidden} more entities are not shown."
        assert page.shown == Reader(legend(document)).shown + document.text[:limit] + note


def test_a_notebook_shows_no_more_than_a_page() -> None:
    long = Document("1", "word " * SHOWN, (Span(0, 4, "X"), Span(4 * SHOWN, 4 * SHOWN + 4, "X")))
    assert f"{4 * SHOWN:,} more characters with 1 more entities" in long._repr_html_()
    assert len(long._repr_html_()) < 2 * SHOWN and "X: 2" in long._repr_html_()


def test_a_mark_names_everything_it_lies_in() -> None:
    marks = re.findall(r'title="([^"]*)">([^<]*)(?:<sub.*?</sub>)*</mark>', mark(DOCUMENT))
    assert marks == [
        ("Finding", "No"),
        ("Finding; Disease (ncbi-disease, 0.75, negated)", "fever"),
        ("Disease (long_form: acute renal failure)", "ARF"),
    ]


@pytest.mark.parametrize("payload", ["<script>alert(1)</script>", '"><img src=x onerror=1>', "&lt;", "'x='"])
def test_hostile_text_stays_text(payload: str) -> None:
    span = Span(0, len(payload), payload, 0.5, payload, attributes=((payload, payload),))
    page = Reader(replace(DOCUMENT, id=payload, text=payload, spans=(span,))._repr_html_())
    assert set(page.tags) == {"div", "small", "mark", "sub"} and page.shown.endswith(payload)
    assert {name for name, _ in page.attributes} <= {"style", "title"}


def test_marks_can_be_read_on_light_and_dark_pages() -> None:
    for style in re.findall(r'<mark style="([^"]*)"', DOCUMENT._repr_html_()):
        assert "color:inherit" in style and re.search(r"background:hsl\(\d+ 80% 60% / \.3\)", style)


def test_every_entity_has_its_type_and_context_behind_it() -> None:
    assert Reader(mark(DOCUMENT)).labels == ["Disease negated", "Finding", "Disease"]


def test_identifiers_are_links_to_their_terminologies() -> None:
    span = Span(0, 5, "Disease", attributes=(("identifier", "MESH:D005334|X:1|javascript:alert"),))
    page = Reader(mark(Document("a", "fever", (span,))))
    assert [value for name, value in page.attributes if name == "href"] == [
        "https://id.nlm.nih.gov/mesh/D005334.html"
    ]
    assert "".join(page.labels) == "Disease MESH:D005334 X:1 javascript:alert"


@given(document=documents())
def test_entities_that_overlap_have_lines_in_different_lanes(document: Document) -> None:
    entities = _assign_lanes(document.spans)
    assert Counter(entity.span for entity in entities) == Counter(document.spans)
    for first, second in combinations(entities, 2):
        if first.span.start < second.span.end and second.span.start < first.span.end:
            assert first.depth == second.depth
            assert first.lane != second.lane or first.depth == _MAX_LANES
    assert all(entity.lane < entity.depth <= _MAX_LANES for entity in entities)


@pytest.mark.parametrize(
    ("attribute", "line"), [("negated", "line-through"), ("family", "wavy"), ("historical", "dotted")]
)
def test_context_is_visible_without_a_pointer(attribute: str, line: str) -> None:
    span = Span(0, 5, "Disease", attributes=((attribute, True),))
    document = Document("a", "fever", (span,))
    assert line in mark(document) and line in legend(document)
    plain = Document("a", "fever", (Span(0, 5, "Disease"),))
    assert "text-decoration" not in mark(plain) + legend(plain)
