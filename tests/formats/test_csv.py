from __future__ import annotations

import csv
import logging
import re
from io import StringIO
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.errors import CorpusFormatError, InputError, UnrepresentableError
from openmed_ner.formats.csv import COLUMNS, read_csv, write_csv
from openmed_ner.text import Document, Span
from strategies import CHARACTERS, TRICKY, documents, texts

HEADER = "id,text,start,end,label,mention,score,corpus,fragments\n"


def from_csv(content: str) -> list[Document]:
    return list(read_csv(StringIO(content, newline="\n"), source="corpus.csv"))


def to_csv(corpus: list[Document]) -> str:
    write_csv(corpus, file := StringIO(newline="\n"))
    return file.getvalue()


# --- what is written reads back

tricky = st.lists(st.sampled_from([*TRICKY, ",", ";", "\r", '""', "'", "=1+1"]) | CHARACTERS, max_size=6).map(
    "".join
)
names = tricky.filter(bool)


@st.composite
def spans(draw: st.DrawFn, length: int) -> Span:
    """A span of any shape."""
    positions = st.lists(st.integers(0, length), min_size=2, max_size=6, unique=True).map(sorted)
    edges = draw(positions)
    pairs = tuple(zip(edges[::2], edges[1::2], strict=False))
    score, corpus = draw(st.none() | st.floats(0, 1)), draw(st.none() | names)
    fragments = pairs if len(pairs) > 1 else ()
    return Span(pairs[0][0], pairs[-1][1], draw(names), score, corpus, fragments)


@st.composite
def corpora(draw: st.DrawFn) -> list[Document]:
    """Documents of distinct names."""
    documents = []
    for name in draw(st.lists(names, max_size=4, unique=True)):
        text = draw(texts | tricky)
        documents.append(
            Document(name, text, tuple(draw(st.lists(spans(len(text)), max_size=4)) if text else ()))
        )
    return documents


@given(corpus=corpora())
def test_what_is_written_reads_back_identically(corpus: list[Document]) -> None:
    assert from_csv(to_csv(corpus)) == corpus


@given(corpus=corpora())
def test_pythons_reader_sees_the_same_cells(corpus: list[Document]) -> None:
    rows = list(csv.DictReader(StringIO(to_csv(corpus), newline="")))
    expected = [(document, span) for document in corpus for span in document.spans or (None,)]
    assert len(rows) == len(expected)
    for row, (document, span) in zip(rows, expected, strict=True):
        first = span is None or span is document.spans[0]
        assert (row["id"], row["text"]) == (document.id, document.text if first else "")
        assert tuple(row) == COLUMNS
        if span is None:
            assert not any(row[column] for column in COLUMNS[2:])
        else:
            assert (row["start"], row["end"]) == (str(span.start), str(span.end))
            assert (row["label"], row["mention"]) == (span.label, document.mention(span))
            assert row["score"] == ("" if span.score is None else repr(span.score))
            assert row["corpus"] == (span.corpus or "")


DELIMITERS = st.sampled_from(",\t;")


@given(
    corpus=corpora(),
    columns=st.permutations([*COLUMNS, "comment"]),
    delimiter=DELIMITERS,
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    bom=st.sampled_from(["", "\ufeff"]),
    data=st.data(),
)
def test_a_table_of_others_is_read_in_any_order_and_delimiter(
    corpus: list[Document], columns: list[str], delimiter: str, quoting: Any, bom: str, data: st.DataObject
) -> None:
    writer = csv.DictWriter(
        file := StringIO(newline=""), columns, delimiter=delimiter, quoting=quoting, lineterminator="\r\n"
    )
    writer.writerow(
        {column: data.draw(st.sampled_from([column, column.upper(), f" {column} "])) for column in columns}
    )
    for document in corpus:
        for span in document.spans or (None,):
            row: dict[str, Any] = {"id": document.id, "text": document.text, "comment": data.draw(tricky)}
            if span is not None:
                row |= {"start": span.start, "end": span.end, "label": span.label, "corpus": span.corpus}
                row |= {"score": span.score, "fragments": ";".join(f"{a}-{b}" for a, b in span.fragments)}
            writer.writerow(row)
            if data.draw(st.booleans()):
                file.write(delimiter * data.draw(st.sampled_from([0, len(columns) - 1])) + "\r\n")
    assert from_csv(bom + file.getvalue()) == corpus


@given(bodies=st.lists(tricky.filter(bool), max_size=4))
def test_texts_alone_are_documents_named_after_their_lines(bodies: list[str]) -> None:
    writer = csv.writer(file := StringIO(newline=""), quoting=csv.QUOTE_ALL)
    writer.writerow(["text"])
    expected = []
    for body in bodies:
        expected.append(Document(f"corpus.csv:{file.getvalue().count(chr(10)) + 1}", body))
        writer.writerow([body])
    assert from_csv(file.getvalue()) == expected


def test_the_written_table() -> None:
    text = 'Acute "viral"\nhepatitis, fatal'
    spans = (Span(6, 23, "Disease", 0.1, "ncbi"), Span(0, 23, "Disease", fragments=((0, 5), (14, 23))))
    assert to_csv([Document("1", text, spans), Document("2", "None")]) == (
        '"id","text","start","end","label","mention","score","corpus","fragments"\n'
        '"1","Acute ""viral""\nhepatitis, fatal",6,23,"Disease","""viral""\nhepatitis",0.1,"ncbi",""\n'
        '"1","",0,23,"Disease","Acute hepatitis","","","0-5;14-23"\n'
        '"2","None","","","","","","",""\n'
    )


def test_a_table_for_people_has_short_scores_and_may_lack_the_texts() -> None:
    document = Document("1", "Acute viral hepatitis", (Span(6, 21, "Disease", 0.123456, "ncbi"),))
    write_csv([document, Document("2", "None")], file := StringIO(), exact=False, with_text=False)
    assert file.getvalue() == (
        '"id","start","end","label","mention","score","corpus","fragments"\n'
        '"1",6,21,"Disease","viral hepatitis",0.1235,"ncbi",""\n'
        '"2","","","","","","",""\n'
    )


def test_rows_without_id_and_text_belong_to_the_document_before() -> None:
    content = "id,text,start,end,label\n1,ab,0,1,x\n,,1,2,y\n,cd,0,2,z\n,,0,1,x\n"
    assert from_csv(content) == [
        Document("1", "ab", (Span(0, 1, "x"), Span(1, 2, "y"))),
        Document("corpus.csv:4", "cd", (Span(0, 2, "z"), Span(0, 1, "x"))),
    ]


def test_no_rows_are_no_documents() -> None:
    assert (
        from_csv(HEADER) == from_csv(HEADER.strip()) == from_csv("\ufeff" + HEADER + "\n\r\n,,,,,,,,\n") == []
    )
    assert from_csv(to_csv([])) == []


def test_every_character_survives_a_file(tmp_path: Path) -> None:
    text = "a\0b\r\nc\rd\ne\u2028\u0085\ufeff\u00a0 "
    corpus = [Document("\r", text, (Span(0, 5, "\r\n"),)), Document("\0", "\r"), Document(" ", "")]
    path = tmp_path / "corpus.csv"
    with path.open("w", encoding="utf-8", newline="\n") as file:
        write_csv(corpus, file)
    with path.open(encoding="utf-8", newline="\n") as file:
        assert list(read_csv(file, source="corpus.csv")) == corpus


def test_a_long_text_is_read_and_the_limit_of_others_left_alone() -> None:
    limit = csv.field_size_limit()
    corpus = [Document(str(number), 'ab "c",\n' * 400_000) for number in range(2)]
    stream = read_csv(StringIO(to_csv(corpus), newline="\n"), source="corpus.csv")
    assert next(stream) == corpus[0]
    assert csv.field_size_limit() == limit
    assert [*stream] == corpus[1:]
    with pytest.raises(CorpusFormatError):
        from_csv('text\n"')
    assert csv.field_size_limit() == limit


def test_readers_in_threads_do_not_lower_each_others_limit() -> None:
    corpus = [Document(str(number), "a" * 200_000) for number in range(20)]
    content = to_csv(corpus)
    outcomes: list[bool] = []
    threads = [Thread(target=lambda: outcomes.append(from_csv(content) == corpus)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [True] * 4


def test_columns_passed_over_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert from_csv("text,Notes,year\nab,,2020\n") == [Document("corpus.csv:2", "ab")]
    assert caplog.messages == ["corpus.csv: ignored columns: notes, year"]


# --- what does not fit

REFUSED = {
    "no id": [Document("", "ab")],
    "one id twice": [Document("1", "ab"), Document("1", "ab")],
    "one id again": [Document("1", "ab"), Document("2", "ab"), Document("1", "ab")],
    "an empty corpus": [Document("1", "ab", (Span(0, 1, "x", corpus=""),))],
}


@pytest.mark.parametrize("corpus", REFUSED.values(), ids=REFUSED.keys())
def test_what_rows_cannot_hold_is_refused(corpus: list[Document]) -> None:
    with pytest.raises(UnrepresentableError, match=f"^document {corpus[-1].id!r} does not fit CSV: "):
        to_csv(corpus)


ROW = HEADER + "1,abcd,{}\n"
BROKEN = {
    "an empty file": ("", 1, "expected a header, found nothing: the table is empty"),
    "blank lines": ("\n,,\n \n", 4, "expected a header, found nothing: the table is empty"),
    "blank lines before the header": ("\n,,,\n" + HEADER + "1,2\n", 4, "cells as in the header, found 2"),
    "no text": ("id,body\n1,ab\n", 1, "expected one column 'text', found 0 in the header 'id, body'"),
    "text twice": ("text,Text\na,b\n", 1, "expected one column 'text', found 2"),
    "label twice": ("text,start,end,label,label\na,,,b,c\n", 1, "expected one column 'label', found 2"),
    "a cell too many": (
        "id,text\n1,a,b\n",
        2,
        "cells as in the header, found 3. Quote a cell that holds the delimiter",
    ),
    "a cell too few": (
        "id,text\n1,a\n2\n",
        3,
        "cells as in the header, found 1. Quote a cell that holds a line end",
    ),
    "an open quote": ('id,text\n1,a\n2,"b\n3,c\n', 3, "not CSV: unexpected end of data"),
    "an open quote in the header": ('text,"b\n3,c\n', 1, "not CSV"),
    "text after a quote": ('id,text\n1,"a"b\n', 2, "not CSV: ',' expected after '\"'"),
    "a bare return": ("id,text\n1,a\rb\n", 2, "not CSV: new-line character"),
    "a row without a document": ("id,text,start\n,,1\n", 2, "expected an id or a text"),
    "an id that returns": ("id,text\n1,a\n2,b\n1,\n", 4, "document '1' has rows further up"),
    "a text that returns": ("id,text\n1,a\n2,b\n1,a\n", 4, "document '1' has rows further up"),
    "a text too late": ("id,text\n1,\n1,b\n", 3, "document '1' has another text"),
    "no end": (ROW.format("0,,x,,,,"), 2, "found '0', '' and 'x'"),
    "no label": (ROW.format("0,1,,,,,"), 2, "a span needs whole numbers as start and end, and a label"),
    "a mention alone": (ROW.format(",,,ab,,,"), 2, "found '', '' and ''"),
    "a score alone": (ROW.format(",,,,0.5,,"), 2, "a span needs"),
    "a negative start": (ROW.format("-1,1,x,,,,"), 2, "found '-1'"),
    "a broken start": (ROW.format("0.5,1,x,,,,"), 2, "found '0.5'"),
    "other digits": (ROW.format("٠,١,x,,,,"), 2, "found '٠'"),
    "endless digits": (ROW.format("0," + "9" * 5000 + ",x,,,,"), 2, "found '0', '9999"),
    "an empty span": (ROW.format("1,1,x,,,,"), 2, "a span needs 0 <= start < end"),
    "a span backwards": (ROW.format("2,1,x,,,,"), 2, "a span needs 0 <= start < end"),
    "a span beyond": (ROW.format("2,5,x,,,,"), 2, "span 2..5 ends beyond the text of 4 characters"),
    "another mention": (ROW.format("0,2,x,bc,,,"), 2, "characters 0..2 are 'ab', but the row has 'bc'"),
    "a score in words": (ROW.format("0,2,x,,high,,"), 2, "expected a number like 0.5 as score, found 'high'"),
    "a decimal comma": (ROW.format('0,2,x,,"0,5",,'), 2, "expected a number like 0.5 as score, found '0,5'"),
    "a score above 1": (ROW.format("0,2,x,,1.5,,"), 2, "a score lies between 0 and 1"),
    "a score beyond floats": (ROW.format("0,2,x,,1e999,,"), 2, "a score lies between 0 and 1"),
    "fragments in words": (ROW.format("0,2,x,,,,first"), 2, "expected fragments like 0-3;5-9, found 'first'"),
    "one fragment": (ROW.format("0,2,x,,,,0-2"), 2, "fragments go from 0 to 2"),
    "fragments elsewhere": (ROW.format("0,4,x,,,,0-1;2-3"), 2, "fragments go from 0 to 4"),
    "after a text of two lines": ('id,text,start,end,label\n1,"a\nb",,,\n1,,x,,\n', 4, "a span needs"),
}


@pytest.mark.parametrize(("content", "line", "message"), BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_broken_row_is_named(content: str, line: int, message: str, line_end: str) -> None:
    with pytest.raises(CorpusFormatError, match=f"^corpus.csv, line {line}: .*{re.escape(message)}") as error:
        from_csv(content.replace("\n", line_end))
    assert len(str(error.value)) < 500


# --- one bad row costs one row


def read_tolerantly(content: str) -> tuple[list[Document], list[str]]:
    """The documents, and the errors without the name of the file."""
    errors: list[str] = []
    file = StringIO(content, newline="\n")
    documents = list(read_csv(file, source="t", on_bad=lambda error: errors.append(str(error))))
    return documents, [error.removeprefix("t, ") for error in errors]


@pytest.mark.parametrize(
    ("rows", "texts", "errors"),
    [
        ("1,a\n2,b, c\n3,d\n4,e\n", "ade", ["line 3: expected 2 cells"]),
        ('1,a\n2,"b" c\n3,d\n', "ad", ["line 3: not CSV"]),
        ('1,a\n2,"b\n3,c\n4,d\n', "acd", ["line 3: not CSV: unexpected end of data (up to 3 lines"]),
        ("1,a\n2,b\n1,c\n1,d\n3,e\n", "abcde", []),
        ("1,a\n2,b\n1,\n3,c\n", "abc", ["line 4: document '1' has rows further up"]),
        ("1,a\n2,b, c\n2,\n3,d\n", "ad", ["line 3: expected 2", "line 4: no text"]),
        ("1,\n1,a\n2,b\n", ["", "b"], ["line 3: document '1' has another text"]),
    ],
)
def test_rows_around_a_bad_one_are_read(rows: str, texts: str | list[str], errors: list[str]) -> None:
    documents, found = read_tolerantly("id,text\n" + rows)
    assert [document.text for document in documents] == [*texts]
    assert len(found) == len(errors)
    assert all(one.startswith(other) for one, other in zip(found, errors, strict=True))


def test_a_bad_span_leaves_the_text_and_the_other_spans() -> None:
    documents, errors = read_tolerantly(HEADER + "1,abcd,0,1,x,,,,\n1,,2,9,x,,,,\n1,,1,2,y,,,,\n")
    assert documents == [Document("1", "abcd", (Span(0, 1, "x"), Span(1, 2, "y")))]
    assert errors == ["line 3: span 2..9 ends beyond the text of 4 characters"]


@pytest.mark.parametrize(
    "table", ["text,label\nab,positive\n", "text,start,end\nab,2020-01-01,2020-02-01\n", "text,score\nab,1\n"]
)
def test_columns_that_mean_something_else_are_no_spans(table: str) -> None:
    assert from_csv(table) == [Document("corpus.csv:2", "ab")]


@pytest.mark.parametrize(
    "missing", ["", "NaN", "nan", "<NA>", "None", "null", "NULL", "NA", "N/A", "#N/A", "NaT", " "]
)
def test_a_table_that_went_through_pandas_is_read(missing: str) -> None:
    rows = f"1,abcd,0.0,2.0,x,ab,0.5,ncbi,{missing}\n2,ef" + f",{missing}" * 7 + "\n"
    expected = [Document("1", "abcd", (Span(0, 2, "x", 0.5, "ncbi"),)), Document("2", "ef")]
    assert from_csv(HEADER + rows) == expected


@pytest.mark.parametrize("missing", ["NaN", "None", "NA"])
def test_missing_optional_cells_do_not_cost_a_mention(missing: str) -> None:
    rows = f"1,abcd,0,2,x,ab,{missing},ncbi,{missing}\n"
    assert from_csv(HEADER + rows) == [Document("1", "abcd", (Span(0, 2, "x", None, "ncbi"),))]


def test_a_label_may_be_called_none() -> None:
    corpus = [Document("1", "ab", (Span(0, 2, "None", corpus="null"),))]
    assert from_csv(to_csv(corpus)) == corpus


def test_ids_may_return_with_other_texts() -> None:
    corpus = [Document("1", "ab"), Document("2", "cd", (Span(0, 1, "x"),)), Document("1", "ef")]
    assert from_csv(to_csv(corpus)) == corpus


# --- whatever is in a file

headers = st.permutations(COLUMNS).flatmap(
    lambda columns: st.integers(1, 9).map(lambda n: [*columns[:n], "text"])
)
cells = st.sampled_from(
    [
        "",
        "",
        "1",
        "0",
        "2",
        "abc",
        "a",
        '"a\nb"',
        '"a\rb"',
        "x",
        "0.5",
        "0-1;2-3",
        "nan",
        "٣",
        "\0",
        '"',
        "a\rb",
        " ",
    ]
)
rows = st.lists(st.lists(cells, min_size=1, max_size=10), max_size=5)
likely = st.builds(
    lambda score, edges: f"1,abc,{edges[0]},{edges[1]},x,,{score},,",
    st.sampled_from(["", "0.25", "1", "1e-5", "-0.0"]),
    st.sampled_from([(0, 3), (0, 1), (1, 2), (2, 3), (0, 4), (2, 1)]),
)
fuzzed_csv = (
    st.builds(
        lambda header, body, delimiter, end: end.join(delimiter.join(row) for row in [header, *body]),
        st.permutations(COLUMNS) | headers,
        rows,
        DELIMITERS,
        st.sampled_from(["\n", "\r\n", "\r"]),
    )
    | st.lists(likely, max_size=4).map(lambda lines: HEADER + "\n".join(lines))
    | st.lists(likely | cells.map(lambda cell: f"2,{cell},,,,,,,"), max_size=5).map(
        lambda lines: HEADER + "\n".join(lines)
    )
    | st.lists(
        st.sampled_from([*COLUMNS, ",", "\t", ";", '"', "\n", "\r", "\0", "\ufeff", "a", "1"])
        | st.just("text,"),
        max_size=20,
    ).map("".join)
    | texts
)


@pytest.mark.fuzz
@given(content=fuzzed_csv)
def test_csv_is_read_or_refused_and_what_is_read_can_be_written(content: str) -> None:
    try:
        documents = from_csv(content)
    except CorpusFormatError as error:
        number = re.match(r"corpus\.csv, line (\d+): ", str(error))
        assert number
        assert 1 <= int(number[1]) <= content.count("\n") + 1
    else:
        assert from_csv(to_csv(documents)) == documents


def test_an_id_of_an_empty_text_may_return_after_other_documents() -> None:
    corpus = [Document("2", ""), Document("1", "abc"), Document("2", "abc")]
    assert from_csv(to_csv(corpus)) == corpus
    with pytest.raises(UnrepresentableError, match="'2' does not fit CSV"):
        to_csv([*corpus[::2]])


@given(corpus=st.lists(documents(scored=True), max_size=2))
def test_any_documents_read_back_or_are_refused(corpus: list[Document]) -> None:
    try:
        content = to_csv(corpus)
    except UnrepresentableError:
        assert len({document.id for document in corpus}) < len(corpus)
    else:
        assert from_csv(content) == corpus


COLUMNS_OF_NOTES = {"text": "Note", "id": "Patient", "label": "Kind"}


def test_columns_may_have_other_names() -> None:
    table = "patient;kind;label;start;end;note;text\n1;Disease;x;0;5;Fever;y\n"
    (document,) = read_csv(StringIO(table), source="notes.csv", columns=COLUMNS_OF_NOTES)
    assert document == Document("1", "Fever", (Span(0, 5, "Disease"),))


@pytest.mark.parametrize(
    ("header", "columns", "message"),
    [
        (
            "patient,notes",
            {"text": "note"},
            "expected one column 'note', for text, found 0.*did you mean notes",
        ),
        ("note,note", {"text": "note"}, "found 2"),
        ("note,kind", {"text": "note", "label": "kind"}, "needs the columns 'start' and 'end'"),
        ("patient,note", {"id": "patient"}, "perhaps 'note': --text-column"),
        ("record_id;note;note_date", {}, "perhaps 'note': --text-column"),
        ("id|clinical notes|x", {}, "perhaps 'clinical notes': --text-column"),
        ("1,Aspirin for asthma", {}, "the first line has to name the columns"),
        ("sep=;\nid;note", {}, "line 2: expected one column 'text'.*perhaps 'note'"),
    ],
)
def test_a_column_that_is_named_must_be_there(header: str, columns: dict[str, str], message: str) -> None:
    with pytest.raises(CorpusFormatError, match=message):
        list(read_csv(StringIO(header + "\na,b\n"), source="notes.csv", columns=columns))


@pytest.mark.parametrize(
    "first", ["sep=;\r\n", '"sep=;"\n', "SEP=^\n", "\ufeffsep=|\n", "sep=\t\n", "\ufeff", ""]
)
def test_a_first_line_may_tell_excel_the_delimiter(first: str) -> None:
    delimiter = first.strip('"\ufeff\r\n')[-1:] or "|"
    table = first + 'id;text\n1;"a;b"\n2;c,d\n'.replace(";", delimiter)
    documents = [Document("1", f"a{delimiter}b"), Document("2", "c,d")]
    assert from_csv(table) == documents
    problems: list[InputError] = []
    assert list(read_csv(StringIO(table + "3\n"), source="x", on_bad=problems.append)) == documents
    assert str(problems[0]).startswith(f"x, line {table.count(chr(10)) + 1}: expected 2 cells")


def test_an_empty_table_is_told() -> None:
    with pytest.raises(CorpusFormatError, match="line 1: expected a header, found nothing: the table is em"):
        from_csv("")


@pytest.mark.parametrize("cells", [" 0 , 7 , Drug", "0.0, 7.00,Drug", "0,7,Drug,Aspirin, 0.5 "])
def test_blanks_around_numbers_do_not_count(cells: str) -> None:
    row = f"1,Aspirin,{cells}"
    header = "id,text,start,end,label,mention,score"
    row += "," * (header.count(",") - row.count(","))
    (document,) = read_csv(StringIO(f"{header}\n{row}\n"), source="x")
    assert [(span.start, span.end) for span in document.spans] == [(0, 7)]


@pytest.mark.parametrize("cell", ["\\N", "#NA", "-nan"])
def test_cells_that_programs_write_for_no_value_are_empty(cell: str) -> None:
    (document,) = read_csv(StringIO(f"text,start,end,label\nAspirin,{cell},{cell},{cell}\n"), source="x")
    assert not document.spans
