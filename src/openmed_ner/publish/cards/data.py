"""Data cards: what a catalogued corpus is, from its row and what was counted; and what a prepared set holds.

The format is the hub's for data sets. Neither holds a text: a card says where the texts are, and pins them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from openmed_ner.corpora import Corpus
from openmed_ner.publish.cards.making import describe_passages, list_counts, list_settings
from openmed_ner.publish.cards.markdown import NOT_RECORDED, dig, page, show, table, total
from openmed_ner.publish.cards.metadata import dataset_revision

_LICENCES = {"CC BY 4.0": "cc-by-4.0"}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_LARGEST = "n>1M"
PERSONAL = (
    "The catalog records nothing that its authors state about personal data, and this project did not search "
    "the texts for any.\n"
)


def describe_corpus(
    row: Corpus,
    *,
    statistics: Sequence[Mapping[str, Any]] = (),
    overlaps: Sequence[Mapping[str, Any]] | None = None,
) -> str:
    """The data card of a corpus.

    Args:
        row: of the catalog.
        statistics: of its splits, as ``corpora stats --json`` prints them; none where its archive is missing.
        overlaps: what its splits share with others, as ``corpora overlap --json`` prints it; ``None`` if they
            were not compared.
    """
    own = [split for split in statistics if split.get("corpus") == row.name]
    return page(
        _corpus_metadata(row, own),
        row.title,
        [
            ("", f"Mentions of: {', '.join(row.types)}. English. Published at {row.home}\n"),
            ("Splits", _splits(row)),
            ("Labels", table(("in the release", "here"), [[*pair] for pair in row.labels.items()])),
            ("Size", _sizes(own)),
            ("What to know", "".join(f"- {line}\n" for line in _notes(row))),
            ("Shared texts", _overlaps(row, overlaps)),
            ("Terms and citation", f"- Licence: {row.licence}\n- Cite: {row.citation}\n"),
            ("Personal data", PERSONAL),
        ],
    )


def _corpus_metadata(row: Corpus, statistics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    unstated = row.licence.startswith("none stated")
    licence = _LICENCES.get(row.licence, "unknown" if unstated else "other")
    documents = total(split.get("documents") for split in statistics)
    return {
        "pretty_name": row.title,
        "license": licence,
        **({"license_details": row.licence} if licence not in _LICENCES.values() else {}),
        "language": ["en"],
        "task_categories": ["token-classification"],
        "task_ids": ["named-entity-recognition"],
        "tags": ["biomedical"],
        **({"size_categories": [size_category(documents)]} if documents else {}),
    }


def size_category(count: float) -> str:
    """The hub's class of a data set by its number of rows."""
    return next((name for limit, name in _SIZES if count < limit), _LARGEST)


def _splits(row: Corpus) -> str:
    rows = [
        [
            split,
            "the authors'" if split in row.official else "customary",
            files.layout,
            str(len(files.members)),
            dataset_revision(row.name, split) or NOT_RECORDED,
        ]
        for split, files in row.splits.items()
    ]
    told = "SHA-256 is over the layout and the lines `<sha256>  <path>` of the files that the catalog pins.\n"
    return table(("split", "whose", "layout", "files", "SHA-256"), rows) + f"\n{told}"


def _sizes(statistics: Sequence[Mapping[str, Any]]) -> str:
    if not statistics:
        return f"Counts: {NOT_RECORDED}; `openmed-ner corpora stats` counts where the archive is at hand.\n"
    counts = ("documents", "sentences", "words", "nested", "discontinuous", "unrepresentable")
    rows = [
        [
            show(split.get("split")),
            *(show(split.get(key), ",") for key in counts),
            list_counts(split.get("mentions")),
            list_counts(dig(split, "reading", "reasons")),
        ]
        for split in statistics
    ]
    told = "Unrepresentable are mentions that one tag per word cannot hold.\n"
    return table(("split", *counts, "mentions", "not read"), rows) + f"\n{told}"


def _notes(row: Corpus) -> list[str]:
    notes = [row.note] if row.note else ["The catalog has no note on this corpus."]
    if not row.complete:
        notes.append("Only a part of the corpus is read.")
    if row.alternatives:
        notes.append(f"The official scorer accepts other spans, too: {', '.join(row.alternatives)}.")
    return notes + [
        f"Put right before reading: {each.member}, {each.reason}: {each.line} became {each.replacement}"
        for each in row.corrections
    ]


def _overlaps(row: Corpus, overlaps: Sequence[Mapping[str, Any]] | None) -> str:
    if overlaps is None:
        return (
            f"Documents shared with other splits: {NOT_RECORDED}; `openmed-ner corpora overlap` finds them.\n"
        )
    own = [each for each in overlaps if str(each["first"]).partition("/")[0] == row.name]
    rows = [
        [str(each["first"]), str(each["second"]), show(each["documents"], ","), show(each["sentences"], ",")]
        for each in own
    ]
    if not rows:
        return "No split shares a sentence with any that it was compared with.\n"
    return table(("of this split", "stand in", "documents", "sentences"), rows)


def describe_passage_set(account: Mapping[str, Any], name: str) -> str:
    """The data card of a prepared set of passages.

    Args:
        account: its ``passages.json``.
        name: how people call the set.
    """
    sources = account.get("sources") or []
    kept = dig(account, "total", "kept")
    metadata = {
        "pretty_name": name,
        "license": "other",
        "license_details": "; ".join(dict.fromkeys(show(row.get("licence")) for row in sources)),
        "language": [show(dig(account, "settings", "language"))],
        "task_categories": ["fill-mask"],
        "tags": ["biomedical"],
        **({"size_categories": [size_category(kept)]} if isinstance(kept, int) else {}),
    }
    return page(
        metadata,
        name,
        [
            ("", _passages(account)),
            ("Sources", describe_passages(sources)),
            ("Homes", "".join(f"- {show(row.get('name'))}: {show(row.get('home'))}\n" for row in sources)),
            ("Settings", _settings(account.get("settings") or {})),
            ("Guard against dev and test documents", _guard(account.get("guard") or {})),
            ("Not read", _not_read(account)),
            ("Files", _files(account)),
            ("Personal data", "This project did not search the passages for personal data.\n"),
        ],
    )


def _passages(account: Mapping[str, Any]) -> str:
    sums = dig(account, "total") or {}
    counts = ("read", "kept", "held_out", "pieces", "subwords", "subwords_held_out")
    listed = "; ".join(f"{key.replace('_', ' ')}: {show(sums.get(key), ',')}" for key in counts)
    return f"Unlabelled text, as subword ids, to adapt an encoder. Passages {listed}.\n"


def _settings(settings: Mapping[str, Any]) -> str:
    return table(("setting", "value"), list_settings(settings))


def _guard(guard: Mapping[str, Any]) -> str:
    rows = [
        [split, show(each.get("documents"), ","), show(each.get("passages_dropped"), ",")]
        for split, each in (guard.get("splits") or {}).items()
    ]
    told = f"Mode: {show(guard.get('mode'))}. Sentences guarded: {show(guard.get('sentences'), ',')}.\n"
    return told + ("\n" + table(("split", "documents", "passages dropped for it"), rows) if rows else "")


def _not_read(account: Mapping[str, Any]) -> str:
    """Files of unknown kinds and damaged articles; what was read and dropped stands with its source."""
    files, articles = account.get("not_read"), account.get("skipped_articles")
    named = NOT_RECORDED if files is None else ", ".join(map(str, files)) or "none"
    return f"- Files: {named}\n- Articles: {list_counts(articles)}\n"


def _files(account: Mapping[str, Any]) -> str:
    shards = account.get("shards") or {}
    read = [[show(file.get("name")), show(file.get("sha256"))] for file in account.get("inputs") or ()]
    rows = [
        [
            name,
            *(show(file.get(key), ",") for key in ("size", "pieces", "subwords")),
            show(file.get("sha256")),
        ]
        for name, file in shards.items()
    ]
    return "\n".join(
        [
            table(("file of the set", "bytes", "pieces", "subwords", "SHA-256"), rows),
            table(("read from", "SHA-256"), read),
            f"Tokenizer: SHA-256 {show(dig(account, 'tokenizer', 'sha256'))}\n",
        ]
    )
