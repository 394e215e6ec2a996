"""The accurate bundle at toy size: an adapter of MPNet that reads a lexicon, exported by one command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from architectures import DOCUMENTS, make_backbone
from commands import invoke
from lexicons import build_diseases
from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.errors import InputError
from openmed_ner.formats.jsonl import write_jsonl
from openmed_ner.inference.backends import load_runtime
from openmed_ner.inference.tagger import Tagger
from openmed_ner.model.bundles import load_model
from openmed_ner.tagging import Head
from openmed_ner.training.config import LexiconSettings
from openmed_ner.training.finetune import finetune
from openmed_ner.training.objectives.token_tags import TrainingCorpus
from tiny import make_recipe


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("accurate")


@pytest.fixture(scope="module")
def accurate(folder: Path) -> Bundle:
    """An adapter of a random MPNet, which has learnt four sentences by heart."""
    compiled = build_diseases(folder / "lexicon", ["nephrotoxicity", "breast cancer"])
    corpora = [
        TrainingCorpus(Head(name, (label,)), documents, documents)
        for name, label in (("diseases", "Disease"), ("chemicals", "Chemical"))
        for documents in [
            tuple(entry.with_spans(s for s in entry.spans if s.label == label) for entry in DOCUMENTS)
        ]
    ]
    backbone = make_backbone("mpnet", folder / "mpnet")
    recipe = replace(
        make_recipe(backbone, epochs=60, patience=20), lexicon=LexiconSettings(str(compiled), dropout=0.0)
    )
    return finetune(recipe, corpora, folder / "run", name="accurate")


@pytest.mark.slow
def test_an_adapter_needs_the_public_encoder_and_little_more(
    accurate: Bundle, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are the adapter, the heads, the vectors of lexicon tags, the lexicon and the tokenizer."""
    assert accurate.manifest.kind == "adapter" and accurate.manifest.lexicon is not None
    weights = sorted(path.name for path in accurate.folder.rglob("*.safetensors"))
    assert weights == ["adapter_model.safetensors", "heads.safetensors", "lexicon.safetensors"]
    make_backbone("bert", folder / "other")
    (folder / "other").rename(folder / "elsewhere")
    monkeypatch.setenv("OPENMED_NER_BACKBONES", str(folder / "nowhere"))
    monkeypatch.chdir(folder / "elsewhere")
    with pytest.raises(InputError):
        load_model(accurate)


@pytest.mark.slow
def test_one_command_exports_it_with_a_certificate(
    accurate: Bundle, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENMED_NER_BACKBONES", str(folder))
    with (folder / "sample.jsonl").open("w") as file:
        write_jsonl(DOCUMENTS, file)
    out = folder / "int8"
    invoke("bundles", "export", accurate.folder, "-o", out, "--sample", folder / "sample.jsonl")
    runtime = open_bundle(out)
    assert runtime.manifest.precision == "int8" and runtime.manifest.lexicon == accurate.manifest.lexicon
    parity = runtime.read_json("parity.json")
    assert parity["span_agreement"] == 1.0 and parity["documents"] == len(DOCUMENTS)

    tagger = Tagger.load(runtime, threads=1)
    for document in DOCUMENTS:
        found = {(span.start, span.end, span.label) for span in tagger(document.text, layers=True).spans}
        assert found == {(span.start, span.end, span.label) for span in document.spans}

    # MPNet's positions are relative, in buckets that grow with the distance: rows of any length agree.
    model, graph = load_model(accurate), load_runtime(runtime.read("model.onnx"), "onnxruntime")
    random = np.random.default_rng(0)
    for rows, length in ((1, 16), (3, 64), (2, 96)):
        ids = random.integers(6, 60, (rows, length))
        mask = np.ones_like(ids)
        mask[-1, length // 2 :] = 0
        lexicon_tags = random.integers(0, 5, (rows, length))
        expected = model.run(ids, mask, lexicon_tags)[mask == 1]
        difference = graph.run(ids, mask, lexicon_tags)[mask == 1] - expected
        assert np.abs(difference).mean() < 0.1 * expected.std()
