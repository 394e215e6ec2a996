from __future__ import annotations

import re
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest

from openmed_ner.formats import (
    REGISTRY,
    TEXTLESS,
    Format,
    detect_format,
    infer_format,
    infer_written_format,
    read_documents,
    tagged_writers,
    write_documents,
)
from openmed_ner.formats.registry import FormatFunction
from openmed_ner.text import Document, Span

ROWS = [pytest.param(row, id=row.name) for row in REGISTRY.values()]
PAGE = Path(__file__).parents[2] / "docs/formats.md"


@pytest.mark.parametrize("row", ROWS)
def test_a_format_has_one_reader_at_most_and_a_use(row: Format) -> None:
    readers = [row.reader, row.path_reader, row.passage_reader]
    assert sum(reader is not None for reader in readers) <= 1
    assert any([*readers, row.writer, row.folder_writer])


@pytest.mark.parametrize("row", ROWS)
def test_the_functions_of_a_format_exist(row: Format) -> None:
    values = [getattr(row, field.name) for field in fields(row)]
    functions = [getattr(value, "func", value) for value in values]
    for function in (function for function in functions if isinstance(function, FormatFunction)):
        module = import_module(f"openmed_ner.formats.{function.module}")
        assert callable(getattr(module, function.name))


@pytest.mark.parametrize("row", ROWS)
def test_what_can_be_written_can_be_downloaded_and_only_that(row: Format) -> None:
    is_written = row.writer is not None or row.folder_writer is not None
    is_offered = is_written and row.requires is None
    assert {is_offered} == {value is not None for value in (row.media_type, row.extension)}
    assert row.title or not is_written
    assert (row.shard_extension is not None) == (row.writer is not None)


def test_no_two_formats_share_a_suffix_or_an_extension() -> None:
    suffixes = [suffix for row in REGISTRY.values() for suffix in row.suffixes]
    extensions = [row.extension for row in REGISTRY.values() if row.extension]
    assert len(suffixes) == len({*suffixes}) and len(extensions) == len({*extensions})


@pytest.mark.parametrize(
    ("name", "annotated", "any_format"),
    [
        ("notes.TSV.gz", "conll", "conll"),
        ("articles.xml", "bioc-xml", "bioc-xml"),
        ("pubmed25n0001.xml.gz", "bioc-xml", "pubmed"),
        ("NCT01234567.json", "bioc-json", "clinicaltrials"),
        ("ctg-studies.json.zip", "text", "clinicaltrials"),
        ("notes.docx", "text", None),
        (".notes.txt", "text", None),
    ],
)
def test_a_format_is_inferred_from_the_file_name(name: str, annotated: str, any_format: str | None) -> None:
    assert (detect_format(Path(name)), infer_format(Path(name))) == (annotated, any_format)


@pytest.mark.parametrize("name", tagged_writers())
@pytest.mark.parametrize("attributes", [False, True])
def test_every_writer_takes_what_a_tagger_finds(name: str, attributes: bool, tmp_path: Path) -> None:
    pairs = (("negated", True),) if attributes else ()
    span = Span(0, 5, "Disease", score=0.5, corpus="ncbi-disease", attributes=pairs)
    with (tmp_path / "x").open("w", encoding="utf-8", newline="\n") as file:
        tagged_writers(attributes=attributes)[name]([Document("1", "Fever\nand\tchills.", (span,))], file)
    assert "Fever" in (tmp_path / "x").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", tagged_writers())
def test_formats_leave_out_the_text_or_are_not_offered_without_it(name: str, tmp_path: Path) -> None:
    writers = tagged_writers(with_text=False)
    assert (name in writers) == (name in TEXTLESS)
    if name in writers:
        span = Span(0, 5, "Disease", score=0.123456, corpus="ncbi-disease")
        with (tmp_path / "x").open("w+", encoding="utf-8", newline="\n") as file:
            writers[name]([Document("1", "Fever and chills.", (span,))], file)
            file.seek(0)
            content = file.read()
        assert "Fever" in content and "chills" not in content
        assert "0.1235" in content and "0.12345" not in content


def test_the_page_on_formats_names_every_format() -> None:
    (table,) = re.findall(r"^\| name .*?\n\n", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    first_cells = " ".join(row.split("|")[1] for row in table.strip().splitlines()[2:])
    assert {*re.findall(r"`([\w-]+)`", first_cells)} - {"table"} == REGISTRY.keys()


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.tsv", "tsv"),
        ("a.TSV", "tsv"),
        ("a.csv", "csv"),
        ("a.conll", "conll"),
        ("a.iob2", "conll"),
        ("a.xml", "bioc-xml"),
        ("a.json", "bioc-json"),
        ("a.jsonl", "jsonl"),
        ("a.html", "html"),
        ("a.txt", None),
        ("a", None),
    ],
)
def test_the_name_of_an_output_decides_its_format(name: str, format: str | None) -> None:
    assert infer_written_format(Path(name)) == format


def test_a_table_with_tabs_is_written_and_read_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    documents = [
        Document("1", 'Aspirin\t"helps"\nin asthma', (Span(0, 7, "Chemical", 0.5, "a"),)),
        Document("2", "Nothing"),
    ]
    write_documents(documents, path)
    lines = path.read_text().splitlines()
    assert lines[0].split("\t")[:3] == ['"id"', '"text"', '"start"']
    assert list(read_documents(path)) == documents
    assert list(read_documents(path, format="tsv")) == documents
