"""Domain-adaptive pretraining: what it takes, and what it is worth."""

from __future__ import annotations

from openmed_ner.training.study import report
from tables.common import conditions, read, table_row


def encoders() -> str:
    """What each adaptation took, and what it did to perplexity."""
    return report.encoder_table(read("adaptation"))


def adaptation() -> str:
    """Scores of models fine-tuned from each encoder."""
    return report.score_table(read("adaptation"))


def gains() -> str:
    """Whether encoders differ by more than chance."""
    return report.gain_table(read("adaptation"))


def pretraining() -> str:
    """Speed of pretraining against transformers' Trainer."""
    record = read("benchmark-pretraining")
    lines = [
        "| what is trained | ours, subwords/s | Trainer, subwords/s | ratio | share of the ceiling |",
        "|---|---|---|---|---|",
    ]
    speeds = record["subwords_per_second"]
    for way, ratio in record["ratio_to_trainer"].items():
        values = (f"{speeds[f'{whose}/{way}']:,.0f}" for whose in ("ours", "trainer"))
        lines.append(
            table_row((way, *values, f"{ratio:.2f}", f"{100 * record['share_of_ceiling'][way]:.0f} %"))
        )
    ceiling = f"ceiling {record['matrix_multiply_gflops']:.0f} GFLOP/s in {record['precision']}"
    return "\n".join([*lines, "", conditions(record, f"batches of {record['shape']} subwords; {ceiling}")])
