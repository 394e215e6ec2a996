from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from openmed_ner.errors import InputError, MissingExtraError, UnrepresentableError
from openmed_ner.formats import parquet
from openmed_ner.formats.parquet import DOCUMENTS, MENTIONS, write_parquet
from openmed_ner.text import Document, Span
from strategies import at_most, documents

tables = pytest.importorskip("pyarrow.parquet")
LINKED = Span(
    0,
    5,
    "Disease",
    0.5,
    "ncbi-disease",
    attributes=(
        ("identifier", "MESH:D001943|MESH:D010051"),
        ("link_score", "0.93"),
        ("negated", True),
        ("site", "left"),
    ),
)
SPLIT = Span(0, 16, "Disease", fragments=((0, 5), (10, 16)))


def read(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return tuple(
        tables.ParquetFile(folder / f"{name}.parquet").read().to_pylist()
        for name in ("mentions", "documents")
    )


def test_columns_hold_a_mention(tmp_path: Path) -> None:
    write_parquet([Document("n", ""), Document("n", "Fever and chills", (LINKED, SPLIT))], tmp_path / "out")
    (first, second), texts = read(tmp_path / "out")
    assert [row["text"] for row in texts] == ["", "Fever and chills"]
    assert [row["mentions"] for row in texts] == [0, 2]
    assert first["document_number"] == texts[1]["document_number"] == 1
    assert {name: value for name, value in first.items() if value is not None} == {
        "document_number": 1,
        "document": "n",
        "start": 0,
        "end": 5,
        "text": "Fever",
        "label": "Disease",
        "score": 0.5,
        "corpus": "ncbi-disease",
        "evidence": "sentence",
        "identifiers": ["MESH:D001943", "MESH:D010051"],
        "link_score": 0.93,
        "negated": True,
        "attributes": '{"site": "left"}',
    }
    assert second["text"] == "Fever chills" and second["score"] is None
    assert second["fragments"] == [{"start": 0, "end": 5}, {"start": 10, "end": 16}]


@given(documents())
@at_most(20)
def test_every_span_and_text_is_in_the_tables(
    tmp_path_factory: pytest.TempPathFactory, document: Document
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    write_parquet([document], folder)
    mentions, (text,) = read(folder)
    assert (text["id"], text["text"]) == (document.id, document.text)
    assert [(row["start"], row["end"], row["label"], row["score"], row["corpus"]) for row in mentions] == [
        (span.start, span.end, span.label, span.score, span.corpus) for span in document.spans
    ]
    for row, span in zip(mentions, document.spans, strict=True):
        attributes = dict(span.attributes)
        others = json.loads(row["attributes"] or "{}")
        assert others.items() <= attributes.items()
        assert all(row[parquet._COLUMN_OF[name]] is not None for name in attributes.keys() - others.keys())


def test_rows_are_written_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROWS", 3)
    monkeypatch.setattr(parquet, "CHARACTERS", 20)
    texts = [Document(str(number), "Fever", (Span(0, 5, "Disease"),)) for number in range(7)]
    write_parquet(texts, tmp_path)
    groups = [
        tables.ParquetFile(tmp_path / f"{name}.parquet").num_row_groups for name in ("mentions", "documents")
    ]
    assert groups == [3, 3]
    mentions, documents = read(tmp_path)
    assert [row["document"] for row in mentions] == [row["id"] for row in documents] == [*"0123456"]


def test_tables_without_rows_have_all_columns(tmp_path: Path) -> None:
    write_parquet([], tmp_path)
    assert tables.read_schema(tmp_path / "mentions.parquet").names == [*MENTIONS]
    assert tables.read_schema(tmp_path / "documents.parquet").names == [*DOCUMENTS]


def test_a_run_that_fails_leaves_the_old_tables(tmp_path: Path) -> None:
    def fail_late() -> Any:
        yield Document("new", "Fever")
        raise OSError("the disk is full")

    write_parquet([Document("old", "Fever")], tmp_path / "out")
    with pytest.raises(OSError, match="full"):
        write_parquet(fail_late(), tmp_path / "out")
    assert [row["id"] for row in read(tmp_path / "out")[1]] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_half_of_a_surrogate_pair_is_refused_and_the_others_are_written(tmp_path: Path) -> None:
    refused: list[Exception] = []
    write_parquet([Document("a", "\ud800"), Document("b", "Fever")], tmp_path, on_bad=refused.append)
    assert [row["id"] for row in read(tmp_path)[1]] == ["b"]
    with pytest.raises(UnrepresentableError, match="document 'a'"):
        raise refused[0]


def test_a_folder_with_other_files_and_the_name_of_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Fever")
    with pytest.raises(InputError, match=r"holds 'notes\.txt'"):
        write_parquet([], tmp_path)
    with pytest.raises(InputError, match=r"such as .*entities$"):
        write_parquet([], tmp_path / "entities.parquet")


def test_pyarrow_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"openmed-ner\[parquet\]"):
        write_parquet([], tmp_path)
