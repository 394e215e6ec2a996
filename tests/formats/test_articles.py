"""MEDLINE text and JATS: every character of title, abstract and body, and nothing that is not text."""

from __future__ import annotations

import re
from collections.abc import Collection
from io import StringIO
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.formats.jats import SECTIONS, read_jats
from openmed_ner.formats.medline import read_medline
from openmed_ner.formats.structure import Structure
from openmed_ner.text import Document
from strategies import damaged, texts

# --- MEDLINE

RECORD = """PMID- 12
OWN - NLM
TI  - Kinetics of EGFR in
      lung cancer.
AB  - BACKGROUND: Pain - as such -
      is common.
AD  - Institute of Cancer, Town.
"""


def read_records(content: str) -> list[Document]:
    return list(read_medline(StringIO(content, newline="\n"), source="x.nbib"))


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_title_and_abstract_of_a_record_are_read(line_end: str) -> None:
    other = RECORD.replace("12", "13").replace("AB  - BACKGROUND", "OAB - BACKGROUND")
    content = f"\ufeff\n{RECORD}\n{other}{other.replace('13', '14')}".replace("\n", line_end)
    documents = read_records(content)
    assert [(document.id, document.text) for document in documents] == [
        ("pubmed:12", "Kinetics of EGFR in lung cancer. BACKGROUND: Pain - as such - is common."),
        ("pubmed:13", "Kinetics of EGFR in lung cancer."),
        ("pubmed:14", "Kinetics of EGFR in lung cancer."),
    ]
    passages = Structure.of(documents[0]).passages
    assert [documents[0].text[part.offset : part.end] for part in passages] == [
        "Kinetics of EGFR in lung cancer.",
        "BACKGROUND: Pain - as such - is common.",
    ]


def test_the_year_of_a_record_and_of_an_article_is_kept() -> None:
    (record,) = read_records(RECORD.replace("AD  - ", "DP  - 2019 Jan 5\nAD  - "))
    dates = "<pub-date><year>2021</year></pub-date><pub-date><year>2020</year></pub-date>"
    (article,) = read_articles(ARTICLE.replace("</article-meta>", f"{dates}</article-meta>"))
    assert (record.meta["year"], article.meta["year"]) == (2019, 2020)
    assert "year" not in read_records(RECORD)[0].meta


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("TI  - Without a number\n", "line 1: expected a record that begins with its PMID"),
        ("PMID- x\nTI  - A\n", "line 1: expected a record that begins with its PMID"),
        ("PMID- 1\nOWN - NLM\n", "line 1: the record 1 has neither title nor abstract"),
        ("PMID- 1\nTI  - [Not Available].\n", "line 1: the record 1 has neither title nor abstract"),
        (
            "PMID- 1\nTI  - A\nno field\n",
            "line 1: expected a field such as 'TI  - ', found 'no field' in line 3",
        ),
        ("  text\n", "line 1: expected a field such as 'TI  - ', found '  text' in line 1"),
    ],
)
def test_a_bad_record_is_named_and_the_next_one_read(content: str, message: str) -> None:
    with pytest.raises(CorpusFormatError, match=rf"^x\.nbib, {re.escape(message)}"):
        read_records(content)
    problems: list[Exception] = []
    file = StringIO(f"{content}{RECORD}")
    assert [document.id for document in read_medline(file, source="x", on_bad=problems.append)] == [
        "pubmed:12"
    ]
    assert len(problems) == 1


@pytest.mark.fuzz
@given(
    content=damaged(
        st.just(RECORD) | texts, ["PMID- 3\n", "TI  - x", "AB  -", "\n", "      ", "- ", "\ufeff"]
    )
)
def test_hostile_medline_is_refused_by_line_or_read(content: str) -> None:
    try:
        documents = read_records(content)
    except CorpusFormatError as error:
        assert re.match(r"x\.nbib, line \d+: ", str(error))
    else:
        assert all(document.text and Structure.of(document).passages for document in documents)


# --- JATS

HEAD = '<?xml version="1.0"?>\n<!DOCTYPE article PUBLIC "-//NLM//DTD JATS v1.1//EN" "JATS-archive.dtd">\n'
META = """<front><journal-meta><journal-title>J</journal-title></journal-meta><article-meta>
<article-id pub-id-type="pmid">7</article-id><article-id pub-id-type="pmc">PMC12</article-id>
<title-group><article-title>Aspirin and
 <italic>BRCA1</italic></article-title></title-group>
<contrib-group><contrib><name><surname>Smith</surname></name></contrib></contrib-group>
<abstract><sec><title>Aims</title><p>Aspirin &amp; ulcer.</p></sec></abstract>
<kwd-group><kwd>pain</kwd></kwd-group></article-meta></front>
"""
BODY = """<body><p>Begin.</p>
<sec sec-type="intro"><title>1. Introduction</title><p>H<sub>2</sub>O and asthma<sup><xref ref-type="bibr"
rid="b1">1</xref>,<xref ref-type="bibr">2</xref></sup> rose [<xref ref-type="bibr">3</xref>].</p></sec>
<sec><title>Patients and Methods</title><p>We used:<list><list-item><p>aspirin</p></list-item>
<list-item><p>ibuprofen</p></list-item></list>daily.</p>
<sec><title>Assay</title><p>10<sup>3</sup> cells <inline-formula><mml:math
xmlns:mml="http://www.w3.org/1998/Math/MathML"><mml:mi>α</mml:mi><mml:annotation>\\alpha</mml:annotation></mml:math></inline-formula>.</p></sec></sec>
<sec><title>Results</title><fig id="f1"><label>Fig. 1</label><caption><title>Tumours.</title>
<p>In mice.</p></caption><graphic/></fig>
<p>See it.<table-wrap><label>Table 1</label><caption><p>Doses</p></caption><table><thead><tr><th>Drug</th>
<th>mg</th></tr></thead><tbody><tr><td>aspirin</td><td/></tr></tbody></table>
<table-wrap-foot><p>a: mean</p></table-wrap-foot></table-wrap></p></sec></body>
<back><ack><title>Thanks</title><p>To all.</p></ack><ref-list><ref><mixed-citation>Old</mixed-citation></ref>
</ref-list></back>
"""
ARTICLE = f"{HEAD}<article>{META}{BODY}</article>\n"
PASSAGES = [
    ("title", "title", "Aspirin and BRCA1"),
    ("abstract", "heading", "Aims"),
    ("abstract", "paragraph", "Aspirin & ulcer."),
    ("other", "paragraph", "Begin."),
    ("introduction", "heading", "1. Introduction"),
    ("introduction", "paragraph", "H2O and asthma rose [3]."),
    ("methods", "heading", "Patients and Methods"),
    ("methods", "paragraph", "We used: daily."),
    ("methods", "paragraph", "aspirin"),
    ("methods", "paragraph", "ibuprofen"),
    ("methods", "heading", "Assay"),
    ("methods", "paragraph", "103 cells α."),
    ("results", "heading", "Results"),
    ("figures", "figure caption", "Tumours."),
    ("figures", "figure caption", "In mice."),
    ("results", "paragraph", "See it."),
    ("tables", "table caption", "Doses"),
    ("tables", "table", "Drug\tmg\naspirin\t"),
    ("tables", "table footnote", "a: mean"),
    ("back", "heading", "Thanks"),
    ("back", "paragraph", "To all."),
]


def read_articles(content: str, sections: Collection[str] | None = None) -> list[Document]:
    return list(read_jats(StringIO(content, newline="\n"), source="x.nxml", sections=sections))


def passages_of(document: Document) -> list[tuple[str, str, str]]:
    return [
        (part.infons["section"], part.infons["type"], document.text[part.offset : part.end])
        for part in Structure.of(document).passages
    ]


def test_an_article_is_read_passage_by_passage() -> None:
    (document,) = read_articles(ARTICLE)
    assert document.id == "pmc:12"
    assert passages_of(document) == PASSAGES
    assert document.text == "\n\n".join(text for _, _, text in PASSAGES)


@given(sections=st.sets(st.sampled_from(SECTIONS), min_size=1))
def test_sections_can_be_chosen(sections: set[str]) -> None:
    expected = [entry for entry in PASSAGES if entry[0] in sections]
    if not expected:
        with pytest.raises(CorpusFormatError, match="the article has no text in the sections"):
            read_articles(ARTICLE, sections)
    else:
        (document,) = read_articles(ARTICLE, sections)
        assert passages_of(document) == expected


def test_an_unknown_section_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="unknown section 'methodz'; known: title, abstract"):
        read_articles(ARTICLE, ["methodz"])


@given(
    paragraphs=st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), min_size=1), max_size=5)
)
def test_every_character_of_a_body_is_read(paragraphs: list[str]) -> None:
    body = "".join(f"<p>{escape(text)}</p>" for text in paragraphs)
    expected = [text for raw in paragraphs if (text := re.sub("[ \t\r\n]+", " ", raw).strip())]
    (document,) = read_articles(f"{HEAD}<article>{META}<body>{body}</body></article>")
    assert [text for section, _, text in passages_of(document) if section == "other"] == expected


def test_blank_lines_before_the_declaration_are_passed_over() -> None:
    (document,) = read_jats(StringIO(f"\n\n{ARTICLE}"), source="x.nxml")
    assert [document] == list(read_jats(StringIO(ARTICLE), source="x.nxml"))
    with pytest.raises(CorpusFormatError, match="line 12: Entity 'nbsp' not defined"):
        list(read_jats(StringIO("\n\n" + ARTICLE.replace("Begin.", "&nbsp;")), source="x.nxml"))


def test_a_set_of_articles_is_read_one_by_one() -> None:
    bare = "<article><body><p>Text.</p></body></article>"
    content = f"{HEAD}<pmc-articleset><article>{META}</article>{bare}<article/></pmc-articleset>"
    problems: list[Exception] = []
    documents = list(read_jats(StringIO(content), source="x.nxml", on_bad=problems.append))
    assert [document.id for document in documents] == ["pmc:12", "x.nxml:2"]
    assert "the article has no text" in str(problems[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: Document is empty"),
        ("<html/>", "line 1: expected <article>, found <html>"),
        (ARTICLE[:-30], "line "),
        (ARTICLE.replace("Begin.", "&nbsp;"), "line 10: Entity 'nbsp' not defined"),
        (
            ARTICLE.replace('"JATS-archive.dtd"', '"x.dtd" [<!ENTITY nbsp " ">]'),
            "line 3: the file declares entities (nbsp)",
        ),
        (f"{HEAD}<article/>", "line 3: the article has no text"),
    ],
)
def test_a_bad_article_is_named(content: str, message: str) -> None:
    with pytest.raises(CorpusFormatError, match=rf"^x\.nxml, {re.escape(message)}"):
        read_articles(content)


_PIECES = [
    *"<>/&", "<sec>", "</sec>", "<p>", "</p>", "<body>", "<table>", "<tr><td>x</td></tr>", "<fig>",
    "&x;", "&#0;", "<!ENTITY x 'y'>", "<article>", "<sup><xref ref-type='bibr'>1</xref></sup>", "<caption>",
    "<abstract>", "<list-item>", "\ufeff", "<!-- -->", "<![CDATA[<]]>", "<mml:math>", "xmlns='x'",
]  # fmt: skip


@pytest.mark.fuzz
@given(content=damaged(st.just(ARTICLE) | texts, _PIECES))
def test_hostile_jats_is_refused_or_read(content: str) -> None:
    try:
        documents = read_articles(content)
    except CorpusFormatError as error:
        assert re.match(r"x\.nxml, line \d+: ", str(error))
    else:
        for document in documents:
            assert document.text == "\n\n".join(text for _, _, text in passages_of(document))
