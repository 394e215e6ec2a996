"""Corpora and passages: sizes, licences and overlaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tables.common import machine, percent, read, table_row

_NOTE_TEXTS = {
    "notes": "our invented notes",
    "aci-bench-notes": "notes of ACI-Bench, without line ends",
    "e3c-english": "case reports (E3C)",
    "clinical-trials-criteria": "criteria of clinical trials",
    "tac-drug-labels": "drug labels (TAC)",
    "medquad": "answers for patients (MedQuAD)",
}
_ABSTRACTS = ("train-split-texts", "litcovid-test", "pubmedqa-test", "cord19-100")


def tokens() -> str:
    """Mentions that tokenizers cut through."""
    record = read("benchmark-tokens")
    lines = ["| corpus (dev) | mentions | spaCy's English tokens | our words |", "|---|---|---|---|"]
    for row in record["corpora"]:
        shares = (f"{percent(row[name] / row['mentions'])} %" for name in ("spacy", "ours"))
        lines.append(table_row((row["corpus"], f"{row['mentions']:,}", *shares)))
    return "\n".join([*lines, "", f"spaCy {record['spacy']}; commit `{record['commit'][:8]}`."])


def corpora() -> str:
    """Splits, types and sizes of the catalog's corpora."""
    lines = [
        "| corpus | types | split | documents | sentences | words | mentions | nested | lost to words |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in read("corpora")["splits"]:
        types = ", ".join(row["mentions"]) if len(row["mentions"]) < 6 else f"{len(row['mentions'])} types"
        cells = (row["documents"], row["sentences"], row["words"], sum(row["mentions"].values()))
        lost = (row["nested"], row["unrepresentable"])
        lines.append(table_row((row["corpus"], types, row["split"], *cells, *lost)))
    return "\n".join(lines)


def overlaps() -> str:
    """Documents of training splits that appear in a dev or test split."""
    record = read("corpora")
    sizes = {f"{row['corpus']}/{row['split']}": row["documents"] for row in record["splits"]}
    lines = ["| documents of | stand in | how many | of | shared sentences |", "|---|---|---|---|---|"]
    for row in record["overlaps"]:
        is_leak = row["first"].endswith("/train") and row["second"].endswith(("/dev", "/test"))
        if is_leak and row["documents"]:
            cells = (row["first"], row["second"], row["documents"], sizes[row["first"]], row["sentences"])
            lines.append(table_row(cells))
    seconds = record["seconds"]
    note = (
        f"Read in {seconds['reading']:.0f} s and compared in {seconds['comparing']:.0f} s, peak memory "
        f"{record['peak_megabytes']:.0f} MB; {machine(record)}"
    )
    return "\n".join([*lines, "", note])


def catalog() -> str:
    """Licence, origin of the splits and notes, from the catalog itself."""
    from openmed_ner.corpora import CATALOG

    lines = ["| corpus | official splits | licence of the annotations | note |", "|---|---|---|---|"]
    for name, row in CATALOG.items():
        title = f"[{name}]({row.home})"
        lines.append(table_row((title, ", ".join(row.official) or "none", row.licence, row.note)))
    return "\n".join(lines)


def sources() -> str:
    """Licence classes of the sources we know, from the table itself."""
    from openmed_ner.training.passages import SOURCES

    lines = ["| source | class | terms |", "|---|---|---|"]
    for name, source in SOURCES.items():
        title = f"[{name}]({source.home})" if source.home else name
        lines.append(table_row((title, source.licence_class, source.licence)))
    return "\n".join(lines)


BY = {
    "language": "`py3langid`, 300 characters",
    "subwords": "a look-up per word; the tokenizer for new ones",
    "guard": "sentences looked up",
    "hashing words": "for shingles",
    "duplicates": "hash of letters and digits",
    "near duplicates": "MinHash",
    "near duplicates of held-out pieces": "MinHash",
}
"""Methods of the steps of the preparation."""


def preparation() -> str:
    """Time of preparing a set, and the share of each step."""
    record = read("benchmark-passages")
    computing = sum(
        row["seconds"] for name, row in record["stages"].items() if name in ("passing", "writing")
    )
    steps = sorted(record["steps"].items(), key=lambda pair: -pair[1])
    steps.append(("reading, counting, writing", computing - sum(record["steps"].values())))
    lines = ["| step | share of the computing time | by |", "|---|---|---|"]
    lines += [
        table_row((name, f"{percent(seconds / computing)} %", BY.get(name, ""))) for name, seconds in steps
    ]

    host, seconds = record["host"], record["seconds_computing"]
    note = (
        f"{record['total']['read']:,} passages in {seconds:.0f} s of computing "
        f"({record['total']['read'] / seconds:.0f} a second), {seconds - computing:.0f} s of them for "
        f"loading and the guard; peak memory {record['peak_megabytes']:.0f} MB; one run on one core of "
        f"{host['processor']}; commit `{record['commit'][:8]}`."
    )
    return "\n".join([*lines, "", note])


def passages() -> str:
    """Passages of the set that the adaptations read, by source."""
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
            table_row(
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


def negation() -> str:
    """Negation and family history on texts written for it."""
    record = read("benchmark-negation")
    lines = ["| texts | attribute | mentions with it | precision | recall |", "|---|---|---|---|---|"]
    for row in record["rows"]:
        tp, n_found, n_gold = row["tp"], row["tp"] + row["fp"], row["tp"] + row["fn"]
        counts = (f"{tp} of {n_found}", f"{tp} of {n_gold}")
        lines.append(table_row((f"{row['texts']} {row['kind']}", f"`{row['attribute']}`", n_gold, *counts)))
    return "\n".join([*lines, "", f"Commit `{record['commit'][:8]}`."])


def identifiers() -> str:
    """Identifiers of gold mentions on test splits, with the files of the package and with all files."""
    record = read("identifiers")
    groups: dict[tuple[str, str], dict[tuple[str, bool], dict[str, Any]]] = {}
    for row in record["results"]:
        groups.setdefault((row["corpus"], row["type"]), {})[row["files"], bool(row["learnt"])] = row
    lines = [
        "| test split | type | mentions | names alone, package | names alone, all files "
        "| learnt first, package | learnt first, all files | of these, unseen identifiers |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (corpus, label), rows in groups.items():
        last = rows["all", True]
        columns = [(files, learnt) for learnt in (False, True) for files in ("packaged", "all")]
        accuracies = (_accuracy(_select_scored(rows[column])) for column in columns)
        unseen = last["unseen"]
        count = f"{_select_scored(last)['mentions']:,}"
        rest = "" if label == "Gene" else f"{100 * unseen['accuracy']:.1f} of {unseen['mentions']:,}"
        lines.append(table_row((corpus, label, count, *accuracies, rest)))
    return "\n".join([*lines, "", _name_commits(record["results"])])


def concepts() -> str:
    """Concepts of documents on test splits, as the embedded model and the linker find them together."""
    record = read("identifiers")
    rows = [row for row in record["results"] if "concepts" in row]
    if not rows:
        return "Not measured yet."
    lines = [
        "| test split | type | files | identifiers | precision | recall | F1 | recall of seen identifiers "
        "| of unseen ones | wrong | of these, above or below |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        scores = row["concepts"]
        low, high = scores["intervals"]["f1"]
        wrong = sum(counts["wrong"] for counts in scores["methods"].values())
        cells = (
            row["corpus"],
            row["type"],
            "package" if row["files"] == "packaged" else "all",
            "learnt first" if row["learnt"] else "names alone",
            f"{100 * scores['precision']:.1f}",
            f"{100 * scores['recall']:.1f}",
            f"{100 * scores['f1']:.1f} ({100 * low:.1f} to {100 * high:.1f})",
            *(_describe_share(scores[group]) for group in ("seen", "unseen")),
            f"{wrong:,}",
            f"{scores['related']:,}",
        )
        lines.append(table_row(cells))
    bundle = record["bundle"]["bundle"]
    return "\n".join([*lines, "", f"Bundle `{bundle}`. {_name_commits(rows)}"])


def _name_commits(rows: Sequence[Mapping[str, Any]]) -> str:
    """Commits of rows; a row that was measured again has one of its own."""
    corpora: dict[str, dict[str, None]] = {}
    for row in rows:
        corpora.setdefault(row["commit"], {})[row["corpus"]] = None
    names = (f"`{commit[:8]}` ({', '.join(names)})" for commit, names in corpora.items())
    return f"Commit {', '.join(names)}." if len(corpora) > 1 else f"Commit `{next(iter(corpora))[:8]}`."


def _describe_share(group: Mapping[str, int]) -> str:
    return f"{100 * group['found'] / max(group['concepts'], 1):.1f} of {group['concepts']:,}"


def _select_scored(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of genes, the human ones: the terminologies have numbers of NCBI Gene for no others."""
    scores: Mapping[str, Any] = row["held"] if row["type"] == "Gene" else row
    return scores


def _accuracy(scores: Mapping[str, Any]) -> str:
    low, high = scores["interval"]
    return f"{100 * scores['accuracy']:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def note_style() -> str:
    """Texts that are taken for clinic notes, among notes and among articles."""
    record = read("note-style")
    groups = {row["texts"]: row for row in record["groups"]}
    corpora = [row for name, row in groups.items() if name not in _NOTE_TEXTS and name not in _ABSTRACTS]
    rows = [
        *((title, [groups[name]]) for name, title in _NOTE_TEXTS.items()),
        ("abstracts and articles of four collections", [groups[name] for name in _ABSTRACTS]),
        (f"dev splits of {len(corpora)} corpora", corpora),
    ]
    lines = ["| texts | number | taken for notes |", "|---|---|---|"]
    for title, group in rows:
        n, taken = (sum(row[key] for row in group) for key in ("n", "taken"))
        lines.append(table_row((title, f"{n:,}", f"{taken:,} ({percent(taken / n)} %)")))
    slowest = max(row["milliseconds"] for row in record["groups"])
    note = f"The slowest collection takes {slowest:.0f} ms a text. {machine(record)}"
    return "\n".join([*lines, "", note])
