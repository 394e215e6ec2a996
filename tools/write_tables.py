"""Write every table of the README and the docs from the files under results/.

    python tools/write_tables.py

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``; what is between is replaced. A
test fails if a page and its results disagree.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "docs/performance.md", "docs/corpora.md", "docs/evaluation.md")
BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
SYSTEMS = (
    ("embedded-lora-int8", "**embedded**: LoRA, int8"),
    ("embedded-lora-fp32", "LoRA, fp32"),
    ("embedded-full-fp32", "control: full fine-tuning, fp32"),
)


def published(systems: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Keep the systems that have a results file: what was not measured has no row."""
    return [(name, title) for name, title in systems if (ROOT / "results" / f"{name}.json").is_file()]


def read(name: str) -> dict[str, Any]:
    """Read a results file."""
    record: dict[str, Any] = json.loads((ROOT / "results" / f"{name}.json").read_text(encoding="utf-8"))
    return record


def scores() -> str:
    """Test scores of every system on every corpus."""
    lines = [
        "| model | corpus | precision | recall | F1 | 95 % interval | F1 seen / unseen |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, title in published(SYSTEMS):
        for result in read(name)["results"]:
            micro, seen, unseen = (result[key] for key in ("micro", "seen", "unseen"))
            low, high = micro["ci95"]
            cells = (
                title,
                result["corpus"],
                _percent(micro["precision"]),
                _percent(micro["recall"]),
                f"**{_percent(micro['f1'])}**",
                f"{100 * low:.1f} to {100 * high:.1f}",
                f"{100 * seen['f1']:.1f} / {100 * unseen['f1']:.1f}",
            )
            lines.append(_row(cells))
    return "\n".join(lines)


def runs() -> str:
    """How each system was trained."""
    lines = [
        "| model | seed | parameters trained | epoch chosen on dev | dev F1 | minutes | Wh | commit |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, title in published(SYSTEMS[1:]):
        training = read(name)["training"]
        parameters, energy = training["parameters"], training["energy"]
        dev = ", ".join(_percent(value) for key, value in training["dev"].items() if key != "score")
        cells = (
            title,
            training["recipe"]["seed"],
            f"{100 * parameters['share']:.2f} %",
            f"{training['best_epoch'] + 1} of {training['epochs']}",
            dev,
            f"{training['seconds'] / 60:.0f}",
            f"{1000 * energy['kwh']:.1f} ({energy['mode']})",
            f"`{training['commit'][:8]}`",
        )
        lines.append(_row(cells))
    return "\n".join(lines)


def tagging() -> str:
    """Speed of tagging against the transformers pipeline."""
    record = read("benchmark-tagging")
    lines = [
        "| engine | documents/s | subwords/s | ratio | start-up, s | peak memory, MB |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in record["engines"].items():
        cells = (
            name,
            f"{row['documents_per_second']:.1f}",
            f"{row['subwords_per_second']:.0f}",
            f"{row['ratio_to_pipeline']:.2f}",
            f"{row['start_up_seconds']:.2f}",
            f"{row['peak_megabytes']:.0f}",
        )
        lines.append(_row(cells))
    return "\n".join([*lines, "", _conditions(record, f"{record['documents']} documents")])


def training() -> str:
    """Speed of a training step."""
    record = read("benchmark-training")
    lines = ["| way | subwords/s | ratio to full fine-tuning |", "|---|---|---|"]
    for way, speed in record["subwords_per_second"].items():
        lines.append(_row((way, f"{speed:.0f}", f"{record['ratio_to_full'][way]:.2f}")))
    return "\n".join([*lines, "", _conditions(record, f"batches of {record['shape']} subwords")])


def memory() -> str:
    """Peak memory against the length of one document."""
    record = read("benchmark-memory")
    lines = [
        "| pages | characters | windows | read completely | seconds | peak memory, MB |",
        "|---|---|---|---|---|---|",
    ]
    for pages, row in record["pages"].items():
        complete = "yes" if row["complete"] else "no"
        cells = (pages, row["characters"], row["windows"], complete)
        lines.append(_row((*cells, f"{row['seconds']:.1f}", f"{row['peak_megabytes']:.0f}")))
    host = record["host"]
    where = f"One run each; {host['processor']}, {host['cores']} cores; commit `{record['commit'][:8]}`."
    return "\n".join([*lines, "", where])


def corpora() -> str:
    """What the catalog reads: whose splits, which types, how much."""
    lines = [
        "| corpus | types | split | documents | sentences | words | mentions | nested | lost to words |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in read("corpora")["splits"]:
        types = ", ".join(row["mentions"]) if len(row["mentions"]) < 6 else f"{len(row['mentions'])} types"
        cells = (row["documents"], row["sentences"], row["words"], sum(row["mentions"].values()))
        lost = (row["nested"], row["unrepresentable"])
        lines.append(_row((row["corpus"], types, row["split"], *cells, *lost)))
    return "\n".join(lines)


def overlaps() -> str:
    """Which documents of which training split stand in which dev or test split."""
    record = read("corpora")
    sizes = {f"{row['corpus']}/{row['split']}": row["documents"] for row in record["splits"]}
    lines = ["| documents of | stand in | how many | of | shared sentences |", "|---|---|---|---|---|"]
    for row in record["overlaps"]:
        leak = row["first"].endswith("/train") and row["second"].endswith(("/dev", "/test"))
        if leak and row["documents"]:
            cells = (row["first"], row["second"], row["documents"], sizes[row["first"]], row["sentences"])
            lines.append(_row(cells))
    host, seconds = record["host"], record["seconds"]
    where = (
        f"Read in {seconds['reading']:.0f} s and compared in {seconds['comparing']:.0f} s, peak memory "
        f"{record['peak_megabytes']:.0f} MB; {host['processor']}, {host['cores']} cores; "
        f"commit `{record['commit'][:8]}`."
    )
    return "\n".join([*lines, "", where])


def catalog() -> str:
    """Licence, citation, whose splits and what to know, from the catalog itself."""
    from openmed_ner.corpora import CATALOG

    lines = ["| corpus | official splits | licence of the annotations | note |", "|---|---|---|---|"]
    for name, row in CATALOG.items():
        title = f"[{name}]({row.home})"
        lines.append(_row((title, ", ".join(row.official) or "none", row.licence, row.note)))
    return "\n".join(lines)


def protocols() -> str:
    """Mention, word and sub-word F1 on the same predictions."""
    record = read("protocols")
    lines = [
        "| corpus (test) | mention F1 | word F1 | sub-word F1 | difference | gold mentions | gold units |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = {(row["corpus"], row["protocol"]): row["micro"] for row in record["results"]}
    for corpus in dict.fromkeys(corpus for corpus, _ in rows):
        mention, word, subword = (rows[corpus, name] for name in ("mention", "word", "subword"))
        difference = f"{100 * (subword['f1'] - mention['f1']):+.2f}"
        sizes = (row["tp"] + row["fn"] for row in (mention, subword))
        values = (_percent(row["f1"]) for row in (mention, word, subword))
        lines.append(_row((corpus, *values, difference, *sizes)))
    accepted = [
        f"{row['corpus']} with the alternatives its official scorer accepts: mention F1 "
        f"{_percent(row['with_alternatives']['f1'])}."
        for row in record["results"]
        if "with_alternatives" in row
    ]
    notes = _notes(corpus for corpus, _ in rows)
    return "\n".join([*lines, "", _of_bundle(record), *accepted, "", *notes])


def across() -> str:
    """Every head on every corpus of its types."""
    record = read("across")
    lines = [
        "| head | corpus (test) | types | precision | recall | F1 | 95 % interval | documents | left out |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in record["results"]:
        micro = row["micro"]
        low, high = micro["ci95"]
        values = (_percent(micro[key]) for key in ("precision", "recall", "f1"))
        interval = f"{100 * low:.1f} to {100 * high:.1f}"
        names = (row["head"], row["corpus"], ", ".join(row["types"]))
        lines.append(_row((*names, *values, interval, row["documents"], row["left_out"])))
    notes = _notes(row["corpus"] for row in record["results"])
    return "\n".join([*lines, "", _of_bundle(record), "", *notes])


def evaluation() -> str:
    """Time of scoring."""
    record = read("benchmark-evaluation")
    lines = ["| step | seconds |", "|---|---|"]
    lines += [_row((name, f"{value:.2f}")) for name, value in record["seconds"].items()]
    sizes = f"{record['documents']:,} documents, {record['mentions']:,} gold and as many predicted mentions"
    return "\n".join([*lines, "", _conditions(record, sizes)])


def _notes(names: Iterable[str]) -> list[str]:
    """What was scored, where that is not the official test split of the whole corpus."""
    from openmed_ner.corpora import CATALOG

    rows = [CATALOG[name] for name in dict.fromkeys(names)]
    return [f"- {row.name}: {row.note}" for row in rows if "test" not in row.official or not row.complete]


def _of_bundle(record: Mapping[str, Any]) -> str:
    seed, commit = record["training"]["recipe"]["seed"], record["training"]["commit"]
    return (
        f"Bundle {record['bundle']}, {record['precision']}, seed {seed}, trained at commit `{commit[:8]}`, "
        f"scored at `{record['commit'][:8]}`."
    )


def _conditions(record: Mapping[str, Any], what: str) -> str:
    host = record["host"]
    return (
        f"Medians of {record['rounds']} rounds, each in turn; {what}; "
        f"{host['processor']}, {host['cores']} cores; commit `{record['commit'][:8]}`."
    )


def _row(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


TABLES: Mapping[str, Callable[[], str]] = {
    function.__name__: function
    for function in (
        scores,
        runs,
        tagging,
        memory,
        training,
        corpora,
        overlaps,
        catalog,
        protocols,
        across,
        evaluation,
    )
}


def render(page: str) -> str:
    """Fill every table of a page."""
    return BLOCK.sub(lambda match: f"{match[1]}{TABLES[match[2]]()}\n{match[3]}", page)


def main() -> None:
    """Rewrite the pages."""
    for page in PAGES:
        path = ROOT / page
        path.write_text(render(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
