"""WebAnno TSV 3 and UIMA XMI, as INCEpTION exchanges them."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.errors import CorpusFormatError, InputError, UnrepresentableError
from openmed_ner.formats import read_documents
from openmed_ner.formats.structure import Annotation, Structure
from openmed_ner.formats.utf16 import CodeUnits
from openmed_ner.formats.webanno import read_webanno, write_webanno
from openmed_ner.formats.xmi import read_xmi, write_xmi
from openmed_ner.text import Document, Span
from strategies import damaged, documents, sentences, texts, word_documents


def read_tsv(content: str, **options: Any) -> Document:
    (document,) = read_webanno(StringIO(content, newline="\n"), source="n1.tsv", **options)
    return document


def by_place(document: Document) -> Document:
    return document.with_spans(sorted(document.spans, key=lambda span: (span.start, span.end, repr(span))))


@given(text=texts)
def test_offsets_in_code_units_go_back_and_forth(text: str) -> None:
    units = CodeUnits(text)
    for position in range(len(text) + 1):
        assert units.to_units(position) == len(text[:position].encode("utf-16-le")) // 2
        assert units.to_characters(units.to_units(position)) == position
    with pytest.raises(ValueError, match="beyond the text"):
        units.to_characters(units.to_units(len(text)) + 1)


def test_no_position_lies_within_a_character() -> None:
    with pytest.raises(ValueError, match="offset 1 lies"):
        CodeUnits("😀a").to_characters(1)


# --- WebAnno TSV

TSV = """#FORMAT=WebAnno TSV 3.3
#T_SP=de.tudarmstadt.ukp.dkpro.core.api.lexmorph.type.pos.POS|PosValue
#T_SP=de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity|identifier|value
#T_RL=webanno.custom.R|kind|BT_webanno.custom.Drug
#T_SP=webanno.custom.Drug|dose


#Text=Aspirin😀 in gastric ulcer.
1-1\t0-7\tAspirin\tNN\tMESH:D001241\tChemical\t_\t_\t*
1-2\t7-9\t😀\tSY\t_\t_\t_\t_\t_\t
1-3\t10-12\tin\tIN\t_\t_\t_\t_\t_\t
1-4\t13-20\tgastric\tJJ\t*[1]\tDisease[1]\t_\t_\t_\t
1-5\t21-26\tulcer\tNN\t*[1]|*[2]\tDisease[1]|Lesion\\_x[2]\t_\t_\t_\t
1-5.1\t21-23\tul\t_\t*\tPart\t_\t_\t_\t
1-6\t26-27\t.\t.\t_\t_\t_\t_\t_\t

#Text=Take 5 mg
#Text=now\\tand \\\\ then.
2-1\t29-33\tTake\tVB\t_\t_\t_\t_\t_\t
2-2\t34-35\t5\tCD\t_\t_\t_\t_\tlow\t
"""


def test_entities_of_named_entity_and_custom_layers_are_read() -> None:
    document = read_tsv(TSV)
    assert document.id == "n1"
    assert document.text == "Aspirin😀 in gastric ulcer.\n Take 5 mg\nnow\tand \\ then."
    assert [(document.mention(span), span.label) for span in document.spans] == [
        ("Aspirin", "Chemical"),
        ("Aspirin", "Drug"),
        ("gastric ulcer", "Disease"),
        ("ulcer", "Lesion_x"),
        ("ul", "Part"),
        ("5", "low"),
    ]
    identifiers = [entry.infons.get("identifier") for entry in Structure.of(document).annotations]
    assert identifiers == ["MESH:D001241", *[None] * 5]


@given(document=word_documents(sentences | texts) | documents(sentences))
def test_what_is_written_as_webanno_reads_back(
    tmp_path_factory: pytest.TempPathFactory, document: Document
) -> None:
    folder = tmp_path_factory.mktemp("webanno")
    try:
        write_webanno([document], folder / "new")
    except UnrepresentableError as error:
        assert "WebAnno TSV cannot hold" in str(error)
    else:
        (path,) = (folder / "new").iterdir()
        (again,) = read_documents(path, format="webanno", source=path.name)
        assert again.id == document.id
        assert by_place(again).text == document.text
        assert by_place(again).spans == by_place(document).spans


@given(document=word_documents())
def test_a_text_of_words_can_be_written(tmp_path_factory: pytest.TempPathFactory, document: Document) -> None:
    problems: list[Exception] = []
    write_webanno([document], tmp_path_factory.mktemp("webanno"), on_bad=problems.append)
    assert all("text without words" in str(problem) for problem in problems)


def test_identifiers_and_parts_of_words_are_written(tmp_path: Path) -> None:
    spans = (Span(0, 7, "A|b"), Span(0, 4, "X"))
    structure = Structure(annotations=(Annotation(spans[0].key, "T1", {"identifier": "M_1"}),))
    document = structure.attach(Document("a/b", "Aspirin works.", spans))
    write_webanno([document], tmp_path)
    lines = (tmp_path / "a%2Fb.tsv").read_text().splitlines()
    assert lines[4:6] == ["#Text=Aspirin works.", "1-1\t0-7\tAspirin\tM\\_1\tA\\|b\t"]
    assert lines[6] == "1-1.1\t0-4\tAspi\t*\tX\t"


def test_a_document_that_webanno_cannot_hold_is_named(tmp_path: Path) -> None:
    for document, reason in (
        (Document("1", ""), "a text without words"),
        (Document("1", "a\ud800"), "half of a surrogate pair"),
        (Document("", "a"), "this id"),
        (Document("1", "a b", (Span(1, 3, "X"),)), "begins or ends outside of words"),
        (Document("1", "a b c", (Span(0, 5, "X", fragments=((0, 1), (4, 5))),)), "discontinuous"),
    ):
        with pytest.raises(UnrepresentableError, match=reason):
            write_webanno([document], tmp_path)
    write_webanno([Document("1", "a")], tmp_path)
    with pytest.raises(InputError, match=r"1\.tsv: cannot be written"):
        write_webanno([Document("1", "a")], tmp_path)


BAD_TSV = {
    "empty": ("", 1, "expected '#FORMAT=WebAnno TSV 3.3', found an empty file"),
    "another format": ("a\tO\n", 1, "expected '#FORMAT=WebAnno TSV 3.3', found 'a\\tO"),
    "too few cells": (TSV.replace("\t10-12\tin", ""), 11, "expected number, offsets and word"),
    "another word": (TSV.replace("\tin\t", "\tIn\t"), 11, "characters 10-12 are 'in', but the word is 'In'"),
    "within a character": (TSV.replace("7-9", "7-8"), 10, "offset 8 lies beyond the text or within"),
    "overlapping sentences": (TSV.replace("29-33", "9-33"), 19, "lies -18 characters behind"),
    "a sentence far away": (TSV.replace("29-33", "29000000-33"), 19, "characters behind"),
}


@pytest.mark.parametrize(("content", "line", "message"), BAD_TSV.values(), ids=BAD_TSV.keys())
def test_a_bad_line_of_webanno_is_named(content: str, line: int, message: str) -> None:
    with pytest.raises(CorpusFormatError, match=rf"^n1\.tsv, line {line}: .*{re.escape(message)}"):
        read_tsv(content)


_PIECES = ["1-1", "0-7", "\t", "\n", "_", "*", "[1]", "|", "\\", "#Text=", "#T_SP=x|y\n", "9" * 14, "1-1.1"]


@pytest.mark.fuzz
@given(content=damaged(st.just(TSV) | texts, _PIECES))
def test_hostile_webanno_is_refused_by_line_or_read(content: str) -> None:
    try:
        document = read_tsv(content)
    except CorpusFormatError as error:
        assert re.match(r"n1\.tsv, line \d+: ", str(error))
    else:
        assert document.text.encode().decode() == document.text


# --- XMI


def xmi(text: str, *elements: str, head: str = '<?xml version="1.0" encoding="UTF-8"?>') -> str:
    return (
        f"{head}\n"
        '<xmi:XMI xmlns:xmi="http://www.omg.org/XMI" xmlns:cas="http:///uima/cas.ecore"'
        ' xmlns:ner="http:///de/tudarmstadt/ukp/dkpro/core/api/ner/type.ecore"'
        ' xmlns:seg="http:///de/tudarmstadt/ukp/dkpro/core/api/segmentation/type.ecore"'
        ' xmlns:custom="http:///webanno/custom.ecore" xmi:version="2.0">\n'
        f'<cas:NULL xmi:id="0"/>\n{"".join(elements)}'
        f'<cas:Sofa xmi:id="1" sofaNum="1" sofaID="_InitialView" mimeType="text" sofaString={text}/>\n'
        "</xmi:XMI>\n"
    )


XMI = xmi(
    '"😀 Aspirin&#10;in ulcer."',
    '<seg:Token xmi:id="2" sofa="1" begin="3" end="10"/>\n',
    '<ner:NamedEntity xmi:id="3" sofa="1" begin="3" end="10" value="Chemical" identifier="M1"/>\n',
    '<custom:Lesion xmi:id="4" sofa="1" begin="14" end="19"/>\n',
    '<custom:Cause xmi:id="5" sofa="1" begin="14" end="19" Governor="3" Dependent="4"/>\n',
)


def read_cas(content: str) -> list[Document]:
    return list(read_xmi(StringIO(content, newline="\n"), source="n1.xmi"))


def test_entities_of_a_cas_are_read() -> None:
    (document,) = read_cas(XMI)
    assert document.text == "😀 Aspirin\nin ulcer."
    assert [(document.mention(span), span.label) for span in document.spans] == [
        ("Aspirin", "Chemical"),
        ("ulcer", "Lesion"),
    ]
    assert Structure.of(document).annotations[0].infons == {"identifier": "M1"}


@given(document=documents())
def test_every_offset_of_a_cas_is_right(document: Document) -> None:
    text = re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "x", document.text)
    units = CodeUnits(text)
    elements = [
        f'<ner:NamedEntity xmi:id="{number}" begin="{units.to_units(span.start)}" '
        f'end="{units.to_units(span.end)}" value="{span.label}"/>'
        for number, span in enumerate(document.spans, start=2)
    ]
    value = quoteattr(text, {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
    (again,) = read_cas(xmi(value, *elements))
    assert (again.text, again.spans) == (text, document.spans)


@given(document=documents())
def test_xmi_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, document: Document) -> None:
    folder = tmp_path_factory.mktemp("xmi")
    problems: list[Exception] = []
    write_xmi([document], folder, on_bad=problems.append)
    if not problems:
        (path,) = folder.iterdir()
        (again,) = read_documents(path, format="xmi", source=path.name)
        kept = [span.key for span in document.spans]
        assert (again.id, again.text, [span.key for span in again.spans]) == (
            document.id,
            document.text,
            kept,
        )


def test_a_cas_from_elsewhere_goes_round_with_its_identifiers(tmp_path: Path) -> None:
    (document,) = read_cas(XMI)
    write_xmi([document], tmp_path / "out")
    (again,) = read_documents(tmp_path / "out" / "n1.xmi", format="xmi", source="n1.xmi")
    assert again == document
    with pytest.raises(InputError, match="cannot be written: File exists"):
        write_xmi([document], tmp_path / "out")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (Document("a", "x\x00y"), "the character '\\x00'"),
        (Document("a", "x", (Span(0, 1, "L\ufffe"),)), "the character"),
        (Document("", "x"), "this id, which is empty"),
        (Document("a", "x y", (Span(0, 3, "L", fragments=((0, 1), (2, 3))),)), "the span 0..3"),
    ],
)
def test_what_xmi_cannot_hold_is_refused(document: Document, message: str, tmp_path: Path) -> None:
    with pytest.raises(UnrepresentableError, match=f"UIMA XMI cannot hold {re.escape(message)}"):
        write_xmi([document], tmp_path / "out")


ENTITY = '<!DOCTYPE XMI [<!ENTITY a "x">]>'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: Document is empty"),
        ("<a/>", "line 1: expected <xmi:XMI>, found <a>"),
        (XMI.replace(' sofaString="', ' other="'), "expected one <cas:Sofa> with a sofaString, found 0"),
        (XMI.replace('begin="3" end="10" value', 'begin="x" end="10" value'), "line 5: expected numbers"),
        (XMI.replace('begin="3" end="10" value', 'begin="1" end="10" value'), "line 5: offset 1 lies"),
        (XMI.replace('end="19"/>', 'end="99"/>'), "line 6: offset 99 lies beyond the text"),
        (xmi('"&a;"', head=ENTITY), "line 2: "),
        (xmi('"x"', head=ENTITY), "line 2: the file declares entities (a), which can be an attack"),
        (xmi('"&nbsp;"'), "line 4: Entity 'nbsp' not defined"),
    ],
)
def test_bad_xmi_is_named(content: str, message: str) -> None:
    with pytest.raises(CorpusFormatError, match=rf"^n1\.xmi(, |: ){re.escape(message)}"):
        read_cas(content)


_XML_PIECES = [
    *"<>/&\"='",
    "9",
    "-1",
    "&#0;",
    "&x;",
    ENTITY,
    '<ner:NamedEntity begin="0" end="1"/>',
    "\ufeff",
]


@pytest.mark.fuzz
@given(content=damaged(st.just(XMI) | texts, _XML_PIECES))
def test_hostile_xmi_is_refused_or_read(content: str) -> None:
    try:
        corpus = read_cas(content)
    except CorpusFormatError as error:
        assert str(error).startswith("n1.xmi")
    else:
        assert all(document.text.encode().decode() == document.text for document in corpus)
