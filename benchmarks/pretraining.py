"""Speed of pretraining: our loop against transformers' ``Trainer`` with peft, in turn.

    python benchmarks/pretraining.py [--rounds 5] [--steps 6] [--rows 25] [--window 160]

Both have the same model (the shape of MiniLM-L6 with random weights, so nothing is fetched), rows of random
subwords, masking, precision (bf16 autocast where the processor has it), batch and optimiser. The first step
of each turn does not count. The ceiling is the machine's matrix-multiply rate at the shapes of the encoder's
largest layer. The last line is JSON: median subwords per second, ratios within each round, and the share of
the ceiling that our loop reaches.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, models, processors
from torch import nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertTokenizerFast,
    DataCollatorForLanguageModeling,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from common import make_parser
from openmed_ner.bundle.record import provenance
from openmed_ner.model.lora import attach_lora
from openmed_ner.model.masked import MaskedLanguageModel
from openmed_ner.tagging import SubwordTokenizer
from openmed_ner.training.config import PretrainRecipe, Schedule
from openmed_ner.training.engine.loop import Trainer as Loop
from openmed_ner.training.engine.precision import autocast_dtype
from openmed_ner.training.engine.session import keep_memory
from openmed_ner.training.objectives.masked_lm import MaskedLanguageModelling
from openmed_ner.training.passages import PassageSplit
from openmed_ner.training.study.cost import layer_rate, multiply_rate

VOCABULARY, HIDDEN, INNER, LAYERS, SHARE = 30522, 384, 1536, 6, 0.15
RANK, ALPHA = 16, 32
METHODS = ("lora", "lora-dropout", "full")
"""Trained parts: an adapter, an adapter with dropout 0.05 on its input, all parameters."""


def build(method: str, *, attention: str) -> tuple[BertForMaskedLM, LoraConfig | None]:
    torch.manual_seed(0)
    model = BertForMaskedLM(
        BertConfig(
            hidden_size=HIDDEN,
            num_hidden_layers=LAYERS,
            num_attention_heads=12,
            intermediate_size=INNER,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            attn_implementation=attention,
        )
    )
    if method == "full":
        return model, None
    dropout = 0.05 if method == "lora-dropout" else 0.0
    targets = ["query", "value"]
    return model, LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=dropout, target_modules=targets)


def make_tokenizer() -> SubwordTokenizer:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, *(f"w{number}" for number in range(VOCABULARY - len(special)))]
    tokenizer = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(pieces)}))
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return SubwordTokenizer(tokenizer)


class Clock(TrainerCallback):
    """Times every step but the first."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step_end(self, *arguments: Any, **options: Any) -> None:
        self.times.append(time.perf_counter())

    @property
    def seconds_per_step(self) -> float:
        return (self.times[-1] - self.times[0]) / (len(self.times) - 1)


def with_transformers(method: str, rows: np.ndarray, tokenizer: SubwordTokenizer) -> Callable[[int], float]:
    model, lora = build(method, attention="sdpa")  # the default of transformers
    trained = model if lora is None else get_peft_model(model, lora)
    if lora is not None:
        for name, parameter in trained.named_parameters():  # the head is trained, as in our loop
            parameter.requires_grad_("lora_" in name or (".cls." in name and "decoder.weight" not in name))
    tokenizer = BertTokenizerFast(tokenizer_object=Tokenizer.from_str(tokenizer.to_json()))
    data = [{"input_ids": row, "attention_mask": [1] * len(row)} for row in rows.tolist()]
    half = autocast_dtype("auto") is not None

    def run(n_steps: int) -> float:
        clock = Clock()
        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(
                folder,
                per_device_train_batch_size=len(rows),
                max_steps=n_steps,
                learning_rate=1e-4,
                lr_scheduler_type="cosine",
                max_grad_norm=1.0,
                weight_decay=0.01,
                optim="adamw_torch_fused",
                bf16=half,
                use_cpu=True,
                report_to=[],
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
                dataloader_num_workers=0,
                remove_unused_columns=False,
            )
            trainer = Trainer(
                trained,
                arguments,
                data_collator=DataCollatorForLanguageModeling(tokenizer, mlm_probability=SHARE),
                train_dataset=data,
                callbacks=[clock],
            )
            trainer.remove_callback(PrinterCallback)
            trainer.train()
        return clock.seconds_per_step

    return run


def with_our_loop(method: str, rows: np.ndarray, tokenizer: SubwordTokenizer) -> Callable[[int], float]:
    bert, lora = build(method, attention="eager")  # the default of our loader
    model = MaskedLanguageModel(bert.base_model, nn.Sequential(bert.cls), head_is_trained=True)
    if lora is not None:
        trained = model.head_weights()
        model.encoder = attach_lora(
            model.encoder, rank=RANK, alpha=ALPHA, dropout=float(lora.lora_dropout), targets="query-value"
        )
        for name, parameter in model.head.named_parameters():
            parameter.requires_grad_(name in trained)

    window = rows.shape[1]
    ids = rows[:, 1:-1].astype(np.uint16)
    ends = np.arange(1, len(rows) + 1) * (window - 2)
    passages = PassageSplit(ids.flatten(), ends, np.zeros(len(rows), dtype=np.uint8), ("random",), {})

    def run(n_steps: int) -> float:
        schedule = Schedule(
            epochs=1, batch_subwords=rows.size, learning_rate=1e-4, warmup=0.0, dropout=0.0, patience=1
        )
        recipe = PretrainRecipe(window=window, packed=False, schedule=schedule)
        objective = MaskedLanguageModelling(
            model,
            passages,
            passages,
            tokenizer,
            recipe=recipe,
            schedule=schedule,
            subwords=n_steps * rows.size,
        )
        times: list[float] = []
        with tempfile.TemporaryDirectory() as folder:
            Loop(
                objective,
                schedule=schedule,
                seed=0,
                folder=Path(folder),
                checkpoint_seconds=3600.0,
                on_step=lambda report: times.append(time.perf_counter()) if report.scores is None else None,
            ).run()
        return (times[-1] - times[0]) / (len(times) - 1)

    return run


def needed_flops(method: str, window: int) -> float:
    """Necessary floating-point operations of a step per subword, counted by hand."""
    layer = 4 * HIDDEN * HIDDEN + 2 * HIDDEN * INNER
    attention = 2 * HIDDEN * window
    head = SHARE * (HIDDEN * HIDDEN + HIDDEN * VOCABULARY)
    products = 3 if method == "full" else 2  # forward, gradient of the input, gradient of the weight
    return 2 * (products * (LAYERS * layer + head) + 3 * LAYERS * attention)


def summarise(rounds: Sequence[dict[str, float]]) -> dict[str, Any]:
    speeds = {key: statistics.median(row[key] for row in rounds) for key in rounds[0]}
    ratios = {
        method: statistics.median(row[f"ours/{method}"] / row[f"trainer/{method}"] for row in rounds)
        for method in METHODS
    }
    return {"subwords_per_second": speeds, "ratio_to_trainer": ratios}


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6, help="steps per turn, the first of them not counted")
    parser.add_argument("--rows", type=int, default=25)
    parser.add_argument("--window", type=int, default=160)
    options = parser.parse_args()

    warnings.simplefilter("ignore")
    keep_memory()
    tokenizer = make_tokenizer()
    rows = np.random.default_rng(0).integers(5, VOCABULARY, (options.rows, options.window))
    rows[:, 0], rows[:, -1] = tokenizer.prefix, tokenizer.suffix
    runs = {
        f"{name}/{method}": make(method, rows, tokenizer)
        for method in METHODS
        for name, make in (("trainer", with_transformers), ("ours", with_our_loop))
    }

    rounds, ceilings, layers = [], [], []
    for _ in range(options.rounds):
        rounds.append({name: rows.size / run(options.steps) for name, run in runs.items()})
        layers.append(layer_rate())
        ceilings.append(1e3 * multiply_rate(rows.size, HIDDEN, INNER))
        print({name: round(speed) for name, speed in rounds[-1].items()}, round(ceilings[-1]), flush=True)

    result = summarise(rounds)
    ceiling = statistics.median(ceilings)
    speeds = result["subwords_per_second"]
    reached = {
        method: speeds[f"ours/{method}"] * needed_flops(method, options.window) / 1e9 for method in METHODS
    }
    print(
        json.dumps(
            {
                "benchmark": "pretraining",
                "shape": f"{options.rows}x{options.window}",
                "rounds": options.rounds,
                "precision": "bf16" if autocast_dtype("auto") else "fp32",
                **result,
                "matrix_multiply_gflops": ceiling,
                "layer_tflops": statistics.median(layers),
                "share_of_ceiling": {method: rate / ceiling for method, rate in reached.items()},
                **provenance(),
            }
        )
    )


if __name__ == "__main__":
    main()
