from __future__ import annotations

import logging
import re
from io import StringIO, TextIOWrapper
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.errors import AnnotationError, CorpusFormatError, InputError, UnrepresentableError
from openmed_ner.formats.conll import MAX_GAP, detect_file_scheme, read_conll, write_conll
from openmed_ner.text import Document, Span, TagScheme, Token, iter_tokens
from strategies import LABELS, TRICKY, documents, entities, texts, to_spans

every = pytest.mark.parametrize("scheme", TagScheme)
schemes = st.sampled_from(TagScheme)


def from_conll(content: str, **options: Any) -> list[Document]:
    return list(read_conll(StringIO(content, newline="\n"), source="train.tsv", **options))


def to_conll(corpus: list[Document], **options: Any) -> str:
    write_conll(corpus, file := StringIO(newline="\n"), **options)
    return file.getvalue()


def mentions(document: Document) -> list[tuple[str, str]]:
    return [(document.mention(span), span.label) for span in document.spans]


# --- what is written reads back

labels = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=5).filter(
    lambda label: not re.search("[\t\r\n]", label) and label == label.strip(" ")
)
ids = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=5).filter(
    lambda name: not re.search("[\t\r\n]", name) and name != "-"
)
visible = st.sampled_from([*TRICKY, "-DOCSTART-", "#", "aspirin", "IL-2"]) | st.text(max_size=6)
words = visible.map(lambda text: "".join(text.encode("utf-8", "ignore").decode().split())).filter(bool)


@st.composite
def representable(draw: st.DrawFn) -> tuple[Document, TagScheme]:
    """A document of lines of words, whose entities are whole words within a line."""
    lines = draw(st.lists(st.lists(words, min_size=1, max_size=5), max_size=4))
    text = " " * draw(st.integers(0, 2))
    tokens: list[Token] = []
    spans: list[Span] = []
    scheme = draw(schemes)
    names = st.sampled_from(LABELS) | labels
    for number, line in enumerate(lines):
        text += "\n" * (draw(st.integers(1, 3)) if number else 0)
        begin = len(text)
        for index, word in enumerate(line):
            text += " " * (draw(st.integers(0, 2)) if index else 0) + word
        tokens = [token for token in iter_tokens(text) if token.start >= begin]
        spans += [
            Span(span.start, span.end, draw(names)) for span in to_spans(draw(entities(len(tokens))), tokens)
        ]
    tokens = list(iter_tokens(text))
    starts = {token.start: index for index, token in enumerate(tokens)}
    ends = {token.end: index + 1 for index, token in enumerate(tokens)}
    if any(span.start not in starts or span.end not in ends for span in spans):  # a mark joined two lines
        spans = []
    if scheme is TagScheme.IO and any(
        ends[before.end] == starts[after.start] and before.label == after.label
        for before, after in pairwise(spans)
    ):
        scheme = TagScheme.IOB2
    return Document(draw(ids), text if tokens else "", tuple(spans)), scheme


@given(pairs=st.lists(representable(), max_size=3), line_end=st.sampled_from(["\n", "\r\n"]))
def test_what_is_written_reads_back_identically(
    pairs: list[tuple[Document, TagScheme]], line_end: str
) -> None:
    for document, scheme in pairs:
        content = to_conll([document], scheme=scheme)
        assert from_conll(content, scheme=scheme) == [document]
        assert from_conll(content) == [document]
        assert to_conll([document], scheme=scheme, exact=False) == content
    corpus = [document for document, _ in pairs]
    assert from_conll("\ufeff" + to_conll(corpus).replace("\n", line_end)) == corpus


@given(document=documents(), scheme=schemes)
def test_any_document_reads_back_identically_or_is_refused(document: Document, scheme: TagScheme) -> None:
    try:
        content = to_conll([document], scheme=scheme)
    except UnrepresentableError as error:
        assert str(error).startswith(f"document {document.id!r} does not fit CoNLL: ")
    else:
        expected = document.with_spans(sorted(document.spans, key=lambda span: span.key))
        assert from_conll(content, scheme=scheme) == [expected]


@given(document=documents(scored=True), scheme=schemes)
def test_inexact_writing_changes_nothing_but_white_space_scores_and_corpora(
    document: Document, scheme: TagScheme
) -> None:
    try:
        content = to_conll([document], scheme=scheme, exact=False)
    except UnrepresentableError:
        return
    (result,) = from_conll(content, scheme=scheme)
    assert [span.key for span in result.spans] == sorted(span.key for span in document.spans)
    assert len(result.text) == len(document.text.rstrip())
    for before, after in zip(document.text, result.text, strict=False):
        assert before == after or (before.isspace() and after in " \n")


def test_the_written_layout_is_token_start_end_and_tag() -> None:
    text = "Acute hepatitis B.\nNone died"
    assert to_conll([Document("PMC1", text, (Span(6, 17, "Disease"),))]).split("\n") == [
        "-DOCSTART-\tPMC1\t-\tO",
        "",
        "Acute\t0\t5\tO",
        "hepatitis\t6\t15\tB-Disease",
        "B\t16\t17\tI-Disease",
        ".\t17\t18\tO",
        "",
        "None\t19\t23\tO",
        "died\t24\t28\tO",
        "",
        "",
    ]


@pytest.mark.parametrize(
    "text", ["", "a\n\nb", "  a", "a\n\n\nb c", "#", "-DOCSTART- O", "\ufeffa", "a" * 50_000]
)
def test_a_text_with_its_own_line_breaks_reads_back(text: str) -> None:
    corpus = [Document("1", text), Document("2", "b"), Document("3", ""), Document("4", text)]
    assert from_conll(to_conll(corpus)) == corpus


def test_an_entity_over_a_line_break_keeps_its_lines_together_when_inexact() -> None:
    text = "breast\ncancer\nrare"
    (document,) = from_conll(to_conll([Document("1", text, (Span(0, 13, "Disease"),))], exact=False))
    assert document.text == "breast cancer\nrare"
    assert mentions(document) == [("breast cancer", "Disease")]


REFUSED = {
    "a tab": (Document("1", "a\tb"), "white space '\\t' before 2 would read back as ' '", True),
    "CRLF": (Document("1", "a\r\nb"), "would read back as '\\n\\n'", True),
    "a blank at a line's end": (Document("1", "a \nb"), "would read back as", True),
    "a no-break space": (Document("1", "a\u00a0b"), "would read back as ' '", True),
    "a blank at the end": (Document("1", "a "), "white space ' ' at the end would be lost", True),
    "a break at the start": (Document("1", "\na"), "before 1 would read back as ' '", True),
    "blanks alone": (Document("1", "  "), "at the end would be lost", True),
    "a line break inside": (Document("1", "a\nb", (Span(0, 3, "x"),)), "'\\n' before 2 would read", True),
    "a score": (Document("1", "a", (Span(0, 1, "x", 0.5),)), "0..1 (x) has a score, a corpus", True),
    "a corpus": (Document("1", "a", (Span(0, 1, "x", None, "c"),)), "has a score, a corpus", True),
    "an attribute": (
        Document("1", "a", (Span(0, 1, "x", attributes=(("negated", True),)),)),
        "has a score, a corpus or attributes",
        True,
    ),
    "a gap too wide": (Document("1", "a" + " " * 10_001 + "b"), "more than 10000", False),
    "half a word": (Document("1", "cancers", (Span(0, 6, "x"),)), "begin and end with a word", False),
    "a blank at its end": (Document("1", "a b", (Span(0, 2, "x"),)), "begin and end with a word", False),
    "two fragments": (
        Document("1", "a b c", (Span(0, 5, "x", fragments=((0, 1), (4, 5))),)),
        "is discontinuous",
        False,
    ),
    "nested": (Document("1", "a b", (Span(0, 3, "x"), Span(2, 3, "y"))), "and 2..3 (y) overlap", False),
    "repeated": (Document("1", "a b", (Span(0, 3, "x"), Span(0, 3, "x"))), "overlap", False),
    "a tab in a label": (Document("1", "a", (Span(0, 1, "x\ty"),)), "has a label with a tab", False),
    "a return in a label": (Document("1", "a", (Span(0, 1, "x\r"),)), "a line end", False),
    "a blank around a label": (Document("1", "a", (Span(0, 1, "x "),)), "an outer blank", False),
    "a line end in the id": (Document("1\n2", "a"), "its id is empty, '-'", False),
    "a tab in the id": (Document("\t", "a"), "its id", False),
    "no id": (Document("", "a"), "its id", False),
    "an id that means none": (Document("-", "a"), "its id", False),
}  # fmt: skip


@pytest.mark.parametrize(("document", "reason", "only_exact"), REFUSED.values(), ids=REFUSED.keys())
def test_what_one_tag_per_word_cannot_hold_is_refused(
    document: Document, reason: str, only_exact: bool
) -> None:
    file = StringIO()
    with pytest.raises(UnrepresentableError, match=re.escape(reason)) as caught:
        write_conll([Document("0", "b"), document], file)
    assert str(caught.value).startswith(f"document {document.id!r} does not fit CoNLL: ")
    assert file.getvalue() == to_conll([Document("0", "b")])
    if only_exact:
        to_conll([document], exact=False)
    else:
        with pytest.raises(UnrepresentableError, match=re.escape(reason)):
            to_conll([document], exact=False)


def test_overlapping_corpora_are_told_from_overlapping_spans() -> None:
    spans = (Span(0, 3, "x", 0.5, "bc5cdr"), Span(0, 1, "x", 0.5, "ncbi"))
    with pytest.raises(UnrepresentableError, match=r"overlap.*choose one corpus"):
        to_conll([Document("1", "a b", spans)], exact=False)


def test_io_refuses_neighbours_of_one_label_but_not_over_a_line_break() -> None:
    spans = (Span(0, 1, "x"), Span(2, 3, "x"))
    with pytest.raises(UnrepresentableError, match="'x' touch"):
        to_conll([Document("1", "a b", spans)], scheme=TagScheme.IO)
    over_lines = Document("1", "a\nb", spans)
    assert from_conll(to_conll([over_lines], scheme=TagScheme.IO)) == [over_lines]
    assert "B-" not in to_conll([over_lines], scheme=TagScheme.IOB1)


# --- files of others

columns = st.sampled_from(["NN", "-X-", "0", "12", "3", "_", "B-NP"])
foreign_words = words.filter(lambda word: word != "-DOCSTART-").map(lambda word: word.replace("\ufeff", "x"))


@st.composite
def foreign_files(draw: st.DrawFn) -> tuple[str, TagScheme, list[list[tuple[list[str], list[Any]]]]]:
    """A CoNLL file with any number of columns, and the sentences and entities of its spans."""
    scheme, separator = (
        draw(st.sampled_from([TagScheme.IOB2, TagScheme.IOBES, TagScheme.IOB1])),
        draw(st.sampled_from(["\t", " "])),
    )
    sentence = st.lists(foreign_words, min_size=1, max_size=5).flatmap(
        lambda tokens: st.tuples(st.just(tokens), entities(len(tokens)))
    )
    has_heads, n_columns = draw(st.booleans()), draw(st.integers(0, 3))
    corpus = draw(
        st.lists(
            st.lists(sentence, min_size=0 if has_heads else 1, max_size=3 if has_heads else 1), max_size=4
        )
    )
    content = ""
    for document in corpus:
        content += (
            draw(st.sampled_from(["-DOCSTART- -X- O O\n\n", "-DOCSTART-\n", "-DOCSTART- (1 EU)\n"]))
            if has_heads
            else ""
        )
        for tokens, spans in document:
            for token, tag in zip(tokens, scheme.encode(len(tokens), spans), strict=True):
                content += separator.join([token, *(draw(columns) for _ in range(n_columns)), tag]) + "\n"
            content += "\n" * draw(st.integers(1, 2))
    return content, scheme, corpus


@given(case=foreign_files(), line_end=st.sampled_from(["\n", "\r\n"]), bom=st.sampled_from(["", "\ufeff"]))
def test_a_foreign_file_is_joined_by_blanks_and_line_breaks(case: Any, line_end: str, bom: str) -> None:
    content, scheme, corpus = case
    for text in (content, content.rstrip("\n")):
        documents = from_conll(bom + text.replace("\n", line_end), scheme=scheme)
        assert [document.text for document in documents] == [
            "\n".join(" ".join(tokens) for tokens, _ in document) for document in corpus
        ]
        assert [mentions(document) for document in documents] == [
            [
                (" ".join(tokens[first:last]), label)
                for tokens, spans in document
                for first, last, label in spans
            ]
            for document in corpus
        ]
        lines = text.split("\n")
        for document in documents:
            number = int(document.id.removeprefix("train.tsv:"))
            assert lines[number - 1].startswith((document.text.split(" ")[0].split("\n")[0], "-DOCSTART-"))


@given(case=foreign_files())
def test_the_scheme_need_not_be_named(case: Any) -> None:
    content, scheme, _ = case
    assert from_conll(content) == from_conll(content, scheme=scheme)


@given(
    pieces=st.lists(st.tuples(foreign_words, st.sampled_from(["+", "-"])), min_size=1, max_size=8),
    place=st.sampled_from([2, -1]),
)
def test_a_column_of_marks_rebuilds_the_text(pieces: list[tuple[str, str]], place: int) -> None:
    content = "".join(f"{word}\tO\t{mark}\n" for word, mark in pieces)
    (document,) = from_conll(content, tag_column=1, space_column=place)
    expected = "".join(word + (" " if mark == "+" else "") for word, mark in pieces)
    assert document.text == (expected.removesuffix(" ") if pieces[-1][1] == "+" else expected)


def test_a_flair_file_rebuilds_its_text() -> None:
    content = "-DOCSTART- O -\nIL B-Gene -\n- I-Gene -\n2 I-Gene +\nbinds O -\n. O -\n\nYes O +\n"
    (document,) = from_conll(content, tag_column=1, space_column=2)
    assert document == Document("train.tsv:1", "IL-2 binds.\nYes", (Span(0, 4, "Gene"),))


def test_bare_tags_take_the_label_they_are_given() -> None:
    (document,) = from_conll("a B\nb I\nc O\nd B-x\n", label="Disease")
    assert mentions(document) == [("a b", "Disease"), ("d", "x")]
    assert mentions(from_conll("a S\n")[0]) == [("a", "Entity")]


@pytest.mark.parametrize("content", ["", "\n\n", "\r\n \n\t\n", "\ufeff", "\ufeff\n", "\u00a0\n"])
def test_a_file_of_blank_lines_has_no_documents(content: str) -> None:
    assert from_conll(content) == []


def test_documents_without_tokens_are_documents() -> None:
    documents = from_conll("-DOCSTART- -X- O\n-DOCSTART-\n\n\na O\n\n-DOCSTART-")
    assert [(document.id, document.text) for document in documents] == [
        ("train.tsv:1", ""),
        ("train.tsv:2", "a"),
        ("train.tsv:7", ""),
    ]


def test_number_signs_blanks_and_odd_tokens_are_tokens() -> None:
    (document,) = from_conll("# O\nin vitro\tB-x\n\u2028\tO\n \tO\n#\tcomment\tI-y \n", repair="conlleval")
    assert document.text == "# in vitro \u2028   #"
    assert mentions(document) == [("in vitro", "x"), ("#", "y")]


def test_offsets_count_only_under_a_head_that_names_a_document() -> None:
    row = "a\t7\t8\tO\n"
    assert [document.text for document in from_conll(row)] == ["a"]
    assert [document.text for document in from_conll("-DOCSTART- -X- - O\n" + row)] == ["a"]
    assert from_conll("-DOCSTART-\t-\t-\tO\n" + row) == [Document("train.tsv:1", " " * 7 + "a")]
    assert from_conll("-DOCSTART-\tx\t-\tO\na\tNN\t-\tO\n") == [Document("x", "a")]


def test_line_ends_of_a_file_are_untouched(tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_bytes("\ufeffa O\r\nb B-x".encode())
    with path.open(encoding="utf-8", newline="\n") as file:
        assert [document.text for document in read_conll(file, source="a")] == ["a b"]


def test_a_stream_that_cannot_be_rewound_is_buffered(tmp_path: Path) -> None:
    class Pipe(TextIOWrapper):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise OSError("not seekable")

    path = tmp_path / "a.conll"
    path.write_text("a I-x\nb B-x\n", encoding="utf-8")
    with path.open("rb") as raw, Pipe(raw, encoding="utf-8", newline="\n") as file:
        (document,) = read_conll(file, source="a")
    assert mentions(document) == [("a", "x"), ("b", "x")]


def test_a_named_scheme_is_read_as_a_stream() -> None:
    stream = read_conll(StringIO("a O\n\nb O\n\nc\n"), source="a", scheme=TagScheme.IOB2)
    assert [next(stream).text, next(stream).text] == ["a", "b"]
    with pytest.raises(CorpusFormatError, match=r"^a, line 5: "):
        next(stream)


def test_the_scheme_told_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    file = StringIO("a I-x\nb B-x\n")
    with caplog.at_level(logging.INFO):
        assert detect_file_scheme(file, source="a.tsv") is TagScheme.IOB1
    assert caplog.messages == ["a.tsv: tags are read as IOB1"]
    assert file.tell() == 0


# --- files that break the rules

HEAD = "-DOCSTART-\tx\t-\tO\n\na\t0\t1\tO\n"
OFFSETS = "starts at 1 or at most 10000 characters later"
BROKEN: dict[str, tuple[str, int, str, dict[str, Any]]] = {
    "a token alone": ("a O\nb\n", 2, "expected a token, and a tag in column -1, found 'b'", {}),
    "a token alone before a tab": ("a O\nb\t\n", 2, "'' is not a tag", {}),
    "no token": ("a O\n\tO\n", 2, "expected a token", {}),
    "no such column": ("a O\n", 1, "a tag in column 2, found 'a O'", {"tag_column": 2}),
    "no such column from the end": ("a O\n", 1, "a tag in column -3", {"tag_column": -3}),
    "the token as tag": ("a O\n", 1, "a tag in column 0", {"tag_column": 0}),
    "a lower-case tag": ("a o\n", 1, "'o' is not a tag: expected 'O', or one of B, I, E, S", {}),
    "no label": ("a B-\n", 1, "'B-' is not a tag", {}),
    "BILOU": ("a B-x\nb L-x\n", 2, "For BILOU and BMEWO, write L as E, U and W as S, M as I", {}),
    "another separator": ("a,O\n", 1, "found 'a,O'", {}),
    "an endless tag": ("a " + "x" * 50_000 + "\n", 1, "xxx", {}),
    "an endless line": ("a" * 50_000 + "\n", 1, "expected a token", {}),
    "a tag of another scheme": ("a O\nb E-x\n", 2, "'E-x' is not a tag of IOB2", {"scheme": TagScheme.IOB2}),
    "the same, leniently": (
        "a O\n\nb S-x\n", 3, "'S-x' is not a tag of IO", {"scheme": TagScheme.IO, "repair": "conlleval"},
    ),
    "no mark": ("a O +\nb O\n", 2, "expected '+' or '-' in column 2", {"tag_column": 1, "space_column": 2}),
    "another mark": ("a O yes\n", 1, "expected '+' or '-' in column 2", {"tag_column": 1, "space_column": 2}),
    "a late head": ("a O\n\n-DOCSTART- O\n", 3, "a -DOCSTART- line after tokens without one", {}),
    "a late head without a blank line": ("a O\n-DOCSTART- O\nb O\n", 2, "a -DOCSTART- line after", {}),
    "no offsets": (HEAD + "b\tO\n", 4, OFFSETS, {}),
    "offsets of another length": (HEAD + "b\t2\t4\tO\n", 4, OFFSETS, {}),
    "offsets that go back": (HEAD + "b\t0\t1\tO\n", 4, OFFSETS, {}),
    "negative offsets": (HEAD + "b\t-1\t0\tO\n", 4, OFFSETS, {}),
    "offsets far away": (HEAD + "b\t999999999999\t1000000000000\tO\n", 4, OFFSETS, {}),
    "endless offsets": (HEAD + "b\t" + "9" * 5000 + "\t" + "9" * 5000 + "\tO\n", 4, OFFSETS, {}),
    "offsets in other digits": (HEAD + "b\t٢\t٣\tO\n", 4, OFFSETS, {}),
    "a fifth column": (HEAD + "b\t2\t3\tNN\tO\n", 4, OFFSETS, {}),
    "the first offsets": (HEAD.replace("0\t1", "x\t1") + "b\t2\t3\tO\n", 3, "starts at 0 or at most", {}),
    "after a sentence": (HEAD + "\nb\t0\t1\tO\n", 5, OFFSETS, {}),
}  # fmt: skip


@pytest.mark.parametrize(("content", "line", "message", "options"), BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_broken_line_is_named(
    content: str, line: int, message: str, options: dict[str, Any], line_end: str
) -> None:
    with pytest.raises(CorpusFormatError, match=f"^train.tsv, line {line}: .*{re.escape(message)}") as error:
        from_conll(content.replace("\n", line_end), **options)
    assert len(str(error.value)) < 500


OPEN = 'Read with repair="conlleval" (--from conll-lenient) to let it open an entity'
CLOSE = 'Read with repair="conlleval" (--from conll-lenient) to let the entity end there'


@pytest.mark.parametrize(
    ("tags", "scheme", "line", "message", "lenient"),
    [
        ("B-x O I-x", "IOB2", 3, f"'I-x' follows 'O', which strict IOB2 forbids. {OPEN} (1 such", "a c"),
        (
            "B-x  I-x O I-x",
            "IOB2",
            3,
            f"'I-x' begins a sentence, which strict IOB2 forbids. {OPEN} (2 such",
            "a b d",
        ),
        ("B-x I-y I-y I-x", "IOB2", 2, "'I-y' follows 'B-x', which strict IOB2 forbids.", "a|b c|d"),
        ("B-x O", "IOBES", 2, f"'O' follows 'B-x', which strict IOBES forbids. {CLOSE} (1 such", "a"),
        ("S-x B-x", "IOBES", 2, f"'B-x' ends a sentence, which strict IOBES forbids. {CLOSE}", "a|b"),
        ("I-x O B-x", "IOB1", 3, f"'B-x' follows 'O', which strict IOB1 forbids. {OPEN}", "a c"),
    ],
)
def test_strict_reading_names_the_first_break_and_counts_them_all(
    tags: str, scheme: str, line: int, message: str, lenient: str, caplog: pytest.LogCaptureFixture
) -> None:
    words = iter("abcdefgh")
    content = "".join(f"{next(words)} {tag}\n" if tag else "\n" for tag in tags.split(" "))
    with pytest.raises(CorpusFormatError, match=f"^train.tsv, line {line}: {re.escape(message)}"):
        from_conll(content, scheme=TagScheme(scheme))
    documents = from_conll(content, scheme=TagScheme(scheme), repair="conlleval")
    got = [document.mention(span) for document in documents for span in document.spans]
    assert got == (lenient.split("|") if "|" in lenient else lenient.split(" "))
    assert f"break {scheme} and were read as conlleval does" in caplog.text


def test_a_detected_scheme_is_strict_as_well() -> None:
    content = "a B-Disease\nb I-Disease\n\n" * 3 + "c O\nd I-Disease\n"
    with pytest.raises(
        CorpusFormatError,
        match=r"^train\.tsv, line 11: 'I-Disease' follows 'O', which strict IOB2 forbids\. "
        r'Read with repair="conlleval" \(--from conll-lenient\) to let it open an entity '
        r"\(1 such lines in this file\)",
    ):
        from_conll(content)


# --- whatever is in a file

hostile_pieces = st.sampled_from(
    [
        "-DOCSTART-", "-DOCSTART-\tx\t-\tO\n", "-DOCSTART-\t-\t-\tO\n", "-DOCSTART- -X- O O\n", "#", "+", "-",
        "a\t0\t1\tO\n", "bc\t2\t4\tB-x\n", "d\t5\t6\tI-x\n", "e\t7\t8\tS-x\n", "f\t900\t901\tO\n",
        "a B-x\n", "b I-x\n", "c O\n", "d E-y\n", "e\tB\n", "f\tI \n", "B-", "I-x", "B-x y\n", "S", "g", "0",
        "1", " +\n", " -\n",
        "\n", "\n\n", "\r\n", "\r", "\t", " ", "\ufeff", "\0", "\u2028", "\u0085", "\u00a0", "\x1c", "٣",
        "\u0301", "9" * 30,
    ]
)  # fmt: skip
fuzzed_conll = st.lists(hostile_pieces, max_size=20).map("".join) | texts
fuzzed_options = st.fixed_dictionaries(
    {},
    optional={
        "scheme": schemes,
        "repair": st.just("conlleval"),
        "label": st.sampled_from(["x", "a\tb", ""]),
        "tag_column": st.integers(-3, 4),
        "space_column": st.integers(-3, 4),
    },
)


@pytest.mark.fuzz
@given(content=fuzzed_conll, options=fuzzed_options)
def test_conll_is_read_or_refused_and_what_is_read_is_written_or_refused(
    content: str, options: dict[str, Any]
) -> None:
    try:
        documents = from_conll(content, **options)
    except CorpusFormatError as error:
        number = re.match(r"train\.tsv, line (\d+): ", str(error))
        assert number and 1 <= int(number[1]) <= content.count("\n") + 1
        return
    for document in documents:
        try:
            rewritten = to_conll([document])
        except UnrepresentableError as error:
            assert repr(document.id) in str(error)
        else:
            assert from_conll(rewritten, scheme=TagScheme.IOB2) == [document]


def test_wide_gaps_are_bounded() -> None:
    document = Document("1", "a" + " " * MAX_GAP + "b")
    assert from_conll(to_conll([document])) == [document]


def test_a_tag_that_breaks_the_scheme_leaves_the_text_of_its_sentence() -> None:
    content = "Aspirin\tB-Chemical\nhelps\tO\n\nNo\tO\nasthma\tI-Disease\n\nWarfarin\tB-Chemical\n"
    errors: list[InputError] = []
    documents = list(read_conll(StringIO(content), source="x", scheme=TagScheme.IOB2, on_bad=errors.append))
    assert [document.text for document in documents] == ["Aspirin helps", "No asthma", "Warfarin"]
    assert [type(error) for error in errors] == [AnnotationError]
    assert str(errors[0]).startswith("x, line 5: 'I-Disease' follows 'O'")
    with pytest.raises(AnnotationError, match=r"line 5: .*1 such lines in this file"):
        list(read_conll(StringIO(content), source="x", scheme=TagScheme.IOB2))
