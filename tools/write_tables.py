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

from openmed_ner.cli.bench import draw
from openmed_ner.model.backbones import BACKBONES
from openmed_ner.study import cost, report
from openmed_ner.training.config import Recipe, from_table

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "README.md",
    "docs/performance.md",
    "docs/rest.md",
    "docs/scale.md",
    "docs/spacy.md",
    "docs/corpora.md",
    "docs/evaluation.md",
    "docs/passages.md",
    "docs/pretraining.md",
    "docs/reproduce.md",
)
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
        "| engine | documents/s | subwords/s | ratio | range | ms, p50/p99 | start, s | MB | Wh per 1,000 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in record["engines"].items():
        cells = (
            name,
            f"{row['documents_per_second']:.1f}",
            f"{row['subwords_per_second']:.0f}",
            f"{row['ratio_to_pipeline']:.2f}",
            "{:.2f} to {:.2f}".format(*row["ratio_range"]),
            f"{row['milliseconds_p50']:.0f}, {row['milliseconds_p99']:.0f}",
            f"{row['start_up_seconds']:.2f}",
            f"{row['peak_megabytes']:.0f}",
            f"{row['wh_per_1000_documents']:.2f}",
        )
        lines.append(_row(cells))
    return "\n".join([*lines, "", _conditions(record, f"{record['documents']} documents")])


def energy() -> str:
    """What bundles take for 1,000 documents, and what they score."""
    record = read("bench")
    rows = []
    for row in record["bundles"]:
        wh, f1 = row["energy"]["wh_per_1000_documents"], 100 * row["f1"]
        name = f"{row['bundle']} ({row['kind']}, {row['precision']})"
        speed = f"{row['documents_per_second']:.1f}", f"{row['p50']:.0f}"
        rows.append((name, *speed, f"{wh:.3f} ({row['energy']['mode']})", f"{f1:.2f}", f"{f1 / wh:.0f}"))
    names = "bundle", "documents/s", "ms for one", "Wh per 1,000", "mean test F1", "F1 per Wh"
    first = record["bundles"][0]
    host = record["host"]
    where = (
        f"Medians of {first['rounds']} rounds of {first['documents']} documents, {first['subwords']:,} "
        f"subwords; {host['processor']}, {host['cores']} cores; commit `{record['commit'][:8]}`."
    )
    return "\n".join([report.table(names, rows), "", where])


PUBMED = 37_000_000
"""Citations in PubMed, rounded; about two thirds of them have an abstract, so this is an upper bound."""


def scale() -> str:
    """What tagging all of PubMed would take, at the measured rates."""
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
        lines.append(_row(cells))
    return "\n".join([*lines, "", _conditions(record, f"{record['documents']} documents")])


def scaling() -> str:
    """How the rate grows with the workers, and what all of PubMed would take at it."""
    record = read("benchmark-scaling")
    lines = [
        "| workers | documents/s | to local-1 | start-up, s | memory, MB | days, one machine | days, ten |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in record["engines"].items():
        days = PUBMED / row["documents_per_second"] / 86400
        rates = (f"{row['documents_per_second']:.1f}", f"{row['ratio']:.2f}")
        costs = (f"{row['start_up_seconds']:.1f}", f"{row['peak_megabytes']:.0f}")
        lines.append(_row((name, *rates, *costs, f"{days:.1f}", f"{days / 10:.1f}")))
    sizes = f"{record['documents']:,} documents of {record['characters_per_document']:.0f} characters"
    return "\n".join([*lines, "", _conditions(record, sizes)])


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
            _row((number, *map("{:.1f}".format, speeds), f"{row['ratio']:.2f}", *times, answers, memory))
        )
    host = record["host"]
    where = (
        f"{record['clients']} clients at once for {record['seconds']:.0f} s, texts of "
        f"{record['characters_per_text']:.0f} characters; {host['processor']}, {host['cores']} cores; "
        f"commit `{record['commit'][:8]}`."
    )
    return "\n".join([*lines, "", where])


def tokens() -> str:
    """Mentions that tokenizers cut through."""
    record = read("benchmark-tokens")
    lines = ["| corpus (dev) | mentions | spaCy's English tokens | our words |", "|---|---|---|---|"]
    for row in record["corpora"]:
        shares = (f"{_percent(row[name] / row['mentions'])} %" for name in ("spacy", "ours"))
        lines.append(_row((row["corpus"], f"{row['mentions']:,}", *shares)))
    return "\n".join([*lines, "", f"spaCy {record['spacy']}; commit `{record['commit'][:8]}`."])


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


def sources() -> str:
    """Licence classes of the sources we know, from the table itself."""
    from openmed_ner.passages import SOURCES

    lines = ["| source | class | terms |", "|---|---|---|"]
    for name, source in SOURCES.items():
        title = f"[{name}]({source.home})" if source.home else name
        lines.append(_row((title, source.licence_class, source.licence)))
    return "\n".join(lines)


def passages() -> str:
    """What became of the passages of the set that the adaptations read."""
    record = read("passages")
    lines = [
        "| source | class | read | kept | dropped | pieces | subwords |",
        "|---|---|---|---|---|---|---|",
    ]
    by_size = sorted(record["sources"], key=lambda row: -row["subwords"])
    for row in [*by_size, {"name": "**total**", "licence_class": "", **record["total"]}]:
        dropped = ", ".join(f"{reason} {count:,}" for reason, count in row["dropped"].items())
        sizes = (f"{row[key]:,}" for key in ("read", "kept"))
        lines.append(
            _row(
                (
                    row["name"],
                    row["licence_class"],
                    *sizes,
                    dropped,
                    f"{row['pieces']:,}",
                    f"{row['subwords']:,}",
                )
            )
        )
    return "\n".join(lines)


def encoders() -> str:
    """What each adaptation took, and what it did to perplexity."""
    return report.encoder_table(read("adaptation"))


def adaptation() -> str:
    """Scores of models fine-tuned from each encoder."""
    return report.score_table(read("adaptation"))


def gains() -> str:
    """Whether encoders differ by more than chance."""
    return report.gain_table(read("adaptation"))


def estimates() -> str:
    """What the cost model says of runs that were measured."""
    pretrained, tuned = read("benchmark-pretraining"), read("benchmark-training")
    watts = cost.CPU_WATTS
    machine = cost.Device("", pretrained["matrix_multiply_gflops"] / 1e3, 1e12, watts, cost.CPU_REACHED)
    shape = BACKBONES["minilm-l6"].shape
    guess = 3 * 2 * shape.embedding * shape.vocabulary * 0.15
    rows = []
    for stage, record, ways in (
        ("pretraining", pretrained["subwords_per_second"], {"lora": "ours/lora", "all": "ours/full"}),
        ("fine-tuning", tuned["subwords_per_second"], {"lora": "lora-folded", "all": "full"}),
    ):
        number = ("pretraining", "fine-tuning").index(stage)
        for trained, key in ways.items():
            flops = shape.flops(160, trained=trained) + (0 if number else guess)
            said = machine.tflops * 1e12 * machine.reached[number] / flops
            ratio = f"{said / record[key]:.2f}"
            rows.append((f"{stage}, {trained}", "subwords/s", f"{said:,.0f}", f"{record[key]:,.0f}", ratio))
    for name in ("lora", "full"):
        training = read(f"embedded-{name}-fp32")["training"]
        said = cost.estimate_run(from_table(Recipe, training["recipe"]), machine).seconds / 60
        took = training["seconds"] / 60
        rows.append(
            (f"embedded model, {name}", "minutes", f"{said:.0f}", f"{took:.0f}", f"{said / took:.2f}")
        )
    names = "what", "unit", "estimated", "measured", "estimated / measured"
    return "\n".join(
        [report.table(names, rows), "", _conditions(pretrained, "MiniLM-L6, windows of 160 subwords")]
    )


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
        lines.append(_row((way, *values, f"{ratio:.2f}", f"{100 * record['share_of_ceiling'][way]:.0f} %")))
    ceiling = f"ceiling {record['matrix_multiply_gflops']:.0f} GFLOP/s in {record['precision']}"
    return "\n".join([*lines, "", _conditions(record, f"batches of {record['shape']} subwords; {ceiling}")])


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
        energy,
        scale,
        scaling,
        service,
        tokens,
        memory,
        training,
        corpora,
        overlaps,
        catalog,
        protocols,
        across,
        evaluation,
        sources,
        passages,
        encoders,
        adaptation,
        gains,
        estimates,
        pretraining,
    )
}


def render(page: str) -> str:
    """Fill every table of a page; what has no results file has not been measured."""

    def fill(match: re.Match[str]) -> str:
        try:
            table = TABLES[match[2]]()
        except FileNotFoundError:
            table = "Not measured yet."
        return f"{match[1]}{table}\n{match[3]}"

    return BLOCK.sub(fill, page)


def main() -> None:
    """Rewrite the pages, and draw what they show."""
    draw(read("bench")["bundles"], ROOT / "docs/assets/f1-energy.svg")
    for page in PAGES:
        path = ROOT / page
        path.write_text(render(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
