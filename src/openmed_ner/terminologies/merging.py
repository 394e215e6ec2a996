"""Concepts of one type from several terminologies, merged where cross-references say that they are the same.

The first terminology of a type gives the identifiers. A concept of another one that refers to a concept of
the first becomes that concept: its names are added, and its identifiers become cross-references. Everything
else stands on its own.

A name has a rank: which terminology it is from, and whether it is the preferred name of its concept. Of the
concepts with one name, that of the lowest rank is meant first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from openmed_ner.terminologies.concept import Concept
from openmed_ner.terminologies.gene_records import GeneRecords, strip_species

ORDER: Mapping[str, tuple[str, ...]] = {
    "Disease": ("mesh", "mondo-xrefs", "mondo", "doid"),
    "Chemical": ("mesh", "mesh-roles"),
    "Gene": ("hgnc", "mgi", "rgd", "mesh"),
    "Species": ("ncbitaxon", "mesh"),
    "CellLine": ("cellosaurus", "mesh"),
    "Anatomy": ("uberon", "mesh"),
    "CellType": ("cl", "mesh"),
}
"""Terminologies of each type, the one that gives the identifiers first."""
PREFERRED, SYNONYM, VARIANT = 0, 1, 2
"""Ranks of names of one terminology; a variant is a form of a name that its terminology does not list."""
STEP = 4
"""Difference of the ranks of two terminologies."""
_ABBREVIATED = re.compile(r"[A-Z]\. ")
GENE = "Gene"
_GENES = "NCBIGene:"


@dataclass(slots=True)
class Entry:
    """A concept with the names of all terminologies.

    Attributes:
        id: identifier.
        name: preferred name.
        names: names with their ranks.
        parents: identifiers of the concepts directly above it.
        xrefs: identifiers of the same concept in other terminologies.
    """

    id: str
    name: str
    names: list[tuple[str, int]] = field(default_factory=list)
    parents: dict[str, None] = field(default_factory=dict)
    xrefs: dict[str, None] = field(default_factory=dict)


def merge_concepts(concepts: Iterable[Concept], label: str) -> list[Entry]:
    """Merge the concepts of one type.

    Args:
        concepts: concepts of the type, from all terminologies.
        label: the type.
    """
    order = {name: number for number, name in enumerate(ORDER[label])}
    # A vocabulary that the package does not know comes first: its user wants its identifiers.
    ordered = sorted(concepts, key=lambda concept: order.get(concept.terminology, -1))
    records = GeneRecords.of(ordered) if label == GENE else GeneRecords()
    entries: dict[str, Entry] = {}
    aliases: dict[str, str] = {}
    origins: dict[str, str] = {}

    for concept in ordered:
        identifier, xrefs = _choose_id(concept)
        if gene := records.genes.get(concept.id):
            xrefs = (gene, *xrefs)
        targets = (aliases.get(other, other) for other in (identifier, *xrefs))
        # Two concepts of one terminology are two, even if they refer to the same one of another.
        foreign = (
            target for target in targets if origins.get(target, concept.terminology) != concept.terminology
        )
        target = next(foreign, identifier)

        entry = entries.setdefault(target, Entry(target, concept.name))
        origins.setdefault(target, concept.terminology)
        aliases.update(dict.fromkeys({identifier, concept.id} - {target}, target))
        if concept.terminology not in order:
            aliases.update(dict.fromkeys(xrefs, target))

        entry.xrefs.update(dict.fromkeys(other for other in (identifier, *xrefs) if other != target))
        if not entry.parents:
            entry.parents.update(dict.fromkeys(aliases.get(parent, parent) for parent in concept.parents))
        if gene:
            place = order.get(origins[target], 0)
            entry.names += ((strip_species(name), place * STEP + VARIANT) for name in concept.all_names)
        else:
            entry.names += _rank_names(concept, order.get(concept.terminology, 0))
    for gene, names in records.names.items():
        entries[aliases.get(gene, gene)].names += ((name, order["hgnc"] * STEP + VARIANT) for name in names)
    _share_names(ordered, entries, aliases, order)
    return list(entries.values())


def _share_names(
    concepts: Iterable[Concept],
    entries: Mapping[str, Entry],
    aliases: Mapping[str, str],
    order: Mapping[str, int],
) -> None:
    """Give genes the names of their orthologs, which literature uses for both, behind their own."""
    pairs = [
        (entries[one], entries[other], order.get(concept.terminology, 0))
        for concept in concepts
        for ortholog in concept.orthologs
        if (one := aliases.get(name := _choose_id(concept)[0], name)) in entries
        and (other := aliases.get(ortholog, ortholog)) in entries
    ]
    added: list[tuple[Entry, list[tuple[str, int]]]] = []
    for left, right, place in pairs:
        rank = min((rank for _, rank in right.names), default=0) // STEP * STEP
        added.append((left, [(name, place * STEP | VARIANT) for name, _ in right.names]))
        added.append((right, [(name, rank | VARIANT) for name, _ in left.names]))
    for entry, names in added:
        entry.names += names


def _choose_id(concept: Concept) -> tuple[str, tuple[str, ...]]:
    """Identifier and cross-references; a human gene has its number in NCBI Gene."""
    gene = next((other for other in concept.xrefs if other.startswith(_GENES)), None)
    if gene is None:
        return concept.id, concept.xrefs
    return gene, (concept.id, *(other for other in concept.xrefs if other != gene))


def _rank_names(concept: Concept, place: int) -> Iterator[tuple[str, int]]:
    """Yield the names of a concept with their ranks."""
    if concept.terminology == "ncbitaxon":
        # Several taxa have the name "mouse". MeSH, which indexes literature by it, means the species.
        yield concept.name, PREFERRED
        for name in concept.names:
            yield name, 2 * STEP + (VARIANT if _ABBREVIATED.match(name) else SYNONYM)
        return
    yield concept.name, place * STEP + PREFERRED
    for name in concept.names:
        yield name, place * STEP + SYNONYM
