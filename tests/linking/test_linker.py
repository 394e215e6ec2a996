"""Linking: which concept a mention means, and how that is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from lexicons import build_store
from openmed_ner.errors import InputError
from openmed_ner.linking import Linker, LinkingOptions, add_links, learn_identifiers, link_document
from openmed_ner.linking.composites import iter_readings
from openmed_ner.linking.short_forms import expand, list_long_forms
from openmed_ner.linking.similarity import share_matched
from openmed_ner.storage import read_json, sha256_file, write_json
from openmed_ner.terminologies import TYPES
from openmed_ner.terminologies.concept import Concept
from openmed_ner.terminologies.merging import merge_concepts
from openmed_ner.terminologies.name_index import NameIndex
from openmed_ner.terminologies.store import Store, find_store, index_name
from openmed_ner.text import Document, Span


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def linker(store: Path) -> Linker:
    return Linker.open(store)


def ids(linker: Linker, mention: str, label: str = "Disease", **long_forms: str) -> tuple[str, ...]:
    link = linker.link(mention, label, long_forms)
    return link.ids if link else ()


@pytest.mark.parametrize(
    ("mention", "label", "expected"),
    [
        ("acute renal failure", "Disease", "MESH:D058186"),
        ("Acute  Renal\nFailures", "Disease", "MESH:D058186"),
        ("cancer of the breast", "Disease", "MESH:D001943"),
        ("presenile dementia", "Disease", "MESH:D000544"),  # a name of Mondo for the concept of MeSH
        ("nephropathia xyz", "Disease", "MONDO:0000001"),
        ("cisplatin", "Chemical", "MESH:D002945"),
        ("HER-1", "Gene", "NCBIGene:1956"),
        ("E. coli", "Species", "NCBITaxon:562"),
        ("Mus musculus", "Species", "NCBITaxon:10090"),
    ],
)
def test_a_name_means_its_concept(linker: Linker, mention: str, label: str, expected: str) -> None:
    assert ids(linker, mention, label) == (expected,)


def test_mice_are_the_species_that_meshs_heading_refers_to(linker: Linker) -> None:
    # The taxonomy calls the genus (10088) mice.
    assert ids(linker, "mice", "Species") == ids(linker, "Mouse", "Species") == ("NCBITaxon:10090",)


def test_everyday_words_name_species_and_nothing_else(linker: Linker) -> None:
    assert ids(linker, "patients", "Species") == ids(linker, "Women", "Species") == ("NCBITaxon:9606",)
    assert ids(linker, "patients") == ids(linker, "mice") == ()


def test_an_everyday_word_is_still_a_name_where_its_species_does_not_count() -> None:
    concepts = [
        Concept("NCBITaxon:7955", "Danio rerio", (), "Species", "ncbitaxon"),
        Concept("OWN:1", "zebrafish", (), "Species", "own"),
    ]
    indices = {"Species": NameIndex.compile(merge_concepts(concepts, "Species"), "Species")}
    assert ids(Linker(indices), "zebrafish", "Species") == ("NCBITaxon:7955",)
    own = Linker(indices, options=LinkingOptions(within=("OWN",)))
    assert ids(own, "zebrafish", "Species") == ("OWN:1",)


WORDS = "injury Injuries role relatives placebo enzymes disease of 7 x"


@pytest.mark.parametrize("word", [*WORDS.split(" "), "severe injury", "acute injury", ""])
def test_ordinary_words_are_no_names(linker: Linker, word: str) -> None:
    for label in ("Disease", "Chemical", "Gene", "Species"):
        assert linker.link(word, label) is None


def test_a_type_without_terminology_is_not_linked(linker: Linker) -> None:
    assert linker.link("cisplatin", "Variant") is None
    assert "Cancer" in linker.types and "Variant" not in linker.types


def test_the_document_defines_short_forms(linker: Linker) -> None:
    text = "Alzheimer disease (AD) is common. Early-onset AD is not."
    spans = (Span(0, 17, "Disease"), Span(19, 21, "Disease"), Span(46, 48, "Disease"))
    links = link_document(Document("1", text, spans), linker)
    assert [(link.ids, link.method) for link in links if link] == [
        (("MESH:D000544",), "exact"),
        (("MESH:D000544",), "long form"),
        (("MESH:D000544",), "long form"),
    ]
    assert ids(linker, "AD") == ()


@pytest.mark.parametrize(
    "mention", ["breast and ovarian cancer", "breast/ovarian cancers", "breast cancer or ovarian cancer"]
)
def test_an_enumeration_has_several_concepts(linker: Linker, mention: str) -> None:
    link = linker.link(mention, "Disease")
    assert link is not None and link.method == "parts"
    assert link.ids == ("MESH:D001943", "MESH:D010051")


def test_an_enumeration_is_not_the_name_with_the_same_words() -> None:
    diseases = {"X:1": "type 1 diabetes", "X:2": "type 2 diabetes", "X:3": "type 1 diabetes 2"}
    concepts = [Concept(number, name, (), "Disease", "own") for number, name in diseases.items()]
    linker = Linker({"Disease": NameIndex.compile(merge_concepts(concepts, "Disease"), "Disease")})
    assert ids(linker, "type 1 or 2 diabetes") == ("X:1", "X:2")
    assert ids(linker, "2 type 1 diabetes") == ("X:3",)


def test_an_enumeration_of_very_many_is_not_linked_to_one_of_them(linker: Linker) -> None:
    assert ids(linker, "breast cancer, " * 17) == ()


def test_a_single_letter_is_no_gene() -> None:
    concepts = [Concept("NCBIGene:2515", "ADAM2", ("beta",), "Gene", "own")]
    linker = Linker({"Gene": NameIndex.compile(merge_concepts(concepts, "Gene"), "Gene")})
    assert ids(linker, "beta", "Gene") == ("NCBIGene:2515",) and ids(linker, "β", "Gene") == ()


def test_cells_are_named_with_markers_and_lines_without_the_word() -> None:
    names = {"CellType": ("CD4 positive T lymphocyte", "L"), "CellLine": ("HeLa", "L Cells")}
    linker = Linker(
        {
            label: NameIndex.compile(
                merge_concepts([Concept(name, name, (), label, "own") for name in given], label), label
            )
            for label, given in names.items()
        }
    )
    for mention in ("CD4+ T-cells", "CD4⁺ T cell", "CD4-positive T lymphocytes"):
        assert ids(linker, mention, "CellType") == ("CD4 positive T lymphocyte",)
    assert ids(linker, "CD4- T cells", "CellType") == ids(linker, "CD4⁻ T cells", "CellType") == ()
    assert ids(linker, "HeLa cell line", "CellLine") == ids(linker, "HeLa", "CellLine") == ("HeLa",)
    assert ids(linker, "L cells", "CellLine") == ("L Cells",) and ids(linker, "cells", "CellLine") == ()


def test_near_names_need_the_threshold(store: Path) -> None:
    misspelt = "disseminated lupus erythematosis"
    near = Linker.open(store).link(misspelt, "Disease")
    assert near is not None and near.ids == ("MESH:D008180",) and near.method == "near"
    assert 0 < near.score < 1
    strict = Linker.open(store, LinkingOptions(thresholds={"Disease": 1.0}))
    assert strict.link(misspelt, "Disease") is None
    assert Linker.open(store, LinkingOptions(near=False)).link(misspelt, "Disease") is None


def test_linking_can_be_limited_to_a_terminology(store: Path) -> None:
    mesh = Linker.open(store, LinkingOptions(within=("MESH",), near=False))
    assert ids(mesh, "nephropathia xyz") == ()
    assert ids(mesh, "presenile dementia") == ("MESH:D000544",)
    omim = Linker.open(store, LinkingOptions(within=("OMIM",), near=False))
    assert ids(omim, "nephropathia xyz") == ("MONDO:0000001",)


def test_concepts_below_a_concept(linker: Linker) -> None:
    assert linker.is_under("MESH:D001943", "MESH:D009369")
    assert linker.is_under("MESH:C562840", "MESH:D009369")  # by its heading
    assert linker.is_under("MESH:D009369", "MESH:D009369")
    assert not linker.is_under("MESH:D009369", "MESH:D001943")
    assert not linker.is_under("MESH:D000544", "MESH:D009369")
    assert not linker.is_under("MESH:D000544", "nothing")
    assert linker.is_under("MONDO:0004975", "MESH:D000544")  # by a cross-reference


def test_training_text_teaches_what_annotators_mean(store: Path) -> None:
    def annotate(text: str, identifier: str) -> Document:
        return Document(
            "", text, (Span(0, len(text), "Disease").with_attributes({"identifier": identifier}),)
        )

    learnt = learn_identifiers(
        [annotate("kidney trouble", "MESH:D058186")] * 2
        + [annotate("kidney trouble", "MESH:D000544")]
        + [Document("", "nothing", (Span(0, 7, "Disease"),))]
    )
    taught = Linker(Store.open(store).open_indices(), learnt)
    link = taught.link("Kidney troubles", "Disease")
    assert link is not None and link.ids == ("MESH:D058186",) and link.method == "learnt"
    assert link.identifiers[0].name == "Acute Kidney Injury"
    untaught = Linker(Store.open(store).open_indices(), learnt, LinkingOptions(learnt=False, near=False))
    assert untaught.link("kidney troubles", "Disease") is None


def test_links_become_attributes_and_spans_stay(linker: Linker) -> None:
    document = Document("1", "breast and ovarian cancer, cisplatin", (Span(0, 25, "Disease"),))
    (linked,) = add_links([document], linker)
    assert dict(linked.spans[0].attributes) == {
        "identifier": "MESH:D001943|MESH:D010051",
        "link_score": "1.00",
        "linked_by": "parts",
        "preferred_name": "Breast Neoplasms|Ovarian Neoplasms",
    }
    assert linked.spans[0].key == document.spans[0].key and linked.text == document.text


# --- The store


def test_a_damaged_index_is_refused(tmp_path: Path) -> None:
    folder = build_store(tmp_path)
    path = folder / index_name("Disease")
    content = path.read_bytes()

    path.write_bytes(content[:-1] + b"\xff")
    with pytest.raises(InputError, match=r"Disease\.names is not the file that its manifest lists"):
        Linker.open(folder)
    for damaged in (b"", content[:7], content[:200], content[:-40], b"\xff" * 8 + content[8:]):
        path.write_bytes(damaged)
        manifest = read_json(folder / "manifest.json")
        manifest["files"][path.name] = sha256_file(path)
        write_json(folder / "manifest.json", manifest)
        with pytest.raises(InputError, match=r"Disease\.names .*Build"):
            Linker.open(folder)
    path.unlink()
    with pytest.raises(InputError, match=r"Disease\.names"):
        Linker.open(folder)


def test_a_folder_without_names_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="terminologies build"):
        Linker.open(tmp_path)
    write_json(tmp_path / "manifest.json", {"format": 1, "files": {}, "sources": []})
    with pytest.raises(InputError, match="no names for linking"):
        Linker.open(tmp_path)


def test_the_environment_names_the_store(
    store: Path, tmp_path: Path, no_terminologies: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="--terminologies"):
        find_store()
    assert find_store(store) == store
    monkeypatch.setenv("OPENMED_NER_TERMINOLOGIES", str(store))
    assert find_store() == store
    monkeypatch.setenv("OPENMED_NER_TERMINOLOGIES", str(store.parent))
    assert find_store() == find_store("compiled") == store
    monkeypatch.setenv("OPENMED_NER_TERMINOLOGIES", str(tmp_path))
    with pytest.raises(InputError, match="0 folders"):
        find_store()


def test_every_type_has_an_index(store: Path) -> None:
    assert set(Store.open(store).open_indices()) == set(TYPES)


# --- Words and similarity


def test_short_forms_are_written_out() -> None:
    forms = list_long_forms("Acute kidney injury (AKI) and non-steroidal drugs (NSAIDs).")
    assert expand("AKIs", forms) == "Acute kidney injury"
    assert expand("severe AKI", forms) == "severe Acute kidney injury"
    assert expand("kidney injury (AKI)", forms) == "kidney injury (AKI)"
    assert expand("AKIN", forms) == "AKIN"


@pytest.mark.parametrize(
    ("mention", "readings"),
    [
        ("asthma", []),
        ("A, B and C d", [("A", "B", "C d"), ("A d", "B d", "C d")]),
        ("hepatitis B and C", [("hepatitis B", "C"), ("hepatitis B", "hepatitis C")]),
        (" and ".join("abcdefghijklmnopq"), []),
        (
            "type 1 and 2 diabetes",
            [
                ("type 1", "2 diabetes"),
                ("type 1 diabetes", "2 diabetes"),
                ("type 1", "type 2 diabetes"),
                ("type 1 diabetes", "type 2 diabetes"),
            ],
        ),
    ],
)
def test_the_readings_of_an_enumeration(mention: str, readings: list[tuple[str, ...]]) -> None:
    assert list(iter_readings(mention)) == readings


@pytest.mark.parametrize(
    ("mention", "symbols"),
    [
        ("ERK1/2", ("ERK1", "ERK2")),
        ("TGF-beta1 and -beta2", ("TGF-beta1", "TGF-beta2")),
        ("ZNF133, 136 and 140", ("ZNF133", "ZNF136", "ZNF140")),
        ("Fc gamma RI, II, and III", ("Fc gamma RI", "Fc gamma RII", "Fc gamma RIII")),
        ("SP-A or B", ("SP-A", "SP-B")),
        ("IL-1α/β", ("IL-1α", "IL-1β")),
        ("IL-1 alpha and beta", ("IL-1 alpha", "IL-1 beta")),
        ("CYP2C9/19", ("CYP2C9", "CYP2C19")),
        ("IL-2 and IL-4", ("IL-2", "IL-4")),
    ],
)
def test_symbols_share_their_beginning(mention: str, symbols: tuple[str, ...]) -> None:
    assert next(iter_readings(mention, symbols=True)) == symbols


def test_a_long_enumeration_of_symbols_is_read_at_once() -> None:
    assert next(iter_readings("a-" * 20_000 + "1/2", symbols=True))[1] == "2"


@pytest.mark.parametrize(
    ("name", "mention", "share"),
    [
        ("diabete", "diabetic", 1.0),
        ("toxicity", "statin toxicity", 1.0),
        ("statin toxicity", "toxicity", 8 / 14),
        ("nephrotoxicity", "neurotoxicity", 0.0),
        ("ab", "abc", 0.0),
    ],
)
def test_a_name_may_lack_a_word_of_the_mention(name: str, mention: str, share: float) -> None:
    assert share_matched(name, mention) == pytest.approx(share)


def test_abbreviations_have_no_near_names(store: Path) -> None:
    lenient = Linker.open(store, LinkingOptions(thresholds={"Disease": 0.0}))
    assert lenient.link("LUPUZ", "Disease") is None
    assert lenient.link("lupuz", "Disease") is not None
