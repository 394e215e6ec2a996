"""Domain-adaptive pretraining: its cost and its effect."""

from __future__ import annotations

from openmed_ner.training.study import report
from tables.common import conditions, read, table_row


def encoders() -> str:
    """Cost of each adaptation, and perplexity before and after it."""
    return report.encoder_table(read("adaptation"))


def adaptation() -> str:
    """Scores of models fine-tuned from each encoder."""
    return report.score_table(read("adaptation"))


def gains() -> str:
    """Differences between encoders, with intervals and p values."""
    return report.gain_table(read("adaptation"))


def pretraining() -> str:
    """Speed of pretraining against transformers' Trainer."""
    record = read("benchmark-pretraining")
    lines = [
        "| what is trained | ours, subwords/s | Trainer, subwords/s | ratio | share of the ceiling |",
        "|---|---|---|---|---|",
    ]
    speeds = record["subwords_per_second"]
    for method, ratio in record["ratio_to_trainer"].items():
        values = (f"{speeds[f'{system}/{method}']:,.0f}" for system in ("ours", "trainer"))
        share = f"{100 * record['share_of_ceiling'][method]:.0f} %"
        lines.append(table_row((method, *values, f"{ratio:.2f}", share)))

    ceiling = f"ceiling {record['matrix_multiply_gflops']:.0f} GFLOP/s in {record['precision']}"
    return "\n".join([*lines, "", conditions(record, f"batches of {record['shape']} subwords, {ceiling}")])
