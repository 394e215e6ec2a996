"""Write the registry of published bundles from the bundles and from the results under results/.

    python tools/write_registry.py

Only a bundle that was scored is listed: the scores it carries must stand, to the last digit, in a file under
results/.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from openmed_ner.bundle import open_bundle
from openmed_ner.bundle.manifest import MANIFEST
from openmed_ner.bundle.registry import REGISTRY, RegistryEntry, Score
from openmed_ner.inference.tagger import embedded_bundle

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "src/openmed_ner/bundle" / REGISTRY


def published() -> list[RegistryEntry]:
    """Every bundle of the project, the embedded one first.

    Raises:
        SystemExit: a bundle has no scores, or scores that no results file holds.
    """
    places = {"embedded": embedded_bundle()}
    for path in sorted((ROOT / "bundles").glob(f"**/{MANIFEST}")):
        places[path.parent.relative_to(ROOT).as_posix()] = path.parent
    entries = [RegistryEntry.of(open_bundle(folder), place) for place, folder in places.items()]
    measured = set(iter_measured())
    for entry in entries:
        if not entry.scores:
            raise SystemExit(f"{entry.place} carries no test scores: openmed-ner evaluate --attach")
        for corpus, score in entry.scores.items():
            if (corpus, score) not in measured:
                raise SystemExit(f"{entry.place}: no file under results/ holds its score on {corpus}")
    return entries


def iter_measured() -> Any:
    """Every test score under results/."""
    for path in sorted((ROOT / "results").glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        rows = [row for each in (record, *record.get("runs", ())) for row in each.get("results", ())]
        for row in rows:
            if row.get("split") == "test" and row.get("protocol") == "mention":
                yield row["corpus"], Score(row["micro"]["f1"], *row["micro"]["ci95"])


def render() -> str:
    """The content of the registry."""
    return json.dumps([entry.to_json() for entry in published()], indent=1) + "\n"


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
