"""The options of identifiers. What they need is imported once one is set, since most runs set none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openmed_ner.errors import InputError
from openmed_ner.storage import sha256_file

IDENTIFIERS = "identifiers"
"""Name of the step."""


@dataclass(frozen=True, slots=True)
class IdentifierOptions:
    """Terminologies and vocabularies, and what is done with them.

    Attributes:
        terminologies: folder of compiled terminologies for the step ``identifiers``; that of the environment
            if ``None``.
        link: folders of your own compiled vocabularies, whose identifiers come first.
        match: folders of vocabularies whose names become layers of their own.
        nested: if true, names within longer ones of their type count in these layers.
        under: identifiers of concepts; only mentions of these and of concepts below them are kept. All if
            empty.
        species: species of all genes, as a number of the NCBI Taxonomy; the text decides if ``None``.
    """

    terminologies: str | Path | None = None
    link: tuple[str | Path, ...] = ()
    match: tuple[str | Path, ...] = ()
    nested: bool = False
    under: tuple[str, ...] = ()
    species: int | None = None

    def __post_init__(self) -> None:
        if self.species is not None:
            from openmed_ner.linking.species import read_species

            read_species(self.species)
        if self.nested and not self.match:
            raise InputError("nested names (--nested) need a vocabulary to find (--match)")

    def list_linked(self, steps: Sequence[str]) -> list[Path]:
        """Folders to link to, in order.

        Args:
            steps: steps that were asked for; ``identifiers`` is meant by ``under``, too, unless vocabularies
                of your own are named.

        Raises:
            InputError: there are no terminologies for the step.
        """
        return [manifest.parent for manifest in self._list_manifests(steps)]

    def to_json(self, steps: Sequence[str]) -> dict[str, Any]:
        """Record of the options that are set, with the digests of the folders in use."""
        record: dict[str, Any] = {}
        if manifests := self._list_manifests(steps):
            record["terminologies"] = [sha256_file(manifest) for manifest in manifests]
        if self.match:
            record["match"] = [sha256_file(_find_manifest(name)) for name in self.match]
            record["nested"] = self.nested
        if self.under:
            record["under"] = list(self.under)
        if self.species is not None:
            record["species"] = self.species
        return record

    def _list_manifests(self, steps: Sequence[str]) -> list[Path]:
        public = IDENTIFIERS in steps or (self.under and not self.link and not self.match)
        names = [*self.link, *([self.terminologies] if public else [])]
        return [_find_manifest(name) for name in names]


def _find_manifest(name: str | Path | None) -> Path:
    """Find the manifest of a folder of compiled terminologies."""
    from openmed_ner.terminologies.store import MANIFEST, find_store

    return find_store(name) / MANIFEST
