"""Manifests that contradict themselves, or hold values of another type, are refused when they are read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from openmed_ner.bundle import BackboneReference, Manifest, open_bundle, seal
from openmed_ner.bundle.record import read_training_splits
from openmed_ner.bundle.registry import RegistryEntry
from openmed_ner.bundle.suite import open_bundles
from openmed_ner.cli.bundles import verify
from openmed_ner.errors import BundleError
from openmed_ner.tagging import Head
from openmed_ner.tagging.document_decoding import DocumentChoice
from openmed_ner.tagging.type_merging import TypeMerge

MANIFEST = Manifest(
    name="m",
    kind="runtime",
    version="1",
    heads=(Head("a", ("Disease",)), Head("b", ("Disease",))),
    window=160,
    overlap=32,
    backbone=BackboneReference("b", "o/b", "0" * 40, "0" * 64, "MIT"),
    merges={"Disease": TypeMerge(("b", "a"), "fill")},
    document_decoding={"a": DocumentChoice("definitions", 0.1)},
)


def read(change: Callable[[dict[str, Any]], object] = lambda record: None) -> Manifest:
    record = json.loads(json.dumps(MANIFEST.to_json()))
    change(record)
    return Manifest.from_json(json.loads(json.dumps(record)))


def test_a_manifest_reads_back() -> None:
    assert read() == MANIFEST


@pytest.mark.parametrize(
    "value", [float("inf"), float("nan"), 1.5, -1, True, None, "160", [160], 0, 1, 10**30]
)
@pytest.mark.parametrize("key", ["window", "overlap"])
def test_numbers_are_whole_and_fit_each_other(key: str, value: object) -> None:
    if key == "overlap" and value in (0, 1) and value is not True:
        assert read(lambda record: record.update({key: value})).overlap == value
        return
    with pytest.raises(BundleError, match="damaged"):
        read(lambda record: record.update({key: value}))


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(layers=[float("inf")]),
        lambda record: record.update(files={"a.json": {"size": float("inf"), "sha256": ""}}),
        lambda record: record.update(name=None),
        lambda record: record.update(version=1),
        lambda record: record.update(licence=["MIT"]),
        lambda record: record.update(precision=None),
        lambda record: record.update(precision="int4"),
        lambda record: record.update(overlap=80),
        lambda record: record.update(window=0),
        lambda record: record.update(window=33),
        lambda record: record["heads"].append(record["heads"][0]),
        lambda record: record["merges"]["Disease"].update(order=["nope"]),
        lambda record: record.update(document_decoding={"nope": {"mode": "off", "gain": 0}}),
        lambda record: record.update(document_decoding={"a": {"mode": "off", "gain": float("inf")}}),
        lambda record: record["heads"][0].update(labels=[""]),
        lambda record: record["heads"][0].update(labels="Disease"),
        lambda record: record["heads"][0].update(labels=["Disease", "Disease"]),
        lambda record: record["heads"][0].update(labels=["Disease\ud800"]),
        lambda record: record["heads"][0].update(corpus=""),
        lambda record: record["merges"]["Disease"].update(order="ab"),
        lambda record: record.update(adaptation={"name": "a", "sha256": "b", "mode": "other"}),
        lambda record: record.update(window=10**9),
        lambda record: record.update(kind="adapter", name="../other"),
        lambda record: record.update(kind="adapter", name=""),
    ],
)
def test_a_damaged_manifest_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(BundleError, match="damaged"):
        read(change)


def make(folder: Path, **contents: object) -> Path:
    """A bundle of JSON files."""
    folder.mkdir(parents=True)
    for name, content in contents.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / f"{name}.json").write_text(text)
    seal(folder, MANIFEST)
    return folder


def test_pipes_and_links_are_no_files_of_a_bundle(tmp_path: Path) -> None:
    folder = make(tmp_path / "bundle")
    open_bundle(folder)
    os.mkfifo(folder / "pipe.json")
    with pytest.raises(BundleError, match="not a plain file"):
        open_bundle(folder)
    (folder / "pipe.json").unlink()
    (folder / "manifest.json").rename(tmp_path / "away.json")
    (folder / "manifest.json").symlink_to(tmp_path / "away.json")
    with pytest.raises(BundleError, match="symbolic link"):
        open_bundle(folder)


@pytest.mark.parametrize("record", [{"start": "x"}, {"recipe": []}, {"teacher": {"learnt": 3}}])
def test_a_damaged_run_record_is_refused(tmp_path: Path, record: object) -> None:
    with pytest.raises(BundleError, match=r"run\.json is damaged"):
        read_training_splits(open_bundle(make(tmp_path / "bundle", run=record)))


@pytest.mark.parametrize(
    "scores", [{}, {"results": 3}, {"results": [{"split": "test", "protocol": "mention"}]}]
)
def test_damaged_scores_are_refused(tmp_path: Path, scores: object) -> None:
    with pytest.raises(BundleError, match=r"scores\.json is damaged"):
        RegistryEntry.of(open_bundle(make(tmp_path / "bundle", scores=scores)), "x")


def test_a_suite_needs_tokenizers(tmp_path: Path) -> None:
    make(tmp_path / "suite/a", tokenizer={})
    second = make(tmp_path / "suite/b")
    seal(second, replace(MANIFEST, heads=(Head("c", ("Disease",)),), merges={}, document_decoding={}))
    with pytest.raises(BundleError, match=r"has no tokenizer\.json"):
        open_bundles(tmp_path / "suite")


@pytest.mark.parametrize("name", ["run", "parity", "scores"])
@pytest.mark.parametrize("content", ["[]", "[" * 100_000, "{", "null", ""])
def test_verify_refuses_damaged_records(tmp_path: Path, name: str, content: str) -> None:
    folder = make(tmp_path / "bundle", **{name: content})
    with pytest.raises(BundleError, match=rf"{name}\.json (holds|is not valid JSON|is empty)"):
        verify(folder)
