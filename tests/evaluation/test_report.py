from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.errors import InputError
from openmed_ner.evaluation import Counts, bootstrap_f1, score_documents, total
from openmed_ner.evaluation.errors import KINDS, count_errors, find_errors
from openmed_ner.evaluation.report import System, write_comparison, write_report
from openmed_ner.evaluation.significance import Comparison
from openmed_ner.text import Document, Span
from strategies import CHARACTERS, at_most, documents, texts

HOSTILE = "<script>alert(1)</script> \"quoted\" 'single' & &lt; </p></main><img src=x onerror=y>"
TAGS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "main",
    "section",
    "h1",
    "h2",
    "h3",
    "p",
    "ul",
    "li",
}
TAGS |= {"small", "mark", "div", "table", "caption", "thead", "tbody", "tr", "th", "td"}
TAGS |= {"svg", "desc", "line", "rect", "text"}
ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "class", "title", "dir", "scope", "viewbox"}
ATTRIBUTES |= {
    "role",
    "aria-labelledby",
    "id",
    "x",
    "y",
    "x1",
    "x2",
    "y1",
    "y2",
    "width",
    "height",
    "opacity",
}
VOID = {"meta", "line", "rect"}


class Page(HTMLParser):
    """Tags, attributes and texts of a page; refuses what is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.classes: list[str | None] = []
        self.texts: list[str] = []
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "p" and ("class", "text") in attrs:
            self.texts.append("")
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "p" in self.open and self.texts:
            self.texts[-1] += data
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def make_result(gold: list[Document], predicted: list[Document], corpus: str = "ncbi") -> dict[str, Any]:
    """What ``evaluate --json`` says."""
    scores = score_documents(gold, predicted)
    overall = total(scores)
    return {
        "corpus": corpus,
        "split": "test",
        "protocol": "mention",
        "documents": len(gold),
        "micro": {**to_json(overall.micro), "ci95": list(bootstrap_f1(scores, rounds=20))},
        "per_label": {label: to_json(counts) for label, counts in overall.per_label.items()},
        "seen": to_json(overall.micro),
        "unseen": to_json(Counts()),
    }


def to_json(counts: Counts) -> dict[str, float]:
    names = ("precision", "recall", "f1", "tp", "fp", "fn")
    return {name: getattr(counts, name) for name in names}


def report(
    gold: list[Document], predicted: list[Document], *, corpus: str = "ncbi", **options: Any
) -> tuple[str, Page]:
    file = io.StringIO()
    write_report(file, make_result(gold, predicted, corpus), gold, predicted, **options)
    check(file.getvalue())
    return file.getvalue(), Page(file.getvalue())


def check(text: str) -> None:
    """A page that runs nothing, asks nobody, and can be read aloud."""
    page = Page(text)
    assert set(page.tags) <= TAGS
    assert {name for _, name, _ in page.attributes} <= ATTRIBUTES
    assert ("meta", "content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes
    assert page.tags.count("h1") == 1 and page.tags.count("title") == 1 + page.tags.count("svg")
    assert page.tags.count("caption") == page.tags.count("table") <= page.tags.count("thead")
    ids = [value for _, name, value in page.attributes if name == "id"]
    labels = [value or "" for _, name, value in page.attributes if name == "aria-labelledby"]
    assert sorted(ids) == sorted(" ".join(labels).split()) and len(ids) == len(set(ids))
    for word in ("http:", "https:", "url(", "@import"):
        assert word not in text.split("<body>")[0]


@st.composite
def corpora(draw: st.DrawFn, n_systems: int = 1) -> list[list[Document]]:
    gold = draw(st.lists(documents(texts | st.just(HOSTILE)), max_size=3))
    sides = [gold]
    for _ in range(n_systems):
        sides.append([draw(documents(st.just(each.text), scored=True)) for each in gold])
    return [[replace(each, id=first.id) for each, first in zip(side, gold, strict=True)] for side in sides]


@given(corpus=corpora(), name=st.text(CHARACTERS, max_size=9) | st.just(HOSTILE))
@at_most(50)
def test_whatever_the_texts_hold_the_page_is_ours(corpus: list[list[Document]], name: str) -> None:
    gold, predicted = corpus
    _, page = report(gold, predicted, corpus=name, training=gold, n_documents=9)
    wrong = [each.text for each, one in zip(gold, predicted, strict=True) if find_errors(each, one)]
    for text in wrong:
        assert text in page.texts
    assert len(page.texts) >= len(wrong)


@given(corpus=corpora(2))
@at_most(30)
def test_a_comparison_of_any_two_systems_is_a_safe_page(corpus: list[list[Document]]) -> None:
    gold, left, right = corpus
    file = io.StringIO()
    first, second = (
        System(HOSTILE + name, make_result(gold, side), side) for name, side in (("1", left), ("2", right))
    )
    write_comparison(file, gold, first, second, comparison=Comparison(0.8, 0.81, 0.2, (-0.03, 0.01)))
    check(file.getvalue())
    total_row = next(row for row in Page(file.getvalue()).rows if row[0] == "all")
    n_errors = [
        sum(len(find_errors(a, b)) for a, b in zip(gold, side, strict=True)) for side in (left, right)
    ]
    alone, shared, other_shared, other_alone = map(int, total_row[1:])
    assert [alone + shared, other_shared + other_alone] == n_errors


@pytest.mark.parametrize("place", ["id", "text", "label", "corpus", "split", "protocol", "training"])
def test_hostile_strings_are_shown_not_obeyed(place: str) -> None:
    values = {"id": "d", "text": "acute renal failure", "label": "X"} | (
        {place: HOSTILE} if place in ("id", "text", "label") else {}
    )
    gold = [Document(values["id"], values["text"], (Span(0, 9, values["label"]),))]
    predicted = [gold[0].with_spans([Span(3, 9, values["label"], 0.5)])]
    result = make_result(gold, predicted) | ({place: HOSTILE} if place != "training" else {})
    training = [Document("t", HOSTILE, (Span(0, 9, "X"),))]
    file = io.StringIO()
    write_report(file, result, gold, predicted, training=training)
    check(file.getvalue())
    assert "<script" not in file.getvalue() and "<img" not in file.getvalue()
    assert ("&lt;script&gt;" in file.getvalue()) == (place != "training")


TEXT = "Boys with Duchenne dystrophy (DMD) had acute renal failure after cisplatin."
GOLD = [
    Document("7", TEXT, (Span(10, 28, "D"), Span(30, 33, "D"), Span(39, 58, "D"), Span(65, 74, "C"))),
    Document("8", "No disease.", ()),
    Document("9", "A rash.", (Span(2, 6, "D"),)),
]
PREDICTED = [
    GOLD[0].with_spans([Span(10, 28, "D", 0.9), Span(45, 58, "D", 0.6), Span(65, 74, "D", 0.7)]),
    GOLD[1],
    GOLD[2].with_spans([Span(0, 1, "D", 0.2)]),
]
WORSE = [GOLD[0].with_spans([Span(45, 58, "D", 0.6)]), GOLD[1], GOLD[2]]


def test_the_numbers_of_a_known_report() -> None:
    _, page = report(GOLD, PREDICTED, training=GOLD[:1])
    rows = {row[0]: row[1:] for row in page.rows}
    assert rows["all labels"][:3] == ["25.00", "20.00", "22.22"] and rows["all labels"][4:] == ["1", "3", "4"]
    assert rows["D"][-3:] == ["1", "3", "3"] and rows["C"][-3:] == ["0", "0", "1"]
    assert rows["abbreviation"] == ["1", "20.00", "1", "0"]
    assert rows["boundary-left"] == ["1", "20.00", "1", "1"]
    assert rows["type"] == ["1", "20.00", "1", "1"]
    assert rows["missed"] == ["1", "20.00", "1", "0"] and rows["spurious"] == ["1", "20.00", "0", "1"]
    assert rows["0.9–1"] == ["1", "90.00", "100.00"] and rows["0.2–0.3"] == ["1", "20.00", "0.00"]
    assert rows["6+"] == ["0.00", "0.00", "0.00", "0", "0", "0"]


def test_gold_and_predicted_carry_their_own_marks() -> None:
    text, page = report(GOLD, PREDICTED)
    assert '<mark class="gold" title="gold: D">acute </mark>' in text
    assert '<mark class="gold predicted" title="gold: D; predicted: D">renal failure</mark>' in text
    assert '<mark class="predicted" title="predicted: D">A</mark>' in text
    assert "7: gold: D “acute renal failure”; predicted: D “renal failure”" in text
    assert "9: gold: D “rash”; predicted: nothing" in text
    for style in ("solid", "dashed"):
        assert style in text
    assert {TEXT, "A rash."} <= set(page.texts) and "No disease." not in page.texts


def test_discontinuous_mentions_keep_their_gap() -> None:
    gold = [Document("d", "pain in the chest", (Span(0, 17, "D", fragments=((0, 4), (12, 17))),))]
    text, _ = report(gold, [gold[0].with_spans([])])
    assert 'title="gold: D">pain</mark> in the <mark class="gold" title="gold: D">chest</mark>' in text
    assert "gold: D “pain chest”" in text


@pytest.mark.parametrize(("n_documents", "said"), [(0, "0 of 3"), (1, "1 of 3"), (20, "2 of 3")])
def test_the_page_says_how_much_it_shows(n_documents: int, said: str) -> None:
    text, _ = report(GOLD, PREDICTED, n_documents=n_documents, n_examples=0)
    assert f"{said} documents shown." in text
    assert "0 of 1 different errors shown." in text


def test_the_worst_document_comes_first() -> None:
    text, _ = report(GOLD[::-1], PREDICTED[::-1])
    assert text.index("<h3>7: 3 errors</h3>") < text.index("<h3>9: 2 errors</h3>")


def test_sections_without_their_data_are_left_out() -> None:
    text, _ = report(GOLD, PREDICTED)
    assert "F1 by length" in text and "F1 by frequency" not in text
    text, _ = report(GOLD, GOLD)
    assert "some predictions have no score" in text and "0 of 3 documents shown" in text
    file = io.StringIO()
    result = {key: value for key, value in make_result(GOLD, PREDICTED).items() if "seen" not in key}
    write_report(file, result, GOLD, PREDICTED)
    assert "forms seen in training" not in file.getvalue()


def test_diagrams_are_well_formed_and_stand_beside_their_numbers() -> None:
    text, page = report(GOLD, PREDICTED, training=GOLD)
    diagrams = [part.split("</svg>")[0] for part in text.split("<svg")[1:]]
    assert len(diagrams) == 3 and page.tags.count("table") == 5
    for diagram in diagrams:
        root = ElementTree.fromstring(f"<svg{diagram}</svg>")
        assert [child.tag for child in root[:2]] == ["title", "desc"]
        for bar in root.iter("rect"):
            assert float(bar.attrib["height"]) >= 0 and float(bar.attrib["width"]) > 0
    heights = [
        float(bar.attrib["height"]) for bar in ElementTree.fromstring(f"<svg{diagrams[0]}</svg>").iter("rect")
    ]
    assert heights == [0, 0, 0, 154]


def test_every_kind_that_occurs_has_its_meaning_and_no_example_of_others() -> None:
    text, _ = report(GOLD, PREDICTED)
    for kind in count_errors(find_errors(GOLD[0], PREDICTED[0])):
        meaning = KINDS[kind].partition("; for example")[0]
        assert f"<h3>{kind}</h3>\n<p>{meaning}. 1 of 1 different errors shown.</p>" in text
    assert "for example" not in text


def test_the_most_frequent_error_is_the_first_example() -> None:
    gold = [Document(str(number), "a rash, a Fever", (Span(10, 15, "D"),)) for number in range(3)]
    predicted = [gold[0].with_spans([Span(2, 6, "D", 0.5)]), *(each.with_spans([]) for each in gold[1:])]
    text, _ = report([GOLD[2], *gold], [GOLD[2].with_spans([]), *predicted], n_examples=1)
    assert "1 of 2 different errors shown." in text
    assert "0: gold: D “Fever”; predicted: nothing (3 times)" in text
    assert text.count("(3 times)") == 1 and "9: gold: D “rash”; predicted: nothing (" not in text


def test_a_comparison_tells_whose_errors_they_are() -> None:
    first, second = (
        System(name, make_result(GOLD, side), side) for name, side in (("base", PREDICTED), ("new", WORSE))
    )
    file = io.StringIO()
    write_comparison(file, GOLD, first, second, comparison=Comparison(0.5, 0.6, 0.034, (-0.22, 0.02)))
    rows = {row[0]: row[1:] for row in Page(file.getvalue()).rows}
    assert rows["new minus base"] == ["+10.00", "-2.00 to +22.00", "0.0340"]
    assert rows["base"][-3:] == ["1", "3", "4"] and rows["new"][-3:] == ["1", "1", "4"]
    assert rows["boundary-left"] == ["0", "1", "1", "0"]
    assert rows["type"] == ["0", "1", "0", "0"] and rows["missed"] == ["1", "0", "1", "1"]
    assert rows["all"] == ["2", "3", "3", "1"]
    assert "3 of 3 errors shown" in file.getvalue()


def test_a_page_goes_to_a_path_as_well(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, make_result(GOLD, PREDICTED), GOLD, PREDICTED)
    assert path.read_text(encoding="utf-8") == report(GOLD, PREDICTED)[0]
    lone = [Document("\ud800", "A rash.", (Span(2, 6, "D"),))]
    write_report(path, make_result(lone, lone), lone, lone)


def test_documents_that_do_not_belong_together_are_refused() -> None:
    for predicted in (PREDICTED[:2], PREDICTED[::-1]):
        with pytest.raises(InputError):
            write_report(io.StringIO(), {}, GOLD, predicted)
