from __future__ import annotations

import re
from dataclasses import replace
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.errors import AnnotationError, CorpusFormatError, InputError, UnrepresentableError
from openmed_ner.formats.pubtator import read_pubtator, write_pubtator
from openmed_ner.text import Document, Span
from strategies import CHARACTERS, TRICKY, bare, damaged, documents, standoff, texts


def read_whole(content: str) -> list[Document]:
    return list(read_pubtator(StringIO(content, newline="\n"), source="corpus.pubtator"))


def read(content: str) -> list[Document]:
    return [bare(document) for document in read_whole(content)]


def write(corpus: list[Document], *, exact: bool = True) -> str:
    write_pubtator(corpus, file := StringIO(newline="\n"), exact=exact)
    return file.getvalue()


lines = st.text("ab .?!\x85\u2028\x0b\ufeff|", max_size=20) | texts.map(
    lambda text: re.sub("[\r\n]", "", text)
)
identifiers = st.text(CHARACTERS, min_size=1, max_size=8).filter(
    lambda text: not re.search("^\ufeff|[|\t\r\n]", text)
)


@st.composite
def representable(draw: st.DrawFn) -> Document:
    document = draw(documents(lines))
    spans = [span for span in document.spans if "\t" not in document.mention(span)]
    label = st.text(CHARACTERS, min_size=1, max_size=4).filter(lambda text: not re.search("[\t\r\n]", text))
    return Document(
        draw(identifiers), document.text, tuple(replace(span, label=draw(label)) for span in spans)
    )


_PIECES = [
    "1", "2", "|t|", "|a|", "\t", "0", "3", "abc", "Disease", "\n", "\n\n", "1|t|abc\n", "1|a|x\n",
    "1\t0\t3\tabc\tDisease\n",
    "1\tCID\tD1\tD2\n", "1\tBind\t673\t5\tNovel\n", "\tD1|D2", "²", "٣", "9" * 30, "-1", "\ufeff", *TRICKY,
]  # fmt: skip
_FILES = st.lists(representable(), max_size=3).map(write) | st.just(
    "\ufeff1|t|abc\r\n1|a|d\r\n1\t4\t5\td\tX\r\n"
)
fuzzed_pubtator = damaged(_FILES, _PIECES) | st.lists(st.sampled_from(_PIECES), max_size=20).map("".join)
"""Contents of hostile files."""


@given(corpus=st.lists(representable(), max_size=3), mark=st.sampled_from(["", "\ufeff"]))
def test_what_is_written_as_pubtator_reads_back(corpus: list[Document], mark: str) -> None:
    assert read(mark + write(corpus)) == corpus


@given(document=standoff() | representable())
def test_every_document_reads_back_or_is_refused(document: Document) -> None:
    try:
        content = write([document])
    except UnrepresentableError as error:
        assert str(error).startswith(f"document {document.id!r}: PubTator cannot hold ")
    else:
        assert read(content) == [document]


@given(document=standoff(), identifier=identifiers)
def test_inexact_writing_keeps_every_offset(document: Document, identifier: str) -> None:
    spans = tuple(Span(span.start, span.end, span.label) for span in document.spans)
    scored = tuple(replace(span, fragments=()) for span in document.spans)
    (result,) = read(write([Document(identifier, document.text, scored)], exact=False))
    assert (result.id, result.spans) == (identifier, spans)
    assert len(result.text) == len(document.text)
    assert len(f"x{result.text}x".splitlines()) == 1
    pairs = [pair for pair in zip(document.text, result.text, strict=True) if pair[0] != pair[1]]
    assert all(before == "\t" or len(f"x{before}x".splitlines()) == 2 for before, _ in pairs)
    assert all(after == " " for _, after in pairs)


@pytest.mark.fuzz
@given(content=fuzzed_pubtator)
def test_pubtator_is_refused_by_line_or_survives_writing(content: str) -> None:
    try:
        documents = read_whole(content)
    except CorpusFormatError as error:
        number = re.match(r"corpus\.pubtator, line (\d+): ", str(error))
        assert number
        assert 1 <= int(number[1]) <= content.count("\n") + 1
        return
    for document in documents:
        try:
            rewritten = write([document])
        except UnrepresentableError:
            assert re.search("[\r\ufeff]", content)  # kept inside a line by the reader
        else:
            assert read(rewritten) == [bare(document)]
            assert "\r" in content or read_whole(rewritten) == [document]


@pytest.mark.parametrize(
    ("text", "passages"),
    [
        ("Acute hepatitis. After 2.5 mg. Yes.", ["1|t|Acute hepatitis.", "1|a|After 2.5 mg. Yes."]),
        ("Is it acute? Yes", ["1|t|Is it acute?", "1|a|Yes"]),
        ("No! ", ["1|t|No!", "1|a|"]),
        ("Acute hepatitis", ["1|t|Acute hepatitis"]),
        ("2.5 mg.", ["1|t|2.5 mg."]),
        ("", ["1|t|"]),
        (". . ", ["1|t|.", "1|a|. "]),
    ],
)
def test_the_first_sentence_is_the_title(text: str, passages: list[str]) -> None:
    content = write([Document("1", text)])
    assert content.split("\n") == [*passages, "", ""]
    assert read(content) == [Document("1", text)]


def test_a_mention_stands_between_tabs() -> None:
    document = Document("7", "Acute hepatitis. Yes.", (Span(6, 15, "Disease"),))
    assert write([document]) == "7|t|Acute hepatitis.\n7|a|Yes.\n7\t6\t15\thepatitis\tDisease\n\n"


UNFIT = {
    "no id": (Document("", "x"), "this id"),
    "a bar in the id": (Document("a|b", "x"), "this id"),
    "a tab in the id": (Document("a\tb", "x"), "this id"),
    "a line break in the id": (Document("a\nb", "x"), "this id"),
    "a byte order mark at the id": (Document("\ufeff1", "x"), "this id"),
    "a gap": (Document("1", "abc", (Span(0, 3, "X", fragments=((0, 1), (2, 3))),)), "which is discontinuous"),
    "a tab in a label": (Document("1", "abc", (Span(0, 3, "X\tY"),)), "label"),
    "a line break in a label": (Document("1", "abc", (Span(0, 3, "X\r"),)), "label"),
}  # fmt: skip
INEXACT = {
    "a line feed": (Document("1", "a\nb"), "a text with line breaks"),
    "a carriage return at the end": (Document("1", "a\r"), "a text with line breaks"),
    "a tab in a mention": (Document("1", "a\tb", (Span(0, 3, "X"),)), "0..3 ('X'), whose mention has a tab"),
    "a score": (Document("1", "a", (Span(0, 1, "X", 0.5),)), "a score, a corpus"),
    "a corpus": (Document("1", "a", (Span(0, 1, "X", None, "c"),)), "a score, a corpus"),
    "an attribute": (
        Document("1", "a", (Span(0, 1, "X", attributes=(("negated", True),)),)),
        "a score, a corpus or attributes",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("document", "reason"), UNFIT.values(), ids=UNFIT.keys())
@pytest.mark.parametrize("exact", [True, False])
def test_what_pubtator_cannot_hold_is_refused(document: Document, reason: str, exact: bool) -> None:
    with pytest.raises(
        UnrepresentableError, match=f"^document {re.escape(repr(document.id))}: .*{re.escape(reason)}"
    ):
        write([document], exact=exact)


@pytest.mark.parametrize(("document", "reason"), INEXACT.values(), ids=INEXACT.keys())
def test_what_would_not_read_back_is_written_only_on_request(document: Document, reason: str) -> None:
    with pytest.raises(UnrepresentableError, match=re.escape(reason)):
        write([document])
    (result,) = read(write([document], exact=False))
    assert result.text == re.sub(r"\s", " ", document.text)


def test_a_mention_with_a_tab_is_refused_by_line() -> None:
    with pytest.raises(
        CorpusFormatError, match=r"line 2: characters 0\.\.3 are 'a\\tb', but the line has 'a'"
    ):
        read("1|t|a\tb\n1\t0\t3\ta\tb\tX\n")


def test_documents_are_written_one_by_one() -> None:
    file = StringIO(newline="\n")
    with pytest.raises(UnrepresentableError):
        write_pubtator([Document("1", "x"), Document("", "y")], file)
    assert file.getvalue() == "1|t|x\n\n"


# --- Structure

BIORED = """101|t|E. coli and BRAF in sepsis
101|a|Background. Two women.
101\t0\t7\tE. coli\tOrganismTaxon\t562
101\t12\t16\tBRAF\tGeneOrGeneProduct\t673
101\t20\t26\tsepsis\tDisease\tD018805|D1\tsepsis|x\tRS#:7
101\tAssociation\t673\tD018805\tNovel
101\tCID\tD1\tD2

"""


def test_title_identifiers_and_relations_are_written_as_they_were() -> None:
    (document,) = read_whole(BIORED)
    assert [document.mention(span) for span in document.spans] == ["E. coli", "BRAF", "sepsis"]
    assert write([document]) == BIORED
    only_added = document.with_spans([*document.spans, Span(43, 48, "Species")])
    added = "101\t43\t48\twomen\tSpecies\n"
    assert write([only_added]) == BIORED.replace("101\tAssoc", f"{added}101\tAssoc")


def test_a_tagged_document_keeps_its_title_and_loses_the_identifiers_of_other_mentions() -> None:
    (document,) = read_whole(BIORED)
    tagged = document.with_spans([Span(12, 16, "Gene"), Span(20, 26, "Disease")])
    lines = write([tagged]).splitlines()
    assert lines[0] == "101|t|E. coli and BRAF in sepsis"
    assert lines[2:4] == [
        "101\t12\t16\tBRAF\tGene",
        "101\t20\t26\tsepsis\tDisease\tD018805|D1\tsepsis|x\tRS#:7",
    ]


def test_a_structure_of_another_text_is_left_aside() -> None:
    (document,) = read_whole(BIORED)
    other = Document("1", "One. Two.", (), document.meta)
    assert write([other]) == "1|t|One.\n1|a|Two.\n\n"


def test_a_bad_mention_leaves_the_text() -> None:
    problems: list[Exception] = []
    file = StringIO("1|t|abc\n1\t0\t3\tABC\tX\n1\t1\t2\tb\tX\n")
    (document,) = read_pubtator(file, source="x", on_bad=problems.append)
    assert document.spans == (Span(1, 2, "X"),)
    assert [type(problem) for problem in problems] == [AnnotationError]
    assert "x, line 2: characters 0..3 are 'abc'" in str(problems[0])


def test_documents_need_no_blank_line_between_them() -> None:
    content = "1|t|abc\n1\t0\t3\tabc\tX\n2|t|d\n2|a|e\n"
    assert read(content) == [Document("1", "abc", (Span(0, 3, "X"),)), Document("2", "d e")]


def test_a_mention_with_a_damaged_offset_is_no_relation() -> None:
    with pytest.raises(CorpusFormatError, match="line 2: expected id, start, end, mention and label"):
        read("1|t|abc\n1\t-1\t3\tabc\tX\n")


def test_the_identifier_of_a_linked_mention_is_the_sixth_column() -> None:
    span = Span(0, 6, "Disease", 0.5).with_attributes({"identifier": "MESH:D001249", "linked_by": "exact"})
    out = StringIO()
    write_pubtator([Document("1", "Asthma.", (span,))], out, exact=False)
    assert out.getvalue() == "1|t|Asthma.\n1\t0\t6\tAsthma\tDisease\tMESH:D001249\n\n"
    (document,) = read_pubtator(StringIO(out.getvalue()), source="x")
    out = StringIO()
    other = Span(0, 6, "Disease").with_attributes({"identifier": "X:1"})
    write_pubtator([document.with_spans([other])], out, exact=False)
    assert "Disease\tX:1\n" in out.getvalue()


@pytest.mark.parametrize("line", ["1\tCID", "1\tCID\tD1", "1\tCID\t", "1\t", "CID\tD1\tD2"])
def test_a_bad_relation_costs_nothing_else(line: str) -> None:
    content = f"1|t|Gout hurts.\n{line}\n1\t0\t4\tGout\tDisease\n"
    errors: list[InputError] = []
    (document,) = read_pubtator(StringIO(content), source="a", on_bad=errors.append)
    assert document.spans == (Span(0, 4, "Disease"),)
    assert [type(error) for error in errors] == [AnnotationError]


def test_an_abstract_of_another_document_is_not_joined_to_a_title() -> None:
    errors: list[InputError] = []
    content = "1|t|Gout hurts.\n2|a|We studied asthma.\n\n3|t|Ulcer.\n"
    documents = list(read_pubtator(StringIO(content), source="a", on_bad=errors.append))
    assert [document.id for document in documents] == ["3"]
    assert "expected document '1', found '2|a|We studied asthma.'" in str(errors[0])
