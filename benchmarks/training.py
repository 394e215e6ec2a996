"""Speed of a training step: full fine-tuning, with our dropout and torch's, LoRA by peft, LoRA by our layer.

    python benchmarks/training.py [--rounds 5] [--shape 7x160]

The encoder has the shape of MiniLM-L6 and random weights, so nothing is fetched. Methods take turns within a
round. The last line is JSON: median subwords per second, and ratios within each round.
"""

from __future__ import annotations

import json
import statistics
import time
import warnings
from collections.abc import Callable

import torch
from peft import LoraConfig, get_peft_model
from transformers import BertConfig, BertModel

from common import make_parser
from openmed_ner.bundle.record import provenance
from openmed_ner.model.dropout import replace_dropout
from openmed_ner.model.lora import attach_lora
from openmed_ner.training.engine.precision import autocast_dtype
from openmed_ner.training.engine.session import keep_memory
from openmed_ner.training.study.cost import layer_rate

RANK, ALPHA, SECONDS = 8, 16, 4.0
REFERENCE = "full"


def build(method: str) -> torch.nn.Module:
    config = BertConfig(
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
        attention_probs_dropout_prob=0.0,
        attn_implementation="eager",
    )
    encoder = BertModel(config, add_pooling_layer=False)
    if method != "full-torch-dropout":
        replace_dropout(encoder)
    if method == "lora-folded":
        return attach_lora(encoder, rank=RANK, alpha=ALPHA, dropout=0.0, targets="all-linear")
    if method.startswith("lora-peft"):
        dropout = 0.05 if method.endswith("dropout") else 0.0
        settings = LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=dropout, target_modules="all-linear")
        return get_peft_model(encoder, settings)
    return encoder


def make_step(method: str, shape: tuple[int, int]) -> Callable[[], None]:
    torch.manual_seed(0)
    model = build(method).train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
    ids = torch.randint(1000, 30000, shape)
    mask = torch.ones_like(ids)
    dtype = autocast_dtype("auto")

    def step() -> None:
        with torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            loss = model(input_ids=ids, attention_mask=mask).last_hidden_state.float().square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def measure(step: Callable[[], None], n_subwords: int) -> float:
    step()
    n_steps, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < SECONDS:
        step()
        n_steps += 1
    return n_steps * n_subwords / (time.perf_counter() - begin)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shape", default="7x160", help="windows x subwords of a batch")
    options = parser.parse_args()

    rows, columns = map(int, options.shape.split("x"))
    warnings.simplefilter("ignore")
    keep_memory()
    methods = (REFERENCE, "full-torch-dropout", "lora-peft-dropout", "lora-peft", "lora-folded")
    steps = {method: make_step(method, (rows, columns)) for method in methods}

    layers: list[float] = []
    speeds: list[dict[str, float]] = []
    for _ in range(options.rounds):
        layers.append(layer_rate())
        speeds.append({method: measure(step, rows * columns) for method, step in steps.items()})
        print({method: round(speed) for method, speed in speeds[-1].items()}, flush=True)

    result = {
        "benchmark": "training",
        "shape": options.shape,
        "rounds": options.rounds,
        "subwords_per_second": {
            method: statistics.median(row[method] for row in speeds) for method in methods
        },
        "ratio_to_full": {
            method: statistics.median(row[method] / row[REFERENCE] for row in speeds) for method in methods
        },
        "layer_tflops": statistics.median(layers),
        **provenance(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
