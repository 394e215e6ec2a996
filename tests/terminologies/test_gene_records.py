"""Records of MeSH for the proteins of single genes."""

from __future__ import annotations

import pytest

from openmed_ner.terminologies.concept import Concept
from openmed_ner.terminologies.gene_records import GeneRecords, strip_species
from openmed_ner.terminologies.merging import STEP, VARIANT, merge_concepts


def gene(identifier: str, name: str, *names: str, terminology: str, **fields: tuple[str, ...]) -> Concept:
    return Concept(identifier, name, names, "Gene", terminology, **fields)


HUMAN = gene("HGNC:9605", "PTGS2", terminology="hgnc", xrefs=("NCBIGene:5743",), orthologs=("MGI:97798",))
MOUSE = gene("MGI:97798", "Ptgs2", terminology="mgi")
HEADING = gene("MESH:D051546", "Cyclooxygenase 2", "PGHS-2", terminology="mesh")
RECORD = gene(
    "MESH:C496540",
    "PTGS2 protein, human",
    "COX-2 prostaglandin synthase, human",
    terminology="mesh",
    parents=("MESH:D051546",),
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("PTGS2 protein, human", "PTGS2"),
        ("serum response factor, mouse", "serum response factor"),
        ("SUB1 protein, Arabidopsis", "SUB1 protein, Arabidopsis"),
    ],
)
def test_the_species_of_a_record_is_no_part_of_its_names(name: str, expected: str) -> None:
    assert strip_species(name) == expected


def test_a_record_becomes_its_gene_and_a_heading_of_one_gene_names_it() -> None:
    entries = {entry.id: entry for entry in merge_concepts([HEADING, RECORD, MOUSE, HUMAN], "Gene")}
    assert set(entries) == {"NCBIGene:5743", "MGI:97798", "MESH:D051546"}
    human, mouse = entries["NCBIGene:5743"], entries["MGI:97798"]
    assert set(human.xrefs) == {"HGNC:9605", "MESH:C496540"} and list(human.parents) == ["MESH:D051546"]
    names = ("COX-2 prostaglandin synthase", "Cyclooxygenase 2", "PGHS-2")
    assert {(name, VARIANT) for name in names} < set(human.names), "behind the names of HGNC itself"
    assert {(name, STEP + VARIANT) for name in names} < set(mouse.names), "orthologs share them"


def test_a_heading_of_two_genes_names_neither() -> None:
    other = gene("HGNC:1", "PTGS3", terminology="hgnc")
    record = gene("MESH:C1", "PTGS3 protein, human", terminology="mesh", parents=("MESH:D051546",))
    assert GeneRecords.of([HUMAN, other, RECORD, record, HEADING]).names == {}


def test_a_symbol_of_two_genes_is_no_record_of_either() -> None:
    genes = [gene(f"HGNC:{number}", f"GENE{number}", "COX2", terminology="hgnc") for number in (1, 2)]
    record = gene("MESH:C1", "COX2 protein, human", terminology="mesh")
    assert GeneRecords.of([*genes, record]).genes == {}
    assert GeneRecords.of([genes[0], record]).genes == {"MESH:C1": "HGNC:1"}
    foreign = gene("MESH:C2", "GENE1 protein, Drosophila", terminology="mesh")
    assert GeneRecords.of([*genes, foreign]).genes == {}
