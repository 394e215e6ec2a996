from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from openmed_ner.alignment import Head
from openmed_ner.bundle import BackboneReference, Bundle, Manifest, open_bundle, seal
from openmed_ner.bundle.card import write_card
from openmed_ner.errors import BundleError
from openmed_ner.inference.tagger import Tagger
from openmed_ner.training.energy import Energy


@pytest.fixture
def copy(runtime_bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(runtime_bundle.folder, tmp_path / "bundle"))


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "manifest.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    change(record)
    path.write_text(json.dumps(record), encoding="utf-8")


def list_file(folder: Path, name: str, content: bytes) -> None:
    """Add a file and have the manifest vouch for it, as an attacker would."""
    target = folder / name
    target.write_bytes(content)
    entry = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    edit_manifest(folder, lambda record: record["files"].update({name: entry}))


def test_a_bundle_comes_back_as_it_was_written(runtime_bundle: Bundle) -> None:
    assert open_bundle(runtime_bundle.folder).manifest == runtime_bundle.manifest
    assert Manifest.from_json(runtime_bundle.manifest.to_json()) == runtime_bundle.manifest


def test_every_file_is_hashed(runtime_bundle: Bundle) -> None:
    present = {path.name for path in runtime_bundle.folder.iterdir()} - {"manifest.json"}
    assert present == set(runtime_bundle.manifest.files)
    assert present == {"model.onnx", "tokenizer.json", "README.md", "run.json", "parity.json"}


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "README.md", "run.json", "parity.json"])
def test_one_changed_bit_is_refused(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(BundleError, match=f"{name}.*changed or"):
        Tagger.load(copy)


def test_a_truncated_file_is_refused(copy: Path) -> None:
    (copy / "model.onnx").write_bytes((copy / "model.onnx").read_bytes()[:-1])
    with pytest.raises(BundleError, match="bytes, the manifest says"):
        open_bundle(copy)


def test_a_missing_file_is_refused(copy: Path) -> None:
    (copy / "tokenizer.json").unlink()
    with pytest.raises(BundleError, match=r"tokenizer\.json is missing"):
        open_bundle(copy)


def test_an_unlisted_file_is_refused(copy: Path) -> None:
    (copy / "extra.json").write_text("{}")
    with pytest.raises(BundleError, match=r"extra\.json is not in the manifest"):
        open_bundle(copy)


@pytest.mark.parametrize(
    "name", ["model.pkl", "pytorch_model.bin", "weights.pt", "data.npy", "setup.py", "lib.so"]
)
def test_a_kind_of_file_that_can_run_code_is_refused(copy: Path, name: str) -> None:
    list_file(copy, name, pickle.dumps(print))
    with pytest.raises(BundleError, match="pickle"):
        Tagger.load(copy)


def test_a_pickle_in_disguise_is_never_unpickled(copy: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
            return pytest.fail, ("a pickle was loaded",)

    list_file(copy, "model.onnx", pickle.dumps(Bomb()))
    with pytest.raises(BundleError, match=r"model\.onnx cannot be loaded"):
        Tagger.load(copy)


@pytest.mark.parametrize("name", ["../outside.json", "/etc/passwd.json", "a/../../b.json", "a\\b.json"])
def test_a_path_out_of_the_bundle_is_refused(copy: Path, name: str) -> None:
    edit_manifest(copy, lambda record: record["files"].update({name: {"size": 0, "sha256": ""}}))
    with pytest.raises(BundleError, match="does not lie inside"):
        open_bundle(copy)


def test_a_symbolic_link_is_refused(copy: Path) -> None:
    (copy / "link.json").symlink_to(copy / "run.json")
    with pytest.raises(BundleError, match="symbolic link"):
        open_bundle(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record.pop("heads"), "damaged"),
        (lambda record: record.update(format=2), "upgrade"),
        (lambda record: record.update(kind="virus"), "virus"),
        (lambda record: record.update(window="wide"), "damaged"),
        (lambda record: record["heads"][0].update(scheme="BILOU"), "damaged"),
        (lambda record: record.update(backbone=[]), "damaged"),
        (lambda record: record.update(files=[]), "damaged"),
    ],
)
def test_a_damaged_manifest_is_refused(
    copy: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit_manifest(copy, change)
    with pytest.raises(BundleError, match=message):
        open_bundle(copy)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_manifest_that_is_no_json_object_is_refused(copy: Path, content: bytes) -> None:
    (copy / "manifest.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        open_bundle(copy)


def test_a_folder_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not a bundle"):
        open_bundle(tmp_path)


def test_a_file_is_checked_again_when_it_is_read(copy: Path) -> None:
    bundle = open_bundle(copy)
    (copy / "run.json").write_bytes(b"!" * bundle.manifest.files["run.json"].size)
    with pytest.raises(BundleError, match="changed or"):
        bundle.read("run.json")
    with pytest.raises(BundleError, match=r"has no scores\.json"):
        bundle.read("scores.json")


def test_sealing_refuses_what_opening_would(copy: Path, runtime_bundle: Bundle) -> None:
    (copy / "model.bin").write_bytes(b"")
    with pytest.raises(BundleError, match="pickle"):
        seal(copy, runtime_bundle.manifest)


CARD = """---
license: apache-2.0
language: en
library_name: openmed-ner
pipeline_tag: token-classification
base_model: tiny
tags: [biomedical, named-entity-recognition]
---

# tiny

Biomedical named entity recognition: Chemical, Disease. ONNX model that needs no torch, fp32,
2 heads on one pass of tiny (tiny at
a local folder, unknown). Written by openmed-ner 1.2.3.

## Training data

| head | labels | documents train/dev | licence of the corpus | cite |
|---|---|---|---|---|
| diseases | Disease | 8/8 | stated by its owner |  |
| chemicals | Chemical | 8/8 | stated by its owner |  |

## Training

Method lora, seed 0; 1,000 of 100,000
parameters trained (1.00 %);
epoch 2 of 3 chosen on dev;
10 minutes on Example CPU; 12.5 Wh, 3.0 g CO2e on the grid of FRA (mode: constant).
Commit abc.

## Scores

| corpus | split | protocol | precision | recall | F1 | 95 % interval |
|---|---|---|---|---|---|---|
| diseases | test | mention | 50.00 | 25.00 | 33.33 | 20.0 to 45.0 |

## Parity with the original in fp32

99.50 % of spans agree over 8 documents
(the tiny corpus). Difference in dev F1, in points: diseases -0.10.

## Intended use and limits

For finding mentions of the listed entity types in English biomedical abstracts and articles, as a step in
text mining and curation. Clinical notes, patents and social media differ from the training text; measure
on your own sample before relying on the results there. The model finds mentions; it does not
link them to a database, and does not tell negated or hypothetical ones from asserted ones. It is not a
medical device and must not decide anything about a patient by itself.
"""


def test_the_card_says_what_the_records_say(runtime_bundle: Bundle, tmp_path: Path) -> None:
    size = {"documents": 8}
    record = {
        "recipe": {"method": "lora", "seed": 0},
        "data": {name: {"train": size, "dev": size} for name in ("diseases", "chemicals")},
        "parameters": {"trained": 1000, "total": 100_000, "share": 0.01},
        "history": {"best_epoch": 1, "scores": [{}, {}, {}], "seconds": 600.0},
        "host": {"processor": "Example CPU"},
        "energy": {"kwh": 0.0125, "co2e_kg": 0.003, "country": "FRA", "mode": "constant"},
        "commit": "abc",
    }
    micro = {"precision": 0.5, "recall": 0.25, "f1": 1 / 3, "ci95": [0.2, 0.45]}
    score = {"corpus": "diseases", "split": "test", "protocol": "mention", "micro": micro}
    parity = {
        "span_agreement": 0.995,
        "documents": 8,
        "texts": "the tiny corpus",
        "corpora": {"diseases": {"f1_difference": -0.001}},
    }
    path = tmp_path / "README.md"
    manifest = replace(runtime_bundle.manifest, version="1.2.3")
    write_card(path, manifest, record=record, scores=[score], parity=parity)
    assert path.read_text(encoding="utf-8") == CARD
    write_card(path, manifest, record={})
    assert "Not evaluated yet" in path.read_text(encoding="utf-8")


def test_the_card_says_what_was_left_out_and_what_was_scored(runtime_bundle: Bundle, tmp_path: Path) -> None:
    manifest = replace(runtime_bundle.manifest, heads=(Head("gellus", ("CellLine",)),))
    data = {"train": {"documents": 8}, "dev": {"documents": 3}, "left_out": ["a", "b"]}
    record = {
        "recipe": {"method": "lora", "seed": 0},
        "data": {"gellus": data},
        "parameters": {"trained": 1, "total": 2, "share": 0.5},
        "history": {"best_epoch": 0, "scores": [{}], "seconds": 1.0},
        "host": {"processor": "Example CPU"},
        "energy": {"kwh": None},
        "commit": "abc",
    }
    micro = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "ci95": [0.2, 0.8]}
    score = {"corpus": "gellus", "split": "test", "protocol": "mention", "micro": micro}
    write_card(tmp_path / "card.md", manifest, record=record, scores=[score])
    card = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert "| gellus | CellLine | 8/3; 2 left out |" in card and "stand, whole or by half" in card
    assert "- gellus: Put back on AnatEM's documents" in card


ENCODER_CARD = """---
license: apache-2.0
language: en
library_name: openmed-ner
pipeline_tag: fill-mask
base_model: owner/tiny
tags: [biomedical, domain-adaptation]
---

# tiny-adapted

tiny (owner/tiny at a local folder, MIT) adapted to
biomedical text by masked language modelling: a LoRA adapter and a language-modelling head.
Written by openmed-ner 1.2.3.

## Adaptation to biomedical text

Method lora, seed 0, 2,000,000 subwords; 1,000 of 100,000 parameters trained (1.00 %). \
Perplexity on 500 held-out pieces: 90.00 before, 30.50 after. 10 minutes; \
12.5 Wh, 5.0 g CO2e on the grid of FRA at 0.400 kg/kWh (mode: constant). Commit abc.

| source | licence | class | passages read | kept | dropped |
|---|---|---|---|---|---|
| medquad | CC BY 4.0 | permissive | 1,200 | 1,000 | short 150, held-out 50 |

No passage shares a sentence with any of the 2 dev and test splits of the catalog.

## Use

To fine-tune from: `openmed-ner train --adapted`. It finds no entities by itself. An adapter is in peft's
format, and loads onto the backbone without this project.
"""


def test_the_card_of_an_adapted_encoder_names_sources_and_terms(tmp_path: Path) -> None:
    source = {"name": "medquad", "licence": "CC BY 4.0", "licence_class": "permissive"}
    counts = {"read": 1200, "kept": 1000, "dropped": {"short": 150, "held-out": 50}}
    other = {**source, "name": "closed", "licence_class": "non-commercial"}
    unread = {**source, "name": "unread"}
    record = {
        "recipe": {"method": "lora", "seed": 0, "licences": "permissive", "weights": {"unread": 0.0}},
        "parameters": {"trained": 1000, "total": 100_000, "share": 0.01},
        "held_out": {"passages": 500, "before": {"perplexity": 90.0}, "after": {"perplexity": 30.5}},
        "history": {"subwords": 2_000_000, "seconds": 600.0},
        "energy": Energy(0.0125, 0.005, "FRA", "constant").to_json(),
        "passages": {
            "sources": [{**each, **counts} for each in (source, other, unread)],
            "guard": {"mode": "catalog", "splits": {"a/dev": {}, "a/test": {}}},
        },
        "commit": "abc",
    }
    manifest = Manifest(
        name="tiny-adapted",
        kind="adapter",
        version="1.2.3",
        heads=(),
        window=64,
        overlap=0,
        backbone=BackboneReference("tiny", "owner/tiny", "", "0" * 64, "MIT"),
    )
    write_card(tmp_path / "card.md", manifest, record=record)
    assert (tmp_path / "card.md").read_text(encoding="utf-8") == ENCODER_CARD
    record["recipe"]["licences"] = "all"  # type: ignore[index]
    write_card(tmp_path / "card.md", manifest, record=record)
    assert "Sources of the class non-commercial were read." in (tmp_path / "card.md").read_text()
