"""One bad record among good ones costs one record, and its place is told, in every format of records."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

from openmed_ner.errors import AnnotationError, CorpusFormatError, InputError
from openmed_ner.formats import READERS, REGISTRY
from openmed_ner.formats.discovery import read_passages

TEXT = "Aspirin caused asthma."


def read(name: str, content: str) -> tuple[list[str], list[InputError]]:
    """The texts of a file, and the errors of what was left out."""
    problems: list[InputError] = []
    documents = READERS[name](StringIO(content, newline="\n"), source="x", on_bad=problems.append)
    return [document.text for document in documents], problems


def bioc(number: int) -> dict[str, object]:
    return {"id": str(number), "passages": [{"offset": 0, "text": f"{TEXT}{number}"}]}


def lines(*records: object) -> str:
    return "".join(f"{record if isinstance(record, str) else json.dumps(record)}\n" for record in records)


def bioc_xml(between: str) -> str:
    first, last = (
        f"<document><id>{number}</id><passage><offset>0</offset><text>{TEXT}{number}</text></passage>"
        "</document>"
        for number in (1, 3)
    )
    return f"<collection><source/><date/><key/>\n{first}\n{between}\n{last}</collection>"


def medline(*heads: str) -> str:
    return "\n".join(
        f"{head}OWN - NLM\nTI  - {TEXT}{number}\nAB  - So.\n" for number, head in enumerate(heads, start=1)
    )


TASK = {"text": f"{TEXT}1"}, {"text": f"{TEXT}3"}


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("bioc-json", json.dumps([bioc(1), None, bioc(3)]), "x, line 1, record 2"),
        ("bioc-json", json.dumps({"documents": [bioc(1), None, bioc(3)]}), "x, document 2"),
        ("bioc-json", lines(bioc(1), {"documents": 5}, bioc(3)), "x, line 2"),
        ("bioc-json", lines({"id": "2"}, bioc(1), bioc(3)), "x, line 1"),
        ("bioc-json", lines('{"id": ', bioc(1), bioc(3)), "x, line 1"),
        ("bioc-xml", bioc_xml("<note>no document</note>"), "x, line 3"),
        ("bioc-xml", bioc_xml("<document><id>2</id><note/></document>"), "x, line 3"),
        ("medline", medline("PMID- 1\n", "", "PMID- 3\n"), "x, line 6"),
        ("medline", medline("PMID- 1\n", "PMID- two\n", "PMID- 3\n"), "x, line 6"),
        ("prodigy", lines(TASK[0], '{"text": ', TASK[1]), "x, line 2"),
        ("prodigy", lines('{"text": ', *TASK), "x, line 1"),
        ("label-studio", lines("[" * 100_000, *TASK), "x, line 1"),
        ("jsonl", lines(TASK[0], "[]", TASK[1]), "x, line 2"),
    ],
)
def test_a_bad_record_costs_one_record(name: str, content: str, place: str) -> None:
    texts, problems = read(name, content)
    assert [text[: len(TEXT) + 1] for text in texts] == [f"{TEXT}1", f"{TEXT}3"]
    (problem,) = problems
    assert str(problem).startswith(f"{place}: ") and not isinstance(problem, AnnotationError)
    with pytest.raises(CorpusFormatError, match=rf"^{re.escape(place)}: "):
        list(READERS[name](StringIO(content, newline="\n"), source="x"))


def test_a_record_of_medline_without_number_and_blank_line_does_not_join_the_one_before() -> None:
    texts, problems = read("medline", medline("PMID- 1\n", "", "PMID- 3\n").replace("\n\nOWN", "\nOWN"))
    assert texts == [f"{TEXT}3 So."]
    assert [str(problem) for problem in problems] == [
        "x, line 1: the record 1 has several titles; does the next one lack its PMID?"
    ]


def test_json_that_is_not_one_of_lines_ends_at_its_first_error() -> None:
    for content in ('[\n{"text": "a"},\nx\n]', "{\n", '{"text"\n{"text": "a"},\n', "x\ny\n"):
        with pytest.raises(CorpusFormatError, match=r"^x, line \d: "):
            read("prodigy", content)


def test_a_row_of_conll_without_tag_is_outside_and_its_sentence_is_read() -> None:
    rows = "Aspirin\tB-Drug\n\nMild\nasthma\tB-Disease\n\nIt\tX-Y\nhurts\tO\n\n\tO\nEnd\tO\n"
    texts, problems = read("conll", rows)
    assert texts == ["Aspirin", "Mild asthma", "It hurts", "End"]
    assert [str(problem)[:10] for problem in problems] == ["x, line 3:", "x, line 6:", "x, line 9:"]
    assert {type(problem) for problem in problems} == {AnnotationError}
    # Most rows of another table have no tag.
    with pytest.raises(CorpusFormatError, match=r"line 1: .*the names of its columns"):
        read("conll", f"1\t{TEXT}\n2\t{TEXT}\n3\tO\n")


def pubmed(number: str, deleted: str = "") -> str:
    return "\n".join(
        f"<PubmedArticle><MedlineCitation>{pmid}<Article><ArticleTitle>{TEXT}{at}</ArticleTitle>"
        f"<Abstract><AbstractText>So.</AbstractText></Abstract><Language>eng</Language>"
        "</Article></MedlineCitation></PubmedArticle>"
        for at, pmid in enumerate(("<PMID>1</PMID>", number, "<PMID>3</PMID>"), start=1)
    ).join(("<PubmedArticleSet>\n", f"{deleted}</PubmedArticleSet>"))


@pytest.mark.parametrize("number", ["", "<PMID/>", "<PMID>two</PMID>", '<PMID Version="x">2</PMID>'])
@pytest.mark.parametrize("reader", ["passages", "documents"])
def test_an_article_of_pubmed_without_number_costs_one_article(
    tmp_path: Path, number: str, reader: str
) -> None:
    path = tmp_path / "pubmed25n0001.xml"
    path.write_text(pubmed(number))
    row = REGISTRY["pubmed"]
    function = row.passage_reader if reader == "passages" else row.document_reader
    assert function is not None
    problems: list[InputError] = []
    assert [entry.text for entry in function(path, on_bad=problems.append)] == [
        f"{TEXT}1 So.",
        f"{TEXT}3 So.",
    ]
    assert [str(problem).partition(": ")[0] for problem in problems] == [f"{path}, line 3"]
    with pytest.raises(CorpusFormatError, match="line 3: "):
        list(function(path))


def test_a_bad_number_in_the_list_of_deleted_articles_does_not_cost_the_articles(tmp_path: Path) -> None:
    path = tmp_path / "pubmed25n0001.xml"
    path.write_text(pubmed("<PMID>2</PMID>", "<DeleteCitation><PMID>x</PMID><PMID>3</PMID></DeleteCitation>"))
    problems: list[InputError] = []
    names = [passage.id for passage in read_passages(path, "pubmed", on_bad=problems.append)]
    assert names == ["pubmed:1", "pubmed:2"]
    assert len(problems) == 1


def study(number: int) -> dict[str, object]:
    return {
        "protocolSection": {
            "identificationModule": {"nctId": f"NCT{number:08}"},
            "descriptionModule": {"briefSummary": TEXT},
        }
    }


def as_folder(folder: Path, contents: list[str]) -> None:
    for number, content in enumerate(contents):
        (folder / f"NCT{number}.json").write_text(content)


def as_zip(folder: Path, contents: list[str]) -> None:
    with zipfile.ZipFile(folder / "ctg-studies.json.zip", "w") as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"NCT{number}.json", content)


def as_lines(folder: Path, contents: list[str]) -> None:
    (folder / "NCT.jsonl").write_text("\n".join(contents))


@pytest.mark.parametrize("write", [as_folder, as_zip, as_lines])
@pytest.mark.parametrize("bad", ["{", "{}", "[5]", json.dumps(study(2)).replace("NCT", "ACT")])
def test_a_bad_study_costs_one_study(
    tmp_path: Path, write: Callable[[Path, list[str]], None], bad: str
) -> None:
    write(tmp_path, [json.dumps(study(1)), bad, json.dumps(study(3))])
    problems: list[InputError] = []
    passages = read_passages(tmp_path, "clinicaltrials", on_bad=problems.append)
    assert [passage.id for passage in passages] == ["NCT00000001#summary", "NCT00000003#summary"]
    assert len(problems) == 1
    with pytest.raises(CorpusFormatError):
        list(read_passages(tmp_path, "clinicaltrials"))


def test_bad_lines_and_annotations_do_not_cost_other_passages(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(lines(TASK[0], "no", TASK[1]))
    problems: list[InputError] = []
    passages = list(read_passages(tmp_path / "a.jsonl", "jsonl", on_bad=problems.append))
    assert [passage.text for passage in passages] == [f"{TEXT}1", f"{TEXT}3"]
    assert len(problems) == 1
    (tmp_path / "a.pubtator").write_text(f"1|t|{TEXT}\n1\t0\t9\tAspirin\tChemical\n\n2|t|{TEXT}\n")
    assert len(list(read_passages(tmp_path / "a.pubtator", "pubtator"))) == 2
