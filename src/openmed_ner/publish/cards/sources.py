"""Everything a bundle was made from that has terms of its own: backbone, corpora, passages.

The catalog knows the terms of its corpora, the run record those of the passages; a corpus that neither
knows is its owner's to describe, and is listed as such.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from openmed_ner.bundle.manifest import Manifest
from openmed_ner.corpora import CATALOG
from openmed_ner.publish.cards.markdown import dig

OWNERS = "stated by its owner"


@dataclass(frozen=True, slots=True)
class DataSource:
    """Something a bundle was made from.

    Attributes:
        name: as the bundle, the catalog or the passages call it.
        role: ``backbone``, ``corpus`` (mentions to learn from) or ``passages`` (unlabelled text).
        licence: the terms, as far as they are stated.
        licence_class: of passages: ``permissive``, ``non-commercial`` or ``unknown``; else empty.
        citation: what to cite; empty if nothing is known.
        home: where it is published; empty if unknown.
    """

    name: str
    role: str
    licence: str
    licence_class: str = ""
    citation: str = ""
    home: str = ""

    def to_json(self) -> dict[str, str]:
        """The source as a JSON object."""
        return asdict(self)


def find_sources(manifest: Manifest, record: Mapping[str, Any]) -> list[DataSource]:
    """What a bundle was made from: its backbone, the corpora of its heads, the passages it was adapted to."""
    backbone = manifest.backbone
    return [
        DataSource(backbone.name, "backbone", backbone.licence, home=backbone.hub_id),
        *(_corpus(head.corpus) for head in manifest.heads),
        *(
            DataSource(
                str(row.get("name", "")),
                "passages",
                str(row.get("licence", "")),
                str(row.get("licence_class", "")),
                home=str(row.get("home", "")),
            )
            for row in iter_passages(find_adaptation(manifest, record))
        ),
    ]


def find_adaptation(manifest: Manifest, record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record of the adaptation behind a bundle; empty if there is none."""
    return (dig(record, "adaptation") if manifest.heads else record) or {}


def iter_passages(adaptation: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The sources of passages that an adaptation really read: not those its recipe leaves out."""
    for row in dig(adaptation, "passages", "sources") or ():
        closed = row.get("licence_class") != "permissive"
        if dig(adaptation, "recipe", "licences") == "permissive" and closed:
            continue
        if dig(adaptation, "recipe", "weights", row.get("name")) != 0:
            yield row


def _corpus(name: str) -> DataSource:
    row = CATALOG.get(name)
    if row is None:
        return DataSource(name, "corpus", OWNERS)
    return DataSource(name, "corpus", row.licence, citation=row.citation, home=row.home)
