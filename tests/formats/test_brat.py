from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import bioc.brat
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from openmed_ner.errors import AnnotationError, CorpusFormatError, InputError, UnrepresentableError
from openmed_ner.formats.brat import parse_brat, read_brat, write_brat
from openmed_ner.formats.structure import Annotation, Structure
from openmed_ner.text import Document, Span
from strategies import CHARACTERS, TRICKY, bare, damaged, standoff, texts

# --- What any standoff format is given


def lines_of(document: Document, folder: Path) -> tuple[str, str]:
    """Text and annotations as written."""
    write_brat([document], folder)
    (text,), (annotations,) = folder.glob("*.txt"), folder.glob("*.ann")
    return text.read_bytes().decode(), annotations.read_bytes().decode()


_PIECES = [
    "T1", "T2", "\t", " ", ";", "0", "3", "0 3", "0 1;2 3", "\n", "\r\n", "Disease", "abc", "a c", "#1",
    "\nT2\tDisease 0 1;2 3\ta c", "\nT3\tDisease 1 2\tb", "\n#1\tOpenMedNER T1\t", '{"score": 0.5}',
    "OpenMedNER", '{"corpus": "x"}', '{"score": NaN}', "[" * 50, "9" * 30, "²", "٣", "\ufeff",
    "R1\tCauses Arg1:T1 Arg2:T2\n", "*\tEquiv T1 T2\n", "E1\tX:T1\n", "A1\tNegation T1", "\\ud800",
    "-1", *TRICKY,
]  # fmt: skip
_LINES = st.lists(
    st.sampled_from(
        [
            "T1\tDisease 0 3\tabc",
            "T2\tChemical 0 1;2 3\ta c",
            "T3\tDisease 4 6\t糖 ",
            '#1\tOpenMedNER T1\t{"score": 1, "corpus": "x"}',
            "#2\tAnnotatorNotes T1\tsure?",
            "R1\tCauses Arg1:T1 Arg2:T2",
            "*\tEquiv T1 T2",
            "",
        ]
    ),
    max_size=5,
)
fuzzed_brat = st.tuples(
    st.just("abc 糖\n") | texts,
    damaged(st.builds(str.join, st.sampled_from(["\n", "\r\n"]), _LINES), _PIECES)
    | st.lists(st.sampled_from(_PIECES), max_size=20).map("".join),
)
"""Hostile pairs of a text and its annotations."""


# --- Round trips


def joined(document: Document) -> Document:
    """The document with the fragments of a mention over a line end joined, as brat's are."""
    spans = []
    for span in document.spans:
        fragments: list[tuple[int, int]] = []
        for start, end in span.fragments:
            gap = document.text[fragments[-1][1] : start] if fragments else "x"
            first = fragments.pop()[0] if re.fullmatch(r"\s*[\r\n]\s*", gap) else start
            fragments.append((first, end))
        spans.append(replace(span, fragments=tuple(fragments) if len(fragments) > 1 else ()))
    return document.with_spans(spans)


@given(corpus=st.lists(standoff(), min_size=1, max_size=3, unique_by=lambda document: document.id))
def test_what_is_written_as_brat_reads_back(
    tmp_path_factory: pytest.TempPathFactory, corpus: list[Document]
) -> None:
    folder = tmp_path_factory.mktemp("brat")
    write_brat(corpus, folder / "new" / "folder")
    documents = {document.id: document for document in read_brat(folder / "new" / "folder")}
    assert documents == {document.id: joined(document) for document in corpus}
    assert {path.suffix for path in folder.rglob("*.*")} <= {".txt", ".ann"}


@pytest.mark.fuzz
@given(pair=fuzzed_brat)
def test_brat_is_refused_by_line_or_survives_writing(
    tmp_path_factory: pytest.TempPathFactory, pair: tuple[str, str]
) -> None:
    try:
        document = parse_brat(*pair, id="a/b", source="b.ann")
    except CorpusFormatError as error:
        number = re.match(r"b\.ann, line (\d+): ", str(error))
        assert number
        assert 1 <= int(number[1]) <= pair[1].count("\n") + 1
    else:
        folder = tmp_path_factory.mktemp("brat")
        write_brat([document], folder)
        (again,) = read_brat(folder)
        assert bare(again) == bare(document)
        assert sorted(Structure.of(again).lines) == sorted(Structure.of(document).lines)


@given(document=standoff())
def test_the_bioc_library_reads_the_same_mentions(
    tmp_path_factory: pytest.TempPathFactory, document: Document
) -> None:
    assume(all(document.mention(span).strip() for span in document.spans))  # it cuts the line's last blanks
    result = bioc.brat.loads(*lines_of(document, tmp_path_factory.mktemp("brat")))
    assert result.text == document.text
    locations = [[(place.begin, place.end) for place in entity.locations] for entity in result.entities]
    expected = [list(span.fragments or ((span.start, span.end),)) for span in document.spans]
    assert [sorted(places) for places in locations] == expected
    assert [entity.type for entity in result.entities] == [span.label for span in document.spans]
    notes = {note.refid: json.loads(note.text) for note in result.notes}
    scores = [notes.get(entity.id, {}).get("score") for entity in result.entities]
    assert scores == [span.score for span in document.spans]


# --- Annotations


TEXT = "acute\nhepatitis B fever"


def parse(annotations: str, text: str = TEXT) -> Document:
    return parse_brat(text, annotations, id="1", source="1.ann")


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_the_lines_brat_writes_for_a_mention_over_a_line_break(line_end: str) -> None:
    for line in ("T1\tDisease 0 5;6 15\tacute hepatitis", "T1\tDisease 0 15\tacute hepatitis"):
        (span,) = parse("\ufeff" + line + line_end).spans
        assert span == Span(0, 15, "Disease")
    assert parse("T9\tDisease 6 15;18 23\thepatitis fever").spans[0].fragments == ((6, 15), (18, 23))


def test_fragments_with_a_line_end_between_them_are_one() -> None:
    text = "acute\r\n  or chronic\npain"
    (span,) = parse("T1\tX 0 5;9 11;20 24\tacute or pain", text).spans
    assert span == Span(0, 24, "X", fragments=((0, 11), (20, 24)))


def test_relations_events_and_notes_are_written_back(tmp_path: Path) -> None:
    lines = [
        "T3\tDisease 0 5\tacute",
        "T7\tDisease 6 17\thepatitis B",
        "R1\tCauses Arg1:T3 Arg2:T7",
        "E1\tBinding:T7 Theme:T3",
        "A1\tNegation E1",
        "N1\tReference T7 MESH:D006509\thepatitis B",
        "#1\tAnnotatorNotes T3\tsure?\tno",
        "*\tEquiv T7 T3",
    ]
    document = parse("\n".join(lines))
    more = document.with_spans([*document.spans, Span(18, 23, "X", 0.5, attributes=(("negated", True),))])
    assert lines_of(more, tmp_path / "more")[1].splitlines() == [
        *lines[:2],
        "T1\tX 18 23\tfever",
        "A2\tnegated T1",
        '#4\tOpenMedNER T1\t{"score": 0.5}',
        *lines[2:],
    ]
    fewer = document.with_spans(document.spans[1:])
    assert lines_of(fewer, tmp_path / "fewer")[1].splitlines() == [lines[1], lines[5]]


def test_identifiers_are_normalisations(tmp_path: Path) -> None:
    attributes = (("identifier", "MESH:D1|X:2"), ("preferred_name", "Hepatitis  B|Fever"))
    span = Span(6, 17, "Disease", attributes=attributes)
    path = tmp_path / "linked"
    written = lines_of(Document("1", TEXT, (span,)), path)[1].splitlines()
    lines = ["N1\tReference T1 MESH:D1\tHepatitis B", "N2\tReference T1 X:2\tFever"]
    assert [line for line in written if line.startswith("N")] == lines

    (document,) = read_brat(path)
    assert document.spans == (span,)
    assert Structure.of(document).annotations[0].infons == {"identifier": "MESH:D1|X:2"}
    assert lines_of(document, tmp_path / "again")[1].splitlines() == written

    other = {"identifier": "X:2|X:3", "preferred_name": "Fever|Pain"}
    renewed = lines_of(document.with_spans([span.with_attributes(other)]), tmp_path / "renewed")[1]
    assert renewed.splitlines()[-2:] == ["N3\tReference T1 X:3\tPain", lines[1]]


def test_identifiers_of_other_formats_become_normalisations(tmp_path: Path) -> None:
    span = Span(6, 17, "Disease")
    for number, (identifier, line) in enumerate(
        {"MESH:D006509": "N1\tReference T1 MESH:D006509\t", "D006509": None}.items()
    ):
        structure = Structure(annotations=(Annotation(span.key, "T1", {"identifier": identifier}),))
        document = structure.attach(Document("1", TEXT, (span,)))
        written = lines_of(document, tmp_path / str(number))[1].splitlines()
        assert written[1:] == ([line] if line else [])


def test_everything_but_mentions_is_passed_over() -> None:
    lines = [
        "R1\tCauses Arg1:T1 Arg2:T1",
        "E1\tBinding:T1 Theme:T1",
        "E2\tBinding:T1 ",
        "A1\tNegation E1",
        "M1\tSpeculation E1",
        "N1\tReference T1 MESH:D006509\thepatitis B",
        "#1\tAnnotatorNotes T1\tsure?\tno",
        "*\tEquiv T1 T1",
        "  ",
        "T1\tDisease 6 17\thepatitis B",
    ]
    assert parse("\n".join(lines)).spans == (Span(6, 17, "Disease"),)


GOOD = "T1\tDisease 0 5\tacute\n"
BROKEN = {
    "not a line of brat": ("acute", "expected 'T1<tab>Label start end<tab>mention', found 'acute'"),
    "no mention": ("T2\tDisease 0 5", "expected 'T1"),
    "blanks for tabs": ("T2 Disease 0 5 acute", "expected 'T1"),
    "no label": ("T2\t 0 5\tacute", "expected 'T1"),
    "negative": ("T2\tDisease -1 5\tacute", "expected 'T1"),
    "superscript digits": ("T2\tDisease 0 ⁵\tacute", "expected 'T1"),
    "endless digits": (f"T2\tDisease 0 {'9' * 5000}\tacute", "expected 'T1"),
    "an event without type": ("E1\t", "expected 'T1"),
    "an unknown kind": ("X1\tDisease 0 5\tacute", "expected 'T1"),
    "beyond the text": ("T2\tDisease 0 99\tacute", "ends beyond the text of 23"),
    "backwards": ("T2\tDisease 5 0\tacute", "0 <= start < end"),
    "empty": ("T2\tDisease 5 5\t", "0 <= start < end"),
    "fragments touch": ("T2\tDisease 0 2;2 5\tac ute", "in order, with gaps"),
    "fragments overlap": ("T2\tDisease 0 3;2 5\tacu ute", "in order, with gaps"),
    "fragments in disorder": ("T2\tDisease 6 15;0 5\thepatitis acute", "start < end"),
    "another mention": ("T2\tDisease 0 5\tAcute", "characters 0 5 are 'acute', but the line has 'Acute'"),
    "a mention twice": (GOOD.strip(), "duplicate T1"),
    "a note on nothing": ('#1\tOpenMedNER T7\t{"score": 1}', "note on T7: no such mention"),
    "a note that is no JSON": ("#1\tOpenMedNER T1\t{", "note on T1: "),
    "a note of endless nesting": (f"#1\tOpenMedNER T1\t{'[' * 100_000}", "note on T1: "),
    "a note with another key": ('#1\tOpenMedNER T1\t{"colour": 1}', "JSON object of"),
    "a note that is a list": ("#1\tOpenMedNER T1\t[1]", "JSON object of"),
    "a score that is true": ('#1\tOpenMedNER T1\t{"score": true}', "expected a number as score"),
    "a score above 1": ('#1\tOpenMedNER T1\t{"score": 2}', "a score lies between 0 and 1"),
    "a score that is NaN": ('#1\tOpenMedNER T1\t{"score": NaN}', "a score lies between 0 and 1"),
    "a corpus that is a number": ('#1\tOpenMedNER T1\t{"corpus": 2}', "a string as corpus"),
    "half a surrogate": ('#1\tOpenMedNER T1\t{"corpus": "\\ud800"}', "surrogates not allowed"),
}


@pytest.mark.parametrize(("line", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_line_is_named(line: str, message: str) -> None:
    with pytest.raises(CorpusFormatError, match=rf"^1\.ann, line 3: .*{re.escape(message)}"):
        parse(f"{GOOD}\n{line}\n")


def test_two_notes_of_ours_on_one_mention_are_refused() -> None:
    note = '#1\tOpenMedNER T1\t{"score": 1}\n'
    with pytest.raises(CorpusFormatError, match="line 3: duplicate T1"):
        parse(GOOD + note + note)


# --- Files


def place(folder: Path, **contents: bytes) -> Path:
    for name, content in contents.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return folder


def test_a_folder_is_searched_and_a_file_found_by_either_name(tmp_path: Path) -> None:
    place(
        tmp_path,
        b_txt=b"acute\r\n",
        b_a1=GOOD.encode(),
        b_a2=b"E1\tX:T1",
        dev__a_txt=b"x",
        dev__a_ann=b"",
        a_txt=b"",
        a_ann=b"",
    )
    (tmp_path / "100%.txt").write_text("x")
    (tmp_path / "100%.ann").write_text("")
    documents = list(read_brat(tmp_path))
    assert [document.id for document in documents] == ["100%", "a", "b", "dev/a"]
    assert documents[2] == Document("b", "acute\r\n", (Span(0, 5, "Disease"),))
    for name in ("b.txt", "b.a1"):
        assert list(read_brat(tmp_path / name)) == [documents[2]]
    assert [document.id for document in read_brat(tmp_path / "dev" / "a.ann")] == ["a"]


def test_a_byte_order_mark_belongs_to_the_text_where_brat_counts_it(tmp_path: Path) -> None:
    place(tmp_path, a_txt="\ufeffacute".encode(), a_ann="\ufeffT1\tDisease 1 6\tacute".encode())
    (document,) = read_brat(tmp_path)
    assert (document.text[0], document.mention(document.spans[0])) == ("\ufeff", "acute")


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"a_txt": b""}, r"a\.txt: expected one of \.ann or \.a1 beside it, found no annotations"),
        ({"d__a_txt": b""}, r"add an empty a\.ann"),
        ({"a_txt": b"", "a_ann": b"", "a_a1": b""}, r"found a\.ann and a\.a1"),
        ({"a_ann": b""}, r"a\.ann: a.txt not found beside it"),
        ({"d__a_a1": b""}, r"a\.a1: a.txt not found beside it"),
        ({"a_txt": b"x\ny\xff", "a_ann": b""}, r"a\.txt, line 2: not UTF-8: byte 0xff"),
        ({"a_txt": b"x", "a_ann": b"\xe9"}, r"a\.ann, line 1: not UTF-8: byte 0xe9"),
        ({"a_txt": b"x", "a_ann": b"\n\nT1"}, r"a\.ann, line 3: expected 'T1"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(
    tmp_path: Path, contents: dict[str, bytes], message: str
) -> None:
    with pytest.raises(CorpusFormatError, match=message):
        list(read_brat(place(tmp_path, **contents)))


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a folder, or a file ending in \.txt"):
        list(read_brat(tmp_path / "a.xml"))
    place(tmp_path, a_txt=b"x")
    with pytest.raises(InputError, match=r"a\.txt: cannot create the folder"):
        write_brat([], tmp_path / "a.txt")


@given(
    identifier=st.sampled_from(["..", "../x", "/etc/x", "a/../../b", "C:\\x", "a\0b", "~", "糖", ".", "a b"])
)
def test_no_id_leads_out_of_the_folder(tmp_path_factory: pytest.TempPathFactory, identifier: str) -> None:
    outer = tmp_path_factory.mktemp("outer")
    write_brat([Document(identifier, "x")], outer / "inner")
    assert [path.name for path in outer.iterdir()] == ["inner"]
    assert all(path.is_file() and path.name.isascii() for path in (outer / "inner").iterdir())
    assert [document.id for document in read_brat(outer / "inner")] == [identifier]


def test_nothing_is_written_over(tmp_path: Path) -> None:
    write_brat([Document("a", "first")], tmp_path)
    with pytest.raises(InputError, match=r"a.txt exists"):
        write_brat([Document("a", "second")], tmp_path)
    assert (tmp_path / "a.txt").read_text() == "first"


@pytest.mark.parametrize(
    ("corpus", "message"),
    [
        ([Document("a", ""), Document("a", "")], "document 'a': brat cannot hold two documents with this id"),
        ([Document("", "")], "document '': .* file name would have 0 characters"),
        ([Document("糖" * 30, "")], "file name would have 270 characters"),
        ([Document("a", "xy", (Span(0, 1, "a b"),))], "the label 'a b', which has white space"),
        ([Document("a", "xy", (Span(0, 1, "a\u2028"),))], "which has white space"),
        ([Document("a", "\ud800")], "half of a surrogate pair"),
        ([Document("\udfff", "")], "half of a surrogate pair"),
    ],
)
def test_what_brat_cannot_hold_is_refused(tmp_path: Path, corpus: list[Document], message: str) -> None:
    with pytest.raises(UnrepresentableError, match=message):
        write_brat(corpus, tmp_path)


@given(label=st.text(CHARACTERS, min_size=1, max_size=4))
def test_labels_are_kept_or_refused(tmp_path_factory: pytest.TempPathFactory, label: str) -> None:
    folder = tmp_path_factory.mktemp("brat")
    document = Document("1", "ab", (Span(0, 1, label),))
    try:
        write_brat([document], folder)
    except UnrepresentableError:
        assert re.search(r"\s", label)
    else:
        assert list(read_brat(folder)) == [document]


def test_a_folder_without_annotated_texts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("nothing of brat's")
    with pytest.raises(InputError, match=r"no \.txt found with \.ann or \.a1"):
        list(read_brat(tmp_path))


# --- one bad note costs one note


def test_the_notes_around_a_bad_one_are_read(tmp_path: Path) -> None:
    for name in ("n1", "n2", "n3", "n4"):
        (tmp_path / f"{name}.txt").write_text("Aspirin.")
        (tmp_path / f"{name}.ann").write_text("T1\tChemical 0 7\tAspirin\n")
    (tmp_path / "n2.txt").write_bytes(b"Aspirin \xff")
    (tmp_path / "n3.ann").unlink()
    errors: list[InputError] = []
    documents = list(read_brat(tmp_path, on_bad=errors.append))
    assert [document.id for document in documents] == ["n1", "n4"]
    assert ["n2.txt, line 1: not UTF-8" in str(errors[0]), "n3.txt" in str(errors[1])] == [True, True]


def test_a_bad_annotation_leaves_the_text_and_the_other_annotations(tmp_path: Path) -> None:
    (tmp_path / "n1.txt").write_text("Aspirin for pain.")
    lines = ["T1\tChemical 1 8\tAspirin", "T2\tDisease 12 16\tpain", "A1\tnegated T9", "nonsense"]
    (tmp_path / "n1.ann").write_text("\n".join(lines))
    errors: list[InputError] = []
    (document,) = read_brat(tmp_path, on_bad=errors.append)
    assert [document.mention(span) for span in document.spans] == ["pain"]
    assert [type(error) for error in errors] == [AnnotationError] * 3


def test_suffixes_in_capitals_are_read_and_hidden_files_are_not(tmp_path: Path) -> None:
    for name in ("a.TXT", "b.txt", "._b.txt", ".git/c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("Aspirin")
    for name in ("a.ANN", "b.ann", "._b.ann", ".git/c.ann"):
        (tmp_path / name).write_text("T1\tDrug 0 7\tAspirin\n")
    documents = list(read_brat(tmp_path))
    assert [(each.id, len(each.spans)) for each in documents] == [("a", 1), ("b", 1)]
    assert [each.id for each in read_brat(tmp_path / "a.TXT")] == ["a"]


def test_two_files_of_annotations_are_refused_with_a_way_out(tmp_path: Path) -> None:
    for name, content in {"a.txt": "x", "a.ann": "", "a.a1": ""}.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(CorpusFormatError, match=r"found a\.ann and a\.a1; keep one of them$"):
        list(read_brat(tmp_path))
