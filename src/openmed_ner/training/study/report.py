"""The report of a study: tables in Markdown, made from its results alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from openmed_ner.publish.cards import markdown
from openmed_ner.training.study.references import BIOBERT, BIOBERT_F1, PAPER, PAPER_F1

Record = Mapping[str, Any]


def write_report(record: Record) -> str:
    """The report of a study, as one page of Markdown.

    Args:
        record: results, as returned by :func:`openmed_ner.training.study.summary.summarise_study`.
    """
    host = record["host"]
    parts = [
        f"# {record['title'] or 'A study'}",
        f"Commit {record['commit'] or 'unknown'}; {host['processor']}, {host['cores']} cores.",
        "## The best encoder of each corpus",
        _BEST,
        best_table(record),
        "## All encoders",
        _ALL,
        score_table(record),
    ]

    if record["encoders"]:
        parts += ["## Adaptation", encoder_table(record)]
    if record["comparisons"]:
        parts += ["## Differences", _GAINS, gain_table(record)]
    if len({row["method"] for row in record["scores"]}) > 1:
        parts += ["## Adaptation and method", ablation_table(record)]
    if any("trials" in run for run in record["runs"]):
        parts += ["## Searches", _TRIALS, search_table(record)]

    return "\n\n".join([*parts, "## What it took", cost_table(record)]) + "\n"


_BEST = (
    "Micro F1 on test. The encoder was chosen by dev F1 on mentions. *Mentions* are strict, on characters; "
    f"*words* and *sub-words* count the same predictions as others do. Beside them: {PAPER}, very probably "
    f"counted on sub-words, and {BIOBERT}, counted on mentions of words."
)
_ALL = (
    "Strict mention-level micro F1. With several seeds F1 is the mean; intervals are 95 %, over documents, "
    "each counted once per seed."
)
_TRIALS = (
    "Best dev F1 of each trial, the mean over the corpora of the model; those given up had fallen behind the "
    "median of the trials before them. The first is the recipe as it stands, where the space holds it."
)
_GAINS = "A paired randomisation test over documents; intervals are 95 %."


def best_table(record: Record) -> str:
    """Test scores of the encoder selected on dev, by three protocols, beside published ones."""
    rows = []
    for row in record["best"]:
        corpus = row["corpus"]
        cells = (
            row["model"],
            corpus,
            f"{row['encoder']} (of {len(row['compared'])})",
            _percent(row["dev"]),
            f"**{_percent(row['mean'])}**",
            interval(row["ci95"]),
            _percent(row["word"]),
            _percent(row["subword"]),
            reference(PAPER_F1, corpus),
            reference(BIOBERT_F1, corpus),
        )
        rows.append(cells)

    counts = "dev", "mentions", "95 % interval", "words", "sub-words"
    return table(("model", "corpus", "encoder", *counts, "paper", "BioBERT"), rows)


def score_table(record: Record) -> str:
    """Dev and test scores of models fine-tuned from each encoder."""
    has_methods = len({row["method"] for row in record["scores"]}) > 1
    has_models = _count_models(record["scores"]) > 1
    dev = {_key(row): row for row in record["scores"] if row["split"] == "dev"}

    rows = []
    for row in _test(record["scores"]):
        model = (row["model"],) if has_models else ()
        method = (row["method"],) if has_methods else ()
        seeds = ", ".join(map(str, row["seeds"]))
        deviation = _percent(row["deviation"]) if len(row["seeds"]) > 1 else ""
        dev_f1 = _percent(dev[_key(row)]["mean"]) if _key(row) in dev else "learnt"
        scores = dev_f1, f"**{_percent(row['mean'])}**", deviation
        rows.append((row["corpus"], *model, row["encoder"], *method, seeds, *scores, interval(row["ci95"])))

    models = ("model",) if has_models else ()
    methods = ("method",) if has_methods else ()
    columns = "seeds", "dev F1", "test F1", "deviation", "95 % interval"
    return table(("corpus", *models, "encoder", *methods, *columns), rows)


def gain_table(record: Record) -> str:
    """Differences between encoders, with intervals and p values."""
    models = Counter(corpus for corpus, _ in {(row["corpus"], row["model"]) for row in record["comparisons"]})
    rows = []
    for row in _test(record["comparisons"]):
        low, high = row["ci95"]
        name = row["corpus"] if models[row["corpus"]] == 1 else f"{row['corpus']}, model {row['model']}"
        difference = f"{100 * row['difference']:+.2f}", f"{100 * low:+.1f} to {100 * high:+.1f}"
        encoders = f"{row['first']} against {row['second']}"
        seeds = ", ".join(map(str, row["seeds"]))
        rows.append((name, encoders, seeds, *difference, f"{row['p_value']:.4f}"))
    return table(("corpus (test)", "encoders", "seeds", "difference", "95 % interval", "p"), rows)


def ablation_table(record: Record) -> str:
    """Test F1 by method of fine-tuning and by adaptation, of the corpora trained by several methods."""
    rows = list(_test(record["scores"]))
    methods = Counter(corpus for corpus, _ in {(row["corpus"], row["method"]) for row in rows})
    adaptations = list(dict.fromkeys(row["adaptation"] for row in rows))
    means = {(row["corpus"], row["backbone"], row["method"], row["adaptation"]): row["mean"] for row in rows}
    keys = list(dict.fromkeys(key[:3] for key in means if methods[key[0]] > 1))
    lines = [
        (*key, *(_percent(means[*key, name]) if (*key, name) in means else "" for name in adaptations))
        for key in keys
    ]
    return table(("corpus", "backbone", "fine-tuned by", *adaptations), lines)


def encoder_table(record: Record) -> str:
    """Cost of each adaptation, and perplexity before and after it."""
    rows = []
    for name, row in record["encoders"].items():
        # the record of a checkpoint has no score before the adaptation
        scores = (row["held_out"].get(time) for time in ("before", "after"))
        perplexity = (f"{score['perplexity']:.1f}" if score else "" for score in scores)
        share = f"{100 * row['parameters']['share']:.2f} %"
        cost = f"{row['seconds'] / 60:.0f}", _energy(row["energy"])
        ends = row["recipe"]["seed"], f"`{(row['commit'] or '')[:8]}`"
        rows.append((name, share, f"{row['subwords']:,}", *perplexity, *cost, *ends))
    columns = "perplexity before", "after", "minutes", "Wh", "seed", "commit"
    return table(("encoder", "trained", "subwords", *columns), rows)


def cost_table(record: Record) -> str:
    """Parameters, time and energy of every run."""
    rows = []
    for row in record["runs"]:
        share = f"{100 * row['parameters']['share']:.2f} %"
        epoch = f"{row['best_epoch'] + 1} of {row['epochs']}"
        co2e = row["energy"]["co2e_kg"]
        grams = "" if co2e is None else f"{1000 * co2e:.1f}"
        cost = f"{row['seconds'] / 60:.1f}", _energy(row["energy"]), grams
        names = row["model"], row["encoder"], row["recipe"]["method"], row["seed"]
        rows.append((*names, share, epoch, *cost, f"`{(row['commit'] or '')[:8]}`"))
    header = "model", "encoder", "method", "seed", "trained", "epoch", "minutes", "Wh", "g CO2e", "commit"
    return table(header, rows)


SEARCHED = (
    "adapter",
    "learning_rate",
    "dropout",
    "label_smoothing",
    "warmup",
    "batch_subwords",
    "weight_decay",
)
"""Settings that a search can vary, in the order of their columns."""


def search_table(record: Record) -> str:
    """Every trial of every search, the best one marked."""
    searches = [run for run in record["runs"] if "trials" in run]
    settings = [
        name for name in SEARCHED if any(name in trial for run in searches for trial in run["trials"])
    ]

    rows = []
    for run in searches:
        best = max((trial["score"] for trial in run["trials"] if trial["state"] == "complete"), default=None)
        for trial in run["trials"]:
            complete = trial["state"] == "complete"
            score = _percent(trial["score"] if complete else max(trial["scores"].values(), default=0.0))
            score = f"**{score}**" if complete and trial["score"] == best else score
            state = "" if complete else f"given up after {len(trial['scores'])}"
            names = run["model"], run["encoder"], trial["number"] + 1
            rows.append((*names, score, state, *(_setting(trial.get(name, "")) for name in settings)))

    columns = "model", "encoder", "trial", "dev F1", "epochs"
    return table((*columns, *(name.replace("_", " ") for name in settings)), rows)


def _setting(value: object) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    return markdown.table(names, [[str(cell) for cell in row] for row in rows]).rstrip()


def _count_models(rows: Iterable[Record]) -> int:
    """Largest number of models that share a corpus."""
    pairs = {(row["corpus"], row["model"]) for row in rows}
    return max(Counter(corpus for corpus, _ in pairs).values(), default=0)


def _test(rows: Iterable[Record]) -> Iterable[Record]:
    return (row for row in rows if row["split"] == "test")


def _key(row: Record) -> tuple[str, str, str]:
    return row["model"], row["corpus"], row["encoder"]


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def interval(pair: Sequence[float]) -> str:
    """A confidence interval in percent."""
    return f"{100 * pair[0]:.1f} to {100 * pair[1]:.1f}"


def reference(published: Mapping[str, float], corpus: str) -> str:
    """A published score, if there is one."""
    return f"{published[corpus]:.2f}" if corpus in published else ""


def _energy(energy: Mapping[str, Any]) -> str:
    return "" if energy["kwh"] is None else f"{1000 * energy['kwh']:.1f} ({energy['mode']})"
