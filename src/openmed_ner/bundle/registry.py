"""The bundles that are published with this version, and their test scores.

``tools/write_registry.py`` generates ``registry.json`` from the bundles and the results of their evaluation.
It lists no bundle without a test score.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

from openmed_ner.bundle.manifest import SCORES, Bundle
from openmed_ner.errors import BundleError

REGISTRY = "registry.json"


@dataclass(frozen=True, slots=True)
class Score:
    """Strict mention-level F1 on a test split, with its 95 % interval."""

    f1: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """A row of a list of bundles.

    Attributes:
        name: name of the bundle.
        place: ``embedded``, or the folder of the bundle.
        kind: ``adapter``, ``full`` or ``runtime``.
        precision: number format of its arithmetic.
        size: total size of its files, in bytes.
        sha256: digest of its manifest.
        licence: SPDX identifier for the weights.
        scores: test scores by corpus; empty if none were measured.
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
        """Describe a bundle with the test scores it carries.

        Raises:
            BundleError: the file of scores is damaged.
        """
        manifest = bundle.manifest
        return cls(
            name=manifest.name,
            place=place,
            kind=manifest.kind,
            precision=manifest.precision,
            size=sum(entry.size for entry in manifest.files.values()),
            sha256=bundle.sha256,
            licence=manifest.licence,
            scores=_read_scores(bundle) if SCORES in manifest.files else {},
        )

    def to_json(self) -> dict[str, Any]:
        """Convert the entry to a JSON object."""
        return asdict(self)


def _read_scores(bundle: Bundle) -> dict[str, Score]:
    try:
        return {
            str(row["corpus"]): Score(*map(float, (row["micro"]["f1"], *row["micro"]["ci95"])))
            for row in bundle.read_json(SCORES)["results"]
            if row["split"] == "test" and row["protocol"] == "mention"
        }
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{bundle.folder}: {SCORES} is damaged: {type(error).__name__}: {error}") from error


def read_registry() -> list[RegistryEntry]:
    """Read the list of published bundles."""
    text = (files("openmed_ner.bundle") / REGISTRY).read_text(encoding="utf-8")
    return [
        RegistryEntry(**{**row, "scores": {name: Score(**score) for name, score in row["scores"].items()}})
        for row in json.loads(text)
    ]
