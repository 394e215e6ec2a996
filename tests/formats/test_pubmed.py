"""The reader of PubMed's dump, on files made by hand."""

from __future__ import annotations

import gzip
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.formats import pubmed
from openmed_ner.formats.pubmed import read_deleted, read_pubmed, read_pubmed_documents
from openmed_ner.formats.structure import Structure
from openmed_ner.text import Document
from strategies import damaged

HEAD = (
    '<?xml version="1.0" encoding="utf-8"?>\n'
    '<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD PubMedArticle, 1st January 2025//EN" '
    '"https://dtd.nlm.nih.gov/ncbi/pubmed/out/pubmed_250101.dtd">\n'
)

COPYRIGHT = "<CopyrightInformation>Copyright 2025.</CopyrightInformation>"


def article(
    number: int,
    *sections: str,
    title: str = "A title.",
    version: int = 1,
    languages: tuple[str, ...] = ("eng",),
    kinds: tuple[str, ...] = ("Journal Article",),
    date: str = "",
) -> str:
    """A record as PubMed writes them; ``sections`` are ``AbstractText`` elements."""
    journal = f"<Journal><JournalIssue><PubDate>{date}</PubDate></JournalIssue></Journal>" if date else ""
    return f"""<PubmedArticle>
<MedlineCitation Status="MEDLINE" Owner="NLM">
<PMID Version="{version}">{number}</PMID>
<Article PubModel="Print">{journal}
<ArticleTitle>{title}</ArticleTitle>
{f"<Abstract>{''.join(sections)}{COPYRIGHT}</Abstract>" if sections else ""}
{"".join(f"<Language>{language}</Language>" for language in languages)}
<PublicationTypeList>{"".join(f"<PublicationType>{kind}</PublicationType>" for kind in kinds)}
</PublicationTypeList>
</Article>
<OtherAbstract><AbstractText>Simply put.</AbstractText></OtherAbstract>
</MedlineCitation>
<PubmedData><ReferenceList><Reference><ArticleIdList><ArticleId>9</ArticleId></ArticleIdList></Reference>
</ReferenceList></PubmedData>
</PubmedArticle>
"""


def plain(text: str = "Some text.") -> str:
    return f"<AbstractText>{text}</AbstractText>"


def file_of(*records: str) -> str:
    return f"{HEAD}<PubmedArticleSet>\n{''.join(records)}</PubmedArticleSet>\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dumps")


@pytest.fixture(scope="module")
def read(folder: Path) -> Callable[..., tuple[dict[str, str], Counter[str]]]:
    """Read a file of PubMed given as text: names to texts, and the reasons of what was passed over."""

    def read(content: str | bytes, **options: Any) -> tuple[dict[str, str], Counter[str]]:
        path = folder / "pubmed25n0001.xml"
        path.write_bytes(content.encode(errors="surrogatepass") if isinstance(content, str) else content)
        skipped: list[str] = []
        passages = list(read_pubmed(path, on_skip=skipped.append, **options))
        assert {passage.source for passage in passages} <= {"pubmed"}
        return {passage.id: passage.text for passage in passages}, Counter(skipped)

    return read


Read = Callable[..., tuple[dict[str, str], Counter[str]]]


def test_a_passage_is_title_and_abstract_with_the_labels_of_its_sections(read: Read) -> None:
    sections = (
        '<AbstractText Label="BACKGROUND" NlmCategory="BACKGROUND">Pain\n      is common.</AbstractText>',
        '<AbstractText Label="UNLABELLED">It hurts.</AbstractText>',
        '<AbstractText Label="RESULTS:"/>',
        '<AbstractText Label="CONCLUSION">Rest.</AbstractText>',
    )
    texts, skipped = read(file_of(article(12, *sections), article(13, plain(), title="")))
    assert texts == {
        "pubmed:12": "A title. BACKGROUND: Pain is common. It hurts. CONCLUSION: Rest.",
        "pubmed:13": "Some text.",
    }
    assert not skipped


def test_markup_and_formulas_become_their_characters(read: Read) -> None:
    formula = (
        '<mml:math xmlns:mml="http://www.w3.org/1998/Math/MathML"><mml:semantics><mml:mi>α</mml:mi>\n<mml:mo>='
        '</mml:mo><mml:annotation encoding="TeX">\\alpha=</mml:annotation></mml:semantics></mml:math>2'
    )
    text = f"<i>In vivo</i>, CO<sub>2</sub> &lt; 10<sup>3</sup>; <b>{formula}</b>.<!-- no --> End\u00a0."
    texts, _ = read(file_of(article(1, plain(text), title="The <i>BRCA<sub>1</sub></i> gene.")))
    assert texts == {"pubmed:1": "The BRCA1 gene. In vivo, CO2 < 103; α =2. End\u00a0."}


def test_what_is_passed_over_is_counted(read: Read) -> None:
    content = file_of(
        article(1, plain()),
        article(2, plain(), languages=("fre",), title="[Un titre]."),
        article(3, plain(), languages=("fre", "eng")),
        article(4),
        article(5, plain(" \n ")),
        article(6, plain(), kinds=("Journal Article", "Retracted Publication")),
        article(7, plain(), kinds=("Retraction of Publication",)),
        "<PubmedBookArticle><BookDocument><PMID>8</PMID></BookDocument></PubmedBookArticle>",
    )
    texts, skipped = read(content)
    assert [*texts] == ["pubmed:1", "pubmed:3", "pubmed:7"]
    assert skipped == {"language": 1, "no abstract": 2, "retracted": 1, "book": 1}
    everything, skipped = read(content, languages=None, retracted=True)
    assert {*everything} - {*texts} == {"pubmed:2", "pubmed:6"}
    assert skipped == {"no abstract": 2, "book": 1}
    assert [*read(content, languages="fre")[0]] == ["pubmed:2", "pubmed:3"]


def read_documents(path: Path, **options: Any) -> tuple[list[Document], Counter[str]]:
    skipped: list[str] = []
    documents = list(read_pubmed_documents(path, on_skip=skipped.append, **options))
    return documents, Counter(skipped)


def test_documents_are_titles_and_abstracts_of_every_article(read: Read, folder: Path) -> None:
    content = file_of(
        article(1, plain(), title="E. coli in sepsis"),
        article(2, plain(), languages=("fre",), title="[Un titre]."),
        article(3),
        article(4, plain(), title="[Not Available]."),
        article(5, plain(), kinds=("Retracted Publication",)),
        article(6, title=""),
        "<PubmedBookArticle><BookDocument><PMID>8</PMID></BookDocument></PubmedBookArticle>",
    )
    read(content)
    path = folder / "pubmed25n0001.xml"
    documents, skipped = read_documents(path)
    assert [(document.id, document.text) for document in documents] == [
        ("pubmed:1", "E. coli in sepsis Some text."),
        ("pubmed:2", "[Un titre]. Some text."),
        ("pubmed:3", "A title."),
        ("pubmed:4", "Some text."),
        ("pubmed:5", "A title. Some text."),
    ]
    assert skipped == {"no text": 1, "book": 1}
    passages = Structure.of(documents[0]).passages
    assert [(part.infons["type"], part.offset, part.length) for part in passages] == [
        ("title", 0, 17),
        ("abstract", 18, 10),
    ]
    documents, skipped = read_documents(path, languages=("fre",), retracted=False)
    assert [document.id for document in documents] == ["pubmed:2"]
    assert skipped == {"language": 5, "book": 1}
    documents, skipped = read_documents(path, retracted=False)
    assert skipped == {"retracted": 1, "no text": 1, "book": 1}


@pytest.mark.parametrize(
    ("date", "year"),
    [
        ("<Year>2019</Year><Month>Jan</Month>", 2019),
        ("<MedlineDate>2000 Spring-Summer</MedlineDate>", 2000),
        ("<Season>Winter</Season>", None),
        ("", None),
    ],
)
def test_documents_have_the_year_of_their_issue(
    read: Read, folder: Path, date: str, year: int | None
) -> None:
    read(file_of(article(1, plain(), date=date)))
    (document,), _ = read_documents(folder / "pubmed25n0001.xml")
    assert document.meta.get("year") == year


@pytest.mark.parametrize("between", ["", "\n\n", "\ufeff"])
def test_sets_that_were_joined_are_read_one_after_the_other(
    read: Read, between: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = [file_of(article(2 * number, plain()), article(2 * number + 1, plain())) for number in range(3)]
    content = between.join(sets) + "\n"
    for size in (1 << 16, 7, 40):
        monkeypatch.setattr(pubmed, "_CHUNK", size)
        texts, _ = read(content)
        assert [*texts] == [f"pubmed:{number}" for number in range(6)]
        line = content.count("\n") + 1
        with pytest.raises(CorpusFormatError, match=f"line {line}: "):
            read(content + "end")
    content = file_of(article(1)) + file_of("\n<PubmedArticle/>")
    line = content[: content.index("<PubmedArticle/>")].count("\n") + 1
    with pytest.raises(CorpusFormatError, match=f"line {line}: an article without <PMID>"):
        read(content)


@pytest.mark.parametrize("blanks", ["\n", "\ufeff \r\n\n"])
def test_blanks_before_the_declaration_are_passed_over(read: Read, blanks: str) -> None:
    content = blanks + file_of(article(1, plain()))
    assert [*read(content)[0]] == ["pubmed:1"]
    line = blanks.count("\n") + 6
    with pytest.raises(CorpusFormatError, match=f"line {line}: expected numbers"):
        read(content.replace(">1<", ">one<"))


def test_a_later_version_has_a_name_of_its_own(read: Read) -> None:
    texts, _ = read(file_of(article(1, plain()), article(1, plain("More."), version=2)))
    assert [*texts] == ["pubmed:1", "pubmed:1.2"]


def test_deleted_articles_are_left_out_wherever_the_list_stands(read: Read, folder: Path) -> None:
    records = [article(1, plain()), article(2, plain()), article(2, plain(), version=2)]
    deleted = '<DeleteCitation>\n<PMID Version="1">2</PMID><PMID Version="1">77</PMID></DeleteCitation>'
    for content in (file_of(*records, deleted), file_of(deleted, *records)):
        texts, skipped = read(content)
        assert ([*texts], skipped) == (["pubmed:1", "pubmed:2.2"], {"deleted": 1})
        assert read_deleted(folder / "pubmed25n0001.xml") == {"pubmed:2", "pubmed:77"}


def test_a_file_reads_the_same_through_gzip(read: Read, folder: Path) -> None:
    content = file_of(*(article(number, plain(f"Text {number}.")) for number in range(1, 400)))
    packed = gzip.compress(content[:5000].encode()) + gzip.compress(content[5000:].encode())
    assert read(packed) == read(content)
    assert len(read(content)[0]) == 399
    with pytest.raises(CorpusFormatError, match=r"pubmed25n0001.xml: damaged: .*Get the file again"):
        read(packed[: len(packed) // 2])
    with pytest.raises(InputError, match="cannot be read"):
        list(read_pubmed(folder / "absent.xml"))


words = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp", "Cn")), min_size=1, max_size=6
)


@given(st.lists(st.tuples(words, st.lists(words, min_size=1).map(" ".join)), min_size=1, max_size=4))
def test_every_character_of_an_abstract_is_read(read: Read, sections: list[tuple[str, str]]) -> None:
    elements = [
        f"<AbstractText Label={quoteattr(f'X{label}X')}>{escape(text)}</AbstractText>"
        for label, text in sections
    ]
    texts, _ = read(file_of(article(1, *elements)))
    expected = " ".join(f"X{label}X: {text}" for label, text in sections)
    assert texts == {"pubmed:1": f"A title. {expected}"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"line 1: no element found"),
        ("<html/>", r"line 1: expected <PubmedArticleSet>, found <html>"),
        (file_of(article(1, plain()))[:-80], "line 16: Premature end of data in tag Reference"),
        (file_of("<PubmedArticle>\n<MedlineCitation/></PubmedArticle>"), "line 4: an article without <PMID>"),
        (file_of(article(1)).replace(">1<", ">one<"), "line 6: expected numbers .* found 'one' and '1'"),
        (file_of(f"<x>{article(1)}</x>"), "line 4: expected records directly below .* <x> in <Pub"),
        (file_of(article(1, plain("a&nbsp;b"))), "line 9: Entity 'nbsp' not defined"),
        (file_of(article(1, "<AbstractText Label='&nbsp;'>a</AbstractText>")), "line 9: Entity 'nbsp'"),
        (file_of(article(1, plain("<mml:math/>"))), "line 9: Namespace prefix mml on math is not defined"),
        (file_of(article(1, plain("\x01"))), "line 9: "),
        (file_of(article(1, plain())).encode("utf-16"), "line 1: "),
        (file_of(article(1, plain("\xe9"))).encode("latin-1"), "line 9: "),
        (file_of(article(1, plain("<i>" * 300 + "</i>" * 300))), "line 9: Excessive depth"),
        (file_of(article(1, plain("x" * 11_000_000))), "line 9: .*too long"),
    ],
    ids=lambda value: str(value)[-40:],
)  # fmt: skip
def test_a_damaged_file_is_refused_with_its_line(read: Read, content: str | bytes, message: str) -> None:
    with pytest.raises(CorpusFormatError, match=rf"pubmed25n0001.xml, {message}"):
        read(content)


def test_lines_are_right_beyond_those_that_sixteen_bits_count(read: Read) -> None:
    content = file_of(article(1), "\n" * 200_000, "<PubmedArticle/>")
    with pytest.raises(CorpusFormatError, match="line 200019: an article without"):
        read(content)


BOMB = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "ha"}">' for n in range(10))


@pytest.mark.parametrize(
    "declaration",
    [
        '<!ENTITY x "harmless">',
        '<!ENTITY x SYSTEM "file://SECRET">',
        '<!ENTITY % x SYSTEM "file://SECRET"> %x;',
        BOMB,
    ],
)
def test_declared_entities_are_refused_and_nothing_is_fetched(
    read: Read, folder: Path, declaration: str
) -> None:
    (folder / "secret").write_text("<!ENTITY leak 'the secret'>")
    declaration = declaration.replace("SECRET", str(folder / "secret"))
    reference = "&a9;" if declaration == BOMB else "&x;"
    body = f"<PubmedArticleSet>{article(1, plain(reference))}</PubmedArticleSet>"
    with pytest.raises(
        CorpusFormatError, match=r", line \d+: (the file declares entities|Entity|.*entit)"
    ) as e:
        read(f"<!DOCTYPE PubmedArticleSet [{declaration}]>\n{body}")
    assert "secret'" not in str(e.value)


def test_the_external_document_type_is_not_read(read: Read, folder: Path) -> None:
    os.mkfifo(folder / "pipe.dtd")  # opening it would wait for ever
    body = f"<PubmedArticleSet>{article(1, plain())}</PubmedArticleSet>"
    texts, _ = read(f'<!DOCTYPE PubmedArticleSet SYSTEM "{folder}/pipe.dtd">\n{body}')
    assert [*texts] == ["pubmed:1"]


def test_a_record_without_end_is_refused_before_it_fills_the_memory(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pubmed, "_LAYOUT", replace(pubmed._LAYOUT, limit=1 << 20))
    for begin, filling in (("", "<x/>"), ("", " "), ("<PubmedBookArticle>", "<a>b</a>\n")):
        with pytest.raises(CorpusFormatError, match=r"line \d+: found 1 MB without a complete record"):
            read(gzip.compress(f"{HEAD}<PubmedArticleSet>{begin}{filling * 2_000_000}".encode()))
    many = file_of(*(article(number, plain("word " * 200)) for number in range(1000)))
    assert len(many) > 1 << 20 and len(read(many)[0]) == 1000


_PIECES = [
    *"<>/&;\"01", "<PubmedArticle>", "</PubmedArticle>", "<PMID>", "</PMID>", "<PMID/>", "<DeleteCitation>",
    "</DeleteCitation>", "<PubmedArticleSet>", "</PubmedArticleSet>", "<Abstract>", plain(), "&amp;", "&x;",
    article(5, plain()), "<!-- ", "-->", "<![CDATA[<]]>", "<!ENTITY x 'y'>", "&#0;", "&#13;", "\ud800",
    "\ufeff", ' Version="2"', ' Version=""', "xmlns='x'", "<mml:math>",
]  # fmt: skip


@pytest.mark.fuzz
@given(damaged(st.just(file_of(article(1, plain()), article(2, plain()))), _PIECES))
@example(file_of(article(1, plain())).replace("</Article>", ""))
def test_a_hostile_file_of_pubmed_is_read_or_refused(read: Read, content: str) -> None:
    try:
        texts, _ = read(content)
    except CorpusFormatError as error:
        assert "pubmed25n0001.xml, line " in str(error)
    else:
        for text in texts.values():
            assert text.encode().decode() == text
