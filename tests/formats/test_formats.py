from __future__ import annotations

import json
import logging
import re
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from openmed_ner.errors import AnnotationError, CorpusFormatError, InputError, UnrepresentableError
from openmed_ner.formats import READERS, detect_format, read_documents, read_valid_documents
from openmed_ner.formats.html import write_html
from openmed_ner.formats.jsonl import read_jsonl, write_jsonl
from openmed_ner.formats.pubtator import read_pubtator
from openmed_ner.text import Document, Span
from strategies import CHARACTERS, bare, documents, texts

names = st.text(CHARACTERS, min_size=1, max_size=6)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
metas = st.dictionaries(names.filter(lambda key: key not in {"id", "text", "spans"}), json_values, max_size=3)


def from_jsonl(content: str) -> list[Document]:
    return list(read_jsonl(StringIO(content, newline="\n"), source="corpus.jsonl"))


def to_jsonl(corpus: list[Document]) -> str:
    write_jsonl(corpus, file := StringIO(newline="\n"))
    return file.getvalue()


def from_pubtator(content: str) -> list[Document]:
    return list(read_pubtator(StringIO(content, newline="\n"), source="corpus.pubtator"))


def rounded(document: Document) -> Document:
    return document.with_spans(
        Span(*span.key, None if span.score is None else round(span.score, 4), span.corpus)
        for span in document.spans
    )


# --- JSON lines


@given(
    corpus=st.lists(
        st.builds(lambda d, meta: Document(d.id, d.text, d.spans, meta), documents(scored=True), metas)
    )
)
def test_what_is_written_as_jsonl_reads_back_with_scores_of_four_digits(corpus: list[Document]) -> None:
    content = to_jsonl(corpus)
    assert content.count("\n") == len(corpus)
    assert from_jsonl(content) == [rounded(document) for document in corpus]


def test_jsonl_names_the_mention_for_readers_without_a_program() -> None:
    text = "α-synuclein\r\nin Parkinson's disease"
    span = Span(16, 35, "Disease", 0.98765, "bc5cdr")
    record = json.loads(to_jsonl([Document("1", text, (span,))]))
    assert record["spans"] == [
        {
            "start": 16,
            "end": 35,
            "text": "Parkinson's disease",
            "label": "Disease",
            "score": 0.9877,
            "corpus": "bc5cdr",
        }
    ]


@pytest.mark.parametrize("key", ["id", "text", "spans"])
def test_meta_cannot_take_the_place_of_the_document(key: str) -> None:
    with pytest.raises(UnrepresentableError, match=f"document '1': meta has the key '{key}'"):
        to_jsonl([Document("1", "ab", (), {key: "x"})])


def test_discontinuous_mentions_survive_jsonl_and_are_marked_in_pieces() -> None:
    text = "breast and ovarian cancer"
    span = Span(0, 25, "Disease", fragments=((0, 6), (19, 25)))
    document = Document("1", text, (span,))
    assert document.mention(span) == "breast cancer"
    assert from_jsonl(to_jsonl([document])) == [document]
    assert [marked for _, marked in Page([document]).marks] == ["breast", "cancer"]


@given(corpus=st.lists(st.tuples(st.integers(0, 3), documents()), max_size=4))
def test_blank_lines_are_passed_over_and_nameless_documents_named_after_their_line(
    corpus: list[tuple[int, Document]],
) -> None:
    lines: list[str] = []
    expected = []
    for n_blank, document in corpus:
        lines += [" \r"] * n_blank + [json.dumps({"text": document.text}, ensure_ascii=False)]
        expected.append((f"corpus.jsonl:{len(lines)}", document.text))
    assert [(document.id, document.text) for document in from_jsonl("\n".join(lines))] == expected


GOOD = '{"text": "ab"}'
SPAN = '{"text": "ab", "spans": [%s]}'
HOSTILE = {
    "not JSON": "{",
    "not an object": '["text"]',
    "a number": "12",
    "two values": f"{GOOD} {GOOD}",
    "a byte order mark": f"\ufeff{GOOD}",
    "no text": '{"id": "1"}',
    "text is null": '{"text": null}',
    "text is a number": '{"text": 1}',
    "deep nesting": '{"text": "ab", "x": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "unclosed nesting": "[" * 100_000,
    "a number too long": '{"text": "ab", "x": ' + "9" * 10_000 + "}",
    "NaN": '{"text": "ab", "x": NaN}',
    "infinity": '{"text": "ab", "x": [-Infinity]}',
    "a number beyond floats": '{"text": "ab", "x": 1e999}',
    "half a surrogate in the text": '{"text": "a\\ud800"}',
    "half a surrogate in the id": '{"text": "ab", "id": "\\udfff"}',
    "half a surrogate in a key": '{"text": "ab", "\\ud83d": 1}',
    "half a surrogate in a label": SPAN % '{"start": 0, "end": 1, "label": "\\ud800"}',
    "id is a list": '{"text": "ab", "id": ["1"]}',
    "id is a bool": '{"text": "ab", "id": true}',
    "spans is an object": '{"text": "ab", "spans": {}}',
    "spans is a number": '{"text": "ab", "spans": 0}',
    "spans is a string": '{"text": "ab", "spans": ""}',
    "a span is a list": SPAN % '[0, 1, "Disease"]',
    "no end": SPAN % '{"start": 0, "label": "Disease"}',
    "no label": SPAN % '{"start": 0, "end": 1}',
    "an empty label": SPAN % '{"start": 0, "end": 1, "label": ""}',
    "offsets are bools": SPAN % '{"start": false, "end": true, "label": "Disease"}',
    "offsets are floats": SPAN % '{"start": 0.0, "end": 1.0, "label": "Disease"}',
    "offsets are strings": SPAN % '{"start": "0", "end": "1", "label": "Disease"}',
    "a negative offset": SPAN % '{"start": -2, "end": 1, "label": "Disease"}',
    "an end before its start": SPAN % '{"start": 1, "end": 0, "label": "Disease"}',
    "an empty span": SPAN % '{"start": 1, "end": 1, "label": "Disease"}',
    "an end beyond the text": SPAN % '{"start": 0, "end": 3, "label": "Disease"}',
    "a huge offset": SPAN % '{"start": 0, "end": 1' + "0" * 400 + ', "label": "Disease"}]}',
    "another mention": SPAN % '{"start": 0, "end": 1, "label": "Disease", "text": "b"}',
    "score is NaN": SPAN % '{"start": 0, "end": 1, "label": "Disease", "score": NaN}',
    "score is a bool": SPAN % '{"start": 0, "end": 1, "label": "Disease", "score": true}',
    "score above 1": SPAN % '{"start": 0, "end": 1, "label": "Disease", "score": 1.5}',
    "corpus is a number": SPAN % '{"start": 0, "end": 1, "label": "Disease", "corpus": 1}',
}


@pytest.mark.parametrize("line", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_line_is_named(line: str) -> None:
    stream = read_jsonl(StringIO(f"{GOOD}\n\n{line}\n{GOOD}\n"), source="corpus.jsonl")
    assert next(stream).text == "ab"
    with pytest.raises(CorpusFormatError, match=r"^corpus\.jsonl, line 3: "):
        next(stream)


TEXT = "Aspirin caused gastric ulcer."
SHAPES = {
    "doccano": {"label": [[0, 7, "Chemical"], [15, 28, "Disease"]]},
    "doccano, labels": {"labels": [[0, 7, "Chemical"], [15, 28, "Disease"]]},
    "doccano, entities": {
        "entities": [
            {"id": 10, "label": "Chemical", "start_offset": 0, "end_offset": 7},
            {"id": 11, "label": "Disease", "start_offset": 15, "end_offset": 28},
        ]
    },
    "spaCy": {"entities": [[0, 7, "Chemical"], [15, 28, "Disease"]]},
    "pipelines": {
        "entities": [
            {"entity_group": "Chemical", "start": 0, "end": 7, "word": "aspirin"},
            {"entity_group": "Disease", "start": 15, "end": 28, "word": "heart failure"},
        ]
    },
    "offsets and lengths": {
        "mentions": [
            {"offset": 0, "length": 7, "category": "Chemical"},
            {"offset": 15, "length": 13, "category": "Disease"},
        ]
    },
    "a key of tags": {"tags": [{"start": 0, "end": 7, "tag": "Chemical"}, [15, 28, "Disease"]]},
    "names in other cases": {
        "annotations": [
            {"BeginOffset": 0, "EndOffset": 7, "Type": "Chemical", "Text": "Aspirin"},
            {"startOffset": 15, "endOffset": 28, "entityType": "Disease"},
        ]
    },
    "ents": {"ents": [{"start_char": 0, "end_char": 7, "label": "Chemical"}, [15, 28, "Disease"]]},
    "PubAnnotation": {
        "denotations": [
            {"id": "T1", "span": {"begin": 0, "end": 7}, "obj": "Chemical"},
            {"id": "T2", "span": {"begin": 15, "end": 28}, "obj": "Disease"},
        ]
    },
    "a list of labels": {
        "label": [
            {"start": 0, "end": 7, "text": "Aspirin", "labels": ["Chemical"]},
            {"start": 15, "end": 28, "labels": ["Disease"]},
        ]
    },
}


def read_tolerantly(*lines: dict[str, Any]) -> tuple[list[Document], list[InputError]]:
    errors: list[InputError] = []
    content = "".join(json.dumps(line) + "\n" for line in lines)
    return list(read_jsonl(StringIO(content), source="x", on_bad=errors.append)), errors


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "1", "note": "Aspirin."}', """"text", found the keys 'id', 'note'"""),
        ('{"text": 3}', 'expected a string under "text"'),
        ('{"text": "Aspirin."},', "expected one JSON object per line: Extra data at character 21"),
    ],
)
def test_a_bad_line_is_explained(line: str, message: str) -> None:
    with pytest.raises(CorpusFormatError) as caught:
        from_jsonl(line)
    assert str(caught.value).endswith(message)


@pytest.mark.parametrize("content", ["", "\ufeff", "\ufeff\n\n"])
def test_lines_that_are_blank_are_passed_over(content: str) -> None:
    assert from_jsonl(content) == []


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_annotations_of_other_tools_are_read(shape: dict[str, Any]) -> None:
    (document,) = from_jsonl(json.dumps({"text": TEXT, **shape, "note": "x"}))
    spans = (Span(0, 7, "Chemical"), Span(15, 28, "Disease"))
    assert document == Document("corpus.jsonl:1", TEXT, spans, {"note": "x"})


def test_discontinuous_mentions_of_pubannotation_are_read() -> None:
    pieces = [{"begin": 0, "end": 7}, {"begin": 15, "end": 22}]
    (document,) = from_jsonl(json.dumps({"text": TEXT, "denotations": [{"span": pieces, "obj": "X"}]}))
    assert document.spans == (Span(0, 22, "X", fragments=((0, 7), (15, 22))),)


@pytest.mark.parametrize(
    "meta",
    [
        {"label": ["positive"]},
        {"labels": "x"},
        {"entities": [{"name": "a"}]},
        {"annotations": []},
        {"label": 1},
    ],
)
def test_what_is_not_about_mentions_stays_as_it_is(meta: dict[str, Any]) -> None:
    assert from_jsonl(json.dumps({"text": TEXT, **meta}))[0].meta == meta


@pytest.mark.parametrize(
    "annotations",
    [
        {"label": [[0, 7]]},
        {"label": [[0, 99, "X"]]},
        {"entities": [{"start_offset": 0, "end_offset": 7, "label": [3]}]},
        {"entities": [[0, 7, "X"], "Y"]},
        {"denotations": [{"span": 3, "obj": "X"}]},
        {"label": [[0, 7, "X"]], "entities": [[0, 7, "X"]]},
        {"tags": [{"start": 0, "end": 7}]},
        {"entities": [{"startIndex": 0, "endIndex": 6, "label": "X"}]},
        {"spans": {"start": 0}},
        {"spans": [[0, 7, "X"]]},
        {"spans": [{"start": 0, "end": 99, "label": "X"}]},
        {"spans": [{"start": 0, "end": 7, "label": "X", "text": "aspirin"}]},
    ],
)
def test_a_bad_annotation_is_an_error_of_its_own(annotations: dict[str, Any]) -> None:
    line = {"text": TEXT, **annotations}
    with pytest.raises(AnnotationError, match=r"^corpus\.jsonl, line 1: "):
        from_jsonl(json.dumps(line))
    documents, errors = read_tolerantly(line, {"text": "b"})
    assert [document.text for document in documents] == [TEXT, "b"]
    assert [type(error) for error in errors] == [AnnotationError]


@pytest.mark.parametrize(
    "mentions",
    [
        [{"start": 0, "end": 7, "label": "X"}],
        [{"begin": 0, "end": 7}],
        [{"offset": 0, "length": 7}],
        [{"beginOffset": 0, "endOffset": 7}],
        [[0, 7, "X"]],
    ],
)
@pytest.mark.parametrize("key", ["predictions", "results"])
def test_mentions_under_a_key_that_is_not_read_are_counted(
    caplog: pytest.LogCaptureFixture, key: str, mentions: list[Any]
) -> None:
    line = json.dumps({"text": TEXT, key: mentions}) + "\n"
    with caplog.at_level(logging.WARNING):
        assert [document.spans for document in from_jsonl(line * 2)] == [(), ()]
    assert [
        f"2 lines without mentions with what looks like mentions under {key!r}" in message
        for message in caplog.messages
    ] == [True]


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"meta": {"spans": [{"start": 0, "end": 7, "label": "X"}]}}, "meta.spans"),
        ({"annotations": {"spans": [[0, 7, "X"]]}}, "annotations.spans"),
        ({"annotations": [{"result": [{"value": {}}, {}]}, {"items": [[0, 7, "X"]]}]}, "annotations.items"),
        ({"pages": [[[0, 7, "X"]]]}, "pages"),
        ({"a": {"b": {"c": {"entities": [{"begin": 0, "end": 7}]}}}}, "a.b.c.entities"),
        ({"spans": [], "label": [[0, 7, "X"]]}, "label"),
        ({"spans": {"ner": [[0, 7, "X"]]}}, None),
    ],
)
def test_nested_mentions_are_counted_or_an_error(
    caplog: pytest.LogCaptureFixture, fields: dict[str, Any], key: str | None
) -> None:
    with caplog.at_level(logging.WARNING):
        (document,), errors = read_tolerantly({"text": TEXT, **fields})
    assert not document.spans
    assert len(errors) == (key is None)
    assert [f"looks like mentions under {key!r}" in message for message in caplog.messages] == [True] * bool(
        key
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"structure": {"passages": [{"offset": 0, "length": 7, "infons": {}}]}},
        {"document": {"tokens": [{"start": 0, "end": 7}], "year": 2020, "names": ["a"], "size": [0, 7]}},
        {"tokens": [{"start": 0, "end": 7}]},
        {"visits": [{"start": "2020-01-01", "end": "2020-02-01"}]},
        {"tags": ["a", "b"], "sizes": [[1, 2, 3]]},
        {"tags": [{"start": 0, "end": 7}], "spans": [{"start": 0, "end": 7, "label": "X"}]},
    ],
)
def test_other_lists_are_not_taken_for_mentions(
    caplog: pytest.LogCaptureFixture, fields: dict[str, Any]
) -> None:
    with caplog.at_level(logging.WARNING):
        from_jsonl(json.dumps({"text": TEXT, **fields}))
    assert not caplog.messages


def test_good_annotations_beside_a_bad_one_are_kept() -> None:
    (document,), errors = read_tolerantly({"text": TEXT, "label": [[0, 7, "X"], [3, 2, "Y"], [15, 28, "Z"]]})
    assert [span.label for span in document.spans] == ["X", "Z"] and len(errors) == 1


def test_documents_with_bad_annotations_can_be_left_out(tmp_path: Path) -> None:
    lines = [{"id": "1", "text": TEXT}, {"id": "2", "text": TEXT, "label": [[0, 99, "X"]] * 2}, {"id": "3"}]
    lines.append({"id": "4", "text": TEXT})
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    left_out: list[str | None] = []
    documents = read_valid_documents(
        tmp_path / "a.jsonl", on_invalid=lambda error, document: left_out.append(document and document.id)
    )
    assert [document.id for document in documents] == ["1", "4"]
    assert left_out == ["2", None]


values = json_values | st.floats() | st.text(max_size=3) | st.integers(-2, 4)
keys = st.sampled_from(["text", "id", "spans", "x"])
span_records = st.dictionaries(st.sampled_from(["start", "end", "text", "label", "score", "corpus"]), values)
likely_spans = st.fixed_dictionaries(
    {"start": st.integers(-1, 3), "end": st.integers(-1, 4), "label": values}, optional={"score": values}
)
records = st.fixed_dictionaries(
    {"text": st.just("abc") | values},
    optional={"spans": st.lists(likely_spans | span_records, max_size=2) | values, "id": values, "x": values},
)


@pytest.mark.fuzz
@given(
    line=st.text(st.sampled_from('{}[]":,\\ud8et0-."'))
    | (records | st.dictionaries(keys, values)).map(json.dumps)
)
@example('{"text": "abc", "spans": [{"start": -1, "end": 2, "label": "Disease"}]}')
def test_whatever_jsonl_is_read_can_be_written_and_read_again(line: str) -> None:
    try:
        documents = from_jsonl(f"{GOOD}\n{line}")
    except CorpusFormatError as error:
        assert str(error).startswith("corpus.jsonl, line 2: ")
    else:
        rewritten = to_jsonl(documents).encode().decode()
        assert from_jsonl(rewritten) == [rounded(document) for document in documents]


# --- PubTator

lines_of_text = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)
identifiers = st.text("0123456789", min_size=1, max_size=8)


@st.composite
def pubtator_blocks(draw: st.DrawFn) -> tuple[Document, list[str]]:
    """A document and the lines that PubTator's own description of the format gives it."""
    identifier, title, abstract = draw(identifiers), draw(lines_of_text), draw(st.none() | lines_of_text)
    text = title if abstract is None else f"{title} {abstract}"
    source = documents(st.just(text))
    spans = draw(source).spans
    lines = [f"{identifier}|t|{title}"] + ([] if abstract is None else [f"{identifier}|a|{abstract}"])
    for span in spans:
        mention = text[span.start : span.end]
        concept = draw(st.sampled_from(["", "\tD009369", "\tD003110|D009369\tcolon|cancer"]))
        lines.append(f"{identifier}\t{span.start}\t{span.end}\t{mention}\t{span.label}{concept}")
    lines += [f"{identifier}\tCID\tD000082\tD056486"] * draw(st.integers(0, 2))
    return Document(identifier, text, spans), lines


@given(
    blocks=st.lists(pubtator_blocks(), max_size=4), line_end=st.sampled_from(["\n", "\r\n"]), data=st.data()
)
def test_pubtator_offsets_run_over_title_blank_and_abstract(
    blocks: list[tuple[Document, list[str]]], line_end: str, data: st.DataObject
) -> None:
    gaps = st.integers(1, 3)
    content = line_end * data.draw(st.integers(0, 2)) + "".join(
        line_end.join(lines) + line_end * (1 + data.draw(gaps)) for _, lines in blocks
    )
    assert [bare(document) for document in from_pubtator(content)] == [document for document, _ in blocks]


HEAD = "1|t|Acute\n1|a|hepatitis B\n"
BROKEN_PUBTATOR = {
    "no title": ("1|a|hepatitis B", 1, "expected 'id|t|title'"),
    "mentions only": ("1\t0\t5\tAcute\tDisease", 1, "expected 'id|t|title'"),
    "no document id": ("|t|Acute", 1, "expected 'id|t|title'"),
    "another id": (HEAD + "2\t0\t5\tAcute\tDisease", 3, "expected document '1'"),
    "two abstracts": (HEAD + "1|a|again", 3, "expected document '1'"),
    "shifted by one": (
        HEAD + "1\t7\t17\thepatitis \tDisease",
        3,
        "'epatitis B', but the line has 'hepatitis '",
    ),
    "other case": (HEAD + "1\t0\t5\tacute\tDisease", 3, "'Acute', but the line has 'acute'"),
    "beyond the text": (HEAD + "1\t6\t99\thepatitis\tDisease", 3, "does not fit a text of 17 characters"),
    "backwards": (HEAD + "1\t5\t0\tAcute\tDisease", 3, "does not fit"),
    "empty": (HEAD + "1\t5\t5\t\tDisease", 3, "does not fit"),
    "no label": (HEAD + "1\t0\t5\tAcute\t", 3, "does not fit"),
    "too few fields": (HEAD + "1\t0\t5", 3, "between tabs"),
    "mention without label": (HEAD + "1\t0\t5\tAcute", 3, "between tabs"),
    "negative": (HEAD + "1\t-5\t5\tAcute\tDisease", 3, "between tabs"),
    "superscript digits": (HEAD + "1\t0\t⁵\tAcute\tDisease", 3, "between tabs"),
    "endless digits": (HEAD + "1\t0\t" + "9" * 5000 + "\tAcute\tDisease", 3, ""),
    "second block": (HEAD + "\n\n2|t|x\n2\t0\t9\tx\tDisease", 6, "does not fit"),
}


@pytest.mark.parametrize(("content", "line", "message"), BROKEN_PUBTATOR.values(), ids=BROKEN_PUBTATOR.keys())
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_broken_pubtator_line_is_named(content: str, line: int, message: str, line_end: str) -> None:
    with pytest.raises(CorpusFormatError, match=f"^corpus.pubtator, line {line}: .*{re.escape(message)}"):
        from_pubtator(content.replace("\n", line_end))


def test_blanks_at_the_end_of_a_mention_are_not_compared() -> None:
    (document,) = from_pubtator(HEAD + "1\t6\t15\thepatitis  \tDisease\n")
    assert document.mention(document.spans[0]) == "hepatitis"


pieces = st.sampled_from(
    [
        "1",
        "2",
        "|t|",
        "|a|",
        "\t",
        "\t",
        "0",
        "3",
        "abc",
        "Disease",
        "\n",
        "\n1\t0\t3\tabc",
        "1|t|abc\n",
        "²",
        "٣",
        "\r",
        " ",
    ]
)


@given(content=st.lists(pieces, max_size=20).map("".join) | texts)
def test_pubtator_is_read_correctly_or_refused(content: str) -> None:
    try:
        documents = from_pubtator(content)
    except CorpusFormatError as error:
        number = re.match(r"corpus\.pubtator, line (\d+): ", str(error))
        assert number
        assert 1 <= int(number[1]) <= content.count("\n") + 1
    else:
        blocks = re.findall(r"^([^|\t\n]+)\|t\|", content, re.MULTILINE)
        assert [document.id for document in documents] == blocks[: len(documents)]
        for document in documents:
            for span in document.spans:
                assert f"\t{span.start}\t{span.end}\t{document.mention(span)}" in content


# --- files


def write(folder: pytest.TempPathFactory, name: str, content: bytes) -> Path:
    path = folder.mktemp("formats") / name
    path.write_bytes(content)
    return path


@given(text=texts)
def test_plain_text_keeps_every_character(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = write(tmp_path_factory, "note.txt", text.encode())
    assert list(read_documents(path)) == [Document(str(path), text)]


@given(document=documents())
def test_line_ends_survive_a_jsonl_file(tmp_path_factory: pytest.TempPathFactory, document: Document) -> None:
    document = Document(document.id, f"{document.text}\r\n\r\n", document.spans)
    path = write(tmp_path_factory, "corpus.jsonl", to_jsonl([document]).encode())
    assert list(read_documents(path)) == [document]


@given(
    before=texts,
    same_line=st.text("aé糖", max_size=5),
    bad=st.sampled_from([b"\xe9", b"\xff", b"\xc3", b"\xed\xa0\x80"]),
)
@pytest.mark.parametrize("format", READERS)
def test_what_is_not_utf8_is_named_by_line_and_byte(
    tmp_path_factory: pytest.TempPathFactory, format: str, before: str, same_line: str, bad: bytes
) -> None:
    assume("\0" not in before)  # with a NUL it would be a binary file
    starts = {
        "text": before + "\n",
        "jsonl": GOOD + "\n\n",
        "csv": "text\nab\n",
        "conll": "ab\tO\n\n",
        "conll-lenient": "ab\tO\n\n",
        "pubtator": HEAD,
        "webanno": "#FORMAT=WebAnno TSV 3.3\n\n",
        "medline": "PMID- 1\nTI  - ab\n",
        "bioc": '{"documents":\n',
        "bioc-json": '{"documents":\n',
        "bioc-xml": "<collection>\n",
    }
    lines = starts.get(format, "\n")
    content = lines.encode() + same_line.encode() + bad
    number, place = lines.count("\n") + 1, len(same_line.encode()) + 1
    expected = f"not UTF-8: byte 0x{bad[0]:02x} in line {number}, at byte {place} of the line"
    with pytest.raises(CorpusFormatError, match=expected):
        list(read_documents(write(tmp_path_factory, "corpus", content + b"\n"), format=format))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.txt"):
        with pytest.raises(InputError, match=f"{path}: cannot be read"):
            list(read_documents(path))


def test_an_unknown_format_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'genia'; known: text, jsonl, csv, tsv, conll, "):
        list(read_documents(tmp_path / "corpus.xml", format="genia"))


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.jsonl", "jsonl"),
        ("A.JSONL", "jsonl"),
        ("a.PubTator", "pubtator"),
        ("a.txt", "text"),
        ("README", "text"),
    ],
)
def test_formats_are_told_from_names(name: str, format: str) -> None:
    assert detect_format(Path(name)) == format


# --- HTML


class Page(HTMLParser):
    """The tags of a page, and the text of each kind of element."""

    def __init__(self, corpus: list[Document]) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.paragraphs: list[str] = []
        self.headings: list[str] = []
        self.marks: list[tuple[dict[str, Any], str]] = []
        self._open: list[tuple[str, dict[str, Any], str]] = []
        write_html(corpus, file := StringIO(newline="\n"))
        self.feed(file.getvalue())
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag != "meta":
            self._open.append((tag, dict(attributes), ""))

    def handle_data(self, data: str) -> None:
        if any(tag == "sub" for tag, _, _ in self._open):  # the label of an entity
            return
        self._open = [(tag, attributes, text + data) for tag, attributes, text in self._open]

    def handle_endtag(self, tag: str) -> None:
        opened, attributes, text = self._open.pop()
        assert opened == tag
        if tag == "mark" and "title" in attributes:
            self.marks.append((attributes, text))
        elif tag in ("p", "h2"):
            (self.paragraphs if tag == "p" else self.headings).append(text)


@given(corpus=st.lists(documents(scored=True), max_size=3))
def test_html_without_its_tags_and_labels_is_the_text(corpus: list[Document]) -> None:
    page = Page(corpus)
    assert page.paragraphs == [document.text for document in corpus]
    assert page.headings == [document.id for document in corpus]


@given(document=documents())
def test_html_marks_every_character_of_an_entity_with_its_label(document: Document) -> None:
    page = Page([document])
    for label in {span.label for span in document.spans}:
        covered = {
            place for span in document.spans if span.label == label for place in range(span.start, span.end)
        }
        expected = "".join(document.text[place] for place in sorted(covered))
        assert "".join(text for attributes, text in page.marks if label in attributes["title"]) == expected


@given(
    payload=st.sampled_from(
        ["<script>alert(1)</script>", '"><img src=x onerror=1>', "</p><b>", "&lt;", "'onclick='"]
    )
)
def test_html_escapes_whatever_it_is_given(payload: str) -> None:
    span = Span(0, len(payload), payload, 0.5, payload)
    page = Page([Document(payload, payload, (span,))])
    assert page.tags <= {"html", "head", "meta", "title", "style", "body", "h2", "p", "mark", "small", "sub"}
    assert (page.headings, page.paragraphs) == ([payload], [payload])
    ((attributes, _),) = page.marks
    assert attributes.keys() <= {"class", "style", "title"}
    assert attributes["title"] == f"{payload} ({payload}, 0.50)"


# --- pairs of files


def test_bc2gm_sentences_find_their_mentions_beside_them(tmp_path: Path) -> None:
    (tmp_path / "train.in").write_text("P1 In  p53 mutants.\nP2 None\n")
    with pytest.raises(InputError, match=r"GENE\.eval: cannot be read"):
        list(read_documents(tmp_path, format="bc2gm"))
    (tmp_path / "GENE.eval").write_text("P1|2 4|p53\n")
    for path in (tmp_path, tmp_path / "train.in"):
        documents = list(read_documents(path, format="bc2gm"))
        assert [
            (document.id, document.text, [span.key for span in document.spans]) for document in documents
        ] == [
            ("P1", "In  p53 mutants.", [(4, 7, "GENE")]),
            ("P2", "None", []),
        ]


def test_chemdner_abstracts_find_their_annotations_beside_them(tmp_path: Path) -> None:
    (tmp_path / "training.abstracts.txt").write_text("9\tAspirin acts\tOn pain\n")
    (tmp_path / "training.annotations.txt").write_text(
        "9\tT\t0\t7\tAspirin\tTRIVIAL\n9\tA\t3\t7\tpain\tFAMILY\n"
    )
    (document,) = read_documents(tmp_path, format="chemdner")
    assert [document.mention(span) for span in document.spans] == ["Aspirin", "pain"]
    (tmp_path / "training.annotations.txt").write_text("9\tA\t0\t7\tAspirin\tTRIVIAL\n")
    with pytest.raises(CorpusFormatError, match=r"training\.annotations\.txt, line 1: "):
        list(read_documents(tmp_path / "training.abstracts.txt", format="chemdner"))
    errors: list[InputError] = []
    (document,) = read_documents(tmp_path, format="chemdner", on_bad=errors.append)
    assert (document.spans, [type(error) for error in errors]) == ((), [AnnotationError])
    for path in (tmp_path / "none", tmp_path / "sub"):
        path.mkdir()
        with pytest.raises(InputError, match=r"no .* found"):
            list(read_documents(path, format="chemdner"))


@pytest.mark.parametrize("start", ["<?xml version='1.0'?>\n<collection/>", '\ufeff {"documents": []}'])
def test_bioc_is_told_apart_by_its_first_character(tmp_path: Path, start: str) -> None:
    (tmp_path / "x").write_text(start, encoding="utf-8")
    assert list(read_documents(tmp_path / "x", format="bioc")) == []


def test_malformed_tags_are_read_by_a_name_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("Tumor\tB-X\ncell\tI-Y\n")
    with pytest.raises(CorpusFormatError, match="--from conll-lenient"):
        list(read_documents(tmp_path / "x.tsv"))
    (document,) = read_documents(tmp_path / "x.tsv", format="conll-lenient")
    assert [(document.mention(span), span.label) for span in document.spans] == [
        ("Tumor", "X"),
        ("cell", "Y"),
    ]


@pytest.mark.parametrize("format", ["jsonl", "doccano"])
def test_a_line_that_is_no_json_is_named_once(tmp_path: Path, format: str) -> None:
    (tmp_path / "x.jsonl").write_text(
        '{"id": "1", "text": "a", "label": []}\n{"id": "2",\n', encoding="utf-8"
    )
    with pytest.raises(
        CorpusFormatError, match=r"line 2: (expected one .*: )?Expecting property name[^:]* at character"
    ) as caught:
        list(read_documents(tmp_path / "x.jsonl", format=format))
    assert "(char" not in str(caught.value) and "line 1" not in str(caught.value)
