from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from openmed_ner.bundle import Bundle, open_bundle, seal
from openmed_ner.bundle.registry import RegistryEntry, Score, read_registry
from openmed_ner.cli.app import app
from openmed_ner.inference.tagger import embedded_bundle
from pages import ROOT, load_tool

RESULT = {
    "corpus": "diseases",
    "split": "test",
    "protocol": "mention",
    "micro": {"f1": 0.5, "ci95": [0.4, 0.6]},
}


@pytest.fixture
def scored(runtime_bundle: Bundle, tmp_path: Path) -> Bundle:
    folder = shutil.copytree(runtime_bundle.folder, tmp_path / "bundles/tiny")
    dev = {**RESULT, "split": "dev", "micro": {"f1": 1.0, "ci95": [1.0, 1.0]}}
    (folder / "scores.json").write_text(json.dumps({"results": [dev, RESULT]}))
    return seal(folder, runtime_bundle.manifest)


def test_the_registry_says_what_bundles_and_results_say() -> None:
    assert (ROOT / "src/openmed_ner/bundle/registry.json").read_text() == load_tool(
        "write_registry"
    ).render(), "run python tools/write_registry.py"
    (entry,) = read_registry()
    assert entry.place == "embedded" and entry.sha256 == open_bundle(embedded_bundle()).sha256
    assert entry.scores


def test_a_bundle_without_a_measured_score_is_not_published(
    scored: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = load_tool("write_registry")
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(tool, "embedded_bundle", lambda: scored.folder)
    with pytest.raises(SystemExit, match="no file under results/ holds its score on diseases"):
        tool.published()
    (tmp_path / "results/tiny.json").write_text(json.dumps({"results": [RESULT]}))
    assert [entry.place for entry in tool.published()] == ["embedded"]
    (scored.folder / "scores.json").unlink()
    seal(scored.folder, scored.manifest)
    with pytest.raises(SystemExit, match="carries no test scores"):
        tool.published()


def test_bundles_are_listed_with_their_test_scores(scored: Bundle, tmp_path: Path) -> None:
    listed = CliRunner().invoke(app, ["bundles", "list", str(tmp_path)])
    assert listed.exit_code == 0
    assert "diseases: test F1 50.00  (95 %: 40.0 to 60.0)" in listed.stdout
    (row,) = json.loads(CliRunner().invoke(app, ["bundles", "list", str(tmp_path), "--json"]).stdout)
    assert row["sha256"] == open_bundle(scored.folder).sha256
    assert RegistryEntry.of(scored, "x").scores == {"diseases": Score(0.5, 0.4, 0.6)}, (
        "dev scores are not listed"
    )
    (scored.folder / "scores.json").unlink()
    seal(scored.folder, scored.manifest)
    assert "no test scores" in CliRunner().invoke(app, ["bundles", "list", str(tmp_path)]).stdout
    published = CliRunner().invoke(app, ["bundles", "list"]).stdout
    assert published.startswith("embedded: ") and "ncbi-disease: test F1" in published
