from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import PeftModel
from safetensors.torch import load_file
from torch import nn
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    BertConfig,
    BertForMaskedLM,
    DebertaV2Config,
    DebertaV2ForMaskedLM,
    DistilBertConfig,
    DistilBertForMaskedLM,
    ElectraConfig,
    ElectraForMaskedLM,
    ModernBertConfig,
    ModernBertForMaskedLM,
    MPNetConfig,
    MPNetForMaskedLM,
    RobertaConfig,
    RobertaForMaskedLM,
)

from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.errors import BundleError, InputError, RecipeError, RunError
from openmed_ner.model.bundles import load_model, merge_adapter
from openmed_ner.model.masked import load_masked
from openmed_ner.tagging import SubwordTokenizer
from openmed_ner.training.config import Masking, PretrainRecipe, Schedule
from openmed_ner.training.engine.log import LOG, RunLog
from openmed_ner.training.engine.loop import History, Loss, Trainer
from openmed_ner.training.finetune import finetune
from openmed_ner.training.objectives.masked_lm import MaskedLanguageModelling, sample_passages
from openmed_ner.training.objectives.rows import PassageRows
from openmed_ner.training.passages import PassageSplit, load_prepared
from openmed_ner.training.pretrain import pretrain
from pages import SUPPORT
from sentences import tiny_tokenizer
from tiny import CORPORA, make_backbone, make_pretraining, make_recipe

ENCODER = SubwordTokenizer(tiny_tokenizer())
SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 90,
    "max_position_embeddings": 64,
}
MODELS: dict[str, Callable[[], Any]] = {
    "bert": lambda: BertForMaskedLM(BertConfig(**SMALL)),
    "deberta-v2": lambda: DebertaV2ForMaskedLM(DebertaV2Config(**SMALL, relative_attention=True)),
    "distilbert": lambda: DistilBertForMaskedLM(
        DistilBertConfig(dim=32, n_layers=2, n_heads=2, hidden_dim=64, vocab_size=90)
    ),
    "electra": lambda: ElectraForMaskedLM(ElectraConfig(**SMALL, embedding_size=16)),
    "modernbert": lambda: ModernBertForMaskedLM(ModernBertConfig(**SMALL, pad_token_id=0)),
    "mpnet": lambda: MPNetForMaskedLM(MPNetConfig(**SMALL)),
    "roberta": lambda: RobertaForMaskedLM(RobertaConfig(**SMALL)),
}


@pytest.fixture(scope="module")
def adapted(backbone: Path, passages: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return pretrain(
        make_pretraining(backbone), passages, tmp_path_factory.mktemp("adapted"), name="adapted-tiny"
    )


@pytest.fixture(scope="module")
def fully_adapted(backbone: Path, passages: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    recipe = make_pretraining(backbone, method="full")
    return pretrain(recipe, passages, tmp_path_factory.mktemp("full"), name="adapted-tiny")


def make_objective(backbone: Path, passages: Path, recipe: PretrainRecipe) -> MaskedLanguageModelling:
    return MaskedLanguageModelling(
        load_masked(backbone),
        load_prepared(passages, "train"),
        load_prepared(passages, "heldout"),
        ENCODER,
        recipe=recipe,
        schedule=recipe.schedule,
        subwords=recipe.subwords,
    )


def make_prepared(lengths: list[int], sources: list[int]) -> PassageSplit:
    ids = np.arange(100, 100 + sum(lengths), dtype=np.uint16)
    return PassageSplit(ids, np.cumsum(lengths), np.array(sources, dtype=np.uint8), ("a", "b"), {})


def read_pass(rows: PassageRows, turn: int = 0) -> list[int]:
    """The subwords of a pass, without special ones."""
    first = sum(rows.lay_out(earlier).n_batches for earlier in range(turn))
    batches = [rows.batch(first + number)[0] for number in range(rows.lay_out(turn).n_batches)]
    return [number for batch in batches for number in batch.flatten().tolist() if number >= 100]


@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=40),
    window=st.integers(32, 80),
    budget=st.integers(10, 300),
    packed=st.booleans(),
    turn=st.integers(0, 2),
)
def test_a_pass_reads_every_subword_once(
    lengths: list[int], window: int, budget: int, packed: bool, turn: int
) -> None:
    passages = make_prepared(lengths, [0] * len(lengths))
    rows = PassageRows(passages, ENCODER, window=window, budget=budget, packed=packed, seed=1)
    assert sorted(read_pass(rows, turn)) == passages.ids.tolist()


@given(lengths=st.lists(st.integers(1, 30), min_size=2, max_size=40), packed=st.booleans())
def test_rows_are_framed_and_fit_the_budget(lengths: list[int], packed: bool) -> None:
    passages = make_prepared(lengths, [0] * len(lengths))
    rows = PassageRows(passages, ENCODER, window=48, budget=200, packed=packed, seed=0)
    for number in range(rows.lay_out(0).n_batches):
        ids, mask = rows.batch(number)
        assert ids.shape == mask.shape and ids.size <= 200
        assert not packed or ids.shape[1] == 48
        for row, row_mask in zip(ids, mask, strict=True):
            length = int(row_mask.sum())
            assert row_mask[:length].all() and (row[length:] == ENCODER.padding).all()
            assert (row[0], row[length - 1]) == (ENCODER.prefix, ENCODER.suffix)


def test_packed_rows_have_no_padding_but_in_the_last() -> None:
    rows = PassageRows(
        make_prepared([17] * 50, [0] * 50), ENCODER, window=32, budget=128, packed=True, seed=0
    )
    masks = [rows.batch(number)[1] for number in range(rows.lay_out(0).n_batches)]
    assert all(mask.all() for mask in masks[:-1])
    assert masks[-1][:-1].all()


def test_weights_say_how_often_a_source_is_read() -> None:
    passages = make_prepared([5] * 40, [0, 1] * 20)
    of_a = {number for piece in range(0, 40, 2) for number in passages.piece(piece).tolist()}

    def share(a: float, b: float) -> tuple[float, float]:
        weights = {"a": a, "b": b}
        rows = PassageRows(passages, ENCODER, window=16, budget=64, packed=True, seed=0, weights=weights)
        passes = [read_pass(rows, turn) for turn in range(20)]
        n_a = sum(number in of_a for numbers in passes for number in numbers)
        return n_a / 2000, (sum(map(len, passes)) - n_a) / 2000

    assert share(1, 0) == (1, 0)
    assert share(3, 1) == (3, 1)
    assert share(0.5, 2) == pytest.approx((0.5, 2), abs=0.1)


def test_a_pass_is_never_empty() -> None:
    passages = make_prepared([5] * 4, [0, 1, 0, 1])
    weights = {"a": 1e-6, "b": 0.0}
    rows = PassageRows(passages, ENCODER, window=16, budget=64, packed=False, seed=0, weights=weights)
    assert [len(read_pass(rows, turn)) for turn in range(5)] == [5] * 5


def test_orders_differ_by_pass_and_seed() -> None:
    passages = make_prepared([5] * 40, [0] * 40)
    layout = {"window": 16, "budget": 64, "packed": True}
    rows, other = (PassageRows(passages, ENCODER, seed=seed, **layout) for seed in (0, 1))  # type: ignore[arg-type]
    assert len({tuple(order) for order in (read_pass(rows), read_pass(rows, 1), read_pass(other))}) == 3
    assert read_pass(rows) == read_pass(PassageRows(passages, ENCODER, seed=0, **layout))  # type: ignore[arg-type]


def test_rows_refuse_what_they_cannot_hold() -> None:
    passages = make_prepared([30, 30], [0, 1])
    with pytest.raises(RecipeError, match=r"weights\.c: .*expected a, b"):
        PassageRows(passages, ENCODER, window=40, budget=80, packed=True, seed=0, weights={"c": 1})
    with pytest.raises(RecipeError, match="no passage is left"):
        PassageRows(passages, ENCODER, window=40, budget=80, packed=True, seed=0, weights={"a": 0, "b": 0})
    with pytest.raises(RecipeError, match="at least 32"):
        PassageRows(passages, ENCODER, window=31, budget=80, packed=False, seed=0)


@pytest.mark.parametrize("kind", MODELS)
def test_logits_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    reference = MODELS[kind]().eval()
    reference.save_pretrained(tmp_path)
    model = load_masked(tmp_path).eval()
    assert model.head_is_trained
    ids = torch.randint(5, 90, (3, 20))
    mask = torch.ones_like(ids)
    mask[1, 15:] = 0
    chosen = (torch.rand(ids.shape) < 0.3) & mask.bool()
    with torch.no_grad():
        expected = reference(input_ids=ids, attention_mask=mask).logits[chosen]
        torch.testing.assert_close(model(ids, mask, chosen), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", MODELS)
def test_a_release_without_a_head_gets_a_fresh_one(kind: str, tmp_path: Path) -> None:
    MODELS[kind]().base_model.save_pretrained(tmp_path)
    model = load_masked(tmp_path)
    assert not model.head_is_trained
    shared = {id(parameter) for parameter in model.encoder.parameters()}
    assert any(id(parameter) in shared for parameter in model.head.parameters()), "tied to the embeddings"
    assert model.head_weights()


def test_loss_and_gradients_are_those_of_transformers(backbone: Path, passages: Path) -> None:
    objective = make_objective(backbone, passages, make_pretraining(backbone))
    reference = AutoModelForMaskedLM.from_pretrained(backbone, attn_implementation="eager").train()
    reference.cls.load_state_dict(objective.model.head[0].state_dict())
    for dropout in (module for module in reference.modules() if isinstance(module, nn.Dropout)):
        dropout.p = 0.0
    torch.manual_seed(3)
    batch_loss = objective.loss(0)
    batch_loss.mean.backward()
    torch.manual_seed(3)
    ids, mask = map(torch.from_numpy, objective._rows.batch(0))
    from transformers import BertTokenizerFast, DataCollatorForLanguageModeling

    tokenizer = BertTokenizerFast(tokenizer_object=tiny_tokenizer())
    inputs, labels = DataCollatorForLanguageModeling(tokenizer).torch_mask_tokens(ids.clone())
    loss = reference(input_ids=inputs, attention_mask=mask, labels=labels).loss
    loss.backward()
    torch.testing.assert_close(batch_loss.mean, loss)
    assert batch_loss.n_targets == int((labels != -100).sum()) and batch_loss.n_subwords == int(mask.sum())
    gradients = dict(reference.bert.named_parameters())
    for name, parameter in objective.model.encoder.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name].grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("budget", [160, 190, 39])
def test_a_run_reads_at_least_what_it_is_told_to(budget: int, backbone: Path, passages: Path) -> None:
    recipe = make_pretraining(backbone)
    recipe = replace(recipe, schedule=replace(recipe.schedule, batch_subwords=budget))
    objective = make_objective(backbone, passages, recipe)
    sizes = [
        objective._rows.batch(number)[0].size for epoch in range(3) for number in objective.batches(epoch)
    ]
    assert recipe.subwords <= sum(sizes) + 160 <= recipe.subwords + 5 * max(budget, 160)


def test_perplexity_is_measured_in_the_same_places(backbone: Path, passages: Path) -> None:
    objective = make_objective(backbone, passages, make_pretraining(backbone))
    objective.model.eval()
    torch.manual_seed(1)
    first = objective.evaluate_all()
    torch.manual_seed(2)
    assert objective.evaluate_all() == first
    assert first["perplexity"] == pytest.approx(math.exp(-first["score"]))
    held_out = load_prepared(passages, "heldout")
    sample = sample_passages(held_out, 3)
    pieces = {held_out.piece(number).tobytes() for number in range(len(held_out))}
    assert len(sample) == 3 and {sample.piece(number).tobytes() for number in range(3)} <= pieces
    assert sample_passages(held_out, 100) is held_out


def test_adaptation_lowers_perplexity(adapted: Bundle, fully_adapted: Bundle) -> None:
    for bundle in (adapted, fully_adapted):
        record = bundle.read_json("run.json")
        held_out = record["held_out"]
        assert held_out["after"]["perplexity"] < 0.5 * held_out["before"]["perplexity"]
        assert len(record["history"]["scores"]) == 3
        assert record["history"]["subwords"] == pytest.approx(6_000, rel=0.1)
        assert record["head"]["history"]["subwords"] == pytest.approx(2_000, rel=0.1)
        assert record["energy"]["kg_co2e_per_kwh"] == pytest.approx(0.37, abs=0.1)
    shares = [bundle.read_json("run.json")["parameters"]["share"] for bundle in (adapted, fully_adapted)]
    assert shares[0] < shares[1] == 1


def test_a_head_need_not_be_taught_alone(backbone: Path, passages: Path, tmp_path: Path) -> None:
    recipe = make_pretraining(backbone, head_subwords=0, subwords=300)
    record = pretrain(recipe, passages, tmp_path, name="x").read_json("run.json")
    assert "head" not in record and record["history"]["step"] > 0


@pytest.mark.slow
def test_encoders_are_kept_along_the_way(backbone: Path, passages: Path, tmp_path: Path) -> None:
    last = pretrain(make_pretraining(backbone, keep=2), passages, tmp_path, name="adapted-tiny")
    assert [path.name for path in (tmp_path / "rounds").iterdir()] == ["2"]
    second_round = open_bundle(tmp_path / "rounds/2")
    record = second_round.read_json("run.json")
    assert len(record["history"]["scores"]) == 2
    assert record["held_out"]["after"] == record["history"]["scores"][1]
    name = "adapter/adapted-tiny/adapter_model.safetensors"
    assert second_round.read(name) != last.read(name)
    finetune(
        replace(make_recipe(backbone, epochs=1), adapted=str(second_round.folder)),
        CORPORA,
        tmp_path / "x",
        name="x",
    )


def test_plain_peft_loads_the_adapted_encoder(adapted: Bundle, backbone: Path) -> None:
    folder = adapted.folder / "adapter" / adapted.manifest.name
    encoder = AutoModel.from_pretrained(backbone, attn_implementation="eager")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peft_model = PeftModel.from_pretrained(encoder, str(folder)).eval()
    weights = load_file(adapted.folder.parent / "best.safetensors")
    state = {f"encoder.{name}": value for name, value in peft_model.state_dict().items()}
    lora = [name for name in weights if "lora_" in name]
    assert lora and all(torch.equal(state[name], weights[name]) for name in lora)


@pytest.mark.slow
@pytest.mark.parametrize("layers", [(), (1,)])
@pytest.mark.parametrize("mode", ["merged", "stacked"])
def test_fine_tuning_stands_on_an_adapted_encoder(
    mode: str, layers: tuple[int, ...], adapted: Bundle, backbone: Path, tmp_path: Path
) -> None:
    recipe = replace(make_recipe(backbone, epochs=2), layers=layers)
    recipe = replace(recipe, adapted=str(adapted.folder), adapted_as=mode)  # type: ignore[arg-type]
    bundle = finetune(recipe, CORPORA, tmp_path, name="tuned")
    assert bundle.manifest.adaptation is not None and bundle.manifest.adaptation.mode == mode
    assert bundle.manifest.adaptation.sha256 == adapted.sha256
    model = load_model(bundle)
    for name, value in load_file(tmp_path / "best.safetensors").items():
        assert torch.equal(model.state_dict()[name], value), name
    trained = [name for name in load_file(tmp_path / "best.safetensors") if "lora_" in name]
    assert trained and all(".default." in name for name in trained), "what was adapted before stays"
    merged = merge_adapter(load_model(bundle))
    ids, mask = np.full((2, 12), 50), np.ones((2, 12), dtype=np.int64)
    np.testing.assert_allclose(merged.run(ids, mask), model.run(ids, mask), rtol=1e-4, atol=1e-5)
    record = bundle.read_json("run.json")
    assert record["adaptation"]["name"] == record["recipe"]["adapted"] == "adapted-tiny"
    card = bundle.read("README.md").decode()
    assert "## Adaptation to biomedical text" in card and "| source-0 |" in card


@pytest.mark.slow
def test_merged_and_stacked_learn_the_same(adapted: Bundle, backbone: Path, tmp_path: Path) -> None:
    heads = []
    for mode in ("merged", "stacked"):
        recipe = replace(
            make_recipe(backbone, epochs=1),
            adapted=str(adapted.folder),
            adapted_as=mode,  # type: ignore[arg-type]
        )
        finetune(recipe, CORPORA, tmp_path / mode, name="tuned")
        weights = load_file(tmp_path / mode / "best.safetensors")
        heads.append({name: value for name, value in weights.items() if name.startswith("layers.")})
    for name, value in heads[0].items():
        torch.testing.assert_close(value, heads[1][name], rtol=1e-2, atol=1e-4)


def test_a_fully_adapted_encoder_travels_with_the_model(
    fully_adapted: Bundle, backbone: Path, tmp_path: Path
) -> None:
    recipe = replace(make_recipe(backbone, epochs=1), adapted=str(fully_adapted.folder))
    bundle = finetune(recipe, CORPORA, tmp_path / "lora", name="tuned")
    assert "adapted/encoder.safetensors" in bundle.manifest.files
    weight = "embeddings.word_embeddings.weight"
    expected = load_file(fully_adapted.folder / "encoder.safetensors")[weight]
    assert torch.equal(load_model(bundle).encoder.get_input_embeddings().weight, expected)
    full = finetune(replace(recipe, method="full"), CORPORA, tmp_path / "full", name="tuned")
    assert "adapted/encoder.safetensors" not in full.manifest.files
    assert not torch.equal(load_model(full).encoder.get_input_embeddings().weight, expected)


def test_an_adapted_encoder_is_no_tagger(
    adapted: Bundle, adapter_bundle: Bundle, backbone: Path, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match="without heads"):
        load_model(adapted)
    with pytest.raises(BundleError, match="expected an adapted encoder"):
        finetune(
            replace(make_recipe(backbone), adapted=str(adapter_bundle.folder)), CORPORA, tmp_path, name="x"
        )


def test_adaptations_of_another_backbone_are_refused(adapted: Bundle, tmp_path: Path) -> None:
    other = make_backbone(tmp_path / "other")
    weights = load_file(other / "model.safetensors")
    from safetensors.torch import save_file

    save_file(
        {name: value + 1 for name, value in weights.items()}, other / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(RecipeError, match="name that backbone"):
        finetune(replace(make_recipe(other), adapted=str(adapted.folder)), CORPORA, tmp_path / "x", name="x")
    with pytest.raises(RecipeError, match="merged, since method is full"):
        replace(make_recipe(other), method="full", adapted_as="stacked")


def test_passages_of_another_tokenizer_are_refused(backbone: Path, passages: Path, tmp_path: Path) -> None:
    tokenizer = (backbone / "tokenizer.json").read_text()
    other = make_backbone(tmp_path / "other")
    (other / "tokenizer.json").write_text(tokenizer + "\n")
    with pytest.raises(InputError, match="another tokenizer"):
        pretrain(make_pretraining(other), passages, tmp_path / "x", name="x")


def test_runs_are_checked_before_work_is_lost(
    backbone: Path, passages: Path, adapted: Bundle, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match="at most 96"):
        pretrain(make_pretraining(backbone, window=97), passages, tmp_path / "x", name="x")
    with pytest.raises(RunError, match="already holds a run"):
        pretrain(make_pretraining(backbone), passages, adapted.folder.parent, name="x")
    with pytest.raises(BundleError):
        pretrain(make_pretraining(backbone, licences="permissive"), passages, tmp_path / "y", name="x")
    with pytest.raises(BundleError, match="not a prepared set"):
        pretrain(make_pretraining(backbone), tmp_path, tmp_path / "z", name="x")


SCRIPT = """
import sys
from pathlib import Path
import torch
sys.path.insert(0, {tests!r})
torch.set_num_threads(1)
from tiny import make_pretraining
from openmed_ner.training.pretrain import pretrain
pretrain(make_pretraining(Path({backbone!r})), Path({passages!r}), Path({folder!r}), name="adapted-tiny",
      checkpoint_seconds=0.0, resume=True)
"""


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_to_the_last_digit(
    backbone: Path, passages: Path, adapted: Bundle, tmp_path: Path
) -> None:
    script = textwrap.dedent(SCRIPT).format(
        tests=str(SUPPORT), backbone=str(backbone), passages=str(passages), folder=str(tmp_path)
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 120
    while not (tmp_path / LOG).exists() or (tmp_path / LOG).read_text().count("\n") < 15:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "bundle").exists()
    resumed = pretrain(make_pretraining(backbone), passages, tmp_path, name="adapted-tiny", resume=True)
    weights = [name for name in adapted.manifest.files if name.endswith(".safetensors")]
    assert weights and all(resumed.read(name) == adapted.read(name) for name in weights)
    logs = [
        [json.loads(line) for line in (run / LOG).read_text().splitlines()]
        for run in (tmp_path, adapted.folder.parent)
    ]
    for log in logs:
        for line in log:
            del line["seconds"]
    assert logs[0] == logs[1]
    first, second = (bundle.read_json("run.json") for bundle in (resumed, adapted))
    assert first["held_out"] == second["held_out"]
    assert first["history"]["subwords"] == second["history"]["subwords"]


@given(st.data())
def test_a_log_is_rewound_to_its_checkpoint(data: st.DataObject) -> None:
    import tempfile

    length, evaluate_after = data.draw(st.integers(0, 12)), data.draw(st.integers(1, 4))
    with tempfile.TemporaryDirectory() as folder:
        log = RunLog(Path(folder))
        log.rewind(steps=0, evaluations=0)
        states = []
        for step in range(1, length + 1):
            log.append({"step": step, "epoch": (step - 1) // evaluate_after, "loss": 1.0})
            states.append((step, (step - 1) // evaluate_after, (Path(folder) / LOG).read_text()))
            if step % evaluate_after == 0:
                log.append({"step": step, "epoch": (step - 1) // evaluate_after, "scores": {}})
                states.append((step, step // evaluate_after, (Path(folder) / LOG).read_text()))
        if not states:
            return
        with (Path(folder) / LOG).open("a") as file:
            file.write('{"step": 99, "epo')
        steps, evaluations, expected = data.draw(st.sampled_from(states))
        log.rewind(steps=steps, evaluations=evaluations)
        assert (Path(folder) / LOG).read_text() == expected


class Regression:
    """Least squares, the smallest objective there is."""

    def __init__(self, batches: list[torch.Tensor]) -> None:
        torch.manual_seed(0)
        self.model = nn.Linear(3, 1)
        self._batches = batches

    def batches(self, epoch: int) -> list[torch.Tensor]:
        return self._batches

    def prepare(self, batches: Sequence[torch.Tensor]) -> None:
        pass

    def loss(self, batch: torch.Tensor) -> Loss:
        return Loss((self.model(batch) - batch.sum(1, keepdim=True)).square().mean(), len(batch), len(batch))

    def evaluate(self) -> dict[str, float]:
        return {"score": 0.0}


@pytest.mark.slow
@given(sizes=st.lists(st.integers(1, 5), min_size=2, max_size=6))
def test_accumulated_batches_are_one_batch(sizes: list[int]) -> None:
    import tempfile

    random = torch.Generator().manual_seed(1)
    batches = [torch.randn(size, 3, generator=random) for size in sizes]
    results = []
    for parts, accumulate in ((batches, len(batches)), ([torch.cat(batches)], 1)):
        with tempfile.TemporaryDirectory() as folder:
            objective = Regression(parts)
            trainer: Trainer[torch.Tensor] = Trainer(
                objective,
                schedule=Schedule(epochs=3, accumulate=accumulate, precision="fp32", warmup=0.0),
                seed=0,
                folder=Path(folder),
                checkpoint_seconds=60,
                on_step=lambda report: None,
            )
            history: History = trainer.run()
            assert history.step == 3 and history.subwords == 3 * sum(sizes)
            results.append((objective.model.weight.detach(), history.losses))
    torch.testing.assert_close(results[0][0], results[1][0])
    assert results[0][1] == pytest.approx(results[1][1], rel=1e-4)


@pytest.mark.slow
def test_activations_computed_again_change_nothing(backbone: Path, passages: Path, tmp_path: Path) -> None:
    weights = []
    for recompute in (False, True):
        recipe = make_pretraining(backbone, subwords=600, head_subwords=160)
        recipe = replace(
            recipe, schedule=replace(recipe.schedule, checkpoint_activations=recompute, epochs=1)
        )
        folder = tmp_path / str(recompute)
        pretrain(recipe, passages, folder, name="x")
        weights.append(load_file(folder / "best.safetensors"))
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_whole_words_and_single_passages_train_as_well(
    backbone: Path, passages: Path, tmp_path: Path
) -> None:
    recipe = make_pretraining(backbone, packed=False, window=80, masking=Masking(0.3, whole_words=True))
    bundle = pretrain(recipe, passages, tmp_path, name="x")
    held_out = open_bundle(bundle.folder).read_json("run.json")["held_out"]
    assert held_out["after"]["perplexity"] < held_out["before"]["perplexity"]
