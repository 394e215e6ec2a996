"""Readers of two public dumps, PubMed and ClinicalTrials.gov, on files made by hand."""

from __future__ import annotations

import gzip
import json
import os
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.formats import clinicaltrials as trials
from openmed_ner.formats import pubmed
from openmed_ner.formats.clinicaltrials import clean_markdown, read_trials
from openmed_ner.formats.passage import Passage
from openmed_ner.formats.pubmed import read_deleted, read_pubmed
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
) -> str:
    """A record as PubMed writes them; ``sections`` are ``AbstractText`` elements."""
    return f"""<PubmedArticle>
<MedlineCitation Status="MEDLINE" Owner="NLM">
<PMID Version="{version}">{number}</PMID>
<Article PubModel="Print">
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
        found = list(read_pubmed(path, on_skip=skipped.append, **options))
        assert {passage.source for passage in found} <= {"pubmed"}
        return {passage.id: passage.text for passage in found}, Counter(skipped)

    return read


Read = Callable[..., tuple[dict[str, str], Counter[str]]]


def test_a_passage_is_title_and_abstract_with_the_labels_of_its_sections(read: Read) -> None:
    sections = (
        '<AbstractText Label="BACKGROUND" NlmCategory="BACKGROUND">Pain\n      is common.</AbstractText>',
        '<AbstractText Label="UNLABELLED">It hurts.</AbstractText>',
        '<AbstractText Label="RESULTS:"/>',
        '<AbstractText Label="CONCLUSION">Rest.</AbstractText>',
    )
    found, skipped = read(file_of(article(12, *sections), article(13, plain(), title="")))
    assert found == {
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
    found, _ = read(file_of(article(1, plain(text), title="The <i>BRCA<sub>1</sub></i> gene.")))
    assert found == {"pubmed:1": "The BRCA1 gene. In vivo, CO2 < 103; α =2. End\u00a0."}


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
    found, skipped = read(content)
    assert [*found] == ["pubmed:1", "pubmed:3", "pubmed:7"]
    assert skipped == {"language": 1, "no abstract": 2, "retracted": 1, "book": 1}
    everything, skipped = read(content, languages=None, retracted=True)
    assert {*everything} - {*found} == {"pubmed:2", "pubmed:6"}
    assert skipped == {"no abstract": 2, "book": 1}
    assert [*read(content, languages="fre")[0]] == ["pubmed:2", "pubmed:3"]


def test_a_later_version_has_a_name_of_its_own(read: Read) -> None:
    found, _ = read(file_of(article(1, plain()), article(1, plain("More."), version=2)))
    assert [*found] == ["pubmed:1", "pubmed:1.2"]


def test_deleted_articles_are_left_out_wherever_the_list_stands(read: Read, folder: Path) -> None:
    records = [article(1, plain()), article(2, plain()), article(2, plain(), version=2)]
    deleted = '<DeleteCitation>\n<PMID Version="1">2</PMID><PMID Version="1">77</PMID></DeleteCitation>'
    for content in (file_of(*records, deleted), file_of(deleted, *records)):
        found, skipped = read(content)
        assert ([*found], skipped) == (["pubmed:1", "pubmed:2.2"], {"deleted": 1})
        assert read_deleted(folder / "pubmed25n0001.xml") == {"pubmed:2", "pubmed:77"}


def test_a_file_reads_the_same_through_gzip(read: Read, folder: Path) -> None:
    content = file_of(*(article(number, plain(f"Text {number}.")) for number in range(1, 400)))
    packed = gzip.compress(content[:5000].encode()) + gzip.compress(content[5000:].encode())
    assert read(packed) == read(content)
    assert len(read(content)[0]) == 399
    with pytest.raises(CorpusFormatError, match=r"pubmed25n0001.xml: damaged gzip: .*fetch the file again"):
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
    found, _ = read(file_of(article(1, *elements)))
    expected = " ".join(f"X{label}X: {text}" for label, text in sections)
    assert found == {"pubmed:1": f"A title. {expected}"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"line 1: no element found"),
        ("<html/>", r"line 1: expected <PubmedArticleSet>, found <html>"),
        (file_of(article(1, plain()))[:-80], "line 16: Premature end of data in tag Reference"),
        (file_of("<PubmedArticle>\n<MedlineCitation/></PubmedArticle>"), "line 4: an article without <PMID>"),
        (file_of(article(1)).replace(">1<", ">one<"), "line 6: expected numbers .* found 'one' and '1'"),
        (file_of(f"<x>{article(1)}</x>"), "line 4: expected records right below .* <x> in <Pub"),
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
    found, _ = read(f'<!DOCTYPE PubmedArticleSet SYSTEM "{folder}/pipe.dtd">\n{body}')
    assert [*found] == ["pubmed:1"]


def test_a_record_without_end_is_refused_before_it_fills_the_memory(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pubmed, "MAX_RECORD", 1 << 20)
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
        found, _ = read(content)
    except CorpusFormatError as error:
        assert "pubmed25n0001.xml, line " in str(error)
    else:
        for text in found.values():
            assert text.encode().decode() == text


# --- ClinicalTrials.gov

SUMMARY, DETAIL = "To see whether aspirin helps.", "A longer text."
CRITERIA = (
    "Inclusion Criteria:\n\n* Age \\>= 18 years\n* INR \\< 1.5 \\[lab\\]\n\nExclusion Criteria:\n\n* None"
)


def study(number: int, *, summary: str = SUMMARY, detail: str = "", criteria: str = "") -> dict[str, Any]:
    """A study as version 2 of the API gives it, cut short."""
    description = {"briefSummary": summary, "detailedDescription": detail}
    return {
        "protocolSection": {
            "identificationModule": {"nctId": f"NCT{number:08}", "briefTitle": "Aspirin"},
            "descriptionModule": {key: value for key, value in description.items() if value},
            "eligibilityModule": {"eligibilityCriteria": criteria, "sex": "ALL"} if criteria else {},
        },
        "resultsSection": {"protocolSection": {"briefSummary": "not this"}, "n": [1, {"nctId": 3}]},
        "hasResults": True,
    }


def trials_of(path: Path) -> tuple[list[Passage], Counter[str]]:
    skipped: list[str] = []
    return list(read_trials(path, on_skip=skipped.append)), Counter(skipped)


def as_zip(path: Path, members: dict[str, str], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_study_gives_a_passage_per_text_that_it_has(tmp_path: Path) -> None:
    path = tmp_path / "NCT00000001.json"
    path.write_text(json.dumps(study(1, detail=DETAIL, criteria=CRITERIA)))
    assert trials_of(path)[0] == [
        Passage("NCT00000001#summary", "clinicaltrials", SUMMARY),
        Passage("NCT00000001#description", "clinicaltrials", DETAIL),
        Passage(
            "NCT00000001#eligibility",
            "clinicaltrials",
            "Inclusion Criteria:\n* Age >= 18 years\n* INR < 1.5 [lab]\nExclusion Criteria:\n* None",
        ),
    ]


def test_the_same_studies_read_alike_from_every_container(tmp_path: Path) -> None:
    studies = [study(1), study(2, criteria=CRITERIA), study(3, summary="", detail=""), study(4, detail="é")]
    lines = "\n\n".join(map(json.dumps, studies))
    each = {f"{n}.json": json.dumps(one, ensure_ascii=False) for n, one in enumerate(studies)}
    (tmp_path / "list.json").write_text(json.dumps(studies, indent=1))
    (tmp_path / "page.json").write_text(
        json.dumps({"totalCount": 4, "studies": studies, "nextPageToken": "x"})
    )
    (tmp_path / "lines.jsonl").write_text("\ufeff" + lines, encoding="utf-8")
    (tmp_path / "lines.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "LIST.JSON.GZ").write_bytes(gzip.compress(json.dumps(studies).encode()))
    as_zip(tmp_path / "ctg-studies.json.zip", each)
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    for name, content in each.items():
        (tmp_path / "folder" / "deep" / name).write_text(content, encoding="utf-8")
    read = {path.name: trials_of(path) for path in tmp_path.iterdir()}
    assert len(read) == 7
    for name, (found, skipped) in read.items():
        assert [passage.id for passage in found] == [
            "NCT00000001#summary",
            "NCT00000002#summary",
            "NCT00000002#eligibility",
            "NCT00000004#summary",
            "NCT00000004#description",
        ], name
        assert skipped == {"no text": 1}, name


def test_other_files_are_passed_over_and_counted(tmp_path: Path) -> None:
    members = {"a/": "", "a/NCT1.json": json.dumps(study(1)), "../../README.txt": "x", "b.csv": "x"}
    as_zip(tmp_path / "all.zip", members)
    (tmp_path / "notes.txt").write_text("x")
    found, skipped = trials_of(tmp_path)
    assert [passage.id for passage in found] == ["NCT00000001#summary"]
    assert skipped == {"other file": 3}
    with pytest.raises(InputError, match=r"notes.txt: expected a folder or a file that ends with .json"):
        trials_of(tmp_path / "notes.txt")


@given(st.text(max_size=60))
@example("a  \r\n\n \t\n b\\\\n \\")
def test_cleaning_markdown_changes_escapes_and_blanks_only(text: str) -> None:
    found = clean_markdown(text)
    assert "".join(found.split()) == "".join(trials._ESCAPE.sub(r"\1", text).split())
    assert "\n\n" not in found and found == found.strip()


def changed(path: str, value: object) -> dict[str, Any]:
    """A study with one value replaced."""
    made = study(1, criteria=CRITERIA)
    inner, *steps = made["protocolSection"], *path.split(".")
    for step in steps[:-1]:
        inner = inner[step]
    inner[steps[-1]] = value
    return made


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ", line 1: not JSON: Expecting value"),
        ("[\n{},\n}]", ", line 3: not JSON"),
        ("[" * 100_000, ", line 1: not JSON that can be read"),
        ("9" * 5000, ", line 1: not JSON that can be read"),
        ("3", ', line 1: expected a study, an object with "protocolSection"'),
        ('{"FullStudiesResponse": {}}', ", line 1: expected a study, .* version 2"),
        ('{"studies": {}}', ", line 1: expected a study"),
        ("[[]]", ", study 1: expected a study"),
        (json.dumps([study(1), {}]), ", study 2: expected a study"),
        (changed("identificationModule", {}), ', line 1: expected NCT and eight .* found \'\''),
        (changed("identificationModule.nctId", "NCT1"), ", line 1: expected NCT and eight"),
        (changed("identificationModule.nctId", 3), ', line 1: expected a string .* found 3'),
        (changed("descriptionModule", [1]), ', line 1: expected a string under "descr'),
        (changed("eligibilityModule.eligibilityCriteria", ["x"]), ", line 1: expected a string"),
        (changed("descriptionModule.briefSummary", "\ud800"), ', line 1: "briefSummary" holds'),
        ('{"a":\n "\xe9"}', ", line 2: not UTF-8: byte 0xe9"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_json_that_holds_no_studies_is_refused(
    tmp_path: Path, content: str | dict[str, Any], message: str
) -> None:
    path = tmp_path / "x.json"
    path.write_bytes((content if isinstance(content, str) else json.dumps(content)).encode("latin-1"))
    with pytest.raises(CorpusFormatError, match=f"x.json{message}"):
        trials_of(path)


def test_a_bad_line_is_named_after_the_good_ones_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(f"{json.dumps(study(1))}\n\n{{\n")
    passages = read_trials(path)
    assert next(passages).id == "NCT00000001#summary"
    with pytest.raises(CorpusFormatError, match=r"x.jsonl, line [34]: not JSON"):
        next(passages)


def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "MAX_FILE", 2000)
    monkeypatch.setattr(trials, "MAX_STUDY", 2000)
    big = json.dumps(study(1, summary="x" * 3000))
    (tmp_path / "x.json.gz").write_bytes(gzip.compress(big.encode()))
    (tmp_path / "x.jsonl").write_text(f"{json.dumps(study(1))}\n{big}")
    as_zip(tmp_path / "x.zip", {"a.json": big})
    for name, message in {
        "x.json.gz": r"more than 0 MB of JSON, .* \(\.zip\), or JSON lines",
        "x.jsonl": ", line 2: longer than 0 MB",
        "x.zip": "member 'a.json': 3,[0-9]{3} bytes out of",
    }.items():
        with pytest.raises(CorpusFormatError, match=message):
            trials_of(tmp_path / name)


def test_a_zip_made_to_exhaust_its_reader_is_refused(tmp_path: Path) -> None:
    packed = as_zip(tmp_path / "ratio.zip", {"a.json": " " * 30_000_000})
    with pytest.raises(CorpusFormatError, match="more tightly packed, than any study"):
        trials_of(packed)
    liar = as_zip(tmp_path / "liar.zip", {"a.json": json.dumps(study(1, summary="y" * 5000))})
    size = len(json.dumps(study(1, summary="y" * 5000)))
    assert liar.read_bytes().count(size.to_bytes(4, "little")) == 2
    liar.write_bytes(liar.read_bytes().replace(size.to_bytes(4, "little"), (100).to_bytes(4, "little")))
    with pytest.raises(CorpusFormatError, match=r"liar.zip: not a zip that can be read"):
        trials_of(liar)
    content = as_zip(tmp_path / "overlap.zip", {f"{n}.json": json.dumps(study(n)) for n in range(3)})
    with zipfile.ZipFile(content) as archive:
        infos = archive.infolist()
        sizes = {info.compress_size.to_bytes(4, "little") for info in infos}
    data = content.read_bytes()
    for each in sizes:
        data = data.replace(each, (60_000).to_bytes(4, "little"))
    content.write_bytes(data)
    with pytest.raises(CorpusFormatError, match="members overlap"):
        trials_of(content)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zips_of_other_methods_are_refused(tmp_path: Path, method: int) -> None:
    as_zip(tmp_path / "x.zip", {"a.json": json.dumps(study(1))}, method)
    with pytest.raises(CorpusFormatError, match=r"member 'a.json': compressed by method 1[24]"):
        trials_of(tmp_path / "x.zip")


@pytest.mark.parametrize("damage", ["garbage", "cut", "encrypted", "flipped", "absent"])
def test_a_damaged_zip_is_refused(tmp_path: Path, damage: str) -> None:
    path = as_zip(tmp_path / "x.zip", {"a.json": json.dumps(study(1, detail="word " * 99))})
    data = bytearray(path.read_bytes())
    if damage == "encrypted":
        data[6] |= 1
        data[data.index(b"PK\1\2") + 8] |= 1
    elif damage == "flipped":
        data[200] ^= 255
    path.write_bytes({"garbage": b"PK" * 50, "cut": data[:-30]}.get(damage, bytes(data)))
    if damage == "absent":
        path.unlink()
    with pytest.raises(InputError, match=r"x.zip: (not a zip that can be read|cannot be read)"):
        trials_of(path)


_JSON_PIECES = [
    *'{}[]":,03', "null", "true", "NaN", "1e999", "9" * 30, '"studies": ', '"protocolSection": {}', "[" * 50,
    '"nctId": "NCT00000002"', '"briefSummary": null', '"briefSummary": "\\ud800"', "\\", "\ufeff", "\n",
]  # fmt: skip


@pytest.mark.fuzz
@given(damaged(st.just(json.dumps([study(1), study(2, criteria=CRITERIA)])), _JSON_PIECES), st.booleans())
def test_a_hostile_file_of_trials_is_read_or_refused(folder: Path, content: str, packed: bool) -> None:
    path = folder / ("t.zip" if packed else "t.json")
    if packed:
        as_zip(path, {"NCT.json": content})
    else:
        path.write_text(content, encoding="utf-8")
    try:
        found, _ = trials_of(path)
    except CorpusFormatError as error:
        assert str(path) in str(error)
    else:
        assert all(passage.text.encode() and passage.id.startswith("NCT") for passage in found)
