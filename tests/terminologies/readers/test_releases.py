"""Releases of MeSH and of the NCBI Taxonomy give the concepts that the optional tables give."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexicons import MESH, write_table
from openmed_ner.errors import CorpusFormatError, InputError, OpenMedError
from openmed_ner.linking import Linker
from openmed_ner.storage import read_json
from openmed_ner.terminologies import build
from openmed_ner.terminologies.readers.releases import (
    SupplementaryRecord,
    iter_scientific_names,
    iter_supplementary,
)
from strategies import damage

SUPPLEMENT = """<?xml version="1.0"?>
<!DOCTYPE SupplementalRecordSet SYSTEM "https://www.nlm.nih.gov/databases/dtd/nlmsupplementalrecordset_20260101.dtd">
<SupplementalRecordSet LanguageCode = "eng">
<SupplementalRecord SCRClass = "3">
  <SupplementalRecordUI>C562840</SupplementalRecordUI>
  <SupplementalRecordName><String>Breast Cancer, Familial</String></SupplementalRecordName>
  <HeadingMappedToList>
    <HeadingMappedTo>
      <DescriptorReferredTo>
        <DescriptorUI>*D001943</DescriptorUI>
        <DescriptorName><String>Breast Neoplasms</String></DescriptorName>
      </DescriptorReferredTo>
    </HeadingMappedTo>
    <HeadingMappedTo>
      <ECIN>
        <DescriptorReferredTo>
          <DescriptorUI>D009369</DescriptorUI>
          <DescriptorName><String>Neoplasms</String></DescriptorName>
        </DescriptorReferredTo>
        <QualifierReferredTo><QualifierUI>Q000235</QualifierUI></QualifierReferredTo>
      </ECIN>
    </HeadingMappedTo>
  </HeadingMappedToList>
  <ConceptList>
    <Concept PreferredConceptYN="Y">
      <ConceptUI>M1</ConceptUI>
      <ConceptName><String>Breast Cancer, Familial</String></ConceptName>
      <TermList>
        <Term><TermUI>T1</TermUI><String>Breast Cancer, Familial</String></Term>
        <Term><TermUI>T2</TermUI><String>Hereditary
          mammary carcinoma</String></Term>
      </TermList>
    </Concept>
    <Concept PreferredConceptYN="N">
      <ConceptUI>M2</ConceptUI>
      <ConceptName><String>BRCA-related breast cancer</String></ConceptName>
      <TermList><Term><TermUI>T3</TermUI><String>BRCA-related breast cancer</String></Term></TermList>
    </Concept>
  </ConceptList>
</SupplementalRecord>
<SupplementalRecord SCRClass = "1">
  <SupplementalRecordUI>C000001</SupplementalRecordUI>
  <SupplementalRecordName><String>of an unknown heading</String></SupplementalRecordName>
  <HeadingMappedToList>
    <HeadingMappedTo><DescriptorReferredTo><DescriptorUI>D999999</DescriptorUI></DescriptorReferredTo></HeadingMappedTo>
  </HeadingMappedToList>
</SupplementalRecord>
</SupplementalRecordSet>
"""
NAMES = """1\t|\troot\t|\t\t|\tscientific name\t|
561\t|\tEscherichia\t|\t\t|\tscientific name\t|
562\t|\tBacterium coli\t|\t\t|\tsynonym\t|
562\t|\tEscherichia coli\t|\t\t|\tscientific name\t|
562\t|\tEscherichia coli (Migula 1895) Castellani and Chalmers 1919\t|\t\t|\tauthority\t|
1496\t|\tClostridioides difficile\t|\t\t|\tscientific name\t|
1496\t|\tClostridium difficile\t|\t\t|\tsynonym\t|
1496\t|\tPeptoclostridium difficile\t|\t\t|\tequivalent name\t|
83333\t|\tEscherichia coli K-12\t|\t\t|\tscientific name\t|
83333\t|\tEscherichia kappa\t|\t\t|\tsynonym\t|
77133\t|\tuncultured bacterium\t|\t\t|\tscientific name\t|
9606\t|\tHomo sapiens\t|\t\t|\tscientific name\t|
9606\t|\thuman\t|\t\t|\tgenbank common name\t|
"""
SCIENTIFIC = [
    ("Escherichia", "561", True),
    ("Bacterium coli", "562", False),
    ("Escherichia coli", "562", True),
    ("Clostridioides difficile", "1496", True),
    ("Clostridium difficile", "1496", False),
    ("Escherichia kappa", "83333", False),
    ("Homo sapiens", "9606", True),
]
COMMON = "ncbi-taxonomy-2024-common-names.tsv.xz"


def pack(path: Path, **members: str) -> Path:
    """Write an archive of files whose names have a dot for a double underscore."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name.replace("__", "."))
            member.size = len(content.encode())
            archive.addfile(member, io.BytesIO(content.encode()))
    return path


def test_supplementary_records_have_the_names_of_all_concepts_and_their_headings(tmp_path: Path) -> None:
    plain, packed = tmp_path / "supp2026.xml", tmp_path / "supp2026.gz"
    plain.write_text(SUPPLEMENT, encoding="utf-8")
    packed.write_bytes(gzip.compress(SUPPLEMENT.encode()))
    for path in (plain, packed):
        first, second = iter_supplementary(path)
        assert first == SupplementaryRecord(
            "C562840",
            "Breast Cancer, Familial",
            ("Breast Cancer, Familial", "Hereditary mammary carcinoma", "BRCA-related breast cancer"),
            ("D001943", "D009369"),
        )
        assert second.headings == ("D999999",) and not second.names


def test_genera_binomials_and_former_binomials_are_read(tmp_path: Path) -> None:
    plain = tmp_path / "names.dmp"
    plain.write_text(NAMES, encoding="utf-8")
    (tmp_path / "names.dmp.gz").write_bytes(gzip.compress(NAMES.encode()))
    packed = pack(tmp_path / "taxdump.tar.gz", citations__dmp="x\n", names__dmp=NAMES, nodes__dmp="x\n")
    for path in (plain, tmp_path / "names.dmp.gz", packed):
        assert list(iter_scientific_names(path)) == SCIENTIFIC


def test_releases_link_what_the_tables_do(tmp_path: Path) -> None:
    tables = tmp_path / "tables"
    tables.mkdir()
    for name, lines in MESH.items():
        if name.startswith("mesh") and "supplementary" not in name:
            write_table(tables / name, lines)
    write_table(tables / COMMON, ["taxid\tcommon_name", "9606\thuman"])
    (tmp_path / "supp2026.gz").write_bytes(gzip.compress(SUPPLEMENT.encode()))
    release = pack(tmp_path / "taxdump.tar.gz", names__dmp=NAMES)
    build([tables, tmp_path / "supp2026.gz", release], tmp_path / "out")

    linker = Linker.open(tmp_path / "out")
    mentions = {
        "hereditary mammary carcinoma": ("Disease", "MESH:C562840"),
        "E. coli": ("Species", "NCBITaxon:562"),
        "Clostridium difficile": ("Species", "NCBITaxon:1496"),
        "C. difficile": ("Species", "NCBITaxon:1496"),
        "Homo sapiens": ("Species", "NCBITaxon:9606"),
    }
    for mention, (label, identifier) in mentions.items():
        link = linker.link(mention, label)
        assert link is not None and link.ids == (identifier,), mention
    assert linker.is_under("MESH:C562840", "MESH:D001943")
    assert linker.link("Escherichia kappa", "Species") is None  # the taxon's own name is that of a strain

    sources = {source["name"]: source for source in read_json(tmp_path / "out/manifest.json")["sources"]}
    assert sources["mesh"]["title"].endswith("supplementary records (supp2026.gz)")
    assert "taxdump.tar.gz" in sources["ncbitaxon"]["files"] and not sources["ncbitaxon"]["missing"]


def test_two_files_with_the_same_content_are_refused(tmp_path: Path) -> None:
    write_table(tmp_path / COMMON, ["taxid\tcommon_name", "9606\thuman"])
    (tmp_path / "names.dmp").write_text(NAMES, encoding="utf-8")
    release = pack(tmp_path / "taxdump.tar.gz", names__dmp=NAMES)
    with pytest.raises(InputError, match=r"names\.dmp and .*taxdump\.tar\.gz hold the same"):
        build([tmp_path], tmp_path / "out")
    with pytest.raises(InputError, match=r"common-names\.tsv\.xz is missing.*--packaged"):
        build([release], tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("supp2026.xml", "<DescriptorRecordSet/>", "expected <SupplementalRecordSet>"),
        ("supp2026.xml", SUPPLEMENT.replace("C562840", ""), "line 4: expected a record with <Supplemental"),
        ("supp2026.xml", SUPPLEMENT[:1000], "supp2026.xml, line"),
        ("supp2026.xml", SUPPLEMENT.replace("<String>Breast", "<String>&b;", 1), "found &b;"),
        ("names.dmp", "1\t|\troot\t|\n", "line 1: expected a taxon, a name"),
        ("names.dmp", "x\t|\troot\t|\t\t|\tscientific name\t|\n", "line 1: expected a taxon"),
    ],
)
def test_a_damaged_release_is_refused_with_its_line(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    read = iter_supplementary if name.startswith("supp") else iter_scientific_names
    with pytest.raises(CorpusFormatError, match=name.replace(".", r"\.")) as caught:
        list(read(tmp_path / name))
    assert message in str(caught.value)


def test_an_archive_that_is_cut_or_another_one_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "taxdump.tar.gz", names__dmp=NAMES * 2000)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CorpusFormatError, match="damaged"):
        list(iter_scientific_names(path))
    pack(path, nodes__dmp="x")
    with pytest.raises(CorpusFormatError, match=r"holds no names\.dmp"):
        list(iter_scientific_names(path))
    (tmp_path / "names.dmp").write_bytes(NAMES.encode() + b"2\t|\t\xff\t|\t\t|\tsynonym\t|\n")
    with pytest.raises(CorpusFormatError, match="not UTF-8"):
        list(iter_scientific_names(tmp_path / "names.dmp"))


@given(st.randoms(use_true_random=False), st.sampled_from(["supp2026.xml", "names.dmp"]))
def test_a_release_with_errors_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, random: random.Random, name: str
) -> None:
    content = (SUPPLEMENT if name.startswith("supp") else NAMES).encode()
    path = tmp_path_factory.mktemp("damaged") / name
    path.write_bytes(damage(content, random))
    try:
        for _ in iter_supplementary(path) if name.startswith("supp") else iter_scientific_names(path):
            pass
    except OpenMedError as error:
        assert name in str(error)
