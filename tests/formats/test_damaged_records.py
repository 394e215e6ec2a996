"""A record of XML that is not well-formed, or a line that is not UTF-8, costs that record and no other."""

from __future__ import annotations

import time
import tracemalloc
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.formats import READERS, read_documents, xml, xml_records
from openmed_ner.formats.pubmed import read_deleted, read_pubmed, read_pubmed_documents
from openmed_ner.formats.xml_records import RecordLayout, iter_records

LAYOUT = RecordLayout("set", ("item", "other"), "items", limit=1 << 20)
HEAD = '<?xml version="1.0"?>\n<!DOCTYPE set SYSTEM "no.dtd">\n<set><date/>'
WHOLE = [f'<item n="{number}">\n<b>text {number}</b></item>\n' for number in range(6)]


def read(content: str | bytes, *, size: int = 1 << 16) -> tuple[list[str], list[str]]:
    """The numbers of the items that are read, and the messages about the others."""
    content = content.encode() if isinstance(content, str) else content
    chunks = (content[place : place + size] for place in range(0, len(content), size))
    problems: list[InputError] = []
    records = iter_records(chunks, LAYOUT, "x", problems.append)
    numbers = [str(record.element.get("n")) for record in records if record.element.tag != "set"]
    return numbers, [str(problem) for problem in problems]


def put(*items: str, end: str = "</set>") -> str:
    return "".join((HEAD, *items, end))


DAMAGE = {
    "an end tag of another name": '<item n="2">\n<b>text</c></item>\n',
    "an end tag that is missing": '<item n="2">\n<b>text</b>\n',
    "a record cut off in a tag": '<item n="2">\n<b>text</b',
    "a record cut off in an attribute": '<item n="2',
    "an unknown entity": '<item n="2">\n<b>&beta;</b></item>\n',
    "a bare ampersand": '<item n="2">\n<b>R & D</b></item>\n',
    "a bare less-than sign": '<item n="2">\n<b>p < 0.05</b></item>\n',
    "an attribute twice": '<item n="2" n="2">\n<b>text</b></item>\n',
    "an unknown namespace": '<item n="2">\n<b a:c="d">text</b></item>\n',
    "a control character": '<item n="2">\n<b>\x01</b></item>\n',
    "a reference to no character": '<item n="2">\n<b>&#0;</b></item>\n',
    "a declaration inside": '<item n="2">\n<?xml version="1.0"?></item>\n',
    "a comment that does not end": '<item n="2">\n<!-- <b>text</b></item>\n',
    "characters that do not end": '<item n="2">\n<![CDATA[ <b>text</b></item>\n',
    "an instruction that does not end": '<item n="2">\n<?x <b>text</b></item>\n',
    "too deep": '<item n="2">\n' + "<b>" * 300 + "</b>" * 300 + "</item>\n",
    "a namespace": '<item n="2" xmlns="a:b">\n<b>text</b></item>\n',
    "a root inside": '<item n="2">\n<set/></item>\n',
}
PARTS = [
    *('<item n="1">', '<item n="2"/>', "</item>", "<b>", "</b>", "<b/>", "text", "<!--", "-->", "<set>"),
    *(
        "<![CDATA[",
        "]]>",
        "<?x ",
        "?>",
        "</set>",
        "\n",
        "<other/>",
        "<items/>",
        " n='<item>'",
        "&amp;",
        "<item",
    ),
]


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("size", [7, 1 << 16])
def test_a_damaged_record_of_xml_costs_one_record(damage: str, size: int) -> None:
    content = put(*WHOLE[:2], DAMAGE[damage], *WHOLE[3:])
    numbers, problems = read(content, size=size)
    assert numbers == ["0", "1", "3", "4", "5"]
    assert len(problems) == 1 and problems[0].startswith("x, line ")
    with pytest.raises(CorpusFormatError, match=r"^x, line "):
        list(iter_records([content.encode()], LAYOUT, "x"))


@given(
    # An instruction that does not end would end with a declaration further down.
    items=st.lists(st.integers(0, 9) | st.sampled_from(sorted({*DAMAGE} - {"a declaration inside"}))),
    size=st.integers(1, 200),
)
def test_all_records_without_damage_are_read(items: list[int | str], size: int) -> None:
    content = put(
        *(DAMAGE[item] if isinstance(item, str) else f'<item n="good {item}"/>\n' for item in items),
        '<other n="last"/>',
    )
    numbers, problems = read(content, size=size)
    assert [n for n in numbers if n != "2"] == [
        *(f"good {item}" for item in items if isinstance(item, int)),
        "last",
    ]
    assert bool(problems) == any(isinstance(item, str) for item in items)


@given(content=st.lists(st.sampled_from(PARTS), max_size=30).map("".join), size=st.integers(1, 99))
def test_what_is_well_formed_is_read_alike_with_and_without_tolerance(content: str, size: int) -> None:
    content = f"<set>{content}</set>"
    chunks = [content[place : place + size].encode() for place in range(0, len(content), size)]
    try:
        records = [str(record.element.get("n")) for record in iter_records(chunks, LAYOUT, "x")]
    except CorpusFormatError as error:
        try:
            assert read(content, size=size)[1][0] == str(error)
        except CorpusFormatError as other:
            assert str(other) == str(error)
    else:
        assert (records[:-1], []) == read(content, size=size)


@pytest.mark.parametrize("size", [5, 1 << 16])
def test_lines_are_those_of_the_file_after_a_damaged_record(size: int) -> None:
    content = put(*WHOLE[:2], '<item n="2">\n</b></item>\n', *WHOLE[3:5], "<item>\n<c>\n</b></item>", end="")
    messages = [
        "x, line 8: Opening and ending tag mismatch: item line 7 and b",
        "x, line 15: Opening and ending tag mismatch: c line 14 and b",
    ]
    numbers, problems = read(content, size=size)
    assert (numbers, problems) == (["0", "1", "3", "4"], messages)


def test_a_truncated_file_costs_its_last_record_and_the_next_set_is_read() -> None:
    whole = put(*WHOLE)
    for place in range(whole.index("<item"), len(whole) - 1, 5):
        numbers, problems = read(whole[:place])
        assert numbers == [str(number) for number in range(whole[:place].count("</item>"))]
        assert len(problems) == 1
        # Two downloads in one file, the first of which was cut off.
        joined, problems = read(whole[:place] + put('<item n="next"/>'))
        assert joined == [*numbers, "next"] and problems


def test_what_stands_before_the_first_record_still_ends_the_file() -> None:
    entity = '<!DOCTYPE set [<!ENTITY a "b">]><set><item n="0"/><item>&c;</item></set>'
    for content, message in {
        "": "line 1: no element found",
        "<sets><item/></sets>": "found <item> in <sets>",
        "<item/>": "found <item> in nothing",
        "text": "Start tag expected",
        "<!-- <set><item/></set>": "Comment not terminated|Premature end",
        entity: "declares entities",
    }.items():
        with pytest.raises(CorpusFormatError, match=message):
            read(content)


@pytest.mark.parametrize(
    "unit",
    [
        "<item>",
        "<item><a></item>",
        "<item></a></item>",
        "<item/><!--",
        "<item><!-- ",
        "<item><![CDATA[",
        "<item/>&x;",
        "</set><item/>",
        "<item/></set>",
        "<item/></item></set><set>",
        "<item a='",
        "<item \n",
    ],
)
def test_hostile_repetition_takes_time_in_proportion(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_records, "MAX_PARSERS", 50)
    fed = 0
    make = xml.make_parser

    class Counting:
        def __init__(self, tags: Any) -> None:
            self._parser = make(tags)

        def feed(self, content: bytes) -> None:
            nonlocal fed
            fed += len(content)
            self._parser.feed(content)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._parser, name)

    monkeypatch.setattr(xml_records, "make_parser", Counting)
    content = f"<set>{unit * 20_000}".encode()
    started = time.process_time()
    try:
        read(content)
    except CorpusFormatError as error:
        assert "declared" not in str(error)
    assert fed <= 2 * len(content) + 50 * len("<set>")
    assert time.process_time() - started < 20


def test_damage_at_too_many_places_ends_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_records, "MAX_PARSERS", 10)
    bad = "<item></b></item>\n"
    assert read(put(WHOLE[0], *[bad] * 9, WHOLE[5]))[0] == ["0", "5"]
    with pytest.raises(CorpusFormatError, match=r"line \d+: too much of the file is damaged, and the rest"):
        read(put(WHOLE[0], *[bad] * 12, WHOLE[5]))


def test_records_in_search_of_an_end_take_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_records, "MAX_PARSERS", 100)
    chunk = b"<item/>" * 1000
    chunks = iter([b"<set><item/><!--", *[chunk] * 30, b"<item/>" * 50])
    problems: list[InputError] = []
    tracemalloc.start()
    try:
        assert len(list(iter_records(chunks, LAYOUT, "x", problems.append))) <= 101
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()
    assert problems


def test_memory_does_not_grow_with_damaged_records() -> None:
    chunk = "".join(['<item n="1"><b>text</c></item>', *['<item n="0"><b>text</b></item>'] * 500]).encode()
    tracemalloc.start()
    try:
        problems: list[InputError] = []
        records = iter_records(iter([b"<set>", *[chunk] * 20]), LAYOUT, "x", problems.append)
        assert sum(1 for _ in records) == 10_000
        assert len(problems) == 21  # the end is missing, too
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


# --- The readers


def pubmed(*titles: str) -> str:
    return "".join(
        (
            '<?xml version="1.0"?>\n<PubmedArticleSet>\n',
            *(
                f"<PubmedArticle><MedlineCitation><PMID>{number}</PMID><Article><ArticleTitle>{title}"
                "</ArticleTitle><Abstract><AbstractText>So.</AbstractText></Abstract>"
                "<Language>eng</Language></Article></MedlineCitation></PubmedArticle>\n"
                for number, title in enumerate(titles, start=1)
            ),
            "<DeleteCitation>\n<PMID>4</PMID></DeleteCitation></PubmedArticleSet>\n",
        )
    )


@pytest.mark.parametrize("title", [b"A & b", b"</i>", b"caf\xe9", b"<!-- "])
def test_a_damaged_article_of_pubmed_costs_one_article(tmp_path: Path, title: bytes) -> None:
    path = tmp_path / "pubmed25n0001.xml"
    path.write_bytes(pubmed("Asthma.", "@", "Gout.", "Deleted.").encode().replace(b"@", title))
    readers: tuple[Any, ...] = (read_pubmed, read_pubmed_documents)
    for reader in readers:
        problems: list[InputError] = []
        skipped: list[str] = []
        entries = list(reader(path, on_bad=problems.append, on_skip=skipped.append))
        assert [entry.id for entry in entries] == ["pubmed:1", "pubmed:3"]
        assert skipped == ["deleted"]
        assert [str(problem).startswith(f"{path}, line 4: ") for problem in problems] in ([True], [False])
        with pytest.raises(CorpusFormatError, match=r"n0001\.xml, line \d+: "):
            list(reader(path))
    assert read_deleted(path, on_bad=problems.append) == {"pubmed:4"}


def bioc(*texts: str) -> str:
    return "".join(
        (
            "<collection><source/><date/><key/>\n",
            *(
                f"<document><id>{number}</id><passage><offset>0</offset><text>{text}</text></passage>"
                "</document>\n"
                for number, text in enumerate(texts, start=1)
            ),
            "</collection>",
        )
    )


def jats(*texts: str) -> str:
    return "".join(
        (
            "<pmc-articleset>\n",
            *(
                f'<article><front><article-meta><article-id pub-id-type="pmc">{number}</article-id>'
                f"</article-meta></front>\n<body><p>{text}</p></body></article>\n"
                for number, text in enumerate(texts, start=1)
            ),
            "</pmc-articleset>",
        )
    )


def medline(*texts: str) -> str:
    return "\n".join(f"PMID- {number}\nTI  - {text}\n" for number, text in enumerate(texts, start=1))


def conll(*texts: str) -> str:
    return "".join(f"{text}\tO\n.\tO\n\n" for text in texts)


def own_conll(*texts: str) -> str:
    return "".join(
        f"-DOCSTART-\t{number}\t-\tO\n\nIt\t0\t2\tO\n\n{text}\t3\t{3 + len(text)}\tO\n\n"
        for number, text in enumerate(texts, start=1)
    )


def csv(*texts: str) -> str:
    return "".join(["id,text\n", *(f'{number},"{text}"\n' for number, text in enumerate(texts, start=1))])


READABLE = {
    "bioc-xml": (bioc, "f.xml"),
    "jats": (jats, "f.nxml"),
    "medline": (medline, "f.nbib"),
    "conll": (conll, "f.conll"),
    "conll-lenient": (own_conll, "f.conll"),
    "csv": (csv, "f.csv"),
}


@pytest.mark.parametrize("name", READABLE)
def test_a_record_that_is_not_utf8_costs_one_record(tmp_path: Path, name: str) -> None:
    write, file_name = READABLE[name]
    content = write("Asthma", "Café", "Gout").encode().replace("é".encode(), b"\xe9")
    path = tmp_path / file_name
    path.write_bytes(content)
    problems: list[InputError] = []
    texts = [document.text for document in read_documents(path, format=name, on_bad=problems.append)]
    assert [("Asthma" in text, "Gout" in text) for text in texts] == [(True, False), (False, True)]
    (problem,) = problems
    number = content[: content.index(b"\xe9")].count(b"\n") + 1
    assert str(problem).startswith(f"{path}, line ")
    assert f"line {number}" in str(problem)
    assert isinstance(problem, CorpusFormatError)
    with pytest.raises(CorpusFormatError, match=rf"not UTF-8: byte 0xe9 in line {number}, "):
        list(read_documents(path, format=name))


@pytest.mark.parametrize("name", ["bioc-xml", "jats"])
@pytest.mark.parametrize("text", ["R & D", "</b>", "&beta;", "<!-- ", "\x01"])
def test_a_damaged_document_of_a_collection_costs_one_document(name: str, text: str) -> None:
    content = READABLE[name][0]("Asthma", text, "Gout")
    problems: list[InputError] = []
    documents = READERS[name](StringIO(content), source="x", on_bad=problems.append)
    assert [document.text for document in documents] == ["Asthma", "Gout"]
    assert len(problems) == 1 and str(problems[0]).startswith("x, line ")
    with pytest.raises(CorpusFormatError, match=r"^x, line "):
        list(READERS[name](StringIO(content), source="x"))


@pytest.mark.slow
def test_many_continuation_lines_take_time_in_proportion() -> None:
    content = "PMID- 1\nTI  - a\n" + "      b\n" * 1_000_000
    started = time.process_time()
    (document,) = READERS["medline"](StringIO(content), source="x")
    assert len(document.text) == 2_000_001
    assert time.process_time() - started < 15


def test_a_single_article_that_is_damaged_is_refused() -> None:
    with pytest.raises(CorpusFormatError, match=r"^x, line 1: "):
        list(READERS["jats"](StringIO("<article><body></article>"), source="x", on_bad=lambda error: None))


def test_a_header_that_is_not_utf8_ends_the_table(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes("größe,text\n1,Asthma\n".encode("latin-1"))
    with pytest.raises(CorpusFormatError, match=r"line 1: not UTF-8: byte 0xf6 at byte 3 .*iconv -f windows"):
        list(read_documents(path, on_bad=lambda error: None))


def test_a_cell_over_several_lines_names_the_line_of_its_byte(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b'id,text\n1,"a\nb\ncaf\xe9"\n2,Gout\n')
    problems: list[InputError] = []
    assert [document.id for document in read_documents(path, on_bad=problems.append)] == ["2"]
    assert str(problems[0]).startswith(f"{path}, line 4: not UTF-8: byte 0xe9 at byte 4 of the line. If the ")


@pytest.mark.parametrize(
    ("content", "way_out"),
    [
        ("Fièvre – asthme".encode("cp1252"), "iconv -f windows-1252 -t utf-8"),
        ("naïve\n".encode() + "Fièvre\n".encode("cp1252"), "mixes two encodings: save it in UTF-8"),
        ("\ufeffAspirin\n".encode() + b"\xe9", "mixes two encodings"),
    ],
)
def test_a_text_in_another_encoding_gets_the_way_out(tmp_path: Path, content: bytes, way_out: str) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(CorpusFormatError, match=way_out):
        list(read_documents(tmp_path / "a.txt"))
