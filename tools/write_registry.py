"""Write the registry of published bundles from the embedded bundle and from the results under results/.

    python tools/write_registry.py

A bundle is listed only if it was scored: a file under results/ must hold the scores it carries, to the last
digit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from openmed_ner.bundle import open_bundle
from openmed_ner.bundle.registry import REGISTRY, RegistryEntry, Score
from openmed_ner.inference.tagger import embedded_bundle

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "src/openmed_ner/bundle" / REGISTRY


def published() -> list[RegistryEntry]:
    """Describe the embedded bundle, the only one that is published with the package.

    Raises:
        SystemExit: the bundle has no test scores, or scores that no results file holds.
    """
    entry = RegistryEntry.of(open_bundle(embedded_bundle()), "embedded")
    if not entry.scores:
        raise SystemExit(f"{entry.place} carries no test scores: openmed-ner evaluate --attach")

    measured = set(iter_measured())
    for corpus, score in entry.scores.items():
        if (corpus, score) not in measured:
            raise SystemExit(f"{entry.place}: no file under results/ holds its score on {corpus}")
    return [entry]


def iter_measured() -> Iterator[tuple[str, Score]]:
    """Yield every test score under results/, each with its corpus."""
    for path in sorted((ROOT / "results").glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        rows = [row for run in (record, *record.get("runs", ())) for row in run.get("results", ())]
        for row in rows:
            if row.get("split") == "test" and row.get("protocol") == "mention":
                yield row["corpus"], Score(row["micro"]["f1"], *row["micro"]["ci95"])


def render() -> str:
    """Return the content of the registry."""
    return json.dumps([entry.to_json() for entry in published()], indent=1) + "\n"


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
