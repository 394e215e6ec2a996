"""The public verbs do what the commands of the same names do, on documents in memory."""

from __future__ import annotations

from dataclasses import replace
from inspect import isfunction, signature
from pathlib import Path

import pytest

import openmed_ner
from openmed_ner import BundleError, Document, InputError, Recipe, RecipeError, RunError
from openmed_ner.bundle import Bundle
from openmed_ner.formats import READERS, WRITERS
from openmed_ner.inference.tagger import embedded_bundle
from sentences import only
from tiny import make_pretraining, make_recipe

DISEASES = only("Disease")


def memorise(backbone: Path) -> Recipe:
    """A recipe that may train on what it is scored on."""
    return replace(make_recipe(backbone, epochs=30, patience=30, learning_rate=1e-2), leave_out="nothing")


@pytest.fixture(scope="module")
def trained(backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("runs") / "notes"
    return openmed_ner.train(folder, documents=DISEASES, dev=DISEASES, recipe=memorise(backbone))


def test_a_model_trained_on_documents_finds_their_mentions(trained: Bundle) -> None:
    tagger = openmed_ner.load(trained.folder)
    assert tagger.corpora == ("notes",) and tagger.types == ("Disease",)
    assert trained.manifest.name == "notes" and trained.folder.name == "bundle"
    (record,) = openmed_ner.evaluate(trained, documents=DISEASES)
    assert record["micro"]["f1"] == 1.0 and record["documents"] == len(DISEASES)


def test_every_protocol_scores_the_same_predictions(trained: Bundle) -> None:
    records = openmed_ner.evaluate(
        trained, documents=DISEASES, head="notes", protocols=["mention", "subword"]
    )
    assert [record["protocol"] for record in records] == ["mention", "subword"]


def test_a_run_that_is_done_is_resumed_to_the_same_bundle(trained: Bundle, backbone: Path) -> None:
    options = {"documents": DISEASES, "dev": DISEASES, "recipe": memorise(backbone), "resume": True}
    again = openmed_ner.train(trained.folder.parent, **options)
    assert again.read("heads.safetensors" if "heads.safetensors" in again.manifest.files else "run.json")


@pytest.mark.slow
def test_an_export_tags_like_the_original(trained: Bundle, tmp_path: Path) -> None:
    exported = openmed_ner.export(trained.folder, tmp_path / "runtime", precision="fp32", name="notes-onnx")
    assert (exported.manifest.name, exported.manifest.backend) == ("notes-onnx", "onnxruntime")
    (before,), (after,) = (
        list(openmed_ner.load(bundle.folder).pipe([DISEASES[0].text])) for bundle in (trained, exported)
    )
    assert [span.key for span in before.spans] == [span.key for span in after.spans]
    with pytest.raises(RunError, match="exists"):
        openmed_ner.export(trained, tmp_path / "runtime")
    with pytest.raises(BundleError, match="runtime bundle already"):
        openmed_ner.export(exported, tmp_path / "twice")
    with pytest.raises(InputError, match="no scales to fix"):
        openmed_ner.export(trained, tmp_path / "other", calibration=DISEASES)
    with pytest.raises(InputError, match="unknown precision 'int4'"):
        openmed_ner.export(trained, tmp_path / "other", precision="int4")  # type: ignore[arg-type]


def test_an_encoder_is_adapted_to_passages(backbone: Path, passages: Path, tmp_path: Path) -> None:
    stages = []
    bundle = openmed_ner.pretrain(
        tmp_path / "adapted",
        passages,
        recipe=make_pretraining(backbone, subwords=600, head_subwords=200),
        on_step=lambda stage, report: stages.append(stage),
    )
    assert bundle.manifest.name == "adapted" and not bundle.manifest.heads
    assert list(dict.fromkeys(stages)) == ["head", "encoder"]


def test_contradictions_are_refused(trained: Bundle, backbone: Path, tmp_path: Path) -> None:
    recipe = make_recipe(backbone)
    with pytest.raises(RecipeError, match="either documents or corpora"):
        openmed_ner.train(tmp_path, recipe=recipe)
    with pytest.raises(RecipeError, match="dev documents"):
        openmed_ner.train(tmp_path, documents=DISEASES, recipe=recipe)
    with pytest.raises(InputError, match="either documents or corpora"):
        openmed_ner.evaluate(trained, documents=DISEASES, corpora=["bc2gm"])
    with pytest.raises(InputError, match="head 'genes': expected one of notes"):
        openmed_ner.evaluate(trained, documents=DISEASES, head="genes")
    with pytest.raises(InputError, match="expected one of"):
        openmed_ner.evaluate(documents=DISEASES)


@pytest.mark.parametrize("name", sorted({*READERS} & {*WRITERS} - {"bioc", "conll"}))
def test_documents_written_by_name_are_read_back(name: str, tmp_path: Path) -> None:
    path = tmp_path / "documents"
    documents = [Document("1", "Aspirin eased the pain.", (openmed_ner.Span(0, 7, "Chemical"),))]
    openmed_ner.write_documents(documents, path, format=name)
    (document,) = openmed_ner.read_documents(path, format=name)
    assert document.text == documents[0].text and [span.key for span in document.spans] == [
        span.key for span in documents[0].spans
    ]


def test_a_format_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'text' cannot be written; expected one of jsonl"):
        openmed_ner.write_documents([], tmp_path / "a.txt")
    assert not list(tmp_path.iterdir())


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(openmed_ner.__file__).parent / "py.typed").is_file()


def test_every_path_may_be_a_string(tmp_path: Path) -> None:
    functions = [member for name in openmed_ner.__all__ if isfunction(member := getattr(openmed_ner, name))]
    parameters = [
        parameter for function in functions for parameter in signature(function).parameters.values()
    ]
    paths = [str(parameter) for parameter in parameters if "Path" in str(parameter)]
    assert len(paths) > 8 and all("str" in text or "PathLike" in text for text in paths), paths

    openmed_ner.write_documents([openmed_ner.Document("1", "gout")], f"{tmp_path}/one.jsonl")
    assert [document.text for document in openmed_ner.read_documents(f"{tmp_path}/one.jsonl")] == ["gout"]
    assert openmed_ner.open_bundle(str(embedded_bundle())).manifest.name
