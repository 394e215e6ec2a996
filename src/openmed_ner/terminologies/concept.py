"""A concept of a terminology: identifier, names and type."""

from __future__ import annotations

from dataclasses import dataclass

TYPES = ("Disease", "Chemical", "Gene", "Species", "CellLine", "Anatomy", "CellType")
"""Types of concepts, in the order of a lexicon's columns."""


@dataclass(frozen=True, slots=True)
class Concept:
    """One entry of a terminology.

    Attributes:
        id: identifier with the prefix of its terminology: ``MESH:D003920``.
        name: preferred name.
        names: further names, without the preferred one.
        type: one of ``TYPES``.
        terminology: name of its source.
        parents: identifiers of the concepts directly above it.
        xrefs: identifiers of the same concept in other terminologies.
        orthologs: identifiers of the same gene in other species.
    """

    id: str
    name: str
    names: tuple[str, ...]
    type: str
    terminology: str
    parents: tuple[str, ...] = ()
    xrefs: tuple[str, ...] = ()
    orthologs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.id or not self.name:
            raise ValueError(f"a concept needs an identifier and a name, not {self.id!r} and {self.name!r}")
        if self.type not in TYPES:
            raise ValueError(f"{self.id}: the type is one of {', '.join(TYPES)}, not {self.type!r}")

    @property
    def all_names(self) -> tuple[str, ...]:
        """The preferred name and the further ones."""
        return (self.name, *self.names)
