"""Data cards of corpora and of prepared passages, and the data sources of a bundle.

The format is the hub's for data sets. No card holds a text: it says where the texts are, and pins them.

A data source has terms of its own: the backbone, a corpus, a set of passages, a terminology. The catalog
knows the terms of its corpora, the run record those of the passages, and the manifest those of the
terminologies. A corpus that is in neither is listed as its owner's to describe.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from openmed_ner.bundle.manifest import Manifest, Terminology
from openmed_ner.corpora import CATALOG, Corpus
from openmed_ner.publish.cards.markdown import (
    NOT_RECORDED,
    bullets,
    dig,
    list_counts,
    list_settings,
    page,
    show,
    table,
    total,
)
from openmed_ner.publish.cards.metadata import dataset_revision

OWNERS = "stated by its owner"
PERSONAL = (
    "The catalog records nothing that its authors state about personal data, and this project did not search "
    "the texts for any.\n"
)
_LICENCES = {"CC BY 4.0": "cc-by-4.0"}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_LARGEST = "n>1M"


@dataclass(frozen=True, slots=True)
class DataSource:
    """Something that a bundle was made from.

    Attributes:
        name: name in the bundle, the catalog or the account of the passages.
        role: ``backbone``, ``corpus`` (annotated text), ``passages`` (unlabelled text) or ``terminology``.
        licence: the terms, as far as they are stated.
        licence_class: class of the passages' terms: ``permissive``, ``non-commercial`` or ``unknown``.
        citation: paper to cite, or edition of a terminology; empty if unknown.
        home: place of publication; empty if unknown.
    """

    name: str
    role: str
    licence: str
    licence_class: str = ""
    citation: str = ""
    home: str = ""

    def to_json(self) -> dict[str, str]:
        """Convert to a JSON object."""
        return asdict(self)


def find_sources(manifest: Manifest, record: Mapping[str, Any]) -> list[DataSource]:
    """List the sources of a bundle: backbone, corpora of the heads, passages of an adaptation, terminologies.

    Args:
        manifest: the bundle's manifest.
        record: the run record; may be empty.
    """
    backbone = manifest.backbone
    return [
        DataSource(backbone.name, "backbone", backbone.licence, home=backbone.hub_id),
        *(_corpus_source(head.corpus) for head in manifest.heads),
        *(_passage_source(row) for row in iter_passages(find_adaptation(manifest, record))),
        *map(_terminology_source, manifest.lexicon.terminologies if manifest.lexicon else ()),
    ]


def _corpus_source(name: str) -> DataSource:
    row = CATALOG.get(name)
    if row is None:
        return DataSource(name, "corpus", OWNERS)
    return DataSource(name, "corpus", row.licence, citation=row.citation, home=row.home)


def _passage_source(row: Mapping[str, Any]) -> DataSource:
    name, licence, licence_class, home = (
        str(row.get(key, "")) for key in ("name", "licence", "licence_class", "home")
    )
    return DataSource(name, "passages", licence, licence_class, home=home)


def _terminology_source(row: Terminology) -> DataSource:
    title = f"{row.title}, {row.version}" if row.version else row.title
    return DataSource(row.name, "terminology", row.licence, citation=title, home=row.home)


def find_adaptation(manifest: Manifest, record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the record of the adaptation behind a bundle; empty if there is none."""
    return (dig(record, "adaptation") if manifest.heads else record) or {}


def iter_passages(adaptation: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the sources of passages that an adaptation read, without those its recipe excludes."""
    # A prepared set may hold more than is read: the recipe of a run decides by licence and weight.
    for row in dig(adaptation, "passages", "sources") or ():
        closed = row.get("licence_class") != "permissive"
        if dig(adaptation, "recipe", "licences") == "permissive" and closed:
            continue
        if dig(adaptation, "recipe", "weights", row.get("name")) != 0:
            yield row


def describe_corpus(
    row: Corpus,
    *,
    statistics: Sequence[Mapping[str, Any]] = (),
    overlaps: Sequence[Mapping[str, Any]] | None = None,
) -> str:
    """Write the data card of a corpus.

    Args:
        row: the corpus's row of the catalog.
        statistics: counts of its splits, as ``corpora stats --json`` prints them; none if its archive is
            not available.
        overlaps: texts that its splits share with others, as ``corpora overlap --json`` prints them;
            ``None`` if they were not compared.
    """
    splits = [split for split in statistics if split.get("corpus") == row.name]
    sections = [
        ("", f"Mentions of: {', '.join(row.types)}. English. Published at {row.home}\n"),
        ("Splits", _splits(row)),
        ("Labels", table(("in the release", "here"), [[*pair] for pair in row.labels.items()])),
        ("Size", _sizes(splits)),
        ("What to know", bullets(_notes(row))),
        ("Shared texts", _overlaps(row, overlaps)),
        ("Terms and citation", f"- Licence: {row.licence}\n- Cite: {row.citation}\n"),
        ("Personal data", PERSONAL),
    ]
    return page(_corpus_metadata(row, splits), row.title, sections)


def _corpus_metadata(row: Corpus, statistics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    unstated = row.licence.startswith("none stated")
    # The hub has no identifier for most of these licences; license_details then has their words.
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
    """Return the hub's class of a data set by its number of rows."""
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
    note = "SHA-256 is over the layout and the lines `<sha256>  <path>` of the files that the catalog pins.\n"
    return table(("split", "whose", "layout", "files", "SHA-256"), rows) + f"\n{note}"


def _sizes(statistics: Sequence[Mapping[str, Any]]) -> str:
    if not statistics:
        return f"Counts: {NOT_RECORDED}; `openmed-ner corpora stats` counts if the archive is available.\n"
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
    note = "Unrepresentable are mentions that one tag per word cannot hold.\n"
    return table(("split", *counts, "mentions", "not read"), rows) + f"\n{note}"


def _notes(row: Corpus) -> list[str]:
    notes = [row.note] if row.note else ["The catalog has no note on this corpus."]
    if not row.complete:
        notes.append("Only a part of the corpus is read.")
    if row.alternatives:
        notes.append(f"The official scorer accepts other spans, too: {', '.join(row.alternatives)}.")
    return notes + [
        f"Corrected before reading: {correction.member}, {correction.reason}: {correction.line} became "
        f"{correction.replacement}"
        for correction in row.corrections
    ]


def _overlaps(row: Corpus, overlaps: Sequence[Mapping[str, Any]] | None) -> str:
    if overlaps is None:
        return (
            f"Documents shared with other splits: {NOT_RECORDED}; `openmed-ner corpora overlap` finds them.\n"
        )
    rows = [
        [
            str(overlap["first"]),
            str(overlap["second"]),
            show(overlap["documents"], ","),
            show(overlap["sentences"], ","),
        ]
        for overlap in overlaps
        if str(overlap["first"]).partition("/")[0] == row.name
    ]
    if not rows:
        return "No split shares a sentence with any that it was compared with.\n"
    return table(("of this split", "appear in", "documents", "sentences"), rows)


def describe_passage_set(account: Mapping[str, Any], name: str) -> str:
    """Write the data card of a prepared set of passages.

    Args:
        account: the set's ``passages.json``.
        name: name of the set.
    """
    sources = account.get("sources") or []
    homes = bullets(f"{show(row.get('name'))}: {show(row.get('home'))}" for row in sources)
    settings = list_settings(account.get("settings") or {})
    sections = [
        ("", _passages(account)),
        ("Sources", describe_passages(sources)),
        ("Homes", homes),
        ("Settings", table(("setting", "value"), settings)),
        ("Guard against dev and test documents", _guard(account.get("guard") or {})),
        ("Not read", _not_read(account)),
        ("Files", _files(account)),
        ("Personal data", "This project did not search the passages for personal data.\n"),
    ]
    return page(_passage_metadata(account, name), name, sections)


def _passage_metadata(account: Mapping[str, Any], name: str) -> dict[str, Any]:
    licences = dict.fromkeys(show(row.get("licence")) for row in account.get("sources") or ())
    n_passages = dig(account, "total", "kept")
    return {
        "pretty_name": name,
        "license": "other",
        "license_details": "; ".join(licences),
        "language": [show(dig(account, "settings", "language"))],
        "task_categories": ["fill-mask"],
        "tags": ["biomedical"],
        **({"size_categories": [size_category(n_passages)]} if isinstance(n_passages, int) else {}),
    }


def _passages(account: Mapping[str, Any]) -> str:
    sums = dig(account, "total") or {}
    keys = ("read", "kept", "held_out", "pieces", "subwords", "subwords_held_out")
    counts = "; ".join(f"{key.replace('_', ' ')}: {show(sums.get(key), ',')}" for key in keys)
    return f"Unlabelled text, as subword ids, to adapt an encoder. Passages {counts}.\n"


def describe_passages(rows: Iterable[Mapping[str, Any]]) -> str:
    """Write a table of the sources of passages: terms, and passages read, kept and dropped."""
    columns = ("source", "licence", "class", "passages read", "kept", "dropped")
    cells = [
        [
            *(show(row.get(key)) for key in ("name", "licence", "licence_class")),
            *(show(row.get(key), ",") for key in ("read", "kept")),
            list_counts(row.get("dropped")),
        ]
        for row in rows
    ]
    return table(columns, cells)


def _guard(guard: Mapping[str, Any]) -> str:
    rows = [
        [split, show(counts.get("documents"), ","), show(counts.get("passages_dropped"), ",")]
        for split, counts in (guard.get("splits") or {}).items()
    ]
    mode = f"Mode: {show(guard.get('mode'))}. Sentences guarded: {show(guard.get('sentences'), ',')}.\n"
    return mode + ("\n" + table(("split", "documents", "passages dropped for it"), rows) if rows else "")


def _not_read(account: Mapping[str, Any]) -> str:
    """List files of unknown kinds and what was not read of others; the sources list what was dropped."""
    files, articles = account.get("not_read"), account.get("skipped_articles")
    names = NOT_RECORDED if files is None else ", ".join(map(str, files)) or "none"
    bad = account.get("bad_records")
    records = f"- Bad records: {bad:,}\n" if isinstance(bad, int) and bad else ""
    return f"- Files: {names}\n- Articles: {list_counts(articles)}\n{records}"


def _files(account: Mapping[str, Any]) -> str:
    shards = [
        [
            name,
            *(show(file.get(key), ",") for key in ("size", "pieces", "subwords")),
            show(file.get("sha256")),
        ]
        for name, file in (account.get("shards") or {}).items()
    ]
    inputs = [[show(file.get("name")), show(file.get("sha256"))] for file in account.get("inputs") or ()]
    parts = [
        table(("file of the set", "bytes", "pieces", "subwords", "SHA-256"), shards),
        table(("read from", "SHA-256"), inputs),
        f"Tokenizer: SHA-256 {show(dig(account, 'tokenizer', 'sha256'))}\n",
    ]
    return "\n".join(parts)
