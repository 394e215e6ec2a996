"""BC2GM, whose mentions stand apart from the sentences."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.errors import CorpusFormatError
from openmed_ner.formats.bc2gm import LABEL, read_bc2gm
from openmed_ner.text import Document, Span, count_visible
from strategies import documents, line_ends, line_texts, named, without


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
    return tuple("".join(item + line_end for item in group) for group in (sentences, mentions))  # type: ignore[return-value]


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
    "other case": (SENTENCES, "P1|3 6|il-2", "GENE.eval, line 1: .*'IL-2', but the line has 'il-2'"),
    "a blank more": (SENTENCES, "P1|3 6|IL-2 ", "GENE.eval, line 1: .*but the line has 'IL-2 '"),
    "no mention": (SENTENCES, "P1|3 6|", "GENE.eval, line 1: .*but the line has ''"),
    "beyond": (SENTENCES, "\nP1|3 11|IL-2 gene", "GENE.eval, line 2: .*are nothing"),
    "far beyond": (SENTENCES, "P1|3 999999999|IL-2", "GENE.eval, line 1: .*are nothing"),
    "endless digits": (SENTENCES, f"P1|3 {'9' * 5000}|IL-2", "GENE.eval, line 1: expected"),
    "reversed": (SENTENCES, "P1|6 3|IL-2", "GENE.eval, line 1: .*are nothing"),
    "negative": (SENTENCES, "P1|-3 6|IL-2", "GENE.eval, line 1: expected"),
    "other digits": (SENTENCES, "P1|٣ 6|IL-2", "GENE.eval, line 1: expected"),
    "too few fields": (SENTENCES, "P1|3 6", "GENE.eval, line 1: expected"),
    "no id": (SENTENCES, "|3 6|IL-2", "GENE.eval, line 1: expected"),
    "repeated id": (f"{SENTENCES}\nP1 Again", "", "train.in, line 4: duplicate identifier"),
    "no sentence": ("P1", "", "train.in, line 1: expected 'identifier sentence'"),
    "no identifier": (f"{SENTENCES} IL-2", "", "train.in, line 3: expected 'identifier sentence'"),
}


@pytest.mark.parametrize(("sentences", "mentions", "message"), BROKEN_BC2GM.values(), ids=BROKEN_BC2GM.keys())
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_broken_bc2gm_line_is_named(sentences: str, mentions: str, message: str, line_end: str) -> None:
    with pytest.raises(CorpusFormatError, match=f"^{message}"):
        from_bc2gm(sentences.replace("\n", line_end), mentions.replace("\n", line_end) + line_end)


def test_empty_lines_of_bc2gm_mean_nothing() -> None:
    documents = from_bc2gm("\n" + SENTENCES.replace("\n", "\n\r\n \n"), "\n\nP1|3 6|IL-2\r\n\r\n")
    assert documents == [Document("P1", "The IL-2 gene", (Span(4, 8, LABEL),)), Document("P2", "None")]


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
        documents = from_bc2gm(*contents)
    except CorpusFormatError as error:
        assert_names_a_line(error, {"train.in": contents[0], "GENE.eval": contents[1]})
    else:
        sentences, mentions = ([line for line in text.split("\n") if line.strip()] for text in contents)
        assert [f"{document.id} {document.text}" for document in documents] == [
            line.rstrip("\r") for line in sentences
        ]
        rewritten = to_bc2gm(documents, "\n")[1].splitlines()
        expected = [re.sub(r"\|0*(\d+) 0*(\d+)\|", r"|\1 \2|", line.rstrip("\r")) for line in mentions]
        assert sorted(rewritten) == sorted(expected)


def assert_names_a_line(error: CorpusFormatError, contents: dict[str, str]) -> None:
    match = re.match(r"(.+?), line (\d+): ", str(error))
    assert match
    assert 1 <= int(match[2]) <= contents[match[1]].count("\n") + 1
