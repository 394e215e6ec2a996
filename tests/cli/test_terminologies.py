from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import NamedTuple

import pytest

from commands import invoke
from lexicons import build_diseases, write_table
from openmed_ner.cli import terminologies as command
from openmed_ner.cli.doctor import list_missing, list_sources
from openmed_ner.errors import InputError
from openmed_ner.formats import write_documents
from openmed_ner.terminologies import Matcher, open_lexicon, read_words
from openmed_ner.text import Document, Span


def test_terminologies_are_compiled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "cl-2026-03.tsv.xz"
    with lzma.open(table, "wt", encoding="utf-8") as file:
        file.write("id\tname\tsynonyms\nCL:1\tneuron\tnerve cell\n")
    texts = "Dorsal root ganglion (DRG). Neurons, or nerve cells (NC). Nerve cells (NC). A nerve cell (NC)."
    (tmp_path / "texts.txt").write_text(texts, encoding="utf-8")

    output = tmp_path / "out"
    invoke("terminologies", "build", table, "--passages", tmp_path / "texts.txt", "-o", output)
    assert "CellType: 1 concepts, 3 names in the lexicon (1 short forms added" in capsys.readouterr().out
    lexicon, _ = open_lexicon(output)
    _, words, spaced = read_words("NC neurons")
    assert Matcher(lexicon).tag(words, spaced).any(axis=1).tolist() == [True, True]

    invoke("terminologies", "build", table, "-o", output, "--json")
    assert json.loads(capsys.readouterr().out)["texts"] == {"texts": 0, "definitions": 0}


def test_held_out_documents_do_not_count_for_the_precision_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    leak = "A neuron of the dorsal root ganglion was seen in every single section of it"
    splits = {
        "train": (
            Document("1", f"{leak}."),
            Document("2", "Another neuron was not seen in any of the sections."),
        ),
        "test": (Document("9", f"{leak}."),),
    }
    monkeypatch.setattr(command, "load_splits", lambda name: splits)
    monkeypatch.setattr(command, "load_guarded", lambda names: [])
    training = command._load_training(["jnlpba"])
    assert [document.id for document in training.documents["CellType"]] == ["2"]
    assert not training.documents["Disease"]


def test_another_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(InputError, match="choose another folder"):
        invoke("terminologies", "build", tmp_path, "-o", tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").exists()


# --- Identifiers


def test_a_table_of_your_own_is_compiled_and_linked_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table, store = tmp_path / "mine.csv", tmp_path / "out"
    table.write_text("id,name,names\nX:1,renal disease,kidney disease\n", encoding="utf-8")
    with pytest.raises(InputError, match="--type"):
        invoke("terminologies", "build", table, "-o", store, "--type", "Illness")
    invoke("terminologies", "build", table, "-o", store, "--type", "Disease")
    capsys.readouterr()

    invoke("link", "Kidney diseases", "placebo", "--terminologies", store)
    assert capsys.readouterr().out.splitlines() == [
        "Kidney diseases\tDisease\tX:1\trenal disease\texact\t1.00",
        "placebo\tDisease\t\t\t\t",
    ]
    lines = tmp_path / "lines.tsv"
    lines.write_text("renal disease\tDisease\n\nrenal disease\tGene\n", encoding="utf-8")
    monkeypatch.setenv("OPENMED_NER_TERMINOLOGIES", str(store))
    invoke("link", "--file", lines, "--json")
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["identifiers"] == [{"id": "X:1", "name": "renal disease"}] and first["linked_by"] == "exact"
    assert second == {"mention": "renal disease", "type": "Gene", "identifiers": []}


def test_lines_of_a_table_are_linked_and_foreign_types_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = build_diseases(tmp_path, ["malaria"])
    lines = tmp_path / "lines.tsv"
    lines.write_text("\ufeffmalaria\tDisease\tnote\nmalaria\ttype\nmalaria\ttype\n", encoding="utf-8")
    invoke("link", "--file", lines, "--terminologies", store)
    output, errors = capsys.readouterr()
    first, second, _ = output.splitlines()
    assert (
        first.startswith("malaria\tDisease\t") and "\texact\t" in first and second == "malaria\ttype\t\t\t\t"
    )
    assert errors.count("'type' get no identifier: there are names of Disease") == 1


def test_a_table_that_cannot_be_used_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty, packed, capital = tmp_path / "empty.csv", tmp_path / "mine.csv.gz", tmp_path / "mine.CSV"
    empty.write_text("id,name\n", encoding="utf-8")
    packed.touch()
    capital.write_text("id,name\nX:1,fever\n", encoding="utf-8")
    target = tmp_path / "out"
    with pytest.raises(InputError, match=r"no concept in .*empty\.csv"):
        invoke("terminologies", "build", empty, "--type", "Disease", "-o", target)
    with pytest.raises(InputError, match="unpack it"):
        invoke("terminologies", "build", packed, "--type", "Disease", "-o", target)
    with pytest.raises(InputError, match=r"Name a file of yours \(\.csv"):
        invoke("terminologies", "build", tmp_path, "-o", target)
    assert not target.exists()
    invoke("terminologies", "build", capital, "--type", "Disease", "-o", target)
    assert "Gene" not in capsys.readouterr().out


def test_mentions_of_documents_are_linked_as_they_stand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = build_diseases(tmp_path, ["malaria"])
    spans = (Span(0, 7, "Disease"), Span(8, 12, "Disease"))
    write_documents([Document("1", "Malaria case", spans)], tmp_path / "gold.pubtator")
    invoke("link", "--documents", tmp_path / "gold.pubtator", "--terminologies", store)
    (record,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert [(span["start"], span["end"]) for span in record["spans"]] == [(0, 7), (8, 12)]
    assert record["spans"][0]["attributes"]["linked_by"] == "exact" and "attributes" not in record["spans"][1]

    target = tmp_path / "linked.pubtator"
    invoke("link", "--documents", tmp_path / "gold.pubtator", "--terminologies", store, "-o", target)
    identifier = record["spans"][0]["attributes"]["identifier"]
    assert f"1\t0\t7\tMalaria\tDisease\t{identifier}\n" in target.read_text(encoding="utf-8")
    for options in (["malaria", "--documents", target], ["malaria", "--to", "csv"]):
        with pytest.raises(InputError, match="--documents"):
            invoke("link", *options, "--terminologies", store)


def test_an_ontology_is_compiled_and_an_unknown_file_is_not_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ontology, store = tmp_path / "mine.obo", tmp_path / "out"
    ontology.write_text("[Term]\nid: X:1\nname: renal disease\n", encoding="utf-8")
    with pytest.raises(InputError, match="add --type"):
        invoke("terminologies", "build", ontology, "-o", store)
    with pytest.raises(InputError, match=r"missing\.obo"):
        invoke("terminologies", "build", ontology, tmp_path / "missing.obo", "-o", store, "--type", "Disease")
    table, letter = tmp_path / "cl-2026-03.tsv.xz", tmp_path / "letter.pdf"
    with lzma.open(table, "wt", encoding="utf-8") as file:
        file.write("id\tname\tsynonyms\nCL:1\tneuron\tnerve cell\n")
    letter.touch()
    invoke("terminologies", "build", ontology, table, letter, "-o", store, "--type", "Disease")
    output, errors = capsys.readouterr()
    assert "mine: mine.obo; not stated" in output
    assert f"{letter} is not read" in errors


def test_without_a_source_the_tables_of_the_package_go_where_other_commands_look(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENMED_NER_TERMINOLOGIES", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(InputError, match="openmed-ner terminologies build"):
        invoke("link", "neuron", "--type", "CellType")
    with pytest.raises(InputError, match="-o PATH"):
        invoke("terminologies", "build", tmp_path)

    write_table(tmp_path / "cl-2026-03.tsv.xz", ["id\tname\tsynonyms", "CL:1\tneuron\t"])
    write_table(tmp_path / "ncbi-taxonomy-2024-common-names.tsv.xz", ["taxid\tcommon_name", "9606\thuman"])
    monkeypatch.setattr(command, "packaged_tables", lambda: tmp_path)
    invoke("terminologies", "build")
    invoke("link", "neuron", "--type", "CellType")
    assert "CL:1" in capsys.readouterr().out.splitlines()[-1]
    assert list(list_missing()) == ["ncbi-taxonomy-2024-binomials.tsv.xz"]
    assert [source["title"] for source in list_sources()] == ["Cell Ontology", "NCBI Taxonomy: common names"]

    # A release in place of the table that is missing, and a vocabulary, beside the tables of the package.
    release, own = tmp_path / "release/names.dmp", tmp_path / "release/mine.csv"
    release.parent.mkdir()
    release.write_text("562\t|\tEscherichia coli\t|\t\t|\tscientific name\t|\n", encoding="utf-8")
    own.write_text("id,name\nX:1,dog bite\n", encoding="utf-8")
    invoke("terminologies", "build", release, own, "--packaged", "--type", "Disease")
    for mention, label in (("E. coli", "Species"), ("neuron", "CellType"), ("dog bite", "Disease")):
        invoke("link", mention, "--type", label)
    found = [line.split("\t")[2] for line in capsys.readouterr().out.splitlines()[-3:]]
    assert found == ["NCBITaxon:562", "CL:1", "X:1"] and not list_missing()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_tables_of_the_package_link(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENMED_NER_TERMINOLOGIES", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    invoke("terminologies", "build")
    mentions = {"asthma": "Disease", "HeLa": "CellLine", "BRCA1": "Gene", "Mice": "Species"}
    found = []
    for mention, label in mentions.items():
        invoke("link", mention, "--type", label)
        found.append(capsys.readouterr().out.splitlines()[-1].split("\t")[2])
    assert found == ["MESH:D001249", "CVCL_0030", "NCBIGene:672", "NCBITaxon:10090"]


def test_linking_says_what_is_wrong(tmp_path: Path) -> None:
    store = build_diseases(tmp_path, ["malaria"])
    with pytest.raises(InputError, match="terminologies build"):
        invoke("link", "malaria", "--terminologies", tmp_path)
    with pytest.raises(InputError, match="--type 'Variant'"):
        invoke("link", "V600E", "--type", "Variant", "--terminologies", store)
    with pytest.raises(InputError, match="not both"):
        invoke("link", "malaria", "--file", tmp_path / "x", "--terminologies", store)
    with pytest.raises(InputError, match="cannot be read"):
        invoke("link", "--file", tmp_path / "x", "--terminologies", store)
    (tmp_path / "x").write_bytes(b"\xff\n")
    with pytest.raises(InputError, match="UTF-8"):
        invoke("link", "--file", tmp_path / "x", "--terminologies", store)


def test_documents_that_score_are_not_learnt_from(monkeypatch: pytest.MonkeyPatch) -> None:
    leak = "A malaria of the dorsal root ganglion was seen in every single section of it"
    span = Span(2, 9, "Disease").with_attributes({"identifier": "MESH:D008288"})
    train = (Document("1", f"{leak}.", (span,)), Document("2", "X dropsy was not seen in sections.", ()))
    monkeypatch.setattr(
        command, "load_splits", lambda name: {"train": train, "test": (Document("9", f"{leak}."),)}
    )
    monkeypatch.setattr(command, "load_guarded", lambda names: [])
    monkeypatch.setattr(command, "load_split", lambda name, split, identifiers: Split(train))
    with pytest.raises(InputError, match="no identifiers"):
        command._learn(["bc5cdr-disease"])
    dropsy = Span(2, 8, "Disease").with_attributes({"identifier": "MESH:D004487"})
    train = (train[0], train[1].with_spans([dropsy]))
    monkeypatch.setattr(command, "load_split", lambda name, split, identifiers: Split(train))
    assert command._learn(["bc5cdr-disease"]) == {("Disease", "dropsy"): ("MESH:D004487",)}


class Split(NamedTuple):
    """The documents of a split."""

    documents: tuple[Document, ...]
