"""The picture of the README is drawn from the page that the command line writes."""

from __future__ import annotations

import re
from io import StringIO

from lxml import etree

from openmed_ner.formats.html import write_html
from openmed_ner.text import Document, Span
from pages import ROOT, load_tool

DOCUMENT = Document(
    "x",
    "She denies <fever>\nand took aspirin.",
    (
        Span(12, 17, "Disease", 0.9, "a", attributes=(("negated", True),)),
        Span(12, 17, "Symptom", 0.8, "b"),
        Span(28, 35, "Chemical", 0.7, "a"),
    ),
)


def draw(document: Document) -> str:
    tool = load_tool("write_picture")
    write_html([document, Document("y", "Not drawn.")], page := StringIO())
    picture: str = tool.draw(tool.read_pieces(page.getvalue()))
    return picture


def test_every_word_stands_in_the_picture_with_types_and_context() -> None:
    root = etree.fromstring(draw(DOCUMENT))
    texts = [element.text for element in root.iter("{*}text")]
    written = ["She", "denies", "<", "fever", "Disease, Symptom negated", ">"]
    assert texts == [*written, "and", "took", "aspirin", "Chemical", "."]
    (struck,) = (element for element in root.iter("{*}text") if element.get("text-decoration"))
    assert (struck.text, struck.get("text-decoration")) == ("fever", "line-through")
    rows = {element.text: element.get("y") for element in root.iter("{*}text")}
    assert rows["She"] == rows["fever"] != rows["took"]


def test_lines_break_within_the_picture() -> None:
    root = etree.fromstring(draw(Document("x", "words " * 100)))
    width = float(root.get("width"))
    assert len({element.get("y") for element in root.iter("{*}text")}) > 5
    assert all(float(e.get("x")) + float(e.get("textLength")) < width for e in root.iter("{*}text"))


def test_the_readme_shows_a_small_picture_of_this_kind() -> None:
    (path,) = re.findall(r"!\[[^]]+\]\((docs/assets/example\.svg)\)", (ROOT / "README.md").read_text("utf-8"))
    content = (ROOT / path).read_bytes()
    assert len(content) < 20_000 and etree.fromstring(content).find("{*}rect") is not None
