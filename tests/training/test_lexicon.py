"""Models that read the names of a lexicon beside the text, from recipe to tagger."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lexicons import build_diseases
from openmed_ner.bundle import Bundle, open_bundle, seal
from openmed_ner.bundle.suite import open_bundles
from openmed_ner.errors import BundleError, InputError, RecipeError, RunError
from openmed_ner.inference.tagger import Tagger
from openmed_ner.model.bundles import describe_backbone, load_model, make_reader
from openmed_ner.publish.cards.data import find_sources
from openmed_ner.storage import sha256_file
from openmed_ner.tagging import predict
from openmed_ner.terminologies.store import ENVIRONMENT, find_store
from openmed_ner.training.config import LexiconSettings, Recipe
from openmed_ner.training.export.runtime import export_runtime
from openmed_ner.training.finetune import build_model, finetune
from openmed_ner.training.lexicon import open_training_lexicon
from openmed_ner.training.warm_start import open_start
from sentences import DOCUMENTS
from tiny import CORPORA, make_recipe

HEADS = tuple(corpus.head for corpus in CORPORA)
NAMES = ("breast cancer", "myocardial infarction", "nephrotoxicity")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_diseases(tmp_path_factory.mktemp("terminologies"), NAMES)


def make_lexicon_recipe(backbone: Path, compiled: Path, **schedule: object) -> Recipe:
    recipe = make_recipe(backbone, **{"epochs": 3, **schedule})
    return replace(recipe, lexicon=LexiconSettings(str(compiled)))


def test_terminologies_are_found_by_name(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_store("compiled") == Path("compiled"), "without the variable, a path"
    monkeypatch.setenv(ENVIRONMENT, str(compiled.parent))
    assert find_store(compiled.name) == compiled
    assert find_store("other") == Path("other")


@pytest.fixture(scope="module")
def reading(backbone: Path, compiled: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A fully trained model that reads the lexicon."""
    recipe = replace(make_lexicon_recipe(backbone, compiled, epochs=20, learning_rate=4e-3), method="full")
    return finetune(recipe, CORPORA, tmp_path_factory.mktemp("reading"), name="reading")


def test_a_bundle_holds_its_lexicon_and_names_its_sources(reading: Bundle, compiled: Path) -> None:
    assert reading.read("lexicon.npy") == (compiled / "lexicon.npy").read_bytes()
    lexicon = reading.manifest.lexicon
    assert lexicon is not None
    assert lexicon.sha256 == sha256_file(compiled / "lexicon.npy") and lexicon.names == len(NAMES)
    assert [(source.name, source.licence) for source in lexicon.terminologies] == [("mondo", "CC-BY-4.0")]
    record = reading.read_json("run.json")
    assert record["recipe"]["lexicon"] == {"folder": "compiled", "dropout": 0.3}
    assert record["lexicon"]["types"]["Disease"]["names"] == len(NAMES)
    assert "Mondo Disease Ontology" in reading.read("README.md").decode()
    (source,) = (source for source in find_sources(reading.manifest, record) if source.role == "terminology")
    assert source.licence == "CC-BY-4.0" and source.citation.endswith("2026-05-05")


def test_training_changes_the_vectors_of_tags_that_occur(reading: Bundle) -> None:
    table = load_file(reading.folder / "lexicon.safetensors")["table.weight"]
    assert table[3].abs().max() > 0 < table[4].abs().max()  # certain diseases
    assert table[0].abs().max() == 0 == table[5:].abs().max()


def test_a_bundle_without_a_lexicon_does_not_mention_one(full_bundle: Bundle) -> None:
    assert "lexicon" not in full_bundle.manifest.to_json()
    assert not {"lexicon.npy", "lexicon.safetensors"} & set(full_bundle.manifest.files)
    assert make_reader(full_bundle).matcher is None


def test_the_tagger_reads_names(reading: Bundle) -> None:
    reader = make_reader(reading)
    (window,) = reader.windows("Breast cancer and aspirin.")
    assert window.lexicon_tags is not None
    assert window.lexicon_tags.tolist() == [3, 4, 0, 0, 0]
    without = replace(reader, matcher=None)
    tagger = Tagger.load(reading)
    model = load_model(reading)
    for document in DOCUMENTS:
        expected = [(span.start, span.end, span.label, span.score) for span in tagger(document.text).spans]
        results = []
        for option in (reader, without):
            (tagged,) = predict([document], run=model.run, reader=option)
            results.append([(span.start, span.end, span.label, span.score) for span in tagged.spans])
        assert results[0] == expected
    assert results[1] != results[0]  # the last sentence has two names


def test_an_adapter_reads_names_too(backbone: Path, compiled: Path, tmp_path: Path) -> None:
    bundle = finetune(make_lexicon_recipe(backbone, compiled), CORPORA, tmp_path, name="tiny")
    table = load_file(bundle.folder / "adapter/tiny/lexicon.safetensors")["table.weight"]
    assert table.abs().max() > 0
    loaded = load_model(bundle).lexicon
    assert loaded is not None and torch.equal(loaded.table.weight, table)


def test_stop_and_resume_equals_no_stop(backbone: Path, compiled: Path, tmp_path: Path) -> None:
    recipe = replace(make_lexicon_recipe(backbone, compiled, dropout=0.1), method="full")
    finetune(recipe, CORPORA, tmp_path / "whole", name="tiny")

    def stop(report: object) -> None:
        if getattr(report, "step", 0) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(recipe, CORPORA, tmp_path / "part", name="tiny", checkpoint_seconds=0.0, on_step=stop)
    finetune(recipe, CORPORA, tmp_path / "part", name="tiny", resume=True)
    assert (tmp_path / "whole/best.safetensors").read_bytes() == (
        tmp_path / "part/best.safetensors"
    ).read_bytes()


def test_a_run_is_finished_with_the_lexicon_of_its_start(
    backbone: Path, reading: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(make_recipe(backbone, epochs=3), method="full", start=str(reading.folder))

    def stop(report: object) -> None:
        if getattr(report, "step", 0) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(recipe, CORPORA, tmp_path, name="tiny", checkpoint_seconds=0.0, on_step=stop)
    bundle = finetune(recipe, CORPORA, tmp_path, name="tiny", resume=True, finish=True)
    assert bundle.manifest.lexicon == reading.manifest.lexicon
    assert bundle.read("lexicon.npy") == reading.read("lexicon.npy")


def test_an_older_model_begins_to_read_names_unchanged(
    backbone: Path, compiled: Path, full_bundle: Bundle
) -> None:
    recipe = replace(make_lexicon_recipe(backbone, compiled), method="full", start=str(full_bundle.folder))
    start = open_start(recipe, describe_backbone(str(backbone), backbone))
    model = build_model(
        recipe, backbone, HEADS, start=start, lexicon=open_training_lexicon(recipe, start.bundle)
    )
    assert model.lexicon is not None
    ids = np.arange(5, 25).reshape(2, 10)
    lexicon_tags = np.full_like(ids, 3)
    expected = load_model(full_bundle).run(ids, np.ones_like(ids))
    np.testing.assert_allclose(model.eval().run(ids, np.ones_like(ids), lexicon_tags), expected, atol=1e-5)


def test_a_model_that_reads_names_goes_on_with_its_lexicon(
    backbone: Path, reading: Bundle, tmp_path: Path
) -> None:
    recipe = replace(
        make_recipe(backbone, epochs=1, learning_rate=1e-9), method="full", start=str(reading.folder)
    )
    bundle = finetune(recipe, CORPORA, tmp_path, name="next")
    assert bundle.manifest.lexicon == reading.manifest.lexicon
    assert bundle.read("lexicon.npy") == reading.read("lexicon.npy")
    before, after = (load_model(entry).lexicon for entry in (reading, bundle))
    assert before is not None and after is not None
    torch.testing.assert_close(before.table.weight, after.table.weight, atol=1e-6, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_an_exported_model_reads_names_and_its_certificate_covers_them(
    reading: Bundle, tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openmed_ner.inference.backends.openvino.PRECISION", "f32")
    gold = {corpus.head.corpus: corpus.dev for corpus in CORPORA}
    target = tmp_path / "out"
    runtime = export_runtime(reading, target, precision="fp32", backend=backend, gold=gold, texts="all")
    assert runtime.read_json("parity.json")["span_agreement"] == 1.0
    assert runtime.manifest.lexicon == reading.manifest.lexicon
    source, exported = Tagger.load(reading), Tagger.load(runtime)
    for document in DOCUMENTS:
        expected = [(span.start, span.end, span.corpus) for span in source(document.text).spans]
        assert [(span.start, span.end, span.corpus) for span in exported(document.text).spans] == expected
    weights = load_model(runtime).lexicon
    assert weights is not None
    assert torch.equal(weights.table.weight, load_model(reading).lexicon.table.weight)  # type: ignore[union-attr]


def test_models_with_different_lexicons_are_not_used_together(
    reading: Bundle, full_bundle: Bundle, tmp_path: Path
) -> None:
    for name, bundle in (("one", reading), ("two", full_bundle)):
        (tmp_path / name).mkdir()
        for path in bundle.folder.iterdir():
            (tmp_path / name / path.name).write_bytes(path.read_bytes())
    for name in ("one", "two"):
        manifest = json.loads((tmp_path / name / "manifest.json").read_text())
        for head in manifest["heads"]:
            head["corpus"] = f"{name}-{head['corpus']}"
        (tmp_path / name / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="differ in their lexicon"):
        open_bundles(tmp_path)


def test_another_lexicon_than_the_model_learnt_with_is_refused(reading: Bundle, tmp_path: Path) -> None:
    for path in reading.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    other = build_diseases(tmp_path.parent / f"{tmp_path.name}-other", ("gout",))
    (tmp_path / "lexicon.npy").write_bytes((other / "lexicon.npy").read_bytes())
    bundle = seal(tmp_path, reading.manifest)
    with pytest.raises(BundleError, match="trained with"):
        open_bundle(bundle.folder).read_matcher()


def test_a_graph_that_reads_no_names_is_refused(
    reading: Bundle, runtime_bundle: Bundle, tmp_path: Path
) -> None:
    for path in runtime_bundle.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "lexicon.npy").write_bytes(reading.read("lexicon.npy"))
    bundle = seal(tmp_path, replace(runtime_bundle.manifest, lexicon=reading.manifest.lexicon))
    with pytest.raises(RunError, match="reads no lexicon"):
        Tagger.load(bundle.folder)


def test_models_that_read_different_lexicons_are_not_averaged(
    backbone: Path, reading: Bundle, full_bundle: Bundle
) -> None:
    recipe = replace(make_recipe(backbone), method="full", start=str(reading.folder))
    with pytest.raises(RecipeError, match="another lexicon"):
        open_start(
            replace(recipe, soup=(str(full_bundle.folder),)), describe_backbone(str(backbone), backbone)
        )


def test_a_folder_without_terminologies_is_refused_before_training(backbone: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="terminologies build"):
        finetune(make_lexicon_recipe(backbone, tmp_path), CORPORA, tmp_path / "run", name="tiny")
