from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from lexicons import look_up, write_table
from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.storage import read_json, sha256_file
from openmed_ner.terminologies import TYPES, DefinitionCounts, TrainingText, build, name_key, open_lexicon
from openmed_ner.terminologies.catalog import SOURCES, mesh_types, packaged_tables
from openmed_ner.terminologies.concept import Concept
from openmed_ner.terminologies.sources import find_files, read_table
from openmed_ner.terminologies.store import read_concepts, write_concepts
from openmed_ner.text import Document, Span

TABLES = {
    "mesh2024-descriptors.tsv.xz": [
        "id\tname\tsynonyms\ttree_numbers\tncbi_taxon",
        "D001249\tAsthma\tAsthmas\tC08.127.108\t",
        "D000001\tCalcimycin\tA23187\tD02.355.291|D27.505\t",
        "D011111\tPlacebos\tPlacebo\tD26.660\t",
        "D051379\tMice\tMus\tB01.050.150\t10090",
        "D006801\tPeople\tHuman\tM01\t",
        "D013211\tStaphylococcus aureus\t\tB03.300\t1280",
    ],
    "mesh2022-descriptor-terms.tsv.xz": [
        "id\tconcept\tterm\tdescriptor_preferred\tpermuted\tlexical_tag",
        "D001249\tM1\tBronchial Asthma\tN\tN\tNON",
    ],
    "mesh2024-supplementary.tsv.xz": [
        "id\tname\tsynonyms\tmapped_to",
        "C000002\tbevonium\tacabel|piribenzil\tD000001",
        "C000003\tnowhere\t\tD006801",
    ],
    "mondo-2026-05-names.tsv.xz": [
        "id\tname\tsynonyms",
        "MONDO:1\tchronic kidney disease\tchronic renal disease",
        "MONDO:2\tinjury\ttrauma",
    ],
    "hgnc-genes.tsv.xz": [
        "HGNC ID\tApproved symbol\tApproved name\tStatus\tAlias symbols\tPrevious symbols",
        "HGNC:1\tCAT\tcatalase\tApproved\t\t",
        "HGNC:2\tEGFR\tepidermal growth factor receptor\tApproved\tERBB, HER1\tERBB1",
        "HGNC:3\tOLD1\tgone\tEntry Withdrawn\t\t",
    ],
    "rgd-genes.tsv.xz": ["ID\tsymbol\tsynonyms\tensembl", "7\tRest\tNrsf;Xbr\t"],
    "ncbi-taxonomy-2024-binomials.tsv.xz": ["name\ttaxid", "Escherichia coli\t562"],
    "ncbi-taxonomy-2024-common-names.tsv.xz": ["taxid\tcommon_name", "9606\thuman"],
}
BINOMIALS = "ncbi-taxonomy-2024-binomials.tsv.xz"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("terminologies")
    for name, lines in TABLES.items():
        write_table(folder / name, lines)
    (folder / "SOURCES.md").write_text("about", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def definitions() -> DefinitionCounts:
    counts = DefinitionCounts()
    for _ in range(4):
        counts.add("they rest at rest", [("CKD", "chronic  kidney disease"), ("EGFR", "glomerular rate")])
    counts.add("", [("EGFR", "epidermal growth factor receptor"), ("X", "asthma")])
    return counts


def senses(folder: Path, name: str) -> dict[str, int]:
    lexicon, _ = open_lexicon(folder)
    packed = look_up(lexicon, name_key(name))
    strengths = {label: packed >> 2 * column & 3 for column, label in enumerate(TYPES)}
    return {label: strength for label, strength in strengths.items() if strength}


def test_names_get_the_types_of_their_concepts(sources: Path, tmp_path: Path) -> None:
    build([sources], tmp_path / "out")
    folder = tmp_path / "out"
    assert senses(folder, "bronchial asthmas") == {"Disease": 2}
    assert senses(folder, "A 23187") == {"Chemical": 2}
    assert senses(folder, "Acabel") == {"Chemical": 2}  # as the heading that it is mapped to
    assert senses(folder, "E. coli") == {"Species": 2}
    assert senses(folder, "HER-1") == {"Gene": 2}
    assert senses(folder, "CAT") == {"Gene": 1}
    for name in ("placebo", "nowhere", "OLD1", "cat", "zzz", "injury"):
        assert senses(folder, name) == {}, name


def test_definitions_give_short_forms_their_types(
    sources: Path, tmp_path: Path, definitions: DefinitionCounts
) -> None:
    without = build([sources], tmp_path / "without")
    manifest = build([sources], tmp_path / "with", definitions=definitions)
    assert senses(tmp_path / "without", "CKD") == {}
    assert senses(tmp_path / "with", "CKD") == {"Disease": 2}
    # Four of five definitions of EGFR contradict HGNC.
    assert senses(tmp_path / "without", "EGFR") == {"Gene": 2}
    assert senses(tmp_path / "with", "EGFR") == {"Gene": 1}
    # "rest" is a word, so "Rest" is no sign of a gene.
    assert senses(tmp_path / "without", "Rest") == {"Gene": 2}
    assert senses(tmp_path / "with", "Rest") == {}
    assert manifest["texts"] == {"texts": 5, "definitions": 9}
    assert without["types"]["Disease"]["short_forms"] == 0 < manifest["types"]["Disease"]["short_forms"]
    table = list(
        read_table(tmp_path / "with" / "short-forms.tsv.xz", ("short", "type", "count", "share", "long"))
    )
    assert table == [
        {"short": "CKD", "type": "Disease", "count": "4", "share": "1.000", "long": "chronic kidney disease"},
        {
            "short": "EGFR",
            "type": "Gene",
            "count": "5",
            "share": "0.200",
            "long": "epidermal growth factor receptor",
        },
    ]


def test_names_that_training_text_does_not_annotate_go(sources: Path, tmp_path: Path) -> None:
    texts = ["Trauma, trauma and asthma.", "Asthma or chronic renal disease."]
    documents = [
        Document("1", texts[0], (Span(19, 25, "Disease"),)),
        Document("2", texts[1], (Span(0, 6, "Chemical"), Span(10, 31, "Disease"))),
    ]
    training = TrainingText(("mine",), {"Disease": documents})
    manifest = build([sources], tmp_path / "out", training=training)
    assert senses(tmp_path / "out", "trauma") == {}
    assert senses(tmp_path / "out", "asthma") == {"Disease": 1}  # annotated once of twice
    assert senses(tmp_path / "out", "chronic renal disease") == {"Disease": 2}
    assert manifest["types"]["Disease"]["removed"] == 1
    assert manifest["precision"] == {"corpora": ["mine"], "split": "train"}

    # No file holds a count of gold mentions, and pruning adds no name.
    plain = build([sources], tmp_path / "plain")
    differ = {name for name, digest in plain["files"].items() if manifest["files"][name] != digest}
    assert differ == {"lexicon.npy"}


def test_equal_sources_give_equal_files(sources: Path, tmp_path: Path) -> None:
    first = build([sources], tmp_path / "first")
    second = build(sorted(sources.iterdir(), reverse=True), tmp_path / "second")
    assert first["files"] == second["files"]
    for name, digest in first["files"].items():
        assert sha256_file(tmp_path / "first" / name) == digest


def test_the_manifest_names_the_terms_of_every_source(sources: Path, tmp_path: Path) -> None:
    build([sources], tmp_path / "out")
    manifest = read_json(tmp_path / "out" / "manifest.json")
    assert [source["name"] for source in manifest["sources"]] == ["mesh", "mondo", "hgnc", "rgd", "ncbitaxon"]
    for source in manifest["sources"]:
        assert source["licence"] and source["title"] and source["home"].startswith("https://")
        for name, digest in source["files"].items():
            assert sha256_file(sources / name) == digest
    assert len({source.name for source in SOURCES}) == len(SOURCES)


def test_large_files_are_optional_and_the_manifest_names_those_that_are_missing(
    sources: Path, tmp_path: Path
) -> None:
    optional = {name for source in SOURCES for name in source.optional}
    build([path for path in sources.iterdir() if path.name not in optional], tmp_path / "out")
    manifest = read_json(tmp_path / "out" / "manifest.json")
    assert {name for source in manifest["sources"] for name in source["missing"]} == optional
    assert manifest["types"]["Species"]["concepts"] == 3
    species = {concept.id: concept for concept in read_concepts(tmp_path / "out/Species.tsv.xz", "Species")}
    assert species["MESH:D013211"].names == ("S. aureus",)
    titles = {source["name"]: source["title"] for source in manifest["sources"]}
    assert "supplementary" not in titles["mesh"] and "binomials" not in titles["ncbitaxon"]
    build([sources], tmp_path / "out")
    manifest = read_json(tmp_path / "out" / "manifest.json")
    assert not any(source["missing"] for source in manifest["sources"])
    titles = {source["name"]: source["title"] for source in manifest["sources"]}
    assert titles["mesh"].endswith(
        "entry terms of 2022, supplementary records (mesh2024-supplementary.tsv.xz)"
    )
    assert titles["ncbitaxon"] == f"NCBI Taxonomy: common names, genera and binomials ({BINOMIALS})"


def test_a_second_run_fails_at_once_and_the_first_one_is_whole(sources: Path, tmp_path: Path) -> None:
    refused: list[str] = []

    def build_again(stage: str) -> None:
        with pytest.raises(InputError, match="another run is writing it"):
            build([sources], tmp_path / "out")
        refused.append(stage)

    manifest = build([sources], tmp_path / "out", on_stage=build_again)
    assert refused[0] == "reading mesh" and open_lexicon(tmp_path / "out")[1] == manifest
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_package_has_every_file_that_is_not_optional() -> None:
    names = {path.name for path in packaged_tables().iterdir()} - {"README.md"}
    assert names == {name for source in SOURCES for name in source.files if name not in source.optional}


def test_concepts_read_back(tmp_path: Path) -> None:
    concepts = [
        Concept("MESH:D1", "asthma", ("bronchial asthma", "Asthma, Bronchial"), "Disease", "mesh"),
        Concept("MONDO:2", "Sjögren syndrome", (), "Disease", "mondo"),
    ]
    write_concepts(tmp_path / "Disease.tsv.xz", concepts)
    assert list(read_concepts(tmp_path / "Disease.tsv.xz", "Disease")) == concepts
    for name in ("a\tb", "a\nb"):
        with pytest.raises(InputError, match="MESH:D1"):
            write_concepts(tmp_path / "bad.xz", [Concept("MESH:D1", name, (), "Disease", "mesh")])


def test_types_by_tree_number() -> None:
    assert mesh_types(["C08.127", "F03.087", "A11.251.210"]) == ["Disease", "CellLine"]
    assert mesh_types(["D08.811", "D12.776", "D12.125"]) == ["Gene", "Chemical"]
    assert mesh_types(["D27.505", "M01", ""]) == []


def test_a_missing_file_or_none_at_all_is_an_error(sources: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mesh2022-descriptor-terms\.tsv\.xz is missing"):
        find_files([sources / "mesh2024-descriptors.tsv.xz"], SOURCES)
    with pytest.raises(InputError, match="no terminology in"):
        build([tmp_path], tmp_path / "out")
    with pytest.raises(InputError, match="terminologies build"):
        open_lexicon(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id\tname\n1\ta\n", "line 1: there is no column 'synonyms'"),
        (b"id\tname\tsynonyms\n1\ta\tb\n2\ta\n", "line 3: 2 cells; expected 3"),
        (b"id\tname\tsynonyms\n1\ta\tb\n2\t\xff\tb\n", "invalid start byte"),
        (b"", "line 1: there is no column 'id'"),
    ],
)
def test_a_damaged_table_is_refused_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "table.tsv").write_bytes(content)
    with pytest.raises(CorpusFormatError, match=r"table\.tsv") as caught:
        list(read_table(tmp_path / "table.tsv", ("id", "name", "synonyms")))
    assert message in str(caught.value)


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    content = lzma.compress(b"id\tname\tsynonyms\n" + b"1\ta\tb\n" * 1000)
    (tmp_path / "table.tsv.xz").write_bytes(content[:-20])
    with pytest.raises(CorpusFormatError, match=r"table\.tsv\.xz"):
        list(read_table(tmp_path / "table.tsv.xz", ("id", "name", "synonyms")))


def test_a_changed_lexicon_is_refused(sources: Path, tmp_path: Path) -> None:
    build([sources], tmp_path / "out")
    path = tmp_path / "out" / "lexicon.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    with pytest.raises(InputError, match="manifest"):
        open_lexicon(tmp_path / "out")
