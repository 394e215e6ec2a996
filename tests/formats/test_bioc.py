from __future__ import annotations

import json
import os
import re
import tarfile
from collections.abc import Callable
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import bioc
import pytest
from bioc import biocjson, biocxml
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.errors import AnnotationError, CorpusFormatError, InputError, UnrepresentableError
from openmed_ner.formats import read_documents
from openmed_ner.formats.bioc import read_bioc_json, read_bioc_xml, write_bioc_json, write_bioc_xml
from openmed_ner.formats.pubtator import read_pubtator, write_pubtator
from openmed_ner.formats.structure import Part, Structure
from openmed_ner.text import Document, Span
from strategies import CHARACTERS, TRICKY, bare, damaged, standoff, texts


def read_xml(content: str) -> list[Document]:
    return list(read_bioc_xml(StringIO(content, newline="\n"), source="c.xml"))


def read_json(content: str) -> list[Document]:
    return list(read_bioc_json(StringIO(content, newline="\n"), source="c.json"))


def ordered(documents: list[Document]) -> list[Document]:
    """The documents with spans and annotations in an order of their own, whatever passage they stand in."""
    result = []
    for document in documents:
        structure = dict(document.meta.get("structure", {}))
        structure["annotations"] = sorted(structure.get("annotations", []), key=repr)
        spans = tuple(sorted(document.spans, key=repr))
        result.append(Document(document.id, document.text, spans, {"structure": structure}))
    return result


def plain(documents: list[Document]) -> list[Document]:
    """The documents without the structure of their sources."""
    return [bare(document) for document in ordered(documents)]


def write_xml(corpus: list[Document]) -> str:
    write_bioc_xml(corpus, file := StringIO(newline="\n"))
    return file.getvalue()


def write_json(corpus: list[Document]) -> str:
    write_bioc_json(corpus, file := StringIO(newline="\n"))
    return file.getvalue()


NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def strings(document: Document) -> str:
    return "".join(
        [document.id, document.text, *(span.label + (span.corpus or "") for span in document.spans)]
    )


@st.composite
def labelled(draw: st.DrawFn) -> Document:
    """A document with any characters in its labels."""
    document = draw(standoff())
    label = st.text(CHARACTERS, min_size=1, max_size=4)
    spans = [
        Span(span.start, span.end, draw(label), span.score, span.corpus, span.fragments)
        for span in document.spans
    ]
    return document.with_spans(spans)


xml_documents = labelled().filter(lambda document: not NOT_XML.search(strings(document)))

HEAD = '<?xml version="1.0"?>\n<!DOCTYPE collection SYSTEM "BioC.dtd">\n<collection><source/><date/><key/>\n'
ANNOTATION = (
    '<annotation id="T1"><infon key="type">Disease</infon><location offset="10" length="5"/>\n'
    "<text>fever</text></annotation>"
)
PASSAGES = (
    "<document><id>1</id>\n"
    "<passage><infon key='x'>y</infon><offset>0</offset><text>Acute &amp;</text></passage>\n"
    f"<passage><offset>10</offset><text>fever.</text>\n{ANNOTATION}</passage></document>\n"
)
SENTENCES = (
    "<document><id>2</id><passage><offset>3</offset>\n"
    "<sentence><offset>3</offset><text>One.</text></sentence>\n"
    f"<sentence><offset>10</offset><text>fever</text>{ANNOTATION}</sentence></passage>\n"
    '<annotation id="T2"><infon key="type">Gap</infon><infon key="score">0.25</infon>'
    '<location offset="12" length="1"/>\n<location offset="3" length="1"/><location offset="4" length="1"/>'
    '<text>On v</text></annotation><relation id="R1"><node refid="T1" role=""/></relation></document>\n'
)
FOREIGN = f"{HEAD}{PASSAGES}{SENTENCES}</collection>"
FOREIGN_JSON = json.dumps(biocjson.toJSON(biocxml.loads(FOREIGN)), indent=1)
READ = [
    Document("1", "Acute &   fever.", (Span(10, 15, "Disease"),)),
    Document(
        "2",
        "   One.   fever",
        (Span(10, 15, "Disease"), Span(3, 13, "Gap", 0.25, fragments=((3, 5), (12, 13)))),
    ),
]

_XML_PIECES = [
    *"<>/&;\"03", "-1", "<document>", "</document>", "<passage>", "</passage>", "<offset>5</offset>",
    "<text/>", "<text>", "</text>", "<id>3</id>", "<sentence>", "</sentence>", ANNOTATION, PASSAGES,
    SENTENCES, "<!-- x -->", "<?x y?>", "<![CDATA[<]]>", "&#13;", "&#0;", "&amp;", "&foo;", "</collection>",
    "<!ENTITY foo 'x'>", '<location offset="1" length="2"/>', '<infon key="type">X</infon>',
    '<infon key="score">0.5</infon>', '<infon key="corpus"/>', "9" * 30, "²", "٣", "\ufeff", "\ud800",
    "xmlns='x'", *TRICKY,
]  # fmt: skip
fuzzed_bioc_xml = damaged(
    st.just(FOREIGN) | st.lists(xml_documents, max_size=2).map(write_xml), _XML_PIECES
) | st.lists(st.sampled_from(_XML_PIECES), max_size=20).map(
    lambda pieces: f"{HEAD}{''.join(pieces)}</collection>"
)
"""Contents of hostile files."""

_JSON_PIECES = [
    *'{}[]":,03', "-1", "null", "true", "1e999", "NaN", "9" * 30, "9" * 400, '"\\ud800"', '"offset": 5',
    '"text": "x"', '"documents": []', '"infons": {}', '"infons": null', '"type": "X"', '"score": 0.5',
    '"score": "x"', "[" * 50, '"corpus": null', '"id": 3', "\ufeff", "\n", *TRICKY,
]  # fmt: skip
_odd = (
    st.none()
    | st.booleans()
    | st.integers(-2, 20)
    | st.just(10**400)
    | st.floats()
    | texts
    | st.just([])
    | st.just({})
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in _places(item, (*path, key)))]


@st.composite
def _altered(draw: st.DrawFn) -> str:
    """A collection in which some values are other ones, or missing."""
    collection = json.loads(FOREIGN_JSON)
    for _ in range(draw(st.integers(1, 2))):
        *parents, last = draw(st.sampled_from([place for place in _places(collection) if place]))
        holder = collection
        for key in parents:
            holder = holder[key]
        if draw(st.booleans()):
            holder[last] = draw(_odd)
        else:
            del holder[last]
    return json.dumps(collection)


fuzzed_bioc_json = _altered() | damaged(
    st.just(FOREIGN_JSON) | st.lists(labelled(), max_size=2).map(write_json), _JSON_PIECES
)
"""Contents of hostile files."""


# --- Round trips


@given(corpus=st.lists(xml_documents, max_size=3), mark=st.sampled_from(["", "\ufeff"]))
def test_what_is_written_as_xml_reads_back(corpus: list[Document], mark: str) -> None:
    assert read_xml(mark + write_xml(corpus)) == corpus


@given(corpus=st.lists(labelled(), max_size=3), mark=st.sampled_from(["", "\ufeff"]))
def test_what_is_written_as_json_reads_back(corpus: list[Document], mark: str) -> None:
    assert read_json(mark + write_json(corpus)) == corpus


@given(document=labelled() | st.builds(Document, texts, st.text(st.characters(), max_size=3)))
def test_xml_holds_every_character_it_knows(document: Document) -> None:
    if NOT_XML.search(strings(document)):
        with pytest.raises(UnrepresentableError, match=r"^document .* XML cannot hold the character"):
            write_xml([document])
    else:
        assert read_xml(write_xml([document])) == [document]


@pytest.mark.fuzz
@given(content=fuzzed_bioc_xml)
def test_xml_is_refused_by_line_or_survives_writing(content: str) -> None:
    try:
        documents = read_xml(content)
    except CorpusFormatError as error:
        number = re.match(r"c\.xml, line (\d+): ", str(error))
        assert number
        assert 1 <= int(number[1]) <= content.count("\n") + 1
    else:
        assert ordered(read_xml(write_xml(documents))) == ordered(documents)
        assert ordered(read_json(write_json(documents))) == ordered(documents)


@pytest.mark.fuzz
@given(content=fuzzed_bioc_json)
def test_json_is_refused_by_place_or_survives_writing(content: str) -> None:
    try:
        documents = read_json(content)
    except CorpusFormatError as error:
        assert re.match(r"c\.json(, line \d+|, document \d+)?: ", str(error))
    else:
        assert ordered(read_json(write_json(documents))) == ordered(documents)


# --- Second opinion


def complaints(collection: bioc.BioCCollection) -> list[str]:
    errors: list[str] = []
    bioc.validate(collection, onerror=lambda message, _: errors.append(message))
    return errors


@given(corpus=st.lists(xml_documents, max_size=3))
def test_the_library_reads_the_same_from_both(corpus: list[Document]) -> None:
    for collection in (biocxml.loads(write_xml(corpus)), biocjson.loads(write_json(corpus))):
        problems = complaints(collection)
        discontinuous = [span for document in corpus for span in document.spans if span.fragments]
        assert len(problems) <= len(discontinuous)  # the library compares them with the text from end to end
        assert [document.id for document in collection.documents] == [document.id for document in corpus]
        for decoded, document in zip(collection.documents, corpus, strict=True):
            (passage,) = decoded.passages
            assert (passage.offset, passage.text) == (0, document.text)
            places = [
                tuple((place.offset, place.end) for place in annotation.locations)
                for annotation in passage.annotations
            ]
            assert places == [span.fragments or ((span.start, span.end),) for span in document.spans]
            assert [annotation.infons["type"] for annotation in passage.annotations] == [
                span.label for span in document.spans
            ]


def test_passages_and_sentences_stand_at_their_offsets() -> None:
    assert read_xml(FOREIGN) == read_json(FOREIGN_JSON)
    assert plain(read_xml(FOREIGN)) == READ
    assert plain(read_json(f"[{FOREIGN_JSON}, {FOREIGN_JSON}]")) == READ * 2
    assert plain(read_xml(FOREIGN.replace("\n", "\r\n"))) == READ


def test_what_speaks_of_no_characters_is_passed_over() -> None:
    concept = '<annotation id="M"><infon key="type">MeSH</infon><text>Fever</text></annotation>'
    unnamed = ANNOTATION.replace(' id="T1"', "")
    passage = PASSAGES.replace(ANNOTATION, f"<!-- x -->{concept}{unnamed}<relation/>")
    assert plain(read_xml(f"{HEAD}{passage}</collection>")) == READ[:1]


def one_text(text: str) -> str:
    passage = f"<passage><offset>0</offset><text>{text}</text></passage>"
    return f"<collection><document><id/>{passage}</document></collection>"


def test_characters_around_comments_and_in_cdata_are_kept() -> None:
    text = "a<!-- - -->b<?x y?>c<![CDATA[<&]]>&#13;&#x1F9EC;"
    assert read_xml(one_text(text)) == [Document("", "abc<&\r\U0001f9ec")]


# --- Structure


def annotate(name: str, offset: int, text: str, **infons: Any) -> dict[str, Any]:
    return {
        "id": name,
        "infons": infons,
        "text": text,
        "locations": [{"offset": offset, "length": len(text)}],
    }


TITLE = {
    "offset": 0,
    "infons": {"type": "title"},
    "text": "BRAF in melanoma.",
    "sentences": [],
    "annotations": [annotate("4", 0, "BRAF", type="Gene", identifier="673", normalized=[673], valid=True)],
    "relations": [],
}
SENTENCE = {
    "offset": 20,
    "infons": {"n": "1"},
    "text": "Aspirin failed.",
    "annotations": [annotate("9", 20, "Aspirin", type="Chemical"), annotate("T1", 28, "failed", type="X")],
    "relations": [],
}
BODY = {"offset": 18, "infons": {}, "sentences": [SENTENCE], "annotations": [], "relations": []}
RELATIONS = [
    {"id": "R1", "infons": {"type": "Treats"}, "nodes": [{"refid": "4", "role": "Gene"}]},
    {"id": "R2", "infons": {}, "nodes": [{"refid": "R1", "role": ""}, {"refid": "9", "role": "Cause"}]},
    {"id": "R3", "infons": {"entity1": "673"}, "nodes": []},
]
ARTICLE = {
    "id": "7",
    "infons": {"journal": "X"},
    "passages": [TITLE, BODY],
    "annotations": [],
    "relations": RELATIONS,
}


def decode(*documents: Document) -> Any:
    """The documents as the library reads them."""
    return biocjson.loads(write_json([*documents])).documents


def test_passages_infons_ids_and_relations_are_written_as_they_were() -> None:
    (document,) = read_json(json.dumps(ARTICLE))
    assert [document.mention(span) for span in document.spans] == ["BRAF", "Aspirin", "failed"]
    expected = biocjson.fromJSON(ARTICLE, "BioCDocument")
    assert str(decode(document)[0]) == str(expected)
    (through_xml,) = read_xml(write_xml([document]))
    assert [part.infons for part in decode(through_xml)[0].passages] == [{"type": "title"}, {}]


def test_added_spans_get_new_ids_and_removed_ones_take_their_relations_along() -> None:
    (document,) = read_json(json.dumps(ARTICLE))
    added = Span(8, 16, "Disease")
    (more,) = decode(document.with_spans([*document.spans, added]))
    assert [entry.id for entry in more.passages[0].annotations] == ["4", "T2"]
    assert [relation.id for relation in more.relations] == ["R1", "R2", "R3"]
    (fewer,) = decode(document.with_spans([added, *document.spans[1:]]))
    assert [entry.id for entry in fewer.passages[0].annotations] == ["T2"]
    assert [relation.id for relation in fewer.relations] == ["R3"]


def test_infons_that_are_not_strings_become_json_in_xml() -> None:
    (document,) = read_json(json.dumps(ARTICLE))
    xml = write_xml([document])
    assert '<infon key="normalized">[673]</infon><infon key="valid">true</infon>' in xml


def test_a_pubtator_file_has_passages_in_bioc() -> None:
    content = "1|t|Fever in E. coli\n1|a|No.\n1\t0\t5\tFever\tDisease\tD005334\n"
    (document,) = read_pubtator(StringIO(content), source="x")
    (decoded,) = biocxml.loads(write_xml([document])).documents
    assert [(part.offset, part.text, part.infons) for part in decoded.passages] == [
        (0, "Fever in E. coli", {"type": "title"}),
        (17, "No.", {"type": "abstract"}),
    ]
    assert decoded.passages[0].annotations[0].infons == {"type": "Disease", "identifier": "D005334"}
    write_pubtator(read_xml(write_xml([document])), file := StringIO())
    assert file.getvalue().strip() == content.strip()


@given(text=texts, cuts=st.lists(st.integers(0, 40), max_size=4))
def test_any_white_space_between_passages_survives(text: str, cuts: list[int]) -> None:
    edges = sorted({min(cut, len(text)) for cut in (0, *cuts, 99)})
    pieces = [text[start:end] for start, end in pairwise(edges)]
    body = "\n\n".join(pieces)
    offsets = [sum(len(piece) + 2 for piece in pieces[:index]) for index in range(len(pieces))]
    parts = [Part(offset, len(piece), {"n": "x"}) for offset, piece in zip(offsets, pieces, strict=True)]
    document = Structure(tuple(parts)).attach(Document("1", body))
    assert plain(read_json(write_json([document]))) == [Document("1", body)]


def test_documents_of_pubtator_3_by_line_and_in_any_order_of_passages() -> None:
    passages = [
        {"offset": 5, "infons": {}, "text": "b.", "sentences": [], "annotations": [], "relations": []},
        {"offset": 0, "infons": {}, "text": "a.", "sentences": [], "annotations": [], "relations": []},
    ]
    record = {"_id": "7|None", "id": 7, "infons": {}, "passages": passages, "relations": [], "pmcid": None}
    expected = [Document("7", "a.   b.")]
    for value in ({"PubTator3": [record]}, {"PubTator3": record}, {"documents": record}, [record], record):
        assert plain(read_json(json.dumps(value))) == expected
    assert plain(read_json(f"{json.dumps(record)}\n\n{json.dumps(record)}\n")) == expected * 2


@pytest.mark.parametrize("text", ["brca", ""])
def test_a_bad_annotation_leaves_the_text(text: str) -> None:
    record = json.loads(json.dumps(ARTICLE))
    record["passages"][0]["annotations"][0]["text"] = text
    problems: list[Exception] = []
    file = StringIO(json.dumps(record))
    (document,) = read_bioc_json(file, source="c.json", on_bad=problems.append)
    assert [document.mention(span) for span in document.spans] == ["Aspirin", "failed"]
    assert [type(problem) for problem in problems] == [AnnotationError]


def test_a_bad_line_costs_one_document() -> None:
    line = json.dumps({"id": "1", "infons": {}, "passages": [], "relations": []})
    problems: list[Exception] = []
    file = StringIO(f"{line}\n{line[:20]}\n{line}\n")
    documents = list(read_bioc_json(file, source="c.json", on_bad=problems.append))
    assert [document.id for document in documents] == ["1", "1"]
    assert [str(problem)[:16] for problem in problems] == ["c.json, line 2: "]


# --- Hostile XML


def expand(body: str, subset: str) -> str:
    head = f'<!DOCTYPE collection SYSTEM "BioC.dtd" [{subset}]>'
    return f"{head}\n{one_text(body)}"


LAUGHS = "<!ENTITY a 'ha'>" + "".join(
    f"<!ENTITY {name} '{f'&{inner};' * 10}'>" for inner, name in zip("abcdefghij", "bcdefghijk", strict=True)
)


@pytest.mark.parametrize(
    ("body", "subset"),
    [
        ("&k;", LAUGHS),
        ("x", LAUGHS),
        ("&a;", "<!ENTITY a 'x'>"),
        ("&a;", "<!ENTITY a SYSTEM 'file:///etc/passwd'>"),
        ("&a;", "<!ENTITY a SYSTEM 'http://127.0.0.1:9/x'>"),
        ("x", "<!ENTITY % a SYSTEM 'file:///etc/passwd'> %a;"),
        ("&a;", ""),
    ],
)
def test_entities_are_refused(body: str, subset: str) -> None:
    with pytest.raises(CorpusFormatError, match=r"^c\.xml, line \d: (?!.*root:)"):
        read_xml(expand(body, subset))


@pytest.mark.parametrize("address", ["BioC.dtd", "http://127.0.0.1:9/BioC.dtd", "{folder}/evil.dtd"])
def test_no_dtd_is_fetched(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("BioC.dtd", "evil.dtd"):
        (tmp_path / name).write_text("<!ATTLIST text x CDATA 'fetched'><!ENTITY foo 'fetched'>")
    head = HEAD.replace("BioC.dtd", address.format(folder=tmp_path))
    assert plain(read_xml(f"{head}{PASSAGES}</collection>")) == READ[:1]
    with pytest.raises(CorpusFormatError, match="line 5: Entity 'foo' not defined"):
        read_xml(f"{head}{PASSAGES.replace('&amp;', '&foo;')}</collection>")


@pytest.mark.parametrize("blanks", ["\n", "\ufeff\r\n \t\n", "\n\ufeff"])
def test_blanks_before_the_declaration_are_passed_over(blanks: str) -> None:
    content = f"{blanks}{FOREIGN}"
    assert plain(read_xml(content)) == plain(read_xml(FOREIGN))
    line = 9 + blanks.count("\n")
    with pytest.raises(CorpusFormatError, match=rf"^c\.xml, line {line}: .*number of characters, found '-3'"):
        read_xml(content.replace("<offset>3<", "<offset>-3<"))


def test_another_encoding_that_xml_declares_gets_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(HEAD.replace('"1.0"', '"1.0" encoding="ISO-8859-1"').encode() + b"<document>\xe9")
    problems: list[InputError] = []
    assert list(read_documents(path, on_bad=problems.append)) == []
    assert "iconv -f windows-1252 -t utf-8" in str(problems[0])


def test_documents_are_read_before_the_file_ends() -> None:
    content = f"{HEAD}{PASSAGES * 2000}<oops/></collection>"
    stream = read_bioc_xml(file := StringIO(content), source="c.xml")
    assert plain([next(stream)]) == READ[:1]
    assert file.tell() < len(content) / 5
    line = content.count("\n") + 1
    with pytest.raises(CorpusFormatError, match=rf"c\.xml, line {line}: <collection> holds <oops>"):
        list(stream)


# --- Hostile BioC

ANNOTATED = '<location offset="10" length="5"/>'
BROKEN_XML = {
    "not XML": (FOREIGN, "acute", 1, "Start tag expected"),
    "empty": (FOREIGN, "", 1, "no element found: the file is empty or cut off"),
    "cut short": ("</collection>", "", 15, "Premature end"),
    "another root": (FOREIGN, "<html/>", 1, "expected <collection>, found <html>"),
    "a lone document": (FOREIGN, "<document/>", 1, "expected documents directly below one <collection>"),
    "nested documents": ("<id>2</id>", "<document/>", 9, "found <document> in <document> in <collection>"),
    "a namespace": ("<document><id>2", "<document xmlns='a:x'><id>2", 9, "found <{a:x}document>"),
    "an unknown element": ("<id>2</id>", "<id>2</id><title/>", 9, "<document> holds <title>"),
    "an unknown neighbour": ("<document><id>2", "<doc/><document><id>2", 9, "<collection> holds <doc>"),
    "markup in a text": ("One.", "<b>One.</b>", 10, "<text> holds <b>"),
    "no id": ("<id>2</id>", "", 9, "<document> has 0 <id>, expected one"),
    "two texts": ("<text>One.", "<text/><text>One.", 10, "<sentence> has 2 <text>, expected one"),
    "no offset": ("<offset>3</offset>", "", 9, "<passage> has 0 <offset>"),
    "an empty offset": ("<offset>3</offset>", "<offset/>", 9, "a number of characters, found None"),
    "a negative offset": ("<offset>3<", "<offset>-3<", 9, "a number of characters, found '-3'"),
    "another script": ("<offset>3<", "<offset>٣<", 9, "a number of characters, found '٣'"),
    "an offset beyond memory": ("<offset>10<", "<offset>9999999<", 4, "document '1': text at 9999999 needs"),
    "overlapping passages": ("<offset>10<", "<offset>4<", 4, "document '1': text at 4 ('fever.') overlaps"),
    "text beside sentences": ("<sentence><o", "<text>x</text><sentence><o", 9, "has text and sentences"),
    "no location offset": ('offset="10"', "", 7, "<location> has no offset"),
    "no infon key": (" key='x'", "", 5, "<infon> has no key"),
    "no label": ('key="type"', 'key="kind"', 7, "document '1', annotation 'T1': the infon"),
    "an empty label": ('"type">Disease<', '"type"><', 7, "annotation 'T1': the infon"),
    "another text": (ANNOTATED, '<location offset="11" length="4"/>', 7, "are 'ever', but the annotation"),
    "beyond the text": (ANNOTATED, '<location offset="10" length="50"/>', 7, "ends beyond the text"),
    "no length": (ANNOTATED, '<location offset="10" length="0"/>', 7, "0 <= start < end"),
    "overlapping locations": (ANNOTATED, ANNOTATED * 2, 7, "annotation 'T1': fragments go from"),
    "a score that is no number": (">0.25<", ">high<", 13, "annotation 'T2': expected a number as score"),
    "a score above 1": (">0.25<", ">25<", 13, "annotation 'T2': a score lies between 0 and 1"),
    "an empty score": (">0.25<", "><", 13, "annotation 'T2': expected a number as score"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "message"), BROKEN_XML.values(), ids=BROKEN_XML.keys())
def test_broken_xml_is_named_by_line(old: str, new: str, line: int, message: str) -> None:
    content = FOREIGN.replace(old, new, 1)
    assert content != FOREIGN
    with pytest.raises(CorpusFormatError, match=rf"^c\.xml, line {line}: .*{re.escape(message)}"):
        read_xml(content)


def alter(*path: str | int, value: object) -> str:
    collection = json.loads(FOREIGN_JSON)
    holder = collection["documents"]
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return json.dumps(collection)


FIRST = (0, "passages", 1, "annotations", 0)
BROKEN_JSON = {
    "not JSON": ("{\n\n'", "line 3: "),
    "empty": ("\ufeff \n", "line 1: .*the file is empty"),
    "endless nesting": ("[" * 100_000, " maximum recursion"),
    "endless digits": ("9" * 5000, " .*digits"),
    "a number": ("1", ' expected a JSON object with a list under "documents"'),
    "no documents": ("{}", ' expected a JSON object with a list under "documents"'),
    "two lists of documents": ('{"documents": [], "PubTator3": []}', ' expected a JSON object with a list'),
    "a document that is null": (alter(1, value=None), "document 2: not a BioC document"),
    "no id": (alter(0, value={}), "document 1: not a BioC document: 'id' is missing"),
    "an id that is true": (alter(1, "id", value=True), "document 2: document True: expected a string as id"),
    "half a surrogate": (alter(0, "id", value="\ud800"), "document 1: .*half of a surrogate pair"),
    "a text that is a list": (alter(0, "passages", 0, "text", value=["x"]), "document 1: .*a string as text"),
    "an offset that is true": (alter(0, "passages", 1, "offset", value=True), "document 1: .*as offset"),
    "an offset beyond memory": (alter(0, "passages", 1, "offset", value=10**15), "document 1: .*blanks"),
    "infons of a passage in a list": (alter(0, "passages", 0, "infons", value=[1]), "an object as infons"),
    "infons that are no number": (alter(0, "infons", value={"x": float("nan")}), "document 1: .*JSON compl"),
    "a node that is a number": (alter(1, "relations", 0, "nodes", 0, "refid", value=0.5), "a string as name"),
    "a negative length": (alter(*FIRST, "locations", 0, "length", value=-1), "annotation 'T1': .*as length"),
    "infons that are a list": (alter(*FIRST, "infons", value=["type"]), "annotation 'T1': the infon"),
    "a label that is a number": (alter(*FIRST, "infons", value={"type": 1}), "annotation 'T1': .*as type"),
    "a score that is a list": (alter(*FIRST, "infons", value={"type": "X", "score": []}), "as score"),
    "a score that is true": (alter(*FIRST, "infons", value={"type": "X", "score": True}), "as score"),
    "a score beyond floats": (alter(*FIRST, "infons", value={"type": "X", "score": 10**400}), "as score"),
    "a corpus that is a list": (alter(*FIRST, "infons", value={"type": "X", "corpus": [1]}), "as corpus"),
    "another text": (alter(*FIRST, "text", value="Fever"), "annotation 'T1': characters 10..15 are 'fever'"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "message"), BROKEN_JSON.values(), ids=BROKEN_JSON.keys())
def test_broken_json_is_named_by_place(content: str, message: str) -> None:
    with pytest.raises(CorpusFormatError, match=r"^c\.json[,:] ") as caught:
        read_json(content)
    assert re.search(message, str(caught.value))


@pytest.mark.parametrize("write", [write_xml, write_json])
def test_half_a_surrogate_pair_is_refused(write: Callable[[list[Document]], str]) -> None:
    with pytest.raises(UnrepresentableError, match="document 'x': "):
        write([Document("x", "\ud800")])


# --- The BC5CDR release

CDR = "bc5cdr/raw/CDR_Data/CDR.Corpus.v010516/CDR_{}Set.{}"
MISPLACED = {
    # Release v010516: parts of composite mentions whose locations are one or more characters off.
    "Training": "line 11425: document '20722491', annotation '6': characters 187..197, 223..230",
    "Development": "line 9919: document '6415512', annotation '8': characters 247..263, 293..301",
}
PART = re.compile(
    r"<annotation id='[^']*'>(?:(?!</annotation>).)*IndividualMention.*?</annotation>", re.DOTALL
)


def read_member(name: str) -> str:
    with tarfile.open(Path(os.environ["OPENMED_NER_CORPORA"]) / "bc5cdr.tar.xz") as tar:
        file = tar.extractfile(name)
        assert file
        return file.read().decode()


@pytest.mark.corpora
@pytest.mark.skipif(not os.environ.get("OPENMED_NER_CORPORA"), reason="OPENMED_NER_CORPORA is not set")
@pytest.mark.parametrize("split", ["Training", "Development", "Test"])
def test_bc5cdr_says_the_same_in_bioc_and_in_pubtator(split: str) -> None:
    content = read_member(CDR.format(split, "BioC.xml"))
    expected = list(read_pubtator(StringIO(read_member(CDR.format(split, "PubTator.txt"))), source=split))
    # PubTator and BioC name the identifiers differently.
    assert plain(read_xml(PART.sub("", content))) == plain(
        expected
    )  # PubTator keeps parts of mentions in another column
    if split in MISPLACED:
        with pytest.raises(CorpusFormatError, match=MISPLACED[split]):
            read_xml(content)
    else:
        whole = read_xml(content)
        assert [document.text for document in whole] == [document.text for document in expected]
        n_more = sum(len(document.spans) for document in whole) - sum(
            len(document.spans) for document in expected
        )
        assert n_more == len(PART.findall(content)) == 119


def test_the_identifier_of_a_linked_mention_is_an_infon() -> None:
    span = Span(0, 6, "Disease").with_attributes({"identifier": "MESH:D001249", "linked_by": "exact"})
    document = Document("1", "Asthma.", (span,))
    out = StringIO()
    write_bioc_json([document], out)
    (annotation,) = json.loads(out.getvalue())["documents"][0]["passages"][0]["annotations"]
    assert annotation["infons"]["identifier"] == "MESH:D001249"
    assert read_json(out.getvalue()) == [document]


def test_json_without_empty_lists_is_read() -> None:
    annotation = {"id": "1", "infons": {"type": "Chemical"}, "text": "Aspirin"}
    annotation["locations"] = [{"offset": 0, "length": 7}]
    passages = [{"offset": 0, "text": "Aspirin helps.", "annotations": [annotation]}]
    (document,) = read_json(json.dumps({"id": "1", "passages": passages}))
    assert [(span.start, span.end, span.label) for span in document.spans] == [(0, 7, "Chemical")]


@pytest.mark.parametrize("annotation", [None, "x", {}, {"id": "1", "text": "x", "locations": None}])
def test_an_annotation_of_a_wrong_shape_costs_no_text(annotation: object) -> None:
    errors: list[InputError] = []
    content = json.dumps(
        {"id": "1", "passages": [{"offset": 0, "text": "Aspirin.", "annotations": [annotation]}]}
    )
    (document,) = read_bioc_json(StringIO(content), source="c.json", on_bad=errors.append)
    assert document.text == "Aspirin."
    assert [type(error) for error in errors] == [AnnotationError]


def test_passages_that_are_no_list_are_refused() -> None:
    with pytest.raises(CorpusFormatError, match="expected a list as passages"):
        read_json(json.dumps({"documents": [{"id": "1", "passages": {}}]}))


@pytest.mark.parametrize("name", ["annotations", "relations"])
def test_null_stands_for_an_empty_list(name: str) -> None:
    passage = {"offset": 0, "text": "Gout", name: None}
    record = {"id": "1", "passages": [passage], name: None}
    assert plain(read_json(json.dumps({"documents": [record]}))) == [Document("1", "Gout")]
