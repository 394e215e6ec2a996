"""Speed and memory of tagging, serving and training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openmed_ner.model.backbones import BACKBONES
from openmed_ner.training.study import cost, report
from tables.common import conditions, machine, read, table_row


def tagging() -> str:
    """Speed of tagging against the transformers pipeline."""
    record = read("benchmark-tagging")
    lines = [
        "| engine | documents/s | subwords/s | ratio | range | of the ceiling | ms, p50/p99 | start, s | MB "
        "| Wh per 1,000 |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in record["engines"].items():
        cells = (
            name,
            f"{row['documents_per_second']:.1f}",
            f"{row['subwords_per_second']:.0f}",
            f"{row['ratio_to_pipeline']:.2f}",
            "{:.2f} to {:.2f}".format(*row["ratio_range"]),
            f"{100 * row['share_of_ceiling']:.0f} %" if "share_of_ceiling" in row else "",
            f"{row['milliseconds_p50']:.0f}, {row['milliseconds_p99']:.0f}",
            f"{row['start_up_seconds']:.2f}",
            f"{row['peak_megabytes']:.0f}",
            f"{row['wh_per_1000_documents']:.2f}",
        )
        lines.append(table_row(cells))
    hidden = record.get("hidden_features")
    documents = f"{record['documents']} documents{f', {hidden.upper()} hidden' if hidden else ''}"
    return "\n".join([*lines, "", conditions(record, documents)])


PUBMED = 37_000_000
"""Citations in PubMed, rounded; about two thirds of them have an abstract, so this is an upper bound."""


def scale() -> str:
    """Time and energy of tagging all of PubMed, at the measured rates."""
    record = read("benchmark-tagging")
    cores = record["host"]["cores"]
    lines = [
        f"| engine | documents/s on {cores} cores | days, one such machine | days, ten | core hours | kWh |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in record["engines"].items():
        hours = PUBMED / row["documents_per_second"] / 3600
        kwh = PUBMED / 1000 * row["wh_per_1000_documents"] / 1000
        days = (f"{hours / 24:.1f}", f"{hours / 240:.1f}")
        cells = (name, f"{row['documents_per_second']:.1f}", *days, f"{cores * hours:,.0f}", f"{kwh:.0f}")
        lines.append(table_row(cells))
    return "\n".join([*lines, "", conditions(record, f"{record['documents']} documents")])


def scaling() -> str:
    """Rates by number of workers, and time for all of PubMed."""
    record = read("benchmark-scaling")
    lines = [
        "| workers | documents/s | to local-1 | start-up, s | memory, MB | days, one machine | days, ten |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in record["engines"].items():
        days = PUBMED / row["documents_per_second"] / 86400
        rates = (f"{row['documents_per_second']:.1f}", f"{row['ratio']:.2f}")
        costs = (f"{row['start_up_seconds']:.1f}", f"{row['peak_megabytes']:.0f}")
        lines.append(table_row((name, *rates, *costs, f"{days:.1f}", f"{days / 10:.1f}")))
    sizes = f"{record['documents']:,} documents of {record['characters_per_document']:.0f} characters"
    return "\n".join([*lines, "", conditions(record, sizes)])


def service() -> str:
    """The service under load, against the tagger alone."""
    record = read("benchmark-service")
    lines = [
        "| round | documents/s | tagger alone | ratio | p50, s | p99, s | answers | memory, MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for number, row in enumerate(record["rounds"], start=1):
        speeds = (row["documents_per_second"], row["engine_documents_per_second"])
        times = (f"{row[f'{name}_seconds']:.1f}" for name in ("p50", "p99"))
        answers = ", ".join(f"{count:,} of status {status}" for status, count in row["statuses"].items())
        memory = f"{row['megabytes'][0]:.0f} at first, {row['megabytes'][-1]:.0f} at last"
        lines.append(
            table_row((number, *map("{:.1f}".format, speeds), f"{row['ratio']:.2f}", *times, answers, memory))
        )

    note = (
        f"{record['clients']} clients at once for {record['seconds']:.0f} s, texts of "
        f"{record['characters_per_text']:.0f} characters; {machine(record)}"
    )
    return "\n".join([*lines, "", note])


def uploads() -> str:
    """Memory of the service under hostile uploads."""
    record = read("benchmark-uploads")
    lines = [
        "| uploaded file | MB | answer | memory, multiples of `--max-body` |",
        "|---|---|---|---|",
        *(
            table_row((name, f"{row['bytes'] / 1e6:.1f}", row["status"], f"{row['multiple']:.1f}"))
            for name, row in record["files"].items()
        ),
    ]
    answers = ", ".join(f"{count} of {status}" for status, count in record["statuses"].items())
    lines.append(table_row((f"{record['clients']} at once", "", answers, f"{record['multiple']:.1f}")))
    short = [record[f"short_text_{name}seconds"] for name in ("", "longest_")]
    note = (
        f"Peak above {record['idle_megabytes']:.0f} MB of a service at work, which later peaks include. "
        f"A short text in between took {short[0]:.1f} s, {short[1]:.1f} s at most. {machine(record)}"
    )
    return "\n".join([*lines, "", note])


def training() -> str:
    """Speed of a training step, on two machines."""
    return "\n\n".join(_training(read(name)) for name in ("benchmark-training", "benchmark-training-amx"))


def _training(record: Mapping[str, Any]) -> str:
    lines = ["| way | subwords/s | ratio to full fine-tuning |", "|---|---|---|"]
    for method, speed in record["subwords_per_second"].items():
        lines.append(table_row((method, f"{speed:.0f}", f"{record['ratio_to_full'][method]:.2f}")))
    return "\n".join([*lines, "", conditions(record, f"batches of {record['shape']} subwords")])


def memory() -> str:
    """Peak memory against the length of one document, and the number of documents."""
    record = read("benchmark-memory")
    rows = []
    for kind, name in (("pages", "one document of {} pages"), ("documents", "{} abstracts")):
        for count, row in record[kind].items():
            complete = "yes" if row["complete"] else "no"
            sizes = name.format(f"{int(count):,}"), f"{row['characters']:,}", f"{row['windows']:,}"
            rows.append((*sizes, complete, f"{row['seconds']:.1f}", f"{row['peak_megabytes']:.0f}"))

    names = "text", "characters", "windows", "read completely", "seconds", "peak memory, MB"
    bundle = f"{record['bundle']} ({record['precision']}, {record['backend']})"
    remark = f"{bundle}. One run each, of all heads. {machine(record)}"
    return "\n".join([report.table(names, rows), "", remark])


def adapters() -> str:
    """Peak memory of all adapters of a suite against that of one."""
    record = read("benchmark-suite")
    rows = [
        (name, row["heads"], f"{row['start_up_seconds']:.1f}", f"{row['peak_megabytes']:.0f}")
        for name, row in record["measured"].items()
    ]
    names = "loaded", "heads", "seconds to start", "peak memory, MB"
    note = f"{record['adapters']} bundles, {record['ratio']:.3f} times one; one run each; {machine(record)}"
    return "\n".join([report.table(names, rows), "", note])


def stages() -> str:
    """Time of one document by stage, on one thread."""
    record = read("benchmark-stages")
    rows = []
    for row in record["bundles"]:
        parts = row["milliseconds"]
        name = f"{row['bundle']} ({row['precision']}, {row['backend']})"
        shown = (f"{parts[part]:.1f}" for part in ("reading", "model", "decoding"))
        rows.append((name, *shown, f"{sum(parts.values()):.1f}", f"{row['floor']:.1f}"))
    names = "bundle", "reading", "model", "decoding", "together", "floor of the model"
    subwords = record["bundles"][0]["subwords"]
    sizes = f"milliseconds for one of {record['documents']} documents of {subwords:.0f} subwords"
    return "\n".join([report.table(names, rows), "", conditions(record, sizes)])


def estimates() -> str:
    """Estimates of the cost model for measured runs."""
    pretrained, tuned = read("benchmark-pretraining"), read("benchmark-training-amx")
    shape = BACKBONES["minilm-l6"].shape
    lm_head = 3 * 2 * shape.embedding * shape.vocabulary * 0.15  # forward and back, 15 % of words masked
    rows = []
    for stage, record, ways in (
        ("pretraining", pretrained, {"lora": "ours/lora", "all": "ours/full"}),
        ("fine-tuning", tuned, {"lora": "lora-folded", "all": "full"}),
    ):
        number = ("pretraining", "fine-tuning").index(stage)
        for trained, key in ways.items():
            flops = shape.flops(160, trained=trained) + (0 if number else lm_head)
            estimate = record["layer_tflops"] * 1e12 * cost.CPU_REACHED[number] / flops
            measured = record["subwords_per_second"][key]
            cells = f"{estimate:,.0f}", f"{measured:,.0f}", f"{estimate / measured:.2f}"
            rows.append((f"{stage}, {trained}", "subwords/s", *cells))

    names = "what", "unit", "estimated", "measured", "estimated / measured"
    return "\n".join(
        [report.table(names, rows), "", conditions(pretrained, "MiniLM-L6, windows of 160 subwords")]
    )
