"""Label Studio, doccano, Prodigy, PubAnnotation: exports are read or refused, what is written reads back."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.errors import AnnotationError, CorpusFormatError, UnrepresentableError
from openmed_ner.formats import READERS, WRITERS
from openmed_ner.formats.structure import Structure
from openmed_ner.text import Document, Span
from strategies import bare, damaged, documents, texts

TEXT = "Aspirin caused gastric ulcer in two patients."
SPANS = (Span(0, 7, "Chemical"), Span(15, 28, "Disease"))
TOOLS = ("label-studio", "doccano", "prodigy")


def read(format: str, content: object, **options: Any) -> list[Document]:
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return list(READERS[format](StringIO(text, newline="\n"), source="x.json", **options))


def write(format: str, corpus: list[Document], **options: Any) -> str:
    WRITERS[format](corpus, file := StringIO(newline="\n"), **options)
    return file.getvalue()


def of_tools(document: Document, *, scored: bool) -> Document:
    """The document with what the tools hold."""
    return document.with_spans(
        Span(span.start, span.end, span.label, span.score if scored else None) for span in document.spans
    )


# --- Round trips


@pytest.mark.parametrize("format", TOOLS)
@given(corpus=st.lists(documents(scored=True), max_size=3), mark=st.sampled_from(["", "\ufeff"]))
def test_what_is_written_reads_back(format: str, corpus: list[Document], mark: str) -> None:
    simple = [of_tools(document, scored=format != "doccano") for document in corpus]
    assert read(format, mark + write(format, simple)) == simple
    assert read(format, write(format, corpus, exact=False)) == simple


@pytest.mark.parametrize("format", TOOLS)
def test_what_a_tool_cannot_hold_is_refused(format: str) -> None:
    gap = Span(0, 14, "X", fragments=((0, 7), (8, 14)))
    negated = replace(SPANS[0], attributes=(("negated", True),))
    for span, reason in ((gap, "which is discontinuous"), (negated, "which has a corpus, attributes")):
        with pytest.raises(UnrepresentableError, match=rf"document '1': .* cannot hold .*{reason}"):
            write(format, [Document("1", TEXT, (span,))])
    with pytest.raises(UnrepresentableError, match="half of a surrogate pair"):
        write(format, [Document("1", "\ud800")])
    problems: list[Exception] = []
    content = write(format, [Document("1", TEXT, (gap,)), Document("2", TEXT)], on_bad=problems.append)
    assert [document.id for document in read(format, content)] == ["2"]
    assert len(problems) == 1


@pytest.mark.parametrize("format", TOOLS)
def test_titles_and_identifiers_go_through_a_tool(format: str) -> None:
    (document,) = READERS["pubtator"](
        StringIO("1|t|Fever in E. coli\n1|a|No.\n1\t0\t5\tFever\tDisease\tD005334\n"), source="x"
    )
    (again,) = read(format, write(format, [document]))
    assert again == document
    assert [part.infons["type"] for part in Structure.of(again).passages] == ["title", "abstract"]


@pytest.mark.parametrize("format", [*TOOLS, "pubannotation"])
def test_a_bad_record_costs_one_document(format: str) -> None:
    good = {"text": TEXT, "label": [], "spans": [], "denotations": [], "data": {"text": TEXT}}
    problems: list[CorpusFormatError] = []
    for content in (json.dumps([good, 3, good]), f"{json.dumps(good)}\n{{\n{json.dumps(good)}\n"):
        corpus = read(format, content, on_bad=problems.append)
        assert [document.text for document in corpus] == [TEXT, TEXT]
    places = [str(problem).split(":")[0] for problem in problems]
    assert places == ["x.json, record 2", "x.json, line 2"]


@pytest.mark.parametrize("format", [*TOOLS, "pubannotation", "jsonl"])
@pytest.mark.parametrize("bad", [(0, 99), (7, 0), (-1, 7), ("0", 7), (None, 7)])
def test_a_bad_annotation_costs_one_annotation(format: str, bad: tuple[Any, Any]) -> None:
    records = {
        "label-studio": lambda places: task(
            [{"type": "labels", "value": {"start": a, "end": b, "labels": ["A"]}} for a, b in places]
        ),
        "doccano": lambda places: {"text": TEXT, "label": [[a, b, "A"] for a, b in places]},
        "prodigy": lambda places: {
            "text": TEXT, "spans": [{"start": a, "end": b, "label": "A"} for a, b in places]
        },
        "pubannotation": lambda places: {
            "text": TEXT, "denotations": [{"span": {"begin": a, "end": b}, "obj": "A"} for a, b in places]
        },
    }  # fmt: skip
    record = records.get(format, records["prodigy"])([(0, 7), bad, (15, 28)])
    problems: list[CorpusFormatError] = []
    (document,) = read(format, record, on_bad=problems.append)
    assert document.spans == (Span(0, 7, "A"), Span(15, 28, "A"))
    (problem,) = problems
    assert isinstance(problem, AnnotationError) and str(problem).startswith("x.json, ")
    with pytest.raises(AnnotationError):
        read(format, record)


# --- Label Studio


def region(start: int, end: int, *labels: str, text: str = TEXT, **more: Any) -> dict[str, Any]:
    value = {"start": start, "end": end, "text": text[start:end], "labels": [*labels]}
    return {"id": "a", "from_name": "label", "to_name": "text", "type": "labels", "value": value, **more}


def task(*results: list[dict[str, Any]], text: str = TEXT, **more: Any) -> dict[str, Any]:
    annotations = [{"id": 9, "was_cancelled": False, "result": [*result]} for result in results]
    return {"id": 4, "data": {"text": text}, "annotations": annotations, "predictions": [], **more}


def test_an_export_of_label_studio_is_read() -> None:
    regions = [region(0, 7, "Chemical"), region(15, 28, "Disease"), {"type": "choices", "value": {}}]
    assert read("label-studio", [task(regions)]) == [Document("4", TEXT, SPANS)]
    labels = [entry["value"] for entry in regions[:2]]
    smaller = {"id": 4, "text": TEXT, "label": labels, "annotator": 1, "created_at": "2026-01-01"}
    assert read("label-studio", [smaller]) == [Document("4", TEXT, SPANS)]


def test_a_region_with_several_labels_is_several_spans() -> None:
    (document,) = read("label-studio", [task([region(0, 7, "A", "B")])])
    assert document.spans == (Span(0, 7, "A"), Span(0, 7, "B"))


def test_a_person_precedes_a_model_and_ground_truth_precedes_both() -> None:
    predictions = [{"model_version": "x", "result": [region(0, 7, "Model", score=0.5)]}]
    (document,) = read("label-studio", [task(predictions=predictions)])
    assert document.spans == (Span(0, 7, "Model", 0.5),)
    (document,) = read("label-studio", [task([], predictions=predictions)])
    assert document.spans == ()
    two = task([region(0, 7, "A")], [region(0, 7, "B")])
    with pytest.raises(CorpusFormatError, match="record 1: found 2 annotations; mark one of them as ground"):
        read("label-studio", [two])
    two["annotations"][1]["ground_truth"] = True
    (document,) = read("label-studio", [two])
    assert document.spans == (Span(0, 7, "B"),)
    two["annotations"][0]["was_cancelled"] = True
    assert read("label-studio", [two]) == [document]


def test_offsets_in_code_units_are_read_where_the_text_tells() -> None:
    text = "😀 Aspirin 😀"
    shifted = region(3, 10, "Chemical")
    shifted["value"]["text"] = "Aspirin"
    (document,) = read("label-studio", [task([shifted], text=text)])
    assert [document.mention(span) for span in document.spans] == ["Aspirin"]
    shifted["value"]["text"] = "aspirin"
    expected = r"characters 3\.\.10 are 'spirin ', but the region has 'aspirin'"
    with pytest.raises(CorpusFormatError, match=expected):
        read("label-studio", [task([shifted], text=text)])


def test_a_tagged_document_becomes_predictions_and_a_gold_one_annotations() -> None:
    scored = tuple(replace(span, score=score) for span, score in zip(SPANS, (0.5, 1.0), strict=True))
    tasks = json.loads(write("label-studio", [Document("a", TEXT, scored), Document("b", TEXT, SPANS)]))
    (prediction,) = tasks[0]["predictions"]
    assert (prediction["score"], prediction["result"][0]["score"]) == (0.75, 0.5)
    assert tasks[0]["data"] == {"text": TEXT, "document_id": "a"}
    assert "predictions" not in tasks[1] and len(tasks[1]["annotations"][0]["result"]) == 2


BAD_TASKS = {
    "spans of doccano": ({"text": TEXT, "label": [[0, 7, "A"]]}, "other tools have --from doccano"),
    "other objects": ({"text": TEXT, "entities": [{"start_offset": 0}]}, 'regions with "start", "end" and'),
    "no text": ({"id": 1, "data": {}}, 'expected the text under "text"'),
    "two strings": ({"data": {"a": "x", "b": "y"}}, "found strings under ['a', 'b']"),
    "no label": (task([region(0, 7)]), "the region 0..7 has no label"),
    "an offset in HTML": (task([region(0, 7, "A")]), None),
    "beyond the text": (task([region(0, 99, "A")]), "ends beyond the text"),
    "two predictions": (task(predictions=[{"result": []}] * 2), "found 2 predictions and no annotation"),
}  # fmt: skip
BAD_TASKS["an offset in HTML"][0]["annotations"][0]["result"][0]["value"]["start"] = "/p[1]"
BAD_TASKS["beyond the text"][0]["annotations"][0]["result"][0]["value"].pop("text")


@pytest.mark.parametrize(("record", "message"), BAD_TASKS.values(), ids=BAD_TASKS.keys())
def test_a_bad_task_is_named(record: dict[str, Any], message: str | None) -> None:
    expected = message or "expected a number of characters as start, found '/p[1]'"
    with pytest.raises(
        CorpusFormatError, match=rf"^x\.json, record 1(, annotation 1)?: .*{re.escape(expected)}"
    ):
        read("label-studio", [record])


# --- doccano and spaCy

SHAPES: list[Any] = [
    {"id": 1, "text": TEXT, "label": [[0, 7, "Chemical"], [15, 28, "Disease"]]},
    {"id": 1, "data": TEXT, "labels": [[0, 7, "Chemical"], [15, 28, "Disease"]], "Comments": []},
    {
        "id": 1,
        "text": TEXT,
        "label": [],
        "entities": [
            {"id": 10, "label": "Chemical", "start_offset": 0, "end_offset": 7},
            {"id": 11, "label": "Disease", "start_offset": 15, "end_offset": 28},
        ],
        "relations": [],
    },
    {
        "id": 1,
        "text": TEXT,
        "entities": [
            {"start": 0, "end": 7, "label": "Chemical"},
            {"start": 15, "end": 28, "label": "Disease"},
        ],
    },
    [TEXT, {"id": 1, "entities": [[0, 7, "Chemical"], [15, 28, "Disease"]]}],
]


@pytest.mark.parametrize("record", SHAPES)
def test_every_shape_of_doccano_and_spacy_is_read(record: Any) -> None:
    expected = [Document("1", TEXT, SPANS)]
    assert read("doccano", record) == expected
    assert read("doccano", [record]) == expected
    assert read("doccano", f"{json.dumps(record)}\n{json.dumps(record)}\n") == expected * 2


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (
            {"text": TEXT},
            "expected the spans in one list under label, labels, entities, annotations, found none",
        ),
        ({"text": TEXT, "label": "positive"}, "found none"),
        ({"text": TEXT, "label": [[0, 1, "A"]], "entities": [[0, 1, "A"]]}, "found ['label', 'entities']"),
        ({"text": TEXT, "label": [[0, 7]]}, "expected [start, end, label], found [0, 7]"),
        ({"text": TEXT, "label": [["0", 7, "A"]]}, 'needs whole numbers as "start" and "end", found \'0\''),
        ({"text": TEXT, "label": [[0, 700, "A"]]}, "ends beyond the text"),
        ({"label": []}, "expected a string as text, found None"),
    ],
)
def test_a_bad_record_of_doccano_is_named(record: dict[str, Any], message: str) -> None:
    with pytest.raises(
        CorpusFormatError, match=rf"^x\.json, line 1(, annotation 1)?: .*{re.escape(message)}"
    ):
        read("doccano", record)


# --- Prodigy


def test_examples_that_are_not_accepted_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    spans = [{"start": 0, "end": 7, "label": "Chemical", "token_start": 0, "token_end": 0}]
    lines = [
        json.dumps({"text": TEXT, "spans": spans, "answer": answer, "_input_hash": 1, "meta": {"id": "k"}})
        for answer in ("accept", "reject", "ignore")
    ]
    with caplog.at_level(logging.WARNING):
        (document,) = read("prodigy", "\n".join(lines))
    assert document == Document("k", TEXT, SPANS[:1])
    assert "2 examples that were rejected or ignored are left out" in caplog.text


# --- PubAnnotation


def test_denotations_attributes_relations_and_tracks_are_read() -> None:
    record = {
        "text": TEXT,
        "sourcedb": "PubMed",
        "sourceid": "7",
        "divid": 2,
        "denotations": [
            {"id": "T1", "span": {"begin": 0, "end": 7}, "obj": "Chemical"},
            {"id": "T2", "span": [{"begin": 15, "end": 22}, {"begin": 23, "end": 28}], "obj": "Disease"},
        ],
        "attributes": [{"id": "A1", "subj": "T2", "pred": "negated", "obj": True}],
        "relations": [{"id": "R1", "pred": "causes", "subj": "T1", "obj": "T2"}],
        "tracks": [{"project": "p", "denotations": [{"span": {"begin": 0, "end": 7}, "obj": "Drug"}]}],
    }
    (document,) = read("pubannotation", record)
    assert document.id == "PubMed:7-2"
    assert document.spans == (
        Span(0, 7, "Chemical"),
        Span(15, 28, "Disease", fragments=((15, 22), (23, 28)), attributes=(("negated", True),)),
        Span(0, 7, "Drug", corpus="p"),
    )
    (relation,) = Structure.of(document).relations
    assert (relation.infons, relation.nodes) == ({"type": "causes"}, (("T1", "subj"), ("T2", "obj")))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"text": TEXT}, 'expected a list under "denotations" or "tracks"'),
        ({"text": TEXT, "denotations": [{"span": {"begin": 0}, "obj": "A"}]}, 'whole numbers as "start" and'),
        ({"text": TEXT, "denotations": [{"span": [], "obj": "A"}]}, "as span, found []"),
        ({"text": TEXT, "denotations": [{"span": {"begin": 0, "end": 3}}]}, "a string as obj, found None"),
    ],
)
def test_a_bad_record_of_pubannotation_is_named(record: dict[str, Any], message: str) -> None:
    with pytest.raises(
        CorpusFormatError, match=rf"^x\.json, line 1(, annotation 1)?: .*{re.escape(message)}"
    ):
        read("pubannotation", record)


def test_pieces_of_a_mention_are_put_in_order_and_joined() -> None:
    pieces = [{"begin": 23, "end": 28}, {"begin": 0, "end": 3}, {"begin": 3, "end": 7}]
    record = {"text": TEXT, "denotations": [{"id": None, "span": pieces, "obj": "A"}]}
    (document,) = read("pubannotation", record)
    assert document.spans == (Span(0, 28, "A", fragments=((0, 7), (23, 28))),)


def test_a_bad_attribute_or_relation_of_pubannotation_is_named() -> None:
    denotations = [{"id": "T1", "span": {"begin": 0, "end": 7}, "obj": "A"}]
    record = {"text": TEXT, "denotations": denotations, "attributes": [3], "relations": [{"pred": "x"}]}
    problems: list[CorpusFormatError] = []
    (document,) = read("pubannotation", record, on_bad=problems.append)
    assert document.spans == (Span(0, 7, "A"),)
    assert [str(problem)[:28].split(":")[0] for problem in problems] == [
        "x.json, line 1, attribute 1", "x.json, line 1, relation 1"
    ]  # fmt: skip


# --- Recognition and hostile files


SAMPLES = {
    "label-studio": json.dumps([task([region(0, 7, "Chemical")])]),
    "doccano": json.dumps(SHAPES[0]),
    "prodigy": json.dumps(
        {"text": TEXT, "spans": [{"start": 0, "end": 7, "label": "A"}], "answer": "accept"}
    ),
    "pubannotation": json.dumps(
        {"text": TEXT, "denotations": [{"span": {"begin": 0, "end": 7}, "obj": "A"}]}, indent=1
    ),
}


_PIECES = [
    *'{}[]":,03', "-1", "null", "true", "1e999", "NaN", "9" * 30, '"\\ud800"', '"text": "x"', "\n", "\ufeff",
    '"start": 1', '"end": 5', '"label": []', '"labels": ["A"]', '"obj": 1', '"spans": {}', '"score": 7',
    '"structure": {"passages": [{"offset": 0}]}', '"result": []', "[" * 50, '"answer": "reject"',
]  # fmt: skip


@pytest.mark.fuzz
@pytest.mark.parametrize("format", SAMPLES)
@given(data=st.data())
def test_a_hostile_file_is_read_or_refused(format: str, data: st.DataObject) -> None:
    content = data.draw(damaged(st.just(SAMPLES[format]) | texts, _PIECES))
    try:
        corpus = read(format, content)
    except CorpusFormatError as error:
        assert re.match(r"x\.json, (line|record) \d+(, [a-z]+ \d+)?: ", str(error))
        return
    rewrite: Callable[..., None] = WRITERS["bioc-json"]
    for document in corpus:
        rewrite([document], file := StringIO(newline="\n"))
        (again,) = READERS["bioc-json"](StringIO(file.getvalue()), source="x")
        assert (again.id, again.text) == (document.id, document.text)
        assert sorted(map(repr, again.spans)) == sorted(map(repr, bare(document).spans))
