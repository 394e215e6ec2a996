"""The page of a study: its tables in Markdown, made from its results and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from openmed_ner.publish.cards import markdown
from openmed_ner.training.study.references import BIOBERT, BIOBERT_F1, PAPER, PAPER_F1

Record = Mapping[str, Any]


def write_report(record: Record) -> str:
    """The whole page of a study.

    Args:
        record: what :func:`openmed_ner.training.study.summary.summarise_study` found.
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
    """Test scores of the encoder that dev chose, counted in three ways, beside published ones."""
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
    ours = "dev", "mentions", "95 % interval", "words", "sub-words"
    return table(("model", "corpus", "encoder", *ours, "paper", "BioBERT"), rows)


def score_table(record: Record) -> str:
    """Dev and test scores of models fine-tuned from each encoder."""
    several = len({row["method"] for row in record["scores"]}) > 1
    models = _count_models(record["scores"])
    dev = {_key(row): row for row in record["scores"] if row["split"] == "dev"}
    rows = []
    for row in _test(record["scores"]):
        spread = _percent(row["deviation"]) if len(row["seeds"]) > 1 else ""
        names = (row["model"],) if models > 1 else ()
        method = (row["method"],) if several else ()
        seeds = ", ".join(map(str, row["seeds"]))
        chosen = _percent(dev[_key(row)]["mean"]) if _key(row) in dev else "learnt"
        scores = chosen, f"**{_percent(row['mean'])}**", spread
        rows.append((row["corpus"], *names, row["encoder"], *method, seeds, *scores, interval(row["ci95"])))
    names_of = ("model",) if models > 1 else ()
    methods = ("method",) if several else ()
    ends = "seeds", "dev F1", "test F1", "deviation", "95 % interval"
    return table(("corpus", *names_of, "encoder", *methods, *ends), rows)


def gain_table(record: Record) -> str:
    """Whether encoders differ by more than chance."""
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
    found = {(row["corpus"], row["backbone"], row["method"], row["adaptation"]): row["mean"] for row in rows}
    keys = list(dict.fromkeys(key[:3] for key in found if methods[key[0]] > 1))
    lines = [
        (*key, *(_percent(found[*key, name]) if (*key, name) in found else "" for name in adaptations))
        for key in keys
    ]
    return table(("corpus", "backbone", "fine-tuned by", *adaptations), lines)


def encoder_table(record: Record) -> str:
    """What each adaptation took, and what it did to perplexity."""
    rows = []
    for name, row in record["encoders"].items():
        measured = (row["held_out"].get(when) for when in ("before", "after"))  # a stage has no before
        perplexity = (f"{each['perplexity']:.1f}" if each else "" for each in measured)
        share = f"{100 * row['parameters']['share']:.2f} %"
        cost = f"{row['seconds'] / 60:.0f}", _energy(row["energy"])
        ends = row["recipe"]["seed"], f"`{(row['commit'] or '')[:8]}`"
        rows.append((name, share, f"{row['subwords']:,}", *perplexity, *cost, *ends))
    ends_of = "perplexity before", "after", "minutes", "Wh", "seed", "commit"
    return table(("encoder", "trained", "subwords", *ends_of), rows)


def cost_table(record: Record) -> str:
    """Parameters, time and energy of every run."""
    rows = []
    for row in record["runs"]:
        share = f"{100 * row['parameters']['share']:.2f} %"
        chosen = f"{row['best_epoch'] + 1} of {row['epochs']}"
        co2e = row["energy"]["co2e_kg"]
        grams = "" if co2e is None else f"{1000 * co2e:.1f}"
        cost = f"{row['seconds'] / 60:.1f}", _energy(row["energy"]), grams
        names = row["model"], row["encoder"], row["recipe"]["method"], row["seed"]
        rows.append((*names, share, chosen, *cost, f"`{(row['commit'] or '')[:8]}`"))
    names_of = "model", "encoder", "method", "seed", "trained", "epoch", "minutes", "Wh", "g CO2e", "commit"
    return table(names_of, rows)


SEARCHED = (
    "adapter",
    "learning_rate",
    "dropout",
    "label_smoothing",
    "warmup",
    "batch_subwords",
    "weight_decay",
)


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
    names_of = "model", "encoder", "trial", "dev F1", "epochs"
    return table((*names_of, *(name.replace("_", " ") for name in settings)), rows)


def _setting(value: object) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    return markdown.table(names, [[str(cell) for cell in row] for row in rows]).rstrip()


def _count_models(rows: Iterable[Record]) -> int:
    """How many models the corpus has that has the most."""
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
