"""Records of MeSH for the proteins of single genes: "PTGS2 protein, human" is the product of the gene PTGS2.

MeSH names such a record by the symbol of the gene and the species. Its other names, "COX-2 prostaglandin
synthase, human", are those that literature uses and that lists of symbols leave out. A heading to which the
record of a single human gene is mapped ("Cyclooxygenase 2") names that gene, too.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from openmed_ner.terminologies.concept import Concept

MESH = "mesh"
_RECORD = re.compile(r"(\S+) protein, (human|mouse|rat)")
_SUFFIX = re.compile(r"(?: protein)?, (?:human|mouse|rat)")
_TERMINOLOGIES: Mapping[str, str] = {"human": "hgnc", "mouse": "mgi", "rat": "rgd"}
"""Terminology of the genes of a species."""


@dataclass(frozen=True, slots=True)
class GeneRecords:
    """What the records of MeSH say of genes.

    Attributes:
        genes: identifier of the gene of each record, by the identifier of the record.
        names: names of headings, by the identifier of the gene.
    """

    genes: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, concepts: Iterable[Concept]) -> GeneRecords:
        """Find the records among the genes and proteins of all terminologies."""
        concepts = list(concepts)
        genes = _find_genes(concepts)
        headings: dict[str, list[str]] = defaultdict(list)
        for concept in concepts:
            gene = genes.get(concept.id)
            if gene and gene.startswith("HGNC:"):
                for parent in concept.parents:
                    headings[parent].append(gene if len(concept.parents) == 1 else "")
        names = {
            genes_below[0]: concept.all_names
            for concept in concepts
            if (genes_below := headings.get(concept.id)) and len(genes_below) == 1
        }
        names.pop("", None)
        return cls(genes, names)


def strip_species(name: str) -> str:
    """Name without what a record adds to it.

    >>> strip_species("COX-2 prostaglandin synthase, human")
    'COX-2 prostaglandin synthase'
    """
    return _SUFFIX.sub("", name)


def _find_genes(concepts: Iterable[Concept]) -> dict[str, str]:
    """Gene of each record: the one with its symbol, or else the only one with it among its other names."""
    symbols: dict[tuple[str, str], str] = {}
    others: dict[tuple[str, str], set[str]] = defaultdict(set)
    records: list[tuple[str, tuple[str, str]]] = []
    for concept in concepts:
        if concept.terminology in _TERMINOLOGIES.values():
            symbols.setdefault((concept.terminology, concept.name.casefold()), concept.id)
            for name in concept.names:
                others[concept.terminology, name.casefold()].add(concept.id)
        elif concept.terminology == MESH and (record := _RECORD.fullmatch(concept.name)):
            records.append((concept.id, (_TERMINOLOGIES[record[2]], record[1].casefold())))
    genes = {}
    for identifier, symbol in records:
        candidates = {symbols[symbol]} if symbol in symbols else others.get(symbol, set())
        if len(candidates) == 1:
            (genes[identifier],) = candidates
    return genes
