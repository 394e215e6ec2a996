"""Other wordings of diseases, chemicals and species, and what they are linked to."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.linking import Linker, LinkingOptions, link_document
from openmed_ner.linking.chemicals import SYMBOLS, iter_wordings, name_compound
from openmed_ner.linking.organisms import cut_to_binomial, list_genera, name_everyday_species, name_last_word
from openmed_ner.linking.variants import MAX_VARIANTS, iter_variants
from openmed_ner.terminologies import build, normalise
from openmed_ner.text import Document, Span

ROWS = """id,name,names,type
D:1,kidney diseases,,Disease
D:2,liver neoplasms,,Disease
D:3,venous thromboembolism,,Disease
D:4,obesity,,Disease
D:5,drug-induced liver injury,,Disease
D:6,renal insufficiency,,Disease
D:7,dyskinesia,,Disease
D:8,Cardiotoxicity,,Disease
D:9,lung diseases,,Disease
C:1,sodium,,Chemical
C:2,ethanol,ethyl alcohol,Chemical
C:3,alcohols,alcohol,Chemical
C:4,morphine,,Chemical
C:5,adrenergic blocking agents,,Chemical
G:1,TGFB3,,Gene
G:2,TP53,p53,Gene
NCBITaxon:9606,Homo sapiens,human,Species
NCBITaxon:10090,Mus musculus,,Species
NCBITaxon:9796,Equus caballus,,Species
NCBITaxon:1,Equus przewalskii,horse,Species
NCBITaxon:4113,Solanum tuberosum,S. tuberosum,Species
NCBITaxon:2,Symphytum tuberosum,S. tuberosum,Species
"""


@pytest.fixture(scope="module")
def linker(tmp_path_factory: pytest.TempPathFactory) -> Linker:
    folder: Path = tmp_path_factory.mktemp("wordings")
    (folder / "mine.csv").write_text(ROWS, encoding="utf-8")
    build([], folder / "out", vocabularies={folder / "mine.csv": None})
    return Linker.open(folder / "out", LinkingOptions(near=False))


@pytest.mark.parametrize(
    ("mention", "label", "identifier"),
    [
        ("renal dysfunction", "Disease", "D:1"),
        ("severe renal toxicity", "Disease", "D:1"),
        ("nephrotoxicity", "Disease", "D:1"),
        ("nephrotoxic", "Disease", "D:1"),
        ("hepatotoxicity", "Disease", "D:5"),
        ("hepatic toxicity", "Disease", "D:5"),
        ("cardiotoxic", "Disease", "D:8"),
        ("hepatic tumours", "Disease", "D:2"),
        ("venous thrombo-embolism", "Disease", "D:3"),
        ("obese", "Disease", "D:4"),
        ("renal failure", "Disease", "D:6"),
        ("loss of renal function", "Disease", "D:6"),
        ("decreased hepatic function", "Disease", None),
        ("levodopa-induced dyskinesias", "Disease", "D:7"),
        ("dyskinetic", "Disease", "D:7"),
        ("renal", "Disease", "D:1"),
        ("renal kittens", "Disease", None),
        ("morphine sulphate", "Chemical", "C:4"),
        ("adrenergic blocking drugs", "Chemical", "C:5"),
        ("Na+", "Chemical", "C:1"),
        ("NA", "Chemical", None),
        ("alcohol", "Chemical", "C:2"),
        ("alcohols", "Chemical", "C:3"),
        ("TGF-beta3", "Gene", "G:1"),
        ("TGF-β3 mRNA", "Gene", "G:1"),
        ("p53 protein", "Gene", "G:2"),
        ("TGF", "Gene", None),
        ("protein", "Gene", None),
        ("participants", "Species", "NCBITaxon:9606"),
        ("nude mice", "Species", "NCBITaxon:10090"),
        ("horses", "Species", "NCBITaxon:9796"),
        ("Solanum tuberosum L.", "Species", "NCBITaxon:4113"),
        ("Solanum dulcamara L.", "Species", None),
    ],
)
def test_other_wordings_are_linked(linker: Linker, mention: str, label: str, identifier: str | None) -> None:
    link = linker.link(mention, label)
    assert (link.ids[0] if link else None) == identifier
    # A name is found as such, and its score is higher.
    assert link is None or (link.score == 1) == (link.method == "exact")


def test_enumerations_of_other_wordings_are_linked(linker: Linker) -> None:
    link = linker.link("renal or pulmonary toxicity", "Disease")
    assert link is not None and (link.ids, link.method) == (("D:1", "D:9"), "parts")


def test_the_genus_of_a_text_decides(linker: Linker) -> None:
    mention = "S. tuberosum"
    text = f"Solanum tuberosum was grown. Leaves of {mention} and S.tuberosum."
    starts = [text.index(mention), text.index("S.tuberosum")]
    spans = [Span(starts[0], starts[0] + len(mention), "Species"), Span(starts[1], len(text) - 1, "Species")]
    links = link_document(Document("1", text, tuple(spans)), linker)
    assert [link.ids for link in links if link] == [("NCBITaxon:4113",)] * 2
    assert all(link.method == "long form" for link in links if link)


@given(
    st.lists(
        st.sampled_from(("renal", "toxicity", "of", "acute", "tumor", "syndrome", "x", "induced")), min_size=1
    )
)
def test_wordings_are_few_distinct_and_normalised(words: list[str]) -> None:
    name = normalise(" ".join(words))
    variants = list(iter_variants(name))
    assert len(variants) <= MAX_VARIANTS
    assert all(variant.split(" ") == variant.split() and variant for variant in variants)


def test_symbols_and_words() -> None:
    assert name_compound("Ca(2+)") == "calcium" and name_compound("ca") is None
    assert name_compound("NO") == "nitric oxide" and "No" not in SYMBOLS
    assert list(iter_wordings("sodium")) == []
    assert name_everyday_species("patients") == "NCBITaxon:9606" and name_everyday_species("mules") is None
    assert name_last_word("mice") is None
    assert cut_to_binomial("Homo sapiens") is None
    assert list_genera("Homo sapiens and Hylobates sapiens")["H. sapiens"] == "Homo sapiens"
