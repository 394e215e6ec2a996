"""Releases that keep mentions apart from the texts: BC2GM, tab-separated tables and MMAX2."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from io import StringIO
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.formats.bc2gm import LABEL, read_bc2gm
from openmed_ner.formats.mmax import parse_mmax, read_mmax
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
from openmed_ner.text import Document, Span, count_visible
from strategies import TRICKY, documents

line_ends = st.sampled_from(["\n", "\r\n"])
lines = st.lists(
    st.sampled_from([each for each in TRICKY if "\n" not in each]) | st.text("ab |1", max_size=4)
)
line_texts = lines.map("".join)
cell_texts = line_texts.map(lambda text: text.replace("\t", " "))


def named(groups: list[Document]) -> list[Document]:
    """Documents with names of their own."""
    return [Document(f"P{index}A{index}", each.text, each.spans) for index, each in enumerate(groups)]


def without(document: Document, bad: Callable[[str], bool]) -> Document:
    """A document without the spans whose mention the format cannot hold."""
    return document.with_spans(span for span in document.spans if not bad(document.mention(span)))


# --- BioCreative II gene mention


def from_bc2gm(sentences: str, mentions: str) -> list[Document]:
    return list(
        read_bc2gm(
            StringIO(sentences, newline="\n"),
            StringIO(mentions, newline="\n"),
            source="train.in",
            mentions_source="GENE.eval",
        )
    )


def to_bc2gm(corpus: list[Document], line_end: str) -> tuple[str, str]:
    """The two files, offsets counted by another way than the reader's."""
    mentions = []
    for document in corpus:
        for span in document.spans:
            first = count_visible(document.text[: span.start])
            last = first + count_visible(document.mention(span)) - 1
            mentions.append(f"{document.id}|{first} {last}|{document.mention(span)}")
    sentences = [f"{document.id} {document.text}" for document in corpus]
    return tuple("".join(each + line_end for each in group) for group in (sentences, mentions))  # type: ignore[return-value]


def ends_blank(mention: str) -> bool:
    return mention != mention.strip()


def as_genes(document: Document) -> Document:
    text = document.text.rstrip("\r")
    spans = [Span(span.start, span.end, LABEL) for span in document.spans if span.end <= len(text)]
    return without(Document(document.id, text, tuple(spans)), ends_blank)


@given(corpus=st.lists(documents(line_texts).map(as_genes), max_size=4).map(named), line_end=line_ends)
def test_bc2gm_offsets_count_visible_characters(corpus: list[Document], line_end: str) -> None:
    assert from_bc2gm(*to_bc2gm(corpus, line_end)) == corpus


SENTENCES = "P1 The IL-2 gene\nP2 None\n"
BROKEN_BC2GM = {
    "unknown id": (SENTENCES, "P3|3 6|IL-2", "GENE.eval, line 1: .*an identifier of train.in"),
    "shifted": (SENTENCES, "P1|2 5|IL-2", "GENE.eval, line 1: .*2 to 5 are 'e IL-', .*'IL-2'"),
    "other case": (SENTENCES, "P1|3 6|il-2", "GENE.eval, line 1: .*'IL-2', but the line says 'il-2'"),
    "a blank more": (SENTENCES, "P1|3 6|IL-2 ", "GENE.eval, line 1: .*but the line says 'IL-2 '"),
    "no mention": (SENTENCES, "P1|3 6|", "GENE.eval, line 1: .*but the line says ''"),
    "beyond": (SENTENCES, "\nP1|3 11|IL-2 gene", "GENE.eval, line 2: .*are nothing"),
    "far beyond": (SENTENCES, "P1|3 999999999|IL-2", "GENE.eval, line 1: .*are nothing"),
    "endless digits": (SENTENCES, f"P1|3 {'9' * 5000}|IL-2", "GENE.eval, line 1: expected"),
    "reversed": (SENTENCES, "P1|6 3|IL-2", "GENE.eval, line 1: .*are nothing"),
    "negative": (SENTENCES, "P1|-3 6|IL-2", "GENE.eval, line 1: expected"),
    "other digits": (SENTENCES, "P1|٣ 6|IL-2", "GENE.eval, line 1: expected"),
    "too few fields": (SENTENCES, "P1|3 6", "GENE.eval, line 1: expected"),
    "no id": (SENTENCES, "|3 6|IL-2", "GENE.eval, line 1: expected"),
    "repeated id": (f"{SENTENCES}\nP1 Again", "", "train.in, line 4: this identifier is there twice"),
    "no sentence": ("P1", "", "train.in, line 1: expected 'identifier sentence'"),
    "no identifier": (f"{SENTENCES} IL-2", "", "train.in, line 3: expected 'identifier sentence'"),
}


@pytest.mark.parametrize(("sentences", "mentions", "found"), BROKEN_BC2GM.values(), ids=BROKEN_BC2GM.keys())
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_broken_bc2gm_line_is_named(sentences: str, mentions: str, found: str, line_end: str) -> None:
    with pytest.raises(CorpusFormatError, match=f"^{found}"):
        from_bc2gm(sentences.replace("\n", line_end), mentions.replace("\n", line_end) + line_end)


def test_empty_lines_of_bc2gm_mean_nothing() -> None:
    found = from_bc2gm("\n" + SENTENCES.replace("\n", "\n\r\n \n"), "\n\nP1|3 6|IL-2\r\n\r\n")
    assert found == [Document("P1", "The IL-2 gene", (Span(4, 8, LABEL),)), Document("P2", "None")]


bc2gm_pieces = st.sampled_from(
    [
        "P1",
        "P2",
        "|",
        "|",
        " ",
        " ",
        "0",
        "1",
        "3",
        "IL",
        "-2",
        "\n",
        "\r",
        "\nP1|0 1|IL",
        "P1 IL-2\n",
        "²",
        "٣",
        "é",
        "\0",
    ]
)
"""What a file of either kind is made of."""
bc2gm_contents = st.lists(bc2gm_pieces, max_size=16).map("".join) | st.text(max_size=12)
good_sentences = st.lists(st.sampled_from(["P2 b", "P3  IL-2 ", "P4 ", "", "P5 é"]), unique=True)
good_mentions = st.lists(st.sampled_from(["P1|0 3|IL-2", "P1|2 3|-2", "P1|00 1|IL", " "]))
fuzzed_bc2gm = st.tuples(
    good_sentences.map(lambda lines: "\n".join(["P1 IL-2", *lines])) | bc2gm_contents,
    good_mentions.map("\r\n".join) | bc2gm_contents,
)


@pytest.mark.fuzz
@given(contents=fuzzed_bc2gm)
def test_bc2gm_is_read_correctly_or_refused(contents: tuple[str, str]) -> None:
    try:
        found = from_bc2gm(*contents)
    except CorpusFormatError as error:
        assert_names_a_line(error, {"train.in": contents[0], "GENE.eval": contents[1]})
    else:
        sentences, mentions = ([each for each in text.split("\n") if each.strip()] for text in contents)
        assert [f"{each.id} {each.text}" for each in found] == [each.rstrip("\r") for each in sentences]
        again = to_bc2gm(found, "\n")[1].splitlines()
        told = [re.sub(r"\|0*(\d+) 0*(\d+)\|", r"|\1 \2|", each.rstrip("\r")) for each in mentions]
        assert sorted(again) == sorted(told)


def assert_names_a_line(error: CorpusFormatError, contents: dict[str, str]) -> None:
    match = re.match(r"(.+?), line (\d+): ", str(error))
    assert match
    assert 1 <= int(match[2]) <= contents[match[1]].count("\n") + 1


# --- tables


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
        Document(each.id, each.text, tuple(Span(s.start, s.end, label or s.label) for s in each.spans))
        for each in corpus
    ]
    rows = [to_row(layout, each, span, key=each.id) for each in corpus for span in each.spans]
    if layout != "LINNAEUS":  # the others end with a mention, of which a file has no trailing \r
        corpus = [without(each, lambda mention: mention.endswith("\r")) for each in corpus]
        rows = [row for row in rows if not row.endswith("\r")]
    headings = ["#species\tdocument", "", "#"]
    content = "".join(
        each + line_end
        for row in data.draw(st.permutations(rows))
        for each in [*headings[: data.draw(st.integers(0, 3))], row]
    )
    found = from_table(content, {each.id: each.text for each in corpus}, columns)
    assert [each.with_spans(sorted(each.spans, key=str)) for each in found] == [
        each.with_spans(sorted(each.spans, key=str)) for each in corpus
    ]


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
    found = from_table(line_end.join(rows), {"1": abstract}, CHEMDNER)
    assert found == [Document("1", f"{title.text} {body.text}", (*title.spans, *moved))]


@given(
    rows=st.dictionaries(st.text("0123456789", min_size=1), st.tuples(cell_texts, cell_texts), max_size=4),
    line_end=line_ends,
)
def test_abstracts_are_title_blank_and_body(rows: dict[str, tuple[str, str]], line_end: str) -> None:
    rows = {key: (title, body.rstrip("\r")) for key, (title, body) in rows.items()}
    content = "".join(f"{key}\t{title}\t{body}{line_end}{line_end}" for key, (title, body) in rows.items())
    found = read_abstracts(StringIO(content, newline="\n"), source="abstracts.tsv")
    assert {key: each.text for key, each in found.items()} == {
        key: " ".join(row) for key, row in rows.items()
    }


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("1\tTitle", "line 1: .*found 2 fields"),
        ("\n1\tTitle\tBody\tmore", "line 2: .*found 4 fields"),
        ("1\tTitle\tBody\n2\tT\tB\n1\tTitle\tBody", "line 3: .*twice"),
    ],
)
def test_a_broken_abstract_is_named(content: str, found: str) -> None:
    with pytest.raises(CorpusFormatError, match=rf"^abstracts\.tsv, {found}"):
        read_abstracts(content.split("\n"), source="abstracts.tsv")


HEAD = "#id\tdocument\tstart\tend\n"
BROKEN_TABLE = {
    "too few fields": ("x\tP1\t4\t8", "expected at least 5 fields"),
    "unknown text": ("x\tP9\t4\t8\tmice", "there is no text 'P9'"),
    "shifted": ("x\tP1\t3\t7\tmice", "3..7 of 'P1' are ' mic', but the line says 'mice'"),
    "other case": ("x\tP1\t4\t8\tMice", "'mice', but the line says 'Mice'"),
    "end beyond the text": ("x\tP1\t4\t99\tmice", "4..99 of 'P1'"),
    "all beyond the text": ("x\tP1\t98\t99\t", "98..99 of 'P1'"),
    "reversed": ("x\tP1\t8\t4\t", "not 8..4"),
    "empty": ("x\tP1\t4\t4\t", "not 4..4"),
    "negative": ("x\tP1\t-4\t8\tmice", "are no offsets"),
    "other digits": ("x\tP1\t٤\t8\tmice", "are no offsets"),
    "endless digits": (f"x\tP1\t4\t{'9' * 5000}\tmice", "are no offsets"),
}


@pytest.mark.parametrize(("line", "found"), BROKEN_TABLE.values(), ids=BROKEN_TABLE.keys())
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_broken_table_line_is_named(line: str, found: str, line_end: str) -> None:
    content = f"{HEAD}\nx\tP1\t4\t8\tmice\n{line}\n".replace("\n", line_end)
    with pytest.raises(CorpusFormatError, match=rf"^tags\.tsv, line 4: .*{re.escape(found)}"):
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
        found = from_table(content, known, columns)
    except CorpusFormatError as error:
        assert_names_a_line(error, {"tags.tsv": content})
    else:
        told = [each for each in content.split("\n") if each.strip() and not each.startswith("#")]
        assert sum(len(each.spans) for each in found) == len(told)
        assert all(each.mention(span) in content for each in found for span in each.spans)


@pytest.mark.fuzz
@given(content=fuzzed_table)
def test_abstracts_are_read_correctly_or_refused(content: str) -> None:
    try:
        found = read_abstracts(StringIO(content, newline="\n"), source="abstracts.tsv")
    except CorpusFormatError as error:
        assert_names_a_line(error, {"abstracts.tsv": content})
    else:
        assert len(found) == sum(bool(each.strip()) for each in content.split("\n"))


# --- MMAX2


def words_xml(words: list[str], names: list[str] | None = None) -> bytes:
    names = names or [f"word_{number}" for number in range(1, len(words) + 1)]
    body = "\n".join(
        f"<word id={quoteattr(name)}>{escape(word)}</word>" for name, word in zip(names, words, strict=True)
    )
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE words SYSTEM "words.dtd">'
    return f"{head}\n<words>\n{body}\n</words>\n".encode()


def level_xml(spans: list[str], level: str = "gene") -> bytes:
    body = "\n".join(
        f'<markable id="markable_{number}" span={quoteattr(span)} mmax_level="{level}"/>'
        for number, span in enumerate(spans)
    )
    return (
        '<?xml version="1.0"?>\n<!DOCTYPE markables SYSTEM "markables.dtd">\n'
        f'<markables xmlns="www.eml.org/NameSpaces/{level}">\n{body}\n</markables>\n'
    ).encode()


def from_mmax(words: bytes, **levels: bytes) -> Document:
    return parse_mmax(words, levels, id="d", source="d_words.xml")


xml_words = st.text(
    st.characters(
        min_codepoint=33, exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp"), exclude_characters="\ufffe\uffff"
    ),
    min_size=1,
    max_size=6,
)


@given(
    words=st.lists(xml_words, min_size=1, max_size=12),
    picks=st.lists(st.sets(st.integers(0, 11), min_size=1), max_size=5),
    data=st.data(),
)
def test_ranges_of_words_are_spans_and_fragments(
    words: list[str], picks: list[set[int]], data: st.DataObject
) -> None:
    """A second opinion, word by word."""
    document_text, places = "", []
    for word in words:
        document_text += " " * bool(document_text)
        places.append((len(document_text), len(document_text) + len(word)))
        document_text += word
    references, expected = [], []
    for pick in picks:
        chosen = sorted({number % len(words) for number in pick})
        runs = [
            [number for _, number in group]
            for _, group in groupby(enumerate(chosen), key=lambda pair: pair[1] - pair[0])
        ]
        pieces = []
        for run in runs:
            first, last = sorted((data.draw(st.integers(0, len(run))), data.draw(st.integers(0, len(run)))))
            parts = data.draw(st.sampled_from([(run[:last], run[first:]), (run, run[first:last])]))
            pieces += [
                f"word_{part[0] + 1}" + f"..word_{part[-1] + 1}" * (len(part) > 1 or data.draw(st.booleans()))
                for part in parts
                if part
            ]
        references.append(data.draw(st.sampled_from([",", ", "])).join(data.draw(st.permutations(pieces))))
        edges = tuple((places[run[0]][0], places[run[-1]][1]) for run in runs)
        expected.append(Span(edges[0][0], edges[-1][1], "gene", fragments=edges if len(edges) > 1 else ()))
    found = from_mmax(words_xml(words), gene=level_xml(references))
    assert found.text == " ".join(words)
    assert sorted(found.spans, key=str) == sorted(expected, key=str)
    assert [span.start for span in found.spans] == sorted(span.start for span in found.spans)


def project(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def test_sentences_are_no_mentions_unless_asked_for(tmp_path: Path) -> None:
    folder = project(
        tmp_path,
        {
            "mmax/Basedata/1_words.xml": words_xml(["IL-2", "binds", "p53"]),
            "mmax/Markables/1_gene_level.xml": level_xml(["word_1"]),
            "mmax/Markables/1_protein_level.xml": level_xml(["word_3"], "protein"),
            "mmax/Markables/1_sentence_level.xml": level_xml(["word_1..word_3"], "sentence"),
        },
    )
    (found,) = read_mmax(folder)
    assert found == Document("1", "IL-2 binds p53", (Span(0, 4, "gene"), Span(11, 14, "protein")))
    (found,) = read_mmax(folder, levels={"sentence": "Sentence"})
    assert found.spans == (Span(0, 14, "Sentence"),)
    (found,) = read_mmax(folder, levels={"gene": "Gene", "protein": "Gene", "absent": "X"})
    assert found.spans == (Span(0, 4, "Gene"), Span(11, 14, "Gene"))


def test_every_level_belongs_to_the_document_of_its_name(tmp_path: Path) -> None:
    names = ["1", "1_2", "[1]", "1_2_gene"]
    files = {f"a/Basedata/{name}_words.xml": words_xml([f"w{name}"], [f"w{name}"]) for name in names}
    files |= {f"a/Markables/{name}_gene_level.xml": level_xml([f"w{name}"]) for name in names}
    files |= {"b/Basedata/1_words.xml": words_xml(["x"])}
    found = list(read_mmax(project(tmp_path, files)))
    assert [(each.id, each.text, len(each.spans)) for each in found] == [
        *((name, f"w{name}", 1) for name in sorted(names, key="{}_words.xml".format)),
        ("1", "x", 0),
    ]


def test_a_folder_without_words_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found no Basedata/\*_words\.xml"):
        list(read_mmax(tmp_path))


GOOD = words_xml(["IL-2", "binds"])
GENE = level_xml(["word_1"])
BROKEN_MMAX: dict[str, tuple[bytes, bytes, str]] = {
    "empty": (b"", GENE, "d_words.xml, line"),
    "no XML": (b"P1 IL-2", GENE, "d_words.xml, line 1: not XML"),
    "cut": (GOOD[:-5], GENE, "d_words.xml, line .*: not XML"),
    "unknown encoding": (GOOD.replace(b"UTF-8", b"UTF-9"), GENE, "d_words.xml, line 1: not XML"),
    "not UTF-8": (GOOD.replace(b"IL", b"\xe9"), GENE, "d_words.xml, line 4: not XML"),
    "cut level": (GOOD, GENE[:-5], "d_words.xml, gene, line .*: not XML"),
    "word without id": (GOOD.replace(b' id="word_2"', b""), GENE, "d_words.xml: word None is"),
    "empty word": (GOOD.replace(b"binds", b""), GENE, "d_words.xml: word 'word_2' is empty"),
    "blank word": (GOOD.replace(b"binds", b" \n"), GENE, "d_words.xml: word 'word_2' is empty"),
    "duplicate id": (GOOD.replace(b"word_2", b"word_1"), GENE, "d_words.xml: word 'word_1' is .*twice"),
    "unknown word": (GOOD, level_xml(["word_3"]), "d_words.xml, gene: 'word_3' names no words"),
    "unknown end": (GOOD, level_xml(["word_1..word_3"]), "d_words.xml, gene: 'word_1..word_3' names"),
    "no words": (b"<words/>", GENE, "d_words.xml, gene: 'word_1' names no words"),
    "no span": (GOOD, GENE.replace(b' span="word_1"', b""), "d_words.xml, gene: '' names no words"),
    "empty span": (GOOD, level_xml([""]), "d_words.xml, gene: '' names no words"),
    "lonely comma": (GOOD, level_xml(["word_1,"]), "d_words.xml, gene: 'word_1,' names no words"),
    "reversed": (GOOD, level_xml(["word_2..word_1"]), "d_words.xml, gene: .*runs backwards"),
    "one reversed": (GOOD, level_xml(["word_1,word_2..word_1"]), "d_words.xml, gene: .*runs backwards"),
}


@pytest.mark.parametrize(("words", "gene", "found"), BROKEN_MMAX.values(), ids=BROKEN_MMAX.keys())
def test_a_broken_mmax_file_is_named(words: bytes, gene: bytes, found: str) -> None:
    with pytest.raises(CorpusFormatError, match=f"^{found}"):
        from_mmax(words, gene=gene)


def test_comments_are_no_part_of_a_word() -> None:
    content = GOOD.replace(b"IL-2", b"I<!-- never -->L<?never?>-<b>2</b>")
    assert from_mmax(content).text == "IL-2 binds"


def entity(declaration: str, use: str = "&e;") -> bytes:
    return f"<!DOCTYPE words [{declaration}]><words><word id='word_1'>{use}</word></words>".encode()


LAUGHS = '<!ENTITY a "lol">' + "".join(
    f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
ENTITIES = {
    "billion laughs": entity(LAUGHS, "&i;"),
    "quadratic": entity(f'<!ENTITY e "{"x" * 50_000}">', "&e;" * 50_000),
    "local file": entity('<!ENTITY e SYSTEM "file:///etc/passwd">'),
    "network": entity('<!ENTITY e SYSTEM "http://127.0.0.1:9/">'),
    "of its own": entity('<!ENTITY e "IL-2">'),
    "of a DTD that is not read": GOOD.replace(b"IL-2", b"&beta;"),
    "recursive": entity('<!ENTITY e "&f;"><!ENTITY f "&e;">'),
    "laughs in an id": entity(LAUGHS, "x").replace(b"word_1", b"&i;"),
}


@pytest.mark.parametrize("content", ENTITIES.values(), ids=ENTITIES.keys())
def test_entities_are_refused_and_never_expanded(content: bytes) -> None:
    started = time.process_time()
    with pytest.raises(CorpusFormatError, match=r"^d_words\.xml, line \d+: ") as caught:
        from_mmax(content)
    assert time.process_time() - started < 1
    assert len(str(caught.value)) < 300 and "root" not in str(caught.value)


def test_a_parameter_entity_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.dtd"
    secret.write_text("<!ENTITY e 'secret'>")
    content = entity(f'<!ENTITY % p SYSTEM "{secret.as_uri()}"> %p;')
    with pytest.raises(CorpusFormatError, match="line 1"):
        from_mmax(content)
    assert from_mmax(content.replace(b"&e;", b"IL-2")).text == "IL-2"


def test_a_long_document_is_read_in_linear_time() -> None:
    size = 10_000
    spans = [f"word_{number}" for number in range(1, size + 1)] + [f"word_1..word_{size}"] * 1_000
    words, gene = words_xml(["lymphocyte"] * size), level_xml(spans)
    started = time.process_time()
    found = from_mmax(words, gene=gene)
    assert time.process_time() - started < 1
    assert len(found.spans) == size + 1_000


word_elements = st.builds(
    '<{2}word id="{0}">{1}</{2}word>'.format,
    st.sampled_from(["w1", "w2", "w3", "w1", "", "w..1", "w,1"]),
    st.sampled_from(
        ["a", "bc", "", " ", "&amp;", "&e;", "&#0;", "<b>x</b>", "<!--c-->", "<![CDATA[<]]>", "\u0301"]
    ),
    st.sampled_from(["", "", "", "n:"]),
)
ranges = st.lists(
    st.sampled_from(["w1", "w2", "w3", "w1..w3", "w3..w1", "..", "w1..", "..w2", " w2 ", "", "w..1", "w9"]),
    max_size=4,
).map(",".join)
mark_elements = st.builds(
    '<markable id="{0}" {1}="{2}"/>'.format,
    st.sampled_from(["m1", "m2"]),
    st.sampled_from(["span", "span", "span", "x"]),
    ranges,
)
heads = st.sampled_from(
    [
        "",
        "",
        '<?xml version="1.0"?>',
        "<!DOCTYPE r>",
        '<!DOCTYPE r [<!ENTITY e "x">]>',
        '<!DOCTYPE r SYSTEM "x.dtd">',
    ]
)
roots = st.sampled_from(
    [("<r>", "</r>"), ('<r xmlns="x" xmlns:n="y">', "</r>"), ('<r xmlns:n="y">', "</r>"), ("<r>", "")]
)


def xml_of(elements: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    whole = st.builds(
        lambda head, root, body: f"{head}{root[0]}{''.join(body)}{root[1]}".encode(),
        heads,
        roots,
        st.lists(elements, max_size=5),
    )
    cut = st.builds(lambda content, at: content[:at], whole, st.integers(0, 120))
    return whole | whole | cut | st.binary(max_size=12)


good_words = st.just(words_xml(["IL-2", "binds", "to", "β"], ["w1", "w2", "w3", "w4"]))
good_marks = st.lists(st.sampled_from(["w1", "w1..w3", "w3, w1", "w2..w4,w3,w1"])).map(level_xml)
fuzzed_mmax = st.tuples(good_words | xml_of(word_elements), good_marks | xml_of(mark_elements))


@pytest.mark.fuzz
@given(contents=fuzzed_mmax)
def test_mmax_is_read_correctly_or_refused(contents: tuple[bytes, bytes]) -> None:
    words, gene = contents
    try:
        found = from_mmax(words, gene=gene)
    except CorpusFormatError as error:
        assert str(error).startswith("d_words.xml")
    else:
        assert len(found.spans) == gene.count(b"<markable ")
        assert all(span.label == "gene" for span in found.spans)
