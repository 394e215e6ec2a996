"""Attributes of spans in the formats that carry them: JSON lines, CSV, BioC and brat."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from io import StringIO
from pathlib import Path

import bioc.brat
import pytest
from bioc import biocjson, biocxml
from hypothesis import assume, given
from hypothesis import strategies as st

from openmed_ner.errors import CorpusFormatError, UnrepresentableError
from openmed_ner.formats.attributes import parse_attributes, read_attributes, write_attributes
from openmed_ner.formats.bioc import read_bioc_json, read_bioc_xml, write_bioc_json, write_bioc_xml
from openmed_ner.formats.brat import parse_brat, read_brat, write_brat
from openmed_ner.formats.csv import read_csv, write_csv
from openmed_ner.formats.jsonl import read_jsonl, write_jsonl
from openmed_ner.text import Document, Span
from strategies import CHARACTERS, texts

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
names = st.sampled_from(["negated", "long_form", "Certainty"]) | st.text(CHARACTERS, max_size=4)
values = st.booleans() | st.sampled_from(["", "low", "true", "acute kidney injury"]) | texts
attributes = st.dictionaries(names, values, max_size=4).map(lambda found: tuple(sorted(found.items())))
attributed = st.lists(st.builds(Span, st.just(3), st.just(8), st.just("Disease"), attributes=attributes)).map(
    lambda spans: Document("1", "No fever.", tuple(spans))
)
FULL = Document(
    "1",
    "No AKI.",
    (
        Span(3, 6, "Disease", attributes=(("long_form", "acute kidney injury"), ("negated", True))),
        Span(3, 6, "Organ", 0.5, "x", attributes=(("certainty", "low"),)),
        Span(3, 5, "Other"),
    ),
)

FORMATS: dict[str, tuple[Callable[..., object], Callable[..., object]]] = {
    "jsonl": (read_jsonl, write_jsonl),
    "csv": (read_csv, partial(write_csv, attributes=True)),
    "bioc-xml": (read_bioc_xml, write_bioc_xml),
    "bioc-json": (read_bioc_json, write_bioc_json),
}


def write(document: Document, format: str) -> str:
    FORMATS[format][1]([document], file := StringIO(newline="\n"))
    return file.getvalue()


def read(content: str, format: str) -> list[Document]:
    return list(FORMATS[format][0](StringIO(content, newline="\n"), source="file"))  # type: ignore[call-overload]


def write_lines(document: Document, folder: Path) -> list[str]:
    """The lines of brat's annotations."""
    write_brat([document], folder)
    return (folder / "1.ann").read_bytes().decode().split("\n")[:-1]


# --- Round trips


@given(document=attributed)
@pytest.mark.parametrize("format", FORMATS)
def test_attributes_survive_a_file(format: str, document: Document) -> None:
    strings = "".join(write_attributes(span.attributes) for span in document.spans)
    assume(format != "bioc-xml" or not NOT_XML.search(strings))
    assert read(write(document, format), format) == [document]


@given(document=attributed)
def test_attributes_survive_brat(tmp_path_factory: pytest.TempPathFactory, document: Document) -> None:
    folder = tmp_path_factory.mktemp("brat")
    write_brat([document], folder)
    assert list(read_brat(folder)) == [document]


@given(pairs=attributes)
def test_reading_inverts_writing(pairs: tuple[tuple[str, str | bool], ...]) -> None:
    assert read_attributes(write_attributes(pairs)) == pairs


@pytest.mark.fuzz
@given(text=st.text(st.sampled_from('{}[]":,\\ud8et0-.truefalsn')) | texts)
def test_whatever_is_read_as_attributes_can_be_written(text: str) -> None:
    try:
        attributes = read_attributes(text)
    except ValueError:
        return
    assert read_attributes(write_attributes(attributes)) == attributes
    Span(0, 1, "x", attributes=attributes)


# --- What stands in the files


def test_without_attributes_the_files_are_as_before(tmp_path: Path) -> None:
    plain = FULL.with_spans([replace(span, attributes=()) for span in FULL.spans])
    for name in ("jsonl", "bioc-xml", "bioc-json"):
        assert "attributes" not in write(plain, name)
    write_csv([plain], file := StringIO(newline="\n"))
    assert "attributes" not in file.getvalue()
    assert not any(line.startswith("A") or "attributes" in line for line in write_lines(plain, tmp_path))


def test_json_lines_hold_an_object() -> None:
    first, _, last = json.loads(write(FULL, "jsonl"))["spans"]
    assert first["attributes"] == {"long_form": "acute kidney injury", "negated": True}
    assert "attributes" not in last


def test_a_table_holds_a_cell() -> None:
    first, _, last = csv.DictReader(StringIO(write(FULL, "csv"), newline=""))
    assert json.loads(first["attributes"]) == {"long_form": "acute kidney injury", "negated": True}
    assert last["attributes"] == ""


def test_a_table_without_the_column_refuses_attributes() -> None:
    with pytest.raises(UnrepresentableError, match=r"document '1' does not fit CSV: .* attributes=True"):
        write_csv([FULL], StringIO())


def test_brat_sees_lines_where_it_has_a_place_and_notes_elsewhere(tmp_path: Path) -> None:
    assert write_lines(FULL, tmp_path) == [
        "T1\tDisease 3 6\tAKI",
        "A1\tnegated T1",
        '#1\tOpenMedNER T1\t{"attributes": {"long_form": "acute kidney injury"}}',
        "T2\tOrgan 3 6\tAKI",
        "A2\tcertainty T2 low",
        '#2\tOpenMedNER T2\t{"score": 0.5, "corpus": "x"}',
        "T3\tOther 3 5\tAK",
    ]


def test_the_bioc_library_reads_the_same_attributes(tmp_path: Path) -> None:
    decoded = bioc.brat.loads(FULL.text, "\n".join(write_lines(FULL, tmp_path)))
    assert [(entry.type, entry.refid, tuple(entry.attributes)) for entry in decoded.attributes] == [
        ("negated", "T1", ()),
        ("certainty", "T2", ("low",)),
    ]
    for collection in (biocxml.loads(write(FULL, "bioc-xml")), biocjson.loads(write(FULL, "bioc-json"))):
        infons = [annotation.infons for annotation in collection.documents[0].passages[0].annotations]
        assert json.loads(infons[0]["attributes"]) == dict(FULL.spans[0].attributes)
        assert "attributes" not in infons[2]


# --- Files of others


def parse(annotations: str) -> Document:
    return parse_brat("No fever.", annotations, id="1", source="1.ann")


MENTION = "T1\tDisease 3 8\tfever\n"


@pytest.mark.parametrize("line", ["A1\tNegation T1", "A1\tNegation T1 ", "A7\tNegation T1\r"])
def test_a_flag_of_brat_is_true(line: str) -> None:
    assert parse(f"{line}\n{MENTION}").spans[0].attributes == (("Negation", True),)


def test_attributes_of_brat_have_values_and_may_say_the_same_twice() -> None:
    lines = "A1\tCertainty T1 quite low\nA2\tNegation T1\nA3\tNegation T1\n"
    assert parse(MENTION + lines).spans[0].attributes == (("Certainty", "quite low"), ("Negation", True))


def test_attributes_of_events_are_passed_over() -> None:
    lines = "E1\tX:T1\nA1\tNegation E1\nM1\tSpeculation E1\n"
    assert parse(MENTION + lines).spans == (Span(3, 8, "Disease"),)


NOTE = '#1\tOpenMedNER T1\t{"attributes": %s}'
BROKEN_BRAT = {
    "of nothing": ("A1\tNegation T2", "attribute Negation of T2: no such mention"),
    "of two minds": ("A1\tC T1 a\nA2\tC T1 b", "attribute C of T1: found 'b', but an earlier line has 'a'"),
    "of two kinds": (NOTE % '{"C": "a"}' + "\nA1\tC T1", "attribute C of T1: found True"),
    "a note of nothing": (NOTE.replace("T1", "T2") % "{}", "note on T2: no such mention"),
    "a list": (NOTE % "[]", "note on T1: expected an object of strings or true"),
    "a number": (NOTE % '{"C": 1}', "note on T1: expected an object of strings or true"),
    "half a surrogate": (NOTE % '{"C": "\\ud800"}', "note on T1: an attribute holds half of a surrogate"),
}


@pytest.mark.parametrize(("lines", "message"), BROKEN_BRAT.values(), ids=BROKEN_BRAT.keys())
def test_broken_attributes_of_brat_are_named_by_line(lines: str, message: str) -> None:
    number = lines.count("\n") + 2
    with pytest.raises(CorpusFormatError, match=rf"^1\.ann, line {number}: .*{re.escape(message)}"):
        parse(f"{MENTION}{lines}\n")


BROKEN = {
    "a list": "[]",
    "null": "null",
    "a number": '{"a": 1}',
    "nothing known": '{"a": null}',
    "an object": '{"a": {}}',
    "half a surrogate": '{"a": "\\ud800"}',
    "half a surrogate as name": '{"\\ud800": true}',
}


@pytest.mark.parametrize("attributes", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("format", FORMATS)
def test_broken_attributes_are_refused_by_place(format: str, attributes: str) -> None:
    infon = {"type": "Disease", "attributes": attributes}
    annotation = {"id": "T1", "infons": infon, "text": "a", "locations": [{"offset": 0, "length": 1}]}
    passage = {"offset": 0, "infons": {}, "text": "ab", "sentences": [], "annotations": [annotation]}
    record = {"id": "1", "infons": {}, "passages": [{**passage, "relations": []}], "annotations": []}
    cell = '"' + attributes.replace('"', '""') + '"'
    contents = {
        "jsonl": '{"text": "ab", "spans": [{"start": 0, "end": 1, "label": "x", "attributes": '
        f"{attributes}}}]}}",
        "csv": f"text,start,end,label,attributes\nab,0,1,x,{cell}\n",
        "bioc-json": json.dumps({"documents": [{**record, "relations": []}]}),
        "bioc-xml": "<collection><document><id>1</id><passage><offset>0</offset><text>ab</text>"
        f'<annotation id="T1"><infon key="type">x</infon><infon key="attributes">{attributes}</infon>'
        '<location offset="0" length="1"/><text>a</text></annotation></passage></document></collection>',
    }
    with pytest.raises(CorpusFormatError, match=r"^file, (line|document) \d"):
        read(contents[format], format)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "9" * 5000, '{"a": 1e999}', "true"])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"attributes|digits"):
        read_attributes(text)


@pytest.mark.parametrize("value", [None, "x", ["a"], {"a": 1.5}])
def test_what_is_no_object_of_strings_is_shown(value: object) -> None:
    with pytest.raises(ValueError, match='expected an object of strings or true as "attributes", found'):
        parse_attributes(value)


@pytest.mark.parametrize("pair", [("a", "\ud800"), ("\ud800", True)])
def test_half_a_surrogate_pair_is_not_written(pair: tuple[str, str | bool], tmp_path: Path) -> None:
    document = Document("1", "ab", (Span(0, 1, "x", attributes=(pair,)),))
    for name in ("bioc-xml", "bioc-json"):
        with pytest.raises(UnrepresentableError, match="document '1': "):
            write(document, name)
    with pytest.raises(UnrepresentableError, match="half of a surrogate pair"):
        write_brat([document], tmp_path)
