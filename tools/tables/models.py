"""Scores of models, by protocol, beside published ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from openmed_ner.evaluation.protocols import PROTOCOLS
from openmed_ner.training.study import report
from openmed_ner.training.study.references import BIOBERT_F1, PAPER_F1
from tables.common import conditions, machine, percent, read, table_row

SINGLE, JOINT, SMALL = "a model each", "joint", "small"
"""A model per corpus, the joint model, and the smaller one."""
STUDIES = {SINGLE: "suite", JOINT: "joint", SMALL: "suite"}
"""Results file of each system. In that of the suite, ``joint`` is the teacher of the smaller model."""


def _runs(system: str) -> list[Mapping[str, Any]]:
    """The runs of a model with all heads, or of all models of single corpora."""
    runs = read(STUDIES[system])["runs"]
    models = {run["model"] for run in runs} - {JOINT, SMALL} if system == SINGLE else {system}
    return [run for run in runs if run["model"] in models]


def _test_scores(system: str) -> dict[str, Mapping[str, Any]]:
    """The test scores of a system over its seeds, by corpus."""
    models = {run["model"] for run in _runs(system)}
    scores = read(STUDIES[system])["scores"]
    return {row["corpus"]: row for row in scores if row["split"] == "test" and row["model"] in models}


def _shipped(model: str) -> dict[tuple[str, str], Mapping[str, Any]]:
    """The scores of a model in int8, by corpus and protocol."""
    return {(row["corpus"], row["protocol"]): row for row in read(f"{model}-int8")["results"]}


def suite() -> str:
    """For each corpus a model per corpus, the joint model, and the shipped ones, beside published scores."""
    singles, joint = _test_scores(SINGLE), _test_scores(JOINT)
    shipped, small = _shipped(JOINT), _shipped(SMALL)
    rows = []
    for corpus in joint:
        single = singles.get(corpus)
        mention, word, subword = (shipped[corpus, protocol]["micro"] for protocol in PROTOCOLS)
        rows.append(
            (
                corpus,
                f"{percent(single['mean'])} ({len(single['seeds'])})" if single else "",
                percent(joint[corpus]["mean"]),
                f"**{percent(mention['f1'])}**",
                report.interval(mention["ci95"]),
                percent(small[corpus, PROTOCOLS[0]]["micro"]["f1"]),
                percent(word["f1"]),
                report.reference(BIOBERT_F1, corpus),
                percent(subword["f1"]),
                report.reference(PAPER_F1, corpus),
            )
        )

    systems = "a model each (seeds)", "joint", "joint, int8", "95 % interval", "small, int8"
    counted = "counted on words", "BioBERT", "counted on sub-words", "paper"
    bundle = _of_bundle(read("joint-int8"))
    return "\n".join([report.table(("corpus", *systems, *counted), rows), "", bundle, "", *_notes(joint)])


def document() -> str:
    """For each corpus the mode of document-level decoding, its gain on dev, and test scores."""
    choices = read("trials/document")["heads"]
    record = read("joint-document")
    without = _shipped(JOINT)
    scores = {row["corpus"]: row["micro"] for row in record["results"] if row["protocol"] == "mention"}

    rows, pairs = [], []
    for corpus, micro in scores.items():
        before = without[corpus, "mention"]["micro"]["f1"]
        low, high = micro["ci95"]
        choice = choices[corpus]
        pairs.append((before, micro["f1"]))
        cells = (
            corpus,
            choice["choice"],
            f"{100 * choice['gain']:+.2f}",
            percent(before),
            percent(micro["f1"]),
        )
        rows.append((*cells, f"{100 * low:.1f} to {100 * high:.1f}"))
    means = (percent(fmean(values)) for values in zip(*pairs, strict=True))
    rows.append(("mean", "", "", *means, ""))
    names = ("corpus", "mode", "gain on dev", "test, each mention alone", "test, document", "95 % interval")
    return "\n".join([report.table(names, rows), "", _of_bundle(record)])


def embedded() -> str:
    """For each corpus the embedded model beside the models before it, on test."""
    files = ("joint-int8", "joint-document", "taught-int8", "averaged-int8")
    earlier = [_mentions(name) for name in files]
    record = read("student-int8")
    shipped = _mentions("student-int8")

    rows, twelve = [], []
    for corpus, row in shipped.items():
        before = [scores.get(corpus) for scores in earlier]
        if all(before):
            twelve.append([_f1(former) for former in (*before, row) if former])
        low, high = row["micro"]["ci95"]
        cells = (
            *(percent(_f1(former)) if former else "" for former in before),
            f"**{percent(_f1(row))}**",
            f"{100 * low:.1f} to {100 * high:.1f}",
            *(percent(row[part]["f1"]) for part in ("seen", "unseen")),
            percent(before[1]["unseen"]["f1"]) if before[1] else "",
        )
        rows.append((corpus, *cells))
    means = [percent(fmean(values)) for values in zip(*twelve, strict=True)]
    rows.append((f"mean of {len(twelve)}", *means, "", "", "", ""))

    models = "joint", "with the document", "taught", "averaged", "embedded"
    names = ("corpus", *models, "95 % interval", "seen", "unseen", "unseen, joint")
    notes = _notes(corpus for corpus in shipped if corpus not in earlier[0])
    return "\n".join([report.table(names, rows), "", _of_bundle(record), "", *notes])


def three_layers() -> str:
    """For each corpus the embedded model beside one with half its layers, on test."""
    whole, half = (_mentions(name) for name in ("student-int8", "three-layers-int8"))
    twelve = _mentions("joint-int8")
    rows = []
    for corpus, row in half.items():
        f1 = _f1(whole[corpus]), _f1(row)
        low, high = row["micro"]["ci95"]
        rows.append((corpus, *map(percent, f1), f"{100 * low:.1f} to {100 * high:.1f}"))
    means = [percent(fmean(_f1(scores[corpus]) for corpus in twelve)) for scores in (whole, half)]
    rows.append((f"mean of {len(twelve)}", *means, ""))
    names = "corpus", "embedded", "three layers", "95 % interval"
    return "\n".join([report.table(names, rows), "", _of_bundle(read("three-layers-int8"))])


def effects() -> str:
    """For each corpus F1 without the lexicon, without the document, without both, and with both."""
    record = read("effects")
    by_corpus: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in record["results"]:
        by_corpus.setdefault(row["corpus"], {})[row["parts"]] = row

    parts = "neither", "document", "lexicon", "both"
    rows = []
    for corpus, scores in by_corpus.items():
        f1 = [percent(_f1(scores[part])) for part in parts]
        unseen = [percent(scores[part]["unseen"]["f1"]) for part in ("neither", "both")]
        rows.append((corpus, *f1, *unseen))
    means = [percent(fmean(_f1(scores[part]) for scores in by_corpus.values())) for part in parts]
    rows.append((f"mean of {len(rows)}", *means, "", ""))
    names = ("corpus", *parts, "unseen, neither", "unseen, both")
    return "\n".join([report.table(names, rows), "", _of_bundle(record)])


def _mentions(name: str) -> dict[str, Mapping[str, Any]]:
    """The mention scores of a results file, by corpus."""
    return {row["corpus"]: row for row in read(name)["results"] if row["protocol"] == PROTOCOLS[0]}


def _f1(row: Mapping[str, Any]) -> float:
    f1: float = row["micro"]["f1"]
    return f1


def details() -> str:
    """Precision, recall, and F1 on seen and unseen mentions of every system."""
    intervals = {system: _test_scores(system) for system in STUDIES}
    results: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for system in STUDIES:
        for run in _runs(system):
            for row in run["results"]:
                if (row["split"], row["protocol"]) == ("test", "mention"):
                    results.setdefault((system, row["corpus"]), []).append(row)

    shipped = {model: _shipped(model) for model in (JOINT, SMALL)}
    lines = []
    for corpus in intervals[JOINT]:
        for system in STUDIES:
            if rows := results.get((system, corpus)):
                name = f"{system} ({len(rows)})" if system == SINGLE else system
                lines.append(_detail(corpus, name, rows, intervals[system][corpus]["ci95"]))
            if system in shipped:
                row = shipped[system][corpus, "mention"]
                lines.append(_detail(corpus, f"{system}, int8", [row], row["micro"]["ci95"]))

    names = (
        "corpus",
        "model",
        "precision",
        "recall",
        "F1",
        "95 % interval",
        "F1 seen",
        "F1 unseen",
        "documents",
    )
    return report.table(names, lines)


def _detail(
    corpus: str, model: str, rows: Sequence[Mapping[str, Any]], ci95: Sequence[float]
) -> tuple[object, ...]:
    """The means over some seeds."""
    micro = (fmean(row["micro"][key] for row in rows) for key in ("precision", "recall", "f1"))
    parts = (fmean(row[part]["f1"] for row in rows) for part in ("seen", "unseen"))
    shown = (*map(percent, micro), report.interval(ci95), *(f"{100 * value:.1f}" for value in parts))
    return corpus, model, *shown, rows[0]["documents"]


def suite_runs() -> str:
    """Cost of the suite's models, of the joint model's stages, and of the smaller model."""
    former = [{**run, "model": "first, formerly"} for run in read("suite")["runs"] if run["model"] == JOINT]
    runs = [*_runs(SINGLE), *read("trials/joint")["runs"], *_runs(JOINT), *former, *_runs(SMALL)]
    return report.cost_table({"runs": runs})


def searches() -> str:
    """Every trial of the searches."""
    record = read("search")
    return "\n".join([report.search_table(record), "", machine(record)])


def energy() -> str:
    """Energy of bundles per 1,000 documents, with their scores."""
    record = read("bench")
    rows = []
    for row in record["bundles"]:
        wh, f1 = row["energy"]["wh_per_1000_documents"], 100 * row["f1"]
        name = f"{row['bundle']} ({row['precision']}, {row['backend']})"
        speed = f"{row['documents_per_second']:.1f}", f"{row['p50']:.0f}"
        rows.append((name, *speed, f"{wh:.3f} ({row['energy']['mode']})", f"{f1:.2f}", f"{f1 / wh:.0f}"))
    names = "bundle", "documents/s", "ms for one", "Wh per 1,000", "mean test F1", "F1 per Wh"
    first = record["bundles"][0]
    note = (
        f"Medians of {first['rounds']} rounds of {first['documents']} documents, {first['subwords']:,} "
        f"subwords. {machine(record)}"
    )
    return "\n".join([report.table(names, rows), "", note])


def protocols() -> str:
    """Mention, word and sub-word F1 on the same predictions."""
    record = read("joint-int8")
    lines = [
        "| corpus (test) | mention F1 | word F1 | sub-word F1 | difference | gold mentions | gold units |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = {(row["corpus"], row["protocol"]): row["micro"] for row in record["results"]}
    for corpus in dict.fromkeys(corpus for corpus, _ in rows):
        mention, word, subword = (rows[corpus, name] for name in ("mention", "word", "subword"))
        difference = f"{100 * (subword['f1'] - mention['f1']):+.2f}"
        sizes = (row["tp"] + row["fn"] for row in (mention, subword))
        values = (percent(row["f1"]) for row in (mention, word, subword))
        lines.append(table_row((corpus, *values, difference, *sizes)))

    accepted = [
        f"{row['corpus']} with the alternatives its official scorer accepts: mention F1 "
        f"{percent(row['with_alternatives']['f1'])}."
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
        values = (percent(micro[key]) for key in ("precision", "recall", "f1"))
        interval = f"{100 * low:.1f} to {100 * high:.1f}"
        names = (row["head"], row["corpus"], ", ".join(row["types"]))
        lines.append(table_row((*names, *values, interval, row["documents"], row["left_out"])))
    notes = _notes(row["corpus"] for row in record["results"])
    return "\n".join([*lines, "", _of_bundle(record), "", *notes])


def evaluation() -> str:
    """Time of scoring."""
    record = read("benchmark-evaluation")
    lines = ["| step | seconds |", "|---|---|"]
    lines += [table_row((name, f"{value:.2f}")) for name, value in record["seconds"].items()]
    sizes = f"{record['documents']:,} documents, {record['mentions']:,} gold and as many predicted mentions"
    return "\n".join([*lines, "", conditions(record, sizes)])


def clinic_notes() -> str:
    """Scores on the clinic notes, per bundle and type."""
    record = read("notes")
    lines = [
        "| bundle | type | gold mentions | precision | recall | F1 | 95 % interval | loose F1 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for system in record["systems"]:
        strict, loose = (system["rules"][rule] for rule in ("strict", "type"))
        for label, row in strict["scores"].items():
            values = [percent(row[key]) for key in ("precision", "recall", "f1")]
            interval = " to ".join(f"{100 * end:.1f}" for end in strict["interval"]) if label == "all" else ""
            loose_f1 = percent(loose["scores"][label]["f1"])
            cells = (f"`{system['sha256'][:8]}`", label, row["tp"] + row["fn"], *values, interval, loose_f1)
            lines.append(table_row(cells))

    bundles = ", ".join(f"{system['bundle']} `{system['sha256'][:8]}`" for system in record["systems"])
    return "\n".join([*lines, "", f"Bundles {bundles}. {machine(record)}"])


def few_documents() -> str:
    """F1 on types that the start does not know, by the number of annotated documents."""
    records = [read("benchmark-few-documents"), read("benchmark-few-documents-100")]
    lines = ["| documents | mentions | F1 on test | minutes | machine |", "|---|---|---|---|---|"]
    for record in records:
        for size in dict.fromkeys(run["documents"] for run in record["runs"]):
            runs = [run for run in record["runs"] if run["documents"] == size]
            scores = [run["micro"]["f1"] for run in runs]
            span = f" ({percent(min(scores))} to {percent(max(scores))})" if len(runs) > 1 else ""
            mentions, seconds = (fmean(run[key] for run in runs) for key in ("mentions", "seconds"))
            f1 = percent(fmean(scores)) + span
            lines.append(
                table_row((size, f"{mentions:,.0f}", f1, f"{seconds / 60:.1f}", machine(record).rstrip(".")))
            )

    record = records[0]
    seeds = len({run["seed"] for run in record["runs"]})
    draws = f"Means of {seeds} draws" if seeds > 1 else "One draw"
    start = f"{record['start']['bundle']} `{record['start']['sha256'][:8]}`"
    subject = f"{record['corpus']}: {', '.join(record['types'])}. {record['test_documents']} test documents"
    return "\n".join([*lines, "", f"{draws}. {subject}. Start {start}."])


def _notes(names: Iterable[str]) -> list[str]:
    """Notes on corpora that were not scored on the official test split of the whole corpus."""
    from openmed_ner.corpora import CATALOG

    rows = [CATALOG[name] for name in dict.fromkeys(names)]
    return [f"- {row.name}: {row.note}" for row in rows if "test" not in row.official or not row.complete]


def _of_bundle(record: Mapping[str, Any]) -> str:
    seed, commit = record["training"]["recipe"]["seed"], record["training"]["commit"]
    return (
        f"Bundle {record['bundle']}, {record['precision']}, seed {seed}, trained at commit `{commit[:8]}`, "
        f"scored at `{record['commit'][:8]}`."
    )
