from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from openmed_ner.bundle import Bundle, Manifest, open_bundle, seal
from openmed_ner.bundle.files import MANIFEST
from openmed_ner.cli.app import app
from openmed_ner.errors import BundleError, InputError, RunError
from openmed_ner.inference.tagger import Tagger
from openmed_ner.model.bundles import load_models
from openmed_ner.tagging.document_decoding import DocumentChoice
from openmed_ner.tagging.type_merging import TypeMerge
from openmed_ner.text import Document
from openmed_ner.training.finetune import finetune
from openmed_ner.training.study.suite import collect
from sentences import DOCUMENTS
from tiny import CORPORA, make_recipe

TEXTS = [document.text for document in DOCUMENTS]


@pytest.fixture(scope="module")
def suite(backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two adapters, a corpus each, of one backbone."""
    folder = tmp_path_factory.mktemp("suite")
    recipe = make_recipe(backbone, epochs=20, patience=20, learning_rate=1e-2)
    for corpus in CORPORA:
        name = corpus.head.corpus
        bundle = finetune(recipe, [corpus], tmp_path_factory.mktemp(name), name="tiny")
        shutil.copytree(bundle.folder, folder / name)
    return folder


def found(document: Document) -> list[tuple[int, int, str, float, str | None]]:
    return [(*span.key[:2], span.label, span.score or 0.0, span.corpus) for span in document.spans]


@pytest.mark.slow
def test_a_suite_equals_its_bundles_one_by_one(suite: Path) -> None:
    together = Tagger.load(suite)
    assert set(together.corpora) == {"diseases", "chemicals"}
    alone = {name: Tagger.load(suite / name) for name in together.corpora}
    for document in together.pipe(TEXTS):
        for name, tagger in alone.items():
            own = [span for span in document.spans if span.corpus == name]
            assert found(document.with_spans(own)) == found(tagger(document.text))
    assert all(any(found(document) for document in tagger.pipe(TEXTS)) for tagger in alone.values())
    for name, tagger in alone.items():
        for one, other in zip(together.pipe(TEXTS, corpora=[name]), tagger.pipe(TEXTS), strict=True):
            assert found(one) == found(other)


@pytest.mark.slow
def test_its_backbone_is_loaded_once(suite: Path) -> None:
    first, second = load_models([open_bundle(suite / name) for name in ("diseases", "chemicals")])
    assert first.encoder is second.encoder and first.adapter != second.adapter


@pytest.mark.slow
def test_only_the_bundles_asked_for_compute(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tagger = Tagger.load(suite)
    chemicals = next(part for part in tagger._parts if part.has({"chemicals"}))
    monkeypatch.setattr(chemicals.backend, "run", None)
    assert [span.corpus for span in tagger(TEXTS[0], corpora=["diseases"]).spans] == ["diseases"]
    assert [span.corpus for span in tagger(TEXTS[0], types=["Disease"]).spans] == ["diseases"]


@pytest.mark.slow
def test_bundles_that_do_not_fit_together_are_refused(
    suite: Path, runtime_bundle: Bundle, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match="is not a bundle and holds none"):
        Tagger.load(tmp_path)
    folder = shutil.copytree(suite, tmp_path / "suite")
    shutil.copytree(folder / "diseases", folder / "again")
    with pytest.raises(BundleError, match="both have a head diseases; name one of the two"):
        Tagger.load(folder)
    shutil.rmtree(folder / "again")
    shutil.copytree(runtime_bundle.folder, folder / "runtime")
    with pytest.raises(BundleError, match="differ in their kind"):
        Tagger.load(folder)
    shutil.rmtree(folder / "runtime")
    manifest = open_bundle(folder / "diseases").manifest
    seal(folder / "diseases", replace(manifest, overlap=manifest.overlap + 1))
    with pytest.raises(BundleError, match="differ in their overlap"):
        Tagger.load(folder)


@pytest.fixture
def study(suite: Path, tmp_path: Path) -> Path:
    """What a study leaves: two models, one of them with two seeds, of which dev prefers the second."""
    folder = tmp_path / "study"
    for model, seed, f1 in (("diseases", 0, 0.5), ("diseases", 1, 0.6), ("chemicals", 0, 0.7)):
        run = folder / f"models/{model}/none/seed-{seed}"
        shutil.copytree(suite / model, run / "bundle")
        rows = [{"corpus": model, "split": "dev", "protocol": "mention", "micro": {"f1": f1}}]
        (run / "scores.json").write_text(json.dumps({"results": rows}))
    return folder


@pytest.mark.slow
def test_a_study_becomes_a_suite_of_the_bundles_that_dev_chooses(study: Path, tmp_path: Path) -> None:
    second = study / "models/diseases/none/seed-1/bundle"
    seal(second, replace(open_bundle(second).manifest, version="chosen"))
    command = ("bundles", "collect", str(study), "-o", str(tmp_path / "suite"), "--prefix", "our-")
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0 and "our-diseases, diseases, " in shown.stdout
    bundle = open_bundle(tmp_path / "suite/diseases")
    assert (bundle.manifest.name, bundle.manifest.version) == ("our-diseases", "chosen")
    assert bundle.read("README.md").decode().count("# our-diseases\n") == 1
    assert "adapter/our-diseases/adapter_model.safetensors" in bundle.manifest.files
    own = [found(document) for document in Tagger.load(bundle).pipe(TEXTS)]
    assert own == [found(document) for document in Tagger.load(second).pipe(TEXTS)]
    assert set(Tagger.load(tmp_path / "suite").corpora) == {"diseases", "chemicals"}


@pytest.mark.slow
def test_what_cannot_be_collected_is_named(study: Path, tmp_path: Path) -> None:
    target = tmp_path / "suite"
    with pytest.raises(InputError, match=r"no model joint; finished models: chemicals, diseases"):
        collect(study, target, leave_out=["joint"])
    shutil.copytree(study / "models/diseases", study / "models/joint")
    with pytest.raises(BundleError, match="both have a head diseases"):
        collect(study, target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["study"], "nothing is left behind"
    collect(study, target, leave_out=["joint"])
    with pytest.raises(InputError, match="already exists"):
        collect(study, target, leave_out=["joint"])
    (study / "models/diseases/none/seed-1/scores.json").write_text('{"results": []}')
    with pytest.raises(RunError, match="diseases: 2 runs, not all with dev scores"):
        collect(study, tmp_path / "new", leave_out=["joint"])
    with pytest.raises(RunError, match="no finished model"):
        collect(tmp_path / "suite", tmp_path / "new")


def test_types_merge_their_layers_as_the_bundle_says(runtime_bundle: Bundle, tmp_path: Path) -> None:
    """Two heads of one type, by renaming a label: the chemical head now says Disease as well."""
    folder = shutil.copytree(runtime_bundle.folder, tmp_path / "bundle")
    diseases, chemicals = runtime_bundle.manifest.heads
    heads = (diseases, replace(chemicals, labels=("Disease",)))
    text = TEXTS[0]
    for merge, expected in (
        (TypeMerge(("chemicals",), "first"), ["Cisplatin"]),
        (TypeMerge(("diseases", "chemicals"), "fill"), ["Cisplatin", "nephrotoxicity"]),
    ):
        seal(folder, replace(runtime_bundle.manifest, heads=heads, merges={"Disease": merge}))
        tagger = Tagger.load(folder)
        assert tagger.manifest.merge_of("Disease") == merge
        document = tagger(text, types=["Disease"])
        assert [document.mention(span) for span in document.spans] == expected
        layers = tagger(text, types=["Disease"], corpora=["diseases", "chemicals"])
        assert {span.corpus for span in layers.spans} == {"diseases", "chemicals"}
    assert tagger.manifest == Manifest.from_json(json.loads((folder / MANIFEST).read_text()))
    seal(folder, replace(runtime_bundle.manifest, heads=heads))
    assert Tagger.load(folder).manifest.merge_of("Disease") == TypeMerge(("diseases", "chemicals"))


def test_document_decoding_is_kept_and_can_be_left_out(runtime_bundle: Bundle, tmp_path: Path) -> None:
    folder = shutil.copytree(runtime_bundle.folder, tmp_path / "one")
    choices = {
        "diseases": DocumentChoice("definitions+repetition", 0.0123),
        "chemicals": DocumentChoice("off"),
    }
    without = replace(runtime_bundle.manifest, document_decoding={})
    assert "document_decoding" not in without.to_json(), "older versions wrote none"
    bundle = seal(folder, replace(without, document_decoding=choices))
    assert open_bundle(folder).manifest.document_decoding == choices
    assert Tagger.load(bundle).manifest.document_modes == {
        "diseases": "definitions+repetition",
        "chemicals": "off",
    }
    assert Tagger.load(bundle, document_decoding=False).manifest.document_modes == {}

    other = shutil.copytree(runtime_bundle.folder, tmp_path / "other")
    heads = tuple(replace(head, corpus=f"other-{head.corpus}") for head in bundle.manifest.heads)
    seal(other, replace(without, heads=heads))
    assert Tagger.load(tmp_path).manifest.document_decoding == choices, "a suite has those of its bundles"


def test_a_damaged_mode_is_refused(runtime_bundle: Bundle) -> None:
    for damage in ({"mode": "always", "gain": 0.1}, {"mode": "off"}, {"mode": "off", "gain": "much"}):
        record = {**runtime_bundle.manifest.to_json(), "document_decoding": {"diseases": damage}}
        with pytest.raises(BundleError, match="the manifest is damaged"):
            Manifest.from_json(record)


def test_a_damaged_merge_is_refused(runtime_bundle: Bundle) -> None:
    record = {**runtime_bundle.manifest.to_json(), "merges": {"Disease": {"order": [], "rule": "score"}}}
    with pytest.raises(BundleError, match="a merge needs guidelines"):
        Manifest.from_json(record)
