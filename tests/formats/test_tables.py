"""Tab-separated tables of mentions, apart from the texts."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.errors import CorpusFormatError
from openmed_ner.formats.structure import Structure
from openmed_ner.formats.tables import (
    CHEMDNER,
    CHEMPROT,
    LINNAEUS,
    S800,
    Abstract,
    Columns,
    read_abstracts,
    read_table,
)
from openmed_ner.text import Document, Span
from strategies import cell_texts, documents, line_ends, named, without


def assert_names_a_line(error: CorpusFormatError, contents: dict[str, str]) -> None:
    match = re.match(r"(.+?), line (\d+): ", str(error))
    assert match
    assert 1 <= int(match[2]) <= contents[match[1]].count("\n") + 1


def from_table(
    content: str, texts: dict[str, str | Abstract], columns: Columns, source: str = "tags.tsv"
) -> list[Document]:
    lines = StringIO(content, newline="\n")
    return list(read_table(lines, texts, columns=columns, source=source))


LAYOUTS: dict[str, tuple[Columns, str]] = {
    "LINNAEUS": (LINNAEUS, "species:ncbi:9606\t{key}\t{start}\t{end}\t{mention}\t?"),
    "S800": (S800, "9606\t{key}\t{start}\t{last}\t{mention}"),
    "CHEMPROT": (CHEMPROT, "{key}\tT1\t{label}\t{start}\t{end}\t{mention}"),
    "CHEMDNER": (CHEMDNER, "{key}\t{section}\t{start}\t{end}\t{mention}\t{label}"),
}
"""What each release's own description says a line is."""


def to_row(layout: str, document: Document, span: Span, *, key: str, section: str = "") -> str:
    return LAYOUTS[layout][1].format(
        key=key,
        section=section,
        start=span.start,
        end=span.end,
        last=span.end - 1,
        mention=document.mention(span),
        label=span.label,
    )


@pytest.mark.parametrize("layout", ["LINNAEUS", "S800", "CHEMPROT"])
@given(corpus=st.lists(documents(cell_texts), max_size=3).map(named), line_end=line_ends, data=st.data())
def test_offsets_of_a_table_run_over_the_text(
    layout: str, corpus: list[Document], line_end: str, data: st.DataObject
) -> None:
    columns, _ = LAYOUTS[layout]
    label = "species" if isinstance(columns.label, str) else ""
    corpus = [
        Document(
            document.id, document.text, tuple(Span(s.start, s.end, label or s.label) for s in document.spans)
        )
        for document in corpus
    ]
    rows = [to_row(layout, document, span, key=document.id) for document in corpus for span in document.spans]
    if layout != "LINNAEUS":  # the others end with a mention, of which a file has no trailing \r
        corpus = [without(document, lambda mention: mention.endswith("\r")) for document in corpus]
        rows = [row for row in rows if not row.endswith("\r")]
    headings = ["#species\tdocument", "", "#"]
    content = "".join(
        document + line_end
        for row in data.draw(st.permutations(rows))
        for document in [*headings[: data.draw(st.integers(0, 3))], row]
    )
    result = from_table(content, {document.id: document.text for document in corpus}, columns)
    assert [(document.id, document.text, sorted(document.spans, key=str)) for document in result] == [
        (document.id, document.text, sorted(document.spans, key=str)) for document in corpus
    ]
    identifier = {"LINNAEUS": "species:ncbi:9606", "S800": "9606"}.get(layout)
    for document in result:
        annotations = Structure.of(document).match(document.spans)
        values = [annotation.infons["identifier"] if annotation else None for annotation in annotations]
        assert values == [identifier] * len(document.spans)


@given(title=documents(cell_texts), body=documents(cell_texts), line_end=line_ends)
def test_chemdner_offsets_run_from_title_or_abstract(title: Document, body: Document, line_end: str) -> None:
    rows = [
        to_row("CHEMDNER", part, span, key="1", section=section)
        for section, part in (("T", title), ("A", body))
        for span in part.spans
    ]
    shift = len(title.text) + 1
    moved = [Span(span.start + shift, span.end + shift, span.label) for span in body.spans]
    abstract = Abstract(title.text, body.text)
    result = from_table(line_end.join(rows), {"1": abstract}, CHEMDNER)
    assert result == [Document("1", f"{title.text} {body.text}", (*title.spans, *moved))]


@given(
    rows=st.dictionaries(st.text("0123456789", min_size=1), st.tuples(cell_texts, cell_texts), max_size=4),
    line_end=line_ends,
)
def test_abstracts_are_title_blank_and_body(rows: dict[str, tuple[str, str]], line_end: str) -> None:
    rows = {key: (title, body.rstrip("\r")) for key, (title, body) in rows.items()}
    content = "".join(f"{key}\t{title}\t{body}{line_end}{line_end}" for key, (title, body) in rows.items())
    abstracts = read_abstracts(StringIO(content, newline="\n"), source="abstracts.tsv")
    assert {key: abstract.text for key, abstract in abstracts.items()} == {
        key: " ".join(row) for key, row in rows.items()
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1\tTitle", "line 1: .*found 2 fields"),
        ("\n1\tTitle\tBody\tmore", "line 2: .*found 4 fields"),
        ("1\tTitle\tBody\n2\tT\tB\n1\tTitle\tBody", "line 3: .*duplicate"),
    ],
)
def test_a_broken_abstract_is_named(content: str, message: str) -> None:
    with pytest.raises(CorpusFormatError, match=rf"^abstracts\.tsv, {message}"):
        read_abstracts(content.split("\n"), source="abstracts.tsv")


HEAD = "#id\tdocument\tstart\tend\n"
BROKEN_TABLE = {
    "too few fields": ("x\tP1\t4\t8", "expected at least 5 fields"),
    "unknown text": ("x\tP9\t4\t8\tmice", "text 'P9' not found"),
    "shifted": ("x\tP1\t3\t7\tmice", "3..7 of 'P1' are ' mic', but the line has 'mice'"),
    "other case": ("x\tP1\t4\t8\tMice", "'mice', but the line has 'Mice'"),
    "end beyond the text": ("x\tP1\t4\t99\tmice", "4..99 of 'P1'"),
    "all beyond the text": ("x\tP1\t98\t99\t", "98..99 of 'P1'"),
    "reversed": ("x\tP1\t8\t4\t", "not 8..4"),
    "empty": ("x\tP1\t4\t4\t", "not 4..4"),
    "negative": ("x\tP1\t-4\t8\tmice", "are not offsets"),
    "other digits": ("x\tP1\t٤\t8\tmice", "are not offsets"),
    "endless digits": (f"x\tP1\t4\t{'9' * 5000}\tmice", "are not offsets"),
}


@pytest.mark.parametrize(("line", "message"), BROKEN_TABLE.values(), ids=BROKEN_TABLE.keys())
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_broken_table_line_is_named(line: str, message: str, line_end: str) -> None:
    content = f"{HEAD}\nx\tP1\t4\t8\tmice\n{line}\n".replace("\n", line_end)
    with pytest.raises(CorpusFormatError, match=rf"^tags\.tsv, line 4: .*{re.escape(message)}"):
        from_table(content, {"P1": "The mice"}, LINNAEUS)


def test_a_wrong_section_or_an_empty_label_is_named() -> None:
    texts: dict[str, str | Abstract] = {"1": Abstract("Aspirin", "cures.")}
    with pytest.raises(CorpusFormatError, match=r"^tags\.tsv, line 1: expected T .* or A .*, found 'X'"):
        from_table("1\tX\t0\t7\tAspirin\tTRIVIAL", texts, CHEMDNER)
    with pytest.raises(CorpusFormatError, match=r"^tags\.tsv, line 1: a span needs a label"):
        from_table("1\tT\t0\t7\tAspirin\t", texts, CHEMDNER)


known: dict[str, str | Abstract] = {"P1": "ab cd", "P2": "", "1": Abstract("ab", "ab cd")}
table_pieces = st.sampled_from(
    [
        "P1",
        "1",
        "x",
        "T",
        "A",
        "0",
        "2",
        "3",
        "5",
        "6",
        "9",
        "-1",
        "ab",
        "cd",
        "b c",
        "",
        "²",
        "٣",
        "#",
        "\r",
        " ",
    ]
)
table_rows = st.lists(table_pieces, max_size=7).map("\t".join) | st.tuples(
    st.sampled_from(["P1", "1", "P2", "x"]),
    st.sampled_from("TA0"),
    table_pieces,
    table_pieces,
    table_pieces,
    table_pieces,
).map("\t".join)
good_rows = {
    LINNAEUS: ["x\tP1\t0\t2\tab", "y\tP1\t00\t5\tab cd\t?", "#", ""],
    S800: ["x\tP1\t0\t1\tab", "y\tP1\t3\t4\tcd", "#", ""],
    CHEMPROT: ["P1\tT1\tC\t3\t5\tcd", "1\tT1\tD\t6\t8\tcd", "#", ""],
    CHEMDNER: ["1\tA\t3\t5\tcd\tC", "1\tT\t0\t2\tab\tD", "#", ""],
}
fuzzed_table = (
    st.sampled_from(list(good_rows.values()))
    .flatmap(lambda rows: st.lists(st.sampled_from(rows)))
    .map("\n".join)
    | st.lists(table_rows, max_size=4).map("\n".join)
    | st.text(max_size=12)
)
"""Correct for one of the layouts, for none, or nothing like a table."""


@pytest.mark.fuzz
@given(content=fuzzed_table)
@pytest.mark.parametrize("columns", [LINNAEUS, S800, CHEMPROT, CHEMDNER])
def test_a_table_is_read_correctly_or_refused(content: str, columns: Columns) -> None:
    try:
        documents = from_table(content, known, columns)
    except CorpusFormatError as error:
        assert_names_a_line(error, {"tags.tsv": content})
    else:
        rows = [line for line in content.split("\n") if line.strip() and not line.startswith("#")]
        assert sum(len(document.spans) for document in documents) == len(rows)
        assert all(document.mention(span) in content for document in documents for span in document.spans)


@pytest.mark.fuzz
@given(content=fuzzed_table)
def test_abstracts_are_read_correctly_or_refused(content: str) -> None:
    try:
        abstracts = read_abstracts(StringIO(content, newline="\n"), source="abstracts.tsv")
    except CorpusFormatError as error:
        assert_names_a_line(error, {"abstracts.tsv": content})
    else:
        assert len(abstracts) == sum(bool(line.strip()) for line in content.split("\n"))
