"""The species of genes: by the mention, by the text, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from lexicons import build_store
from openmed_ner.errors import InputError
from openmed_ner.linking import Linker, LinkingOptions, link_document
from openmed_ner.linking.genes import drop_brackets
from openmed_ner.linking.species import HUMAN, MOUSE, RAT, SpeciesWords, read_species, split_species
from openmed_ner.text import Document, Span

GENES = {HUMAN: "NCBIGene:1956", MOUSE: "MGI:95294", RAT: "RGD:2543"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_store(tmp_path_factory.mktemp("store"))


@pytest.mark.parametrize(
    ("mention", "species", "rest"),
    [
        ("human EGFR", HUMAN, "EGFR"),
        ("murine Egfr", MOUSE, "Egfr"),
        ("hEGFR", HUMAN, "EGFR"),
        ("EGFR", None, "EGFR"),
        ("rats", None, "rats"),
        ("mouse-specific", MOUSE, "specific"),
        ("her2", None, "her2"),
    ],
)
def test_the_species_in_a_mention(mention: str, species: str | None, rest: str) -> None:
    assert split_species(mention) == (species, rest)


@pytest.mark.parametrize(
    ("text", "species"),
    [
        ("We studied Egfr.", None),
        ("Egfr of mice.", MOUSE),
        ("Patients and patients. In rats, Egfr rose.", RAT),  # the nearest before it in the sentence
        ("Rats. Patients and patients. Later, Egfr rose.", HUMAN),  # most words
        ("Patients and patients. In mice, EGFR rose.", MOUSE),  # whatever its letters are
        ("In mice, EGFR rose.", MOUSE),
        ("Patients. In yeast, Egfr rose.", HUMAN),  # a host
        ("In yeast, Egfr rose.", "NCBITaxon:4932"),
        ("A yeast two-hybrid screen with Egfr.", None),
        ("The ratio of Egfr", None),
    ],
)
def test_the_species_in_a_text(text: str, species: str | None) -> None:
    place = text.lower().index("egfr")
    assert SpeciesWords.of(text).choose(place) == species


def link_genes(store: Path, text: str, options: LinkingOptions | None = None) -> tuple[str, ...] | None:
    start = text.lower().index("egfr")
    document = Document("1", text, (Span(start, start + 4, "Gene"),))
    (link,) = link_document(document, Linker.open(store, options))
    return link.ids if link else None


def test_a_gene_has_the_identifier_of_its_species(store: Path) -> None:
    assert link_genes(store, "EGFR") == (GENES[HUMAN],)
    assert link_genes(store, "Egfr in mice") == (GENES[MOUSE],)
    assert link_genes(store, "Egfr in rats") == (GENES[RAT],)
    assert link_genes(store, "Egfr in zebrafish") is None  # no file has their genes
    assert link_genes(store, "Egfr in zebrafish", LinkingOptions(species=RAT)) == (GENES[RAT],)


def test_the_mention_decides_before_the_text(store: Path) -> None:
    linker = Linker.open(store)
    for mention in ("human EGFR", "hEGFR"):
        link = linker.link(mention, "Gene", species=MOUSE)
        assert link is not None and link.ids == (GENES[HUMAN],)
    by_hand = Linker.open(store, LinkingOptions(species=MOUSE)).link("human EGFR", "Gene")
    assert by_hand is not None and by_hand.ids == (GENES[MOUSE],)


def test_a_symbol_comes_before_its_long_form(store: Path) -> None:
    linker = Linker.open(store)
    link = linker.link("EGFR", "Gene", {"EGFR": "receptor of some kind"})
    assert link is not None and (link.ids, link.method) == ((GENES[HUMAN],), "exact")
    link = linker.link("XYZ", "Gene", {"XYZ": "epidermal growth factor receptor"})
    assert link is not None and (link.ids, link.method) == ((GENES[HUMAN],), "long form")


@pytest.mark.parametrize(
    ("mention", "expected"),
    [
        ("cyclooxygenase (COX)-2", "cyclooxygenase-2"),
        ("retinoblastoma (RB1) gene", "retinoblastoma gene"),
        ("G(olf) alpha", "G(olf) alpha"),
        (" (x)", " (x)"),
    ],
)
def test_an_abbreviation_in_brackets_is_no_part_of_a_gene(mention: str, expected: str) -> None:
    assert drop_brackets(mention) == expected


def test_a_species_without_genes_is_an_error() -> None:
    assert read_species(10090) == MOUSE and read_species(None) is None
    with pytest.raises(InputError, match="species 7955; expected one of 9606, 10090, 10116"):
        read_species(7955)
