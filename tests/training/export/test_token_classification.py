"""Heads as folders that transformers opens, judged by its own pipeline."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

from architectures import make_backbone
from openmed_ner.bundle import Bundle
from openmed_ner.cli.app import app
from openmed_ner.errors import InputError, RunError
from openmed_ner.formats.jsonl import write_jsonl
from openmed_ner.model.bundles import load_model, merge_adapter
from openmed_ner.text import TagScheme
from openmed_ner.training.export.token_classification import COMPARISON, export_pipelines
from openmed_ner.training.finetune import finetune
from sentences import DOCUMENTS, only
from tiny import CORPORA, make_recipe

SAMPLES = {"diseases": only("Disease"), "chemicals": only("Chemical")}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["adapter_bundle", "full_bundle"])
def test_the_pipeline_of_transformers_finds_the_mentions(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    bundle: Bundle = request.getfixturevalue(kind)
    comparisons = export_pipelines(bundle, tmp_path / "out", samples=SAMPLES, texts="eight sentences")
    assert {name: row.documents for name, row in comparisons.items()} == {"diseases": 8, "chemicals": 8}
    # This package finds everything here, so the pipeline agrees with it as far as with gold.
    assert all(row.f1 == 1.0 and row.agreement == row.f1_pipeline > 0 for row in comparisons.values())
    tag = pipeline("token-classification", model=str(tmp_path / "out/diseases"), aggregation_strategy="first")
    found = [
        {(row["start"], row["end"], row["entity_group"]) for row in tag(each.text)} for each in DOCUMENTS
    ]
    gold = [{span.key for span in document.spans} for document in only("Disease")]
    n_right = sum(len(left & right) for left, right in zip(found, gold, strict=True))
    f1 = 2 * n_right / (sum(map(len, found)) + sum(map(len, gold)))
    assert f1 == pytest.approx(comparisons["diseases"].f1_pipeline)


@pytest.mark.slow
def test_logits_labels_and_tokenizer_are_those_of_the_head(full_bundle: Bundle, tmp_path: Path) -> None:
    export_pipelines(full_bundle, tmp_path / "out", heads=["chemicals"], samples=SAMPLES, texts="eight")
    folder = tmp_path / "out/chemicals"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["chemicals"]
    model = AutoModelForTokenClassification.from_pretrained(folder)
    assert model.config.id2label == {0: "O", 1: "B-Chemical", 2: "I-Chemical"}
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.model_max_length == full_bundle.manifest.window and tokenizer.pad_token == "[PAD]"
    inputs = tokenizer(DOCUMENTS[0].text, return_tensors="pt")
    with torch.inference_mode():
        logits = model(**inputs).logits.numpy()
    original = merge_adapter(load_model(full_bundle))
    expected = original.run(inputs["input_ids"].numpy(), inputs["attention_mask"].numpy())[..., 3:]
    np.testing.assert_allclose(logits, expected, atol=1e-5)


@pytest.mark.slow
def test_the_card_says_what_the_pipeline_loses(full_bundle: Bundle, tmp_path: Path) -> None:
    unmarked = {"diseases": [document.with_spans(()) for document in DOCUMENTS]}
    (row,) = export_pipelines(
        full_bundle, tmp_path / "out", heads=["diseases"], samples=unmarked, texts="eight sentences"
    ).values()
    assert (row.f1, row.f1_pipeline) == (None, None)
    card = (tmp_path / "out/diseases/README.md").read_text()
    assert "library_name: transformers" in card and "pipeline_tag: token-classification" in card
    assert "on 8 documents (eight sentences)" in card and f"| {100 * row.agreement:.2f} |" in card
    assert "against the annotations" not in card and "best sequence of tags" in card
    assert json.loads((tmp_path / "out/diseases" / COMPARISON).read_text())["agreement"] == row.agreement


def test_what_the_pipeline_cannot_read_is_refused(full_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no head 'genes'; it has: diseases, chemicals"):
        export_pipelines(full_bundle, tmp_path / "out", heads=["genes"], samples=SAMPLES, texts="")
    heads = tuple(
        replace(head, scheme=TagScheme.IOBES, transitions=()) for head in full_bundle.manifest.heads
    )
    other = replace(full_bundle, manifest=replace(full_bundle.manifest, heads=heads))
    with pytest.raises(InputError, match="diseases has the tag scheme IOBES; pipelines read IOB2 alone"):
        export_pipelines(other, tmp_path / "out", samples=SAMPLES, texts="")
    (tmp_path / "out").mkdir()
    with pytest.raises(RunError, match="already exists"):
        export_pipelines(full_bundle, tmp_path / "out", samples=SAMPLES, texts="")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["roberta", "electra", "mpnet", "modernbert"])
def test_every_architecture_is_exported_exactly_or_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENMED_NER_BACKBONES", str(tmp_path))
    recipe = make_recipe(make_backbone(kind, tmp_path / kind), epochs=1)
    bundle = finetune(replace(recipe, method="full"), CORPORA[:1], tmp_path / "run", name="x")
    if kind == "modernbert":  # a dense layer and a norm stand between its encoder and its labels
        with pytest.raises(InputError, match="'modernbert': its model for token classification is not a"):
            export_pipelines(bundle, tmp_path / "out", samples=SAMPLES, texts="")
        return
    export_pipelines(bundle, tmp_path / "out", samples=SAMPLES, texts="eight")
    model = AutoModelForTokenClassification.from_pretrained(tmp_path / "out/diseases")
    ids = torch.arange(5, 25).reshape(2, 10)
    with torch.inference_mode():
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.numpy()
    expected = load_model(bundle).run(ids.numpy(), np.ones((2, 10), dtype=np.int64))
    np.testing.assert_allclose(logits, expected, atol=1e-5)


@pytest.mark.slow
def test_the_command_exports_and_says_what_it_measured(
    full_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (tmp_path / "dev.jsonl").open("w", encoding="utf-8") as file:
        write_jsonl(only("Disease"), file)
    command = [
        "bundles",
        "export",
        str(full_bundle.folder),
        "-o",
        str(tmp_path / "out"),
        "--head",
        "diseases",
    ]
    app([*command, "--to", "transformers", "--sample", str(tmp_path / "dev.jsonl")], standalone_mode=False)
    printed = capsys.readouterr().out
    assert "F1 against openmed-ner on 8 documents (a sample of the user)" in printed
    assert "F1 on the annotations " in printed and "openmed-ner 100.00" in printed
    with pytest.raises(InputError, match="no option of a runtime bundle"):
        app([*command, "--to", "transformers", "--window", "64"], standalone_mode=False)
    with pytest.raises(InputError, match="--head is for --to transformers"):
        app(command, standalone_mode=False)
