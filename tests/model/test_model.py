from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from torch import nn
from transformers import (
    AutoModel,
    BertConfig,
    BertModel,
    DebertaV2Config,
    DebertaV2Model,
    ElectraConfig,
    ElectraModel,
)

from openmed_ner.bundle import Bundle
from openmed_ner.errors import InputError, RecipeError, RunError
from openmed_ner.model.backbones import BACKBONES, find_backbone
from openmed_ner.model.bundles import load_model, merge_adapter
from openmed_ner.model.lora import LoraLinear, attach_lora, load_lora
from openmed_ner.model.tagger import TokenTagger, count_parameters, load_encoder
from openmed_ner.tagging import Head
from openmed_ner.training.finetune import build_model
from tiny import make_recipe

IDS = torch.arange(4, 24).reshape(2, 10)
MASK = torch.ones_like(IDS)


def perturb(model: nn.Module) -> None:
    """Move every adapter weight off its initial value, where half of them are zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)


def plain_peft(folder: Path, targets: list[str] | str) -> PeftModel:
    encoder = AutoModel.from_pretrained(folder, attn_implementation="eager")
    encoder.pooler = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return get_peft_model(encoder, LoraConfig(r=4, lora_alpha=8, target_modules=targets))


@pytest.mark.parametrize("targets", ["query-value", "all-linear"])
def test_folded_lora_has_the_outputs_and_gradients_of_peft(backbone: Path, targets: str) -> None:
    actual = attach_lora(load_encoder(backbone, dropout=0.0), rank=4, alpha=8, dropout=0.0, targets=targets)
    reference = plain_peft(backbone, ["query", "value"] if targets == "query-value" else targets)
    perturb(actual)
    perturb(reference)
    reference.load_state_dict(actual.state_dict(), strict=False)
    assert any(isinstance(module, LoraLinear) for module in actual.modules())
    results = [
        model.eval()(input_ids=IDS, attention_mask=MASK).last_hidden_state for model in (actual, reference)
    ]
    torch.testing.assert_close(*results)
    for result in results:
        result.square().sum().backward()
    gradients = [
        {name: parameter.grad for name, parameter in model.named_parameters() if "lora_" in name}
        for model in (actual, reference)
    ]
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-4, atol=1e-4, msg=name)


def test_only_adapters_and_heads_are_trained(backbone: Path) -> None:
    model = build_model(make_recipe(backbone), backbone, [Head("a", ("Disease",))])
    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert names and all("lora_" in name or name.startswith("layers.") for name in names)
    everything = build_model(
        replace(make_recipe(backbone), method="full"), backbone, [Head("a", ("Disease",))]
    )
    trained, total = count_parameters(everything)
    assert trained == total


def test_lora_dropout_falls_back_to_peft(backbone: Path) -> None:
    encoder = attach_lora(
        load_encoder(backbone, dropout=0.0), rank=4, alpha=8, dropout=0.5, targets="query-value"
    )
    perturb(encoder)
    first, second = (encoder.train()(input_ids=IDS).last_hidden_state for _ in range(2))
    assert not torch.equal(first, second)
    first, second = (encoder.eval()(input_ids=IDS).last_hidden_state for _ in range(2))
    assert torch.equal(first, second)


def test_merged_lora_predicts_the_same(adapter_bundle: Bundle) -> None:
    model = load_model(adapter_bundle)
    before = model.run(IDS.numpy(), MASK.numpy())
    merged = merge_adapter(load_model(adapter_bundle))
    assert not any("lora" in name for name, _ in merged.named_parameters())
    np.testing.assert_allclose(merged.run(IDS.numpy(), MASK.numpy()), before, rtol=1e-4, atol=1e-5)


def test_reloading_reproduces_the_logits_bit_for_bit(adapter_bundle: Bundle, full_bundle: Bundle) -> None:
    for bundle in (adapter_bundle, full_bundle):
        trained = load_file(bundle.folder.parent / "best.safetensors")
        model = load_model(bundle)
        state = model.state_dict()
        for name, value in trained.items():
            assert torch.equal(state[name], value), name
        again = load_model(bundle)
        assert np.array_equal(model.run(IDS.numpy(), MASK.numpy()), again.run(IDS.numpy(), MASK.numpy()))


def test_plain_peft_loads_the_adapter(adapter_bundle: Bundle, backbone: Path) -> None:
    folder = adapter_bundle.folder / "adapter" / adapter_bundle.manifest.name
    encoder = AutoModel.from_pretrained(backbone, attn_implementation="eager")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = PeftModel.from_pretrained(encoder, str(folder)).eval()
    actual = load_lora(load_encoder(backbone), str(folder)).eval()
    with torch.no_grad():
        results = [
            model(input_ids=IDS, attention_mask=MASK).last_hidden_state for model in (actual, reference)
        ]
    torch.testing.assert_close(*results)


def test_the_adapter_names_no_path_of_this_machine(adapter_bundle: Bundle, backbone: Path) -> None:
    for path in adapter_bundle.folder.rglob("*.*"):
        assert (
            str(backbone.parent).encode() not in path.read_bytes().replace(b"\\/", b"/")
            or path.name == "run.json"
        )


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        (ElectraConfig(vocab_size=99, embedding_size=16, hidden_size=32, num_hidden_layers=1,
                       num_attention_heads=2, intermediate_size=64), ElectraModel),
        (DebertaV2Config(vocab_size=99, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
                         intermediate_size=64, relative_attention=True, pos_att_type=["p2c", "c2p"]),
         DebertaV2Model),
        (BertConfig(vocab_size=99, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
                    intermediate_size=64), BertModel),
    ],
)  # fmt: skip
def test_query_and_value_are_found_in_every_architecture(config: object, kind: type) -> None:
    encoder = attach_lora(kind(config), rank=2, alpha=4, dropout=0.0, targets="query-value")
    adapted = {name.rsplit(".", 4)[-4] for name, p in encoder.named_parameters() if "lora_A" in name}
    assert len(adapted) == 2
    tagger = TokenTagger(encoder, [Head("a", ("Disease",)), Head("b", ("Gene",))])
    assert tagger(IDS, MASK).shape == (2, 10, 6)


def test_unknown_targets_are_refused(backbone: Path) -> None:
    with pytest.raises(RecipeError, match="nowhere"):
        attach_lora(load_encoder(backbone), rank=2, alpha=4, dropout=0.0, targets="nowhere")


def test_a_backbone_is_found_by_folder_and_by_environment(
    backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_backbone(str(backbone)) == backbone
    monkeypatch.setenv("OPENMED_NER_BACKBONES", str(backbone.parent))
    assert find_backbone(backbone.name) == backbone


def test_a_backbone_with_other_weights_is_refused(
    backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "minilm-l6").symlink_to(backbone)
    monkeypatch.setenv("OPENMED_NER_BACKBONES", str(tmp_path))
    with pytest.raises(InputError, match=BACKBONES["minilm-l6"].sha256):
        find_backbone("minilm-l6")


def test_a_backbone_is_fetched_pinned_and_never_when_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, str]] = []

    def snapshot_download(hub_id: str, *, revision: str, allow_patterns: list[str]) -> str:
        calls.append((hub_id, revision))
        assert not any(pattern.endswith((".bin", ".py")) for pattern in allow_patterns)
        raise ConnectionError

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENMED_NER_BACKBONES", raising=False)
    monkeypatch.setenv("OPENMED_NER_OFFLINE", "1")
    with pytest.raises(RunError, match="OPENMED_NER_OFFLINE"):
        find_backbone("minilm-l6")
    assert calls == []
    monkeypatch.delenv("OPENMED_NER_OFFLINE")
    with pytest.raises(RunError, match="could not be fetched"):
        find_backbone("minilm-l6")
    assert calls == [(BACKBONES["minilm-l6"].hub_id, BACKBONES["minilm-l6"].revision)]
    with pytest.raises(InputError, match="unknown backbone"):
        find_backbone("owner/model")
