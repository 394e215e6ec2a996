"""``tag`` with a vocabulary: its names as a layer, its identifiers, and the mentions below a concept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from commands import invoke
from openmed_ner.errors import InputError
from openmed_ner.inference.tagger import Tagger
from openmed_ner.terminologies import build
from openmed_ner.text import Document, Span

TEXT = "The kidney disease was a chronic kidney disease of the brain."


def tag_stub(documents: Iterable[Document], **options: object) -> Iterator[Document]:
    """Find the brain and nothing else."""
    for document in documents:
        start = document.text.index("brain")
        spans = (Span(start, start + 5, "Anatomy", 0.5, "x"),)
        coverage = {"characters": len(document.text), "windows": 1, "complete": True}
        yield replace(document, spans=spans, meta={"coverage": coverage})


@pytest.fixture
def folder(tmp_path: Path, no_terminologies: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    manifest = SimpleNamespace(name="stub")
    stub = SimpleNamespace(manifest=manifest, backend="stub", corpora=(), pipe=tag_stub)
    monkeypatch.setattr(Tagger, "load", lambda *arguments, **options: stub)
    Path("mine.csv").write_text(
        "id,name,parents,type\nX:1,kidney disease,,Disease\nX:2,chronic kidney disease,X:1,Disease\n"
        "X:3,brain,,Anatomy\n",
        encoding="utf-8",
    )
    build([], Path("my.terms"), vocabularies={Path("mine.csv"): None})
    Path("text.txt").write_text(TEXT, encoding="utf-8")
    return tmp_path


def list_layer(*options: str, layer: str = "my") -> list[tuple[str, str]]:
    """The identifiers of a layer, with their texts."""
    invoke("tag", "text.txt", "--to", "jsonl", "-o", "out.jsonl", *options)
    record = json.loads(Path("out.jsonl").read_text(encoding="utf-8"))
    return [
        (span["attributes"]["identifier"], TEXT[span["start"] : span["end"]])
        for span in record["spans"]
        if span.get("corpus") == layer
    ]


def test_the_names_of_a_vocabulary_are_a_layer(folder: Path) -> None:
    layer = [("X:1", "kidney disease"), ("X:2", "chronic kidney disease"), ("X:3", "brain")]
    assert list_layer("--match", "my.terms") == layer
    nested = list_layer("--match", "my.terms", "--nested")
    assert nested == [*layer[:2], ("X:1", "kidney disease"), layer[2]]
    assert list_layer("--match", "my.terms", "--under", "X:1") == layer[:2]
    receipt = ("--receipt", "receipt.json", "--under", "X:2", "--species", "10090")
    assert list_layer("--match", "my.terms", *receipt) == [layer[1]]
    options = json.loads(Path("receipt.json").read_text(encoding="utf-8"))["options"]
    assert (options["under"], options["species"], len(options["match"][0])) == (["X:2"], 10090, 64)


def test_mentions_are_linked_to_a_vocabulary(folder: Path) -> None:
    assert list_layer("--link", "my.terms", layer="x") == [("X:3", "brain")]


def test_a_wrong_option_is_an_error_before_anything_is_tagged(folder: Path) -> None:
    for options, message in (
        (("--link", "your.terms"), "your.terms holds no compiled terminologies"),
        (("--match", "your.terms"), "your.terms holds no compiled terminologies"),
        (("--link", "my.terms", "--under", "X:9"), "no terminology has the concept 'X:9'"),
        (("--under", "X:1"), "OPENMED_NER_TERMINOLOGIES"),
        (("--nested",), "--match"),
        (("--species", "7955"), "expected one of 9606, 10090, 10116"),
        (("--species", "10090"), "give it with --add identifiers"),
    ):
        with pytest.raises(InputError, match=message):
            list_layer(*options)
    assert not Path("out.jsonl").exists()
