"""Formats of vocabularies: what is read of each, and which line of a damaged file is refused."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.errors import InputError, OpenMedError
from openmed_ner.linking import Linker
from openmed_ner.terminologies import build
from openmed_ner.terminologies.concept import Concept
from openmed_ner.terminologies.readers import VocabularyOptions, recognise
from openmed_ner.terminologies.readers.records import short_id
from strategies import damage

OBO = """format-version: 1.2
data-version: 2026-01-01

[Term]
id: MONDO:1
name: kidney disease
synonym: "renal \\"disorder\\"" EXACT [MONDO:x]
synonym: "organ disease" BROAD []
xref: MeSH:D007674 {source="MONDO:equivalentTo"}
xref: UMLS_CUI:C1 ! comment

[Term]
id: MONDO:2
name: nephritis ! not a comment of the name
is_a: MONDO:1 {source="x"} ! kidney disease

[Term]
id: MONDO:3
name: obsolete kidney thing
is_obsolete: true

[Typedef]
id: part_of
name: part of
"""
GRAPH = {
    "graphs": [
        {
            "nodes": [
                {
                    "id": "http://purl.obolibrary.org/obo/MONDO_1",
                    "lbl": "kidney disease",
                    "type": "CLASS",
                    "meta": {
                        "synonyms": [
                            {"pred": "hasExactSynonym", "val": 'renal "disorder"'},
                            {"pred": "hasBroadSynonym", "val": "organ disease"},
                        ],
                        "xrefs": [{"val": "MeSH:D007674"}, {"val": "UMLS_CUI:C1"}],
                    },
                },
                {"id": "http://purl.obolibrary.org/obo/MONDO_2", "lbl": "nephritis"},
                {"id": "http://purl.obolibrary.org/obo/MONDO_3", "lbl": "x", "meta": {"deprecated": True}},
                {"id": "http://purl.obolibrary.org/obo/BFO_1", "lbl": "part of", "type": "PROPERTY"},
                {"id": "http://purl.obolibrary.org/obo/MONDO_4"},
            ],
            "edges": [
                {
                    "sub": "http://purl.obolibrary.org/obo/MONDO_2",
                    "pred": "is_a",
                    "obj": "http://purl.obolibrary.org/obo/MONDO_1",
                }
            ],
        }
    ]
}
RDF_XML = """<?xml version="1.0"?>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:skos="http://www.w3.org/2004/02/skos/core#">
  <skos:ConceptScheme rdf:about="http://x.org/scheme"/>
  <skos:Concept rdf:about="http://x.org/1">
    <skos:prefLabel xml:lang="de">Nierenkrankheit</skos:prefLabel>
    <skos:prefLabel xml:lang="en">kidney disease</skos:prefLabel>
    <skos:altLabel xml:lang="en">renal disease</skos:altLabel>
    <skos:exactMatch rdf:resource="http://id.nlm.nih.gov/mesh/D007674"/>
  </skos:Concept>
  <rdf:Description rdf:about="http://x.org/2">
    <rdf:type rdf:resource="http://www.w3.org/2004/02/skos/core#Concept"/>
    <skos:prefLabel>nephritis</skos:prefLabel>
    <skos:broader rdf:resource="http://x.org/1"/>
  </rdf:Description>
</rdf:RDF>
"""
CORE, TYPE = "http://www.w3.org/2004/02/skos/core#", "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
N_TRIPLES = f"""# a comment
<http://x.org/1> <{TYPE}> <{CORE}Concept> .
<http://x.org/1> <{CORE}prefLabel> "Nierenkrankheit"@de .
<http://x.org/1> <{CORE}prefLabel> "kidney disease"@en .
<http://x.org/1> <{CORE}altLabel> "renal\\u0020disease"@en .
<http://x.org/1> <{CORE}exactMatch> <http://id.nlm.nih.gov/mesh/D007674> .
<http://x.org/1> <{CORE}narrower> <http://x.org/2> .
_:b <{TYPE}> <{CORE}Concept> .

<http://x.org/2> <{CORE}prefLabel> "nephritis" .
<http://x.org/2> <{TYPE}> <{CORE}Concept> .
"""
CTD = """# CTD
# Fields:
# DiseaseName\tDiseaseID\tAltDiseaseIDs\tDefinition\tParentIDs\tTreeNumbers\tParentTreeNumbers\tSynonyms\tSlim
#
Kidney Diseases\tMESH:D007674\tDO:DOID:557\t\tMESH:D052776\tC12\tC\tDisease, Kidney|Renal Disease\tx
Nephritis\tMESH:D009393\t\t\tMESH:D007674\tC12.1\tC12\t\tx
"""
CONSO = [
    "C1|ENG|S|L1|VO|S1|Y|A1|||D007674|MSH|ET|D007674|Renal Disease|0|N||",
    "C1|ENG|P|L2|PF|S2|Y|A2|||D007674|MSH|MH|D007674|Kidney Diseases|0|N||",
    "C1|GER|P|L3|PF|S3|Y|A3|||D007674|MSHGER|MH|D007674|Nierenkrankheiten|0|N||",
    "C1|ENG|S|L4|PF|S4|Y|A4|||1|SNOMEDCT_US|SY|1|suppressed name|9|O||",
    "C2|ENG|P|L5|PF|S5|Y|A5|||2|SNOMEDCT_US|PT|2|Nephritis|9|N||",
    "C3|ENG|P|L6|PF|S6|Y|A6|||3|MSH|MH|3|Hospitals|9|N||",
]
STY = ["C1|T047|B2|Disease or Syndrome|A|256|", "C2|T047|B|x|A||", "C3|T093|A|Organization|A||"]
REL = [
    "C2|A|SCUI|PAR|C1|A|SCUI|isa|R1||SNOMEDCT_US|SNOMEDCT_US||N|N||",
    "C1|A|SCUI|CHD|C2|A|SCUI||R2||MSH|MSH||N|N||",
    "C1|A|SCUI|RO|C2|A|SCUI||R3||MSH|MSH||N|N||",
]
DESCRIPTION = (
    "id\teffectiveTime\tactive\tmoduleId\tconceptId\tlanguageCode\ttypeId\tterm\tcaseSignificanceId\n"
)
RELATIONSHIP = (
    "id\teffectiveTime\tactive\tmoduleId\tsourceId\tdestinationId\trelationshipGroup\ttypeId\t"
    "characteristicTypeId\tmodifierId\n"
)
FULL, SYNONYM = "900000000000003001", "900000000000013009"


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def read(path: Path, label: str | None = "Disease", **options: object) -> list[Concept]:
    vocabulary = recognise(path)
    assert vocabulary is not None
    return list(vocabulary.iter_concepts(VocabularyOptions(label, **options)))  # type: ignore[arg-type]


def umls(folder: Path) -> Path:
    for name, rows in (("MRCONSO", CONSO), ("MRSTY", STY), ("MRREL", REL)):
        write(folder / f"{name}.RRF", "".join(f"{row}\n" for row in rows))
    return folder


def snomed(folder: Path) -> Path:
    terms = [
        f"11\t2026\t1\tm\t1\ten\t{FULL}\tKidney disease (disorder)\tx",
        f"12\t2026\t1\tm\t1\ten\t{SYNONYM}\tRenal disease\tx",
        f"13\t2026\t0\tm\t1\ten\t{SYNONYM}\tinactive name\tx",
        f"14\t2026\t1\tm\t1\tes\t{SYNONYM}\tnefropatia\tx",
        f"21\t2026\t1\tm\t2\ten\t{FULL}\tNephritis (disorder)\tx",
        f"31\t2026\t1\tm\t3\ten\t{FULL}\tCutting (procedure)\tx",
    ]
    relations = [
        "1\t2026\t1\tm\t2\t1\t0\t116680003\tc\tm",
        "2\t2026\t0\tm\t1\t2\t0\t116680003\tc\tm",
        "3\t2026\t1\tm\t1\t2\t0\t363698007\tc\tm",
    ]
    place = folder / "Snapshot" / "Terminology"
    write(place / "sct2_Description_Snapshot-en_INT.txt", DESCRIPTION + "".join(f"{row}\n" for row in terms))
    write(
        place / "sct2_Relationship_Snapshot_INT.txt", RELATIONSHIP + "".join(f"{row}\n" for row in relations)
    )
    return folder


def test_obo_and_its_graph_are_equal(tmp_path: Path) -> None:
    expected = [
        ("MONDO:1", "kidney disease", ('renal "disorder"',), (), ("MESH:D007674", "UMLS:C1")),
        ("MONDO:2", "nephritis", (), ("MONDO:1",), ()),
    ]
    for path in (write(tmp_path / "m.obo", OBO), write(tmp_path / "m.json", json.dumps(GRAPH))):
        rows = [(c.id, c.name, c.names, c.parents, c.xrefs) for c in read(path)]
        assert rows == expected


def test_rdf_xml_and_n_triples_are_equal(tmp_path: Path) -> None:
    for path in (write(tmp_path / "v.rdf", RDF_XML), write(tmp_path / "v.nt", N_TRIPLES)):
        first, second = read(path)
        assert (first.id, first.name, first.xrefs) == ("http://x.org/1", "kidney disease", ("MESH:D007674",))
        assert sorted(first.names) == ["Nierenkrankheit", "renal disease"]
        assert (second.name, second.parents) == ("nephritis", ("http://x.org/1",))
        first, _ = read(path, languages=("de",))
        assert first.all_names == ("Nierenkrankheit",)


def test_ctd_tells_the_type(tmp_path: Path) -> None:
    path = tmp_path / "CTD_diseases.tsv.gz"
    path.write_bytes(gzip.compress(CTD.encode()))
    first, second = read(path, None)
    assert first == Concept(
        "MESH:D007674",
        "Kidney Diseases",
        ("Disease, Kidney", "Renal Disease"),
        "Disease",
        path.name,
        ("MESH:D052776",),
        ("DOID:557",),
    )
    assert second.parents == ("MESH:D007674",)


def test_umls_has_types_languages_and_sources(tmp_path: Path) -> None:
    folder = umls(tmp_path)
    first, second = read(folder, None)
    assert (first.id, first.name, first.names) == ("UMLS:C1", "Kidney Diseases", ("Renal Disease",))
    assert first.xrefs == ("MESH:D007674",) and first.type == "Disease"
    assert (second.id, second.parents) == ("UMLS:C2", ("UMLS:C1",))
    assert [c.name for c in read(folder, None, languages=("ger",))] == ["Nierenkrankheiten"]
    assert [c.name for c in read(folder, None, sources=("SNOMEDCT_US",))] == ["Nephritis"]
    assert "suppressed name" in read(folder / "MRCONSO.RRF", None, suppressed=True)[0].names
    assert {c.name for c in read(folder, "Anatomy")} == {"Kidney Diseases", "Nephritis", "Hospitals"}


def test_snomed_has_tags_and_parents(tmp_path: Path) -> None:
    folder = snomed(tmp_path)
    first, second = read(folder, None, languages=("en",))
    assert (first.id, first.name, first.names) == ("SNOMEDCT:1", "Kidney disease", ("Renal disease",))
    assert (second.name, second.parents) == ("Nephritis", ("SNOMEDCT:1",))
    assert "nefropatia" in read(folder, None)[0].names
    assert len(read(folder, "Disease")) == 3


def test_a_compiled_ontology_links_and_knows_what_is_below(tmp_path: Path) -> None:
    path = write(tmp_path / "m.obo", OBO)
    manifest = build([], tmp_path / "out", vocabularies={path: "Disease", snomed(tmp_path / "sct"): None})
    assert [source["licence"] for source in manifest["sources"]] == [
        "not stated",
        "SNOMED CT Affiliate License",
    ]
    linker = Linker.open(tmp_path / "out")
    link = linker.link("Renal disorders", "Disease")
    assert link is not None and link.ids == ("MONDO:1",)
    assert linker.is_under("MONDO:2", "MESH:D007674") and linker.is_under("SNOMEDCT:2", "SNOMEDCT:1")


def test_two_terms_that_refer_to_one_concept_stay_two(tmp_path: Path) -> None:
    terms = [
        f"[Term]\nid: X:{number}\nname: disease {name}\nxref: MESH:D1\n"
        for number, name in ((1, "a"), (2, "b"))
    ]
    build([], tmp_path / "out", vocabularies={write(tmp_path / "x.obo", "\n".join(terms)): "Disease"})
    linker = Linker.open(tmp_path / "out")
    links = [linker.link(f"disease {name}", "Disease") for name in ("a", "b")]
    assert [link.ids for link in links if link] == [("X:1",), ("X:2",)]


def test_a_cycle_ends(tmp_path: Path) -> None:
    terms = [
        f"[Term]\nid: X:{a}\nname: disease {a}\nis_a: X:{b}\n" for a, b in ((1, 2), (2, 3), (3, 1), (4, 4))
    ]
    build([], tmp_path / "out", vocabularies={write(tmp_path / "x.obo", "\n".join(terms)): "Disease"})
    linker = Linker.open(tmp_path / "out")
    assert (
        linker.is_under("X:1", "X:3") and not linker.is_under("X:1", "X:4") and linker.is_under("X:4", "X:4")
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "x.obo",
            "[Term]\nid: A:1\nname: a\n\n[Term]\nid: A:1\nname: b\n",
            "line 5: duplicate identifier 'A:1', first in line 1",
        ),
        ("x.obo", "[Term]\nname: a\n", "line 1: expected an identifier"),
        (
            "x.obo",
            "[Term]\nid: A:1\nname: a\nsynonym: b EXACT []\n",
            "line 4: expected a synonym in quotation marks",
        ),
        ("x.obo", "[Term]\nid A:1\n", "line 2: expected 'tag: value'"),
        ("x.obo", "", "holds no concepts"),
        ("x.json", '{"graphs": [\n{]}', "line 2"),
        ("x.json", "[" * 100_000, "nested too deeply"),
        ("x.json", '{"graphs": [{"nodes": [{"id": 1}]}]}', "graph 0, node 0: expected 'id' with a str"),
        ("x.json", '{"nodes": []}', "expected 'graphs' with a list"),
        ("x.nt", "<a> <b> <c> .\n<a> <b> 'c' .\n", "line 2: expected a triple"),
        ("x.rdf", RDF_XML.replace("</skos:altLabel>", ""), "x.rdf, line"),
        ("x.rdf", RDF_XML.replace("?>", '?><!DOCTYPE a [<!ENTITY b "c">]>', 1), "declares entities"),
        ("x.rdf", "<html/>", "holds no concepts"),
        ("CTD_x.tsv", "a\tb\n", "line 1: 2 cells; expected a comment that names"),
        ("CTD_x.tsv", CTD + "a\tb\n", "line 7: 2 cells; expected 9 cells"),
    ],
)
def test_a_damaged_file_is_refused_with_its_place(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    with pytest.raises(InputError, match=name.replace(".", r"\.")) as caught:
        read(write(tmp_path / name, content))
    assert message in str(caught.value)


def test_a_foreign_encoding_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "x.obo").write_bytes("[Term]\nid: A:1\nname: naïve\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"line 3: not UTF-8: .*; convert the file"):
        read(tmp_path / "x.obo")
    (tmp_path / "y.obo").write_bytes("[Term]\nid: A:1\n".encode("utf-16"))
    with pytest.raises(InputError, match="line 1: not UTF-8"):
        read(tmp_path / "y.obo")
    (tmp_path / "z.obo.gz").write_bytes(gzip.compress(OBO.encode())[:-20])
    with pytest.raises(InputError, match="damaged"):
        read(tmp_path / "z.obo.gz")


def test_rows_of_licensed_files_are_refused_with_their_line(tmp_path: Path) -> None:
    folder = umls(tmp_path / "umls")
    write(folder / "MRCONSO.RRF", f"{CONSO[0]}\nC1|ENG|P\n")
    with pytest.raises(InputError, match=r"MRCONSO\.RRF, line 2: expected 18 cells"):
        read(folder, None)
    write(folder / "MRCONSO.RRF", f"{CONSO[0]}\n{CONSO[4]}\n{CONSO[1]}\n")
    with pytest.raises(InputError, match=r"line 3: duplicate identifier 'UMLS:C1', first in line 1"):
        read(folder, None)
    (folder / "MRSTY.RRF").unlink()
    with pytest.raises(InputError, match=r"holds no MRSTY\.RRF"):
        read(folder, None)
    row = f"11\t2026\t1\tm\t1\ten\t{FULL}\tKidney disease (disorder)\tx\n"
    path = write(tmp_path / "sct2_Description_Full-en.txt", DESCRIPTION + row + row)
    with pytest.raises(InputError, match="line 3: description 11 is there twice; read a snapshot"):
        read(path, None)


def test_a_format_that_is_not_read_names_the_way_out(tmp_path: Path) -> None:
    for name in ("x.ttl", "x.owl"):
        with pytest.raises(InputError, match=r"Convert Turtle to N-Triples"):
            recognise(tmp_path / name)
    assert recognise(tmp_path / "x.pdf") is None
    with pytest.raises(InputError, match="vocabulary of unknown format"):
        build([], tmp_path / "out", vocabularies={tmp_path / "x.pdf": "Disease"})


@given(st.randoms(use_true_random=False), st.sampled_from(["x.obo", "x.json", "x.rdf", "x.nt", "CTD_x.tsv"]))
def test_a_damaged_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, random: random.Random, name: str
) -> None:
    contents = {
        "x.obo": OBO,
        "x.json": json.dumps(GRAPH),
        "x.rdf": RDF_XML,
        "x.nt": N_TRIPLES,
        "CTD_x.tsv": CTD,
    }
    path = tmp_path_factory.mktemp("damaged") / name
    path.write_bytes(damage(contents[name].encode(), random))
    try:
        concepts = read(path)
    except OpenMedError as error:
        assert name in str(error)
    else:
        assert len({concept.id for concept in concepts}) == len(concepts) > 0
        assert not any(
            sign in value for concept in concepts for value in concept.all_names for sign in "\t\r\n"
        )


@given(
    st.lists(st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=8), min_size=1, max_size=4)
)
def test_labels_of_n_triples_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, labels: list[str]
) -> None:
    def escape(text: str) -> str:
        return "".join(f"\\U{ord(sign):08X}" for sign in text)

    lines = [f"<u:1> <{TYPE}> <{CORE}Concept> .", f'<u:1> <{CORE}prefLabel> "first" .']
    lines += [f'<u:1> <{CORE}altLabel> "{escape(label)}" .' for label in labels]
    (concept,) = read(write(tmp_path_factory.mktemp("labels") / "x.nt", "\n".join(lines)))
    kept = [label for label in labels if label.isprintable() and "|" not in label and not label.isspace()]
    assert concept.name == "first"
    assert {" ".join(label.split()) for label in kept} - {""} <= set(concept.all_names)


def test_prefixes_are_written_in_one_way() -> None:
    assert short_id("http://purl.obolibrary.org/obo/NCBITaxon_9606") == "NCBITaxon:9606"
    assert short_id("https://id.nlm.nih.gov/mesh/2026/D000001") == "MESH:D000001"
    assert short_id("http://snomed.info/id/22298006") == "SNOMEDCT:22298006"
    assert short_id("http://example.org/x") == "http://example.org/x"
