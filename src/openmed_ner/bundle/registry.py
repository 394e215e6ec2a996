"""The bundles that are published with this version: what they are, and what they scored.

``registry.json`` is generated from the bundles and from the results of their evaluation by
``tools/write_registry.py``. A bundle without a test score is not in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

from openmed_ner.bundle.manifest import SCORES, Bundle

REGISTRY = "registry.json"


@dataclass(frozen=True, slots=True)
class Score:
    """Strict mention-level F1 on a test split, with its 95 % interval."""

    f1: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """A bundle as a list shows it.

    Attributes:
        name: of the bundle.
        place: where it lies: ``embedded``, a path in the project, or the folder it was found in.
        kind: adapter, full or runtime.
        precision: of its arithmetic.
        size: of all its files, in bytes.
        sha256: of its manifest.
        licence: SPDX identifier for the weights.
        scores: test scores by corpus; empty where none were measured.
    """

    name: str
    place: str
    kind: str
    precision: str
    size: int
    sha256: str
    licence: str
    scores: Mapping[str, Score]

    @classmethod
    def of(cls, bundle: Bundle, place: str) -> RegistryEntry:
        """Describe a bundle, by the scores it carries."""
        manifest = bundle.manifest
        scored = bundle.read_json(SCORES)["results"] if SCORES in manifest.files else []
        return cls(
            name=manifest.name,
            place=place,
            kind=manifest.kind,
            precision=manifest.precision,
            size=sum(file.size for file in manifest.files.values()),
            sha256=bundle.sha256,
            licence=manifest.licence,
            scores={
                row["corpus"]: Score(row["micro"]["f1"], *row["micro"]["ci95"])
                for row in scored
                if row["split"] == "test" and row["protocol"] == "mention"
            },
        )

    def to_json(self) -> dict[str, Any]:
        """The entry as a JSON object."""
        return asdict(self)


def read_registry() -> list[RegistryEntry]:
    """The published bundles, the embedded one first."""
    text = (files("openmed_ner.bundle") / REGISTRY).read_text(encoding="utf-8")
    return [
        RegistryEntry(**{**row, "scores": {name: Score(**score) for name, score in row["scores"].items()}})
        for row in json.loads(text)
    ]
