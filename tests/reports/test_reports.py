from __future__ import annotations

import json
import re
from collections import Counter
from html.parser import HTMLParser
from io import StringIO
from itertools import combinations
from math import isclose, log
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands import invoke
from openmed_ner.errors import InputError
from openmed_ner.formats import write_documents
from openmed_ner.reports import RunSummary, SummaryOptions, write_summary_page
from openmed_ner.reports.concepts import find_year
from openmed_ner.reports.tallies import TallyTable
from openmed_ner.text import Document, Span

HOSTILE = """</td><script>alert(1)</script>'"&\u202e\x01"""


def make(name: str, *mentions: tuple[str, str] | tuple[str, str, dict[str, Any]], **meta: Any) -> Document:
    """A document that consists of mentions, each with its type and its attributes."""
    text, spans = "", []
    for mention, label, *attributes in mentions:
        start = len(text)
        text += f"{mention} "
        span = Span(start, start + len(mention), label, 0.9, "c")
        spans.append(span.with_attributes(attributes[0]) if attributes else span)
    return Document(name, text or "-", tuple(spans), meta)


def summarise(*documents: Document, **options: Any) -> dict[str, Any]:
    summary = RunSummary(SummaryOptions(**options))
    for document in documents:
        summary.add(document)
    return json.loads(json.dumps(summary.to_json()))  # type: ignore[no-any-return]


ASPIRIN = {"identifier": "MESH:D001241", "preferred_name": "Aspirin"}
DOCUMENTS = (
    make(
        "1", ("Aspirin", "Chemical", ASPIRIN), ("ASA", "Chemical", ASPIRIN), ("Fever", "Disease"), year=2001
    ),
    make("2", ("aspirin", "Chemical", ASPIRIN), ("fever", "Disease", {"negated": True}), year="2003"),
    make("3", ("cough", "Disease"), year=2003),
    make("4", ("rash", "Disease"), ("fever", "Disease")),
)


def test_mentions_and_identifiers_are_counted_with_their_documents() -> None:
    summary = summarise(*DOCUMENTS)
    assert (summary["documents"], summary["mentions"]) == (4, 8)
    assert summary["types"] == [
        {"type": "Disease", "mentions": 5, "documents": 4},
        {"type": "Chemical", "mentions": 3, "documents": 2},
    ]
    assert summary["frequent_mentions"]["Disease"][0] == {"mention": "Fever", "mentions": 3, "documents": 3}
    assert summary["identifiers"] == [
        {"id": "MESH:D001241", "name": "Aspirin", "mentions": 3, "documents": 2}
    ]


def test_a_pair_is_rated_by_the_documents_that_share_it() -> None:
    pairs = summarise(*DOCUMENTS, min_documents=2)["associated_pairs"]
    (pair,) = pairs
    assert pair["first"] == {"id": "MESH:D001241", "name": "Aspirin", "documents": 2}
    assert pair["second"] == {"mention": "Fever", "type": "Disease", "documents": 3}
    # Two of four documents have both, two the first and three the second.
    assert pair["documents"] == 2
    assert pair["npmi"] == round(log((2 / 4) / (2 / 4 * 3 / 4)) / -log(2 / 4), 4)


@given(st.lists(st.sets(st.sampled_from("abcd")), min_size=1, max_size=8))
def test_associations_lie_between_their_bounds(documents: list[set[str]]) -> None:
    summary = summarise(
        *(make(str(n), *((name, "T") for name in sorted(names))) for n, names in enumerate(documents)), top=99
    )
    counts = Counter(pair for names in documents for pair in combinations(sorted(names), 2))
    listed = {
        (row["first"]["mention"], row["second"]["mention"]): row["documents"]
        for row in summary["frequent_pairs"]
    }
    assert listed == {pair: count for pair, count in counts.items() if count > 1}
    for row in summary["frequent_pairs"]:
        assert -1 <= row["npmi"] <= 1
        always = row["documents"] == row["first"]["documents"] == row["second"]["documents"]
        assert isclose(row["npmi"], 1) == always


def test_two_readings_of_one_mention_are_no_pair() -> None:
    document = Document("1", "aspirin", (Span(0, 7, "Chemical"), Span(0, 7, "Medication")))
    assert summarise(document, document)["frequent_pairs"] == []


def test_a_name_and_a_part_of_it_are_no_pair() -> None:
    nested = make("1", ("breast cancer", "Disease"), ("Cancer", "Disease"), ("breast", "Anatomy"))
    (pair,) = summarise(nested, nested)["frequent_pairs"]
    assert {pair["first"]["mention"], pair["second"]["mention"]} == {"Cancer", "breast"}


def test_years_and_context_are_shown_where_they_are_known() -> None:
    summary = summarise(*DOCUMENTS)
    assert summary["years"] == [
        {"year": 2001, "documents": 1, "types": {"Chemical": 2, "Disease": 1}},
        {"year": 2003, "documents": 2, "types": {"Disease": 2, "Chemical": 1}},
    ]
    none = {"hypothetical": 0, "historical": 0, "family": 0}
    assert summary["context"] == [
        {"type": "Disease", "negated": 1, **none},
        {"type": "Chemical", "negated": 0, **none},
    ]
    bare = summarise(make("1", ("fever", "Disease")))
    assert bare["years"] == [] and bare["context"] == []


@pytest.mark.parametrize(
    ("meta", "year"),
    [
        ({"year": 1999}, 1999),
        ({"year": "1999"}, 1999),
        ({"year": 99999}, None),
        ({"year": "soon"}, None),
        ({"structure": {"passages": [{"infons": {"year": "2010"}}]}}, 2010),
        ({"structure": []}, None),
        ({}, None),
    ],
)
def test_a_year_is_four_digits(meta: dict[str, Any], year: int | None) -> None:
    assert find_year(Document("1", "x", (), meta)) == year


@given(st.lists(st.integers(0, 30), max_size=200), st.integers(2, 40))
def test_a_full_table_states_by_how_much_it_is_wrong(keys: list[int], capacity: int) -> None:
    table: TallyTable[int] = TallyTable(capacity)
    for key in keys:
        table.add(key, str(key))
    true = Counter(keys)
    held = {key: tally.mentions for key, tally in table.items()}
    assert len(held) <= capacity
    for key, count in true.items():
        assert count - table.undercount <= held.get(key, 0) <= count
    assert len(true) > capacity or held == true


class Page(HTMLParser):
    """The elements of a page, and the addresses that it loads or names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            if name == "href":
                self.links.append(value or "")
            assert name != "src" and not name.startswith("on"), (tag, attrs)


def write_page(summary: dict[str, Any]) -> str:
    file = StringIO()
    write_summary_page(file, summary, title=HOSTILE)
    return file.getvalue()


def test_the_page_runs_nothing_and_loads_nothing() -> None:
    hostile = {"identifier": f"{HOSTILE}|javascript:alert", "preferred_name": f"{HOSTILE}|x"}
    documents = [make(HOSTILE, (HOSTILE, HOSTILE, hostile), ("fever", HOSTILE), year=2001)] * 3
    text = write_page(summarise(*documents, *DOCUMENTS))
    page = Page(text)
    assert not page.tags["script"] and not page.tags["link"] and page.tags["svg"] == 2
    assert set(page.links) == {"https://id.nlm.nih.gov/mesh/D001241.html"}
    assert "default-src 'none'" in text
    assert re.sub(r"<[^>]*>", "", text).count("alert(1)") > 4


def test_the_page_shows_what_the_json_says() -> None:
    text = write_page(summarise(*DOCUMENTS, min_documents=2))
    for words in (
        "8 mentions in 4 documents",
        "Aspirin",
        "negated",
        "2003",
        "NPMI",
        "Strongest associations",
    ):
        assert words in text
    empty = Page(write_page(summarise(make("1"))))
    assert empty.tags["section"] == 2  # types and notes


def test_the_command_reads_files_and_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    write_documents(DOCUMENTS[:2], tmp_path / "run/part-1.jsonl")
    write_documents(DOCUMENTS[2:], tmp_path / "run/part-2.jsonl")
    (tmp_path / "run/errors.bin").write_bytes(b"\0\1")
    with (tmp_path / "run/part-2.jsonl").open("a") as file:
        file.write("{}\n")
    invoke("report", tmp_path / "run", "-o", tmp_path / "page.html", "--json")
    printed = capsys.readouterr()
    assert json.loads(printed.out)["documents"] == 4
    assert "1 bad records" in printed.err and "1 files without" in printed.err
    assert "Aspirin" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    write_documents(DOCUMENTS, tmp_path / "a.jsonl")
    with pytest.raises(InputError, match="name a page to write"):
        invoke("report", tmp_path / "a.jsonl")
    with pytest.raises(InputError, match="is the file of an input"):
        invoke("report", tmp_path / "a.jsonl", "-o", tmp_path / "a.jsonl")
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(InputError, match="no document in"):
        invoke("report", tmp_path / "empty.jsonl", "--json")
