"""The index of names: what is written reads back, and similarity agrees with its definition."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openmed_ner.errors import InputError
from openmed_ner.terminologies.arrays import open_arrays, write_arrays
from openmed_ner.terminologies.blocks import SIZE, Blocks
from openmed_ner.terminologies.concept import Concept
from openmed_ner.terminologies.hashing import HashTable
from openmed_ner.terminologies.merging import merge_concepts
from openmed_ner.terminologies.name_index import NameIndex, bag_key
from openmed_ner.terminologies.strings import Strings
from openmed_ner.terminologies.trigrams import TrigramIndex
from strategies import at_most

KEYS = st.lists(st.text("abc é𝔸", min_size=1, max_size=8), max_size=8, unique=True)


def trigrams(key: str) -> set[str]:
    padded = f" {key} "
    return {padded[start : start + 3] for start in range(len(padded) - 2)}


def similarity(query: str, key: str, keys: list[str]) -> float:
    """Cosine of the weighted sets, from their definition."""

    def square(trigram: str) -> float:
        count = sum(trigram in trigrams(other) for other in keys)
        return math.log1p(len(keys) / max(count, 1)) ** 2

    left, right = trigrams(query), trigrams(key)
    lengths = math.sqrt(sum(map(square, left)) * sum(map(square, right)))
    return sum(map(square, left & right)) / lengths


@at_most(30)
@given(KEYS, st.text("abc é𝔸", min_size=1, max_size=8))
@example(["asthma", "asthma b"], "masthma")  # its first trigram is that of no name, but stands before one
def test_similarity_is_the_cosine_of_trigrams(keys: list[str], query: str) -> None:
    hits = TrigramIndex.compile(keys).find(query, limit=100)
    expected = {key: similarity(query, key, keys) for key in keys if trigrams(key) & trigrams(query)}
    assert dict(hits) == pytest.approx(expected, rel=1e-5)
    assert [score for _, score in hits] == sorted((score for _, score in hits), reverse=True)


@at_most(20)
@given(strings=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=5))
def test_strings_read_back(strings: list[str]) -> None:
    encoded = Strings.encode(strings)
    encoded.check()
    assert [encoded[number] for number in range(len(encoded))] == strings


@at_most(20)
@given(
    strings=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=5))
)
def test_blocks_read_back(strings: list[str]) -> None:
    many = strings * 30
    blocks = Blocks.encode(many)
    blocks.check()
    read = Blocks(blocks.content, blocks.ends, len(blocks))
    assert [read[number] for number in range(len(read))] == many


def test_a_damaged_block_is_an_error() -> None:
    blocks = Blocks.encode(["a" * 10_000] * 3)
    content = blocks.content.copy()
    content[5] ^= 255
    with pytest.raises(InputError, match="damaged"):
        Blocks(content, blocks.ends, 3)[0]
    with pytest.raises(InputError, match="damaged"):
        Blocks(blocks.content, blocks.ends, 2)[0]
    with pytest.raises(ValueError, match="do not hold"):
        Blocks(blocks.content, blocks.ends, SIZE + 1).check()


@at_most(30)
@given(st.lists(st.integers(0, (1 << 64) - 1), max_size=60), st.integers(0, (1 << 64) - 1))
def test_a_table_finds_the_places_of_numbers(numbers: list[int], other: int) -> None:
    ordered = sorted([*numbers, *numbers[:5]])
    table = HashTable.encode(np.array(ordered, dtype=np.uint64))
    table.check()
    for number in (*numbers, other):
        places = [place for place, value in enumerate(ordered) if value == number]
        # Numbers that share their first bits are one to the table, and stand together.
        assert set(places) <= set(table.find(number))
    if numbers:
        with pytest.raises(ValueError, match="ascend"):
            HashTable(table.ends, table.rests[:-1]).check()


def test_an_index_reads_back(tmp_path: Path) -> None:
    concepts = [
        Concept("MESH:D1", "Asthma", ("bronchial asthma",), "Disease", "mesh", (), ()),
        Concept("MONDO:2", "AHA syndrome", ("asthma",), "Disease", "mondo", ("MESH:D1",), ("OMIM:3",)),
    ]
    index = NameIndex.compile(merge_concepts(concepts, "Disease"), "Disease")
    index.write(tmp_path / "Disease.names")
    read = NameIndex.open(tmp_path / "Disease.names")
    assert [read.ids[number] for number, _ in read.find("asthma")] == ["MESH:D1", "MONDO:2"]
    assert read.find(bag_key("asthma of the bronchial")) and not read.find("bronchial")
    assert read.number_of("OMIM:3") == read.number_of("MONDO:2") == 1
    assert read.number_of("OMIM:4") is None
    assert read.parents[1] == "MESH:D1" and read.names[1] == "AHA syndrome"
    assert read.similar.find("asthmas", limit=1)[0][0] == "asthma"


def test_your_own_identifiers_come_first() -> None:
    concepts = [
        Concept("MESH:D1", "Asthma", (), "Disease", "mesh"),
        Concept("X:1", "wheezing", (), "Disease", "own", (), ("MESH:D1",)),
    ]
    entries = merge_concepts(concepts, "Disease")
    assert [(entry.id, list(entry.xrefs)) for entry in entries] == [("X:1", ["MESH:D1"])]
    assert [name for name, _ in sorted(entries[0].names, key=lambda pair: pair[1])] == ["wheezing", "Asthma"]


def test_orthologs_share_names_behind_their_own() -> None:
    concepts = [
        Concept("HGNC:1", "ABC", ("alpha",), "Gene", "hgnc", (), ("NCBIGene:1",), ("MGI:1", "RGD:9")),
        Concept("HGNC:2", "XYZ", ("beta",), "Gene", "hgnc", (), ("NCBIGene:2",)),
        Concept("MGI:1", "Abc", ("beta", "gamma"), "Gene", "mgi"),
    ]
    index = NameIndex.compile(merge_concepts(concepts, "Gene"), "Gene")
    named = {
        name: [index.ids[number] for number, _ in index.find(name)] for name in ("alpha", "beta", "gamma")
    }
    assert named == {
        "alpha": ["NCBIGene:1", "MGI:1"],
        "beta": ["NCBIGene:2", "NCBIGene:1", "MGI:1"],
        "gamma": ["NCBIGene:1", "MGI:1"],
    }


def test_a_symbol_of_two_genes_means_the_one_that_more_entries_give_it_to() -> None:
    genes = [
        Concept("HGNC:1", "MT-CO2", ("COX2",), "Gene", "hgnc"),
        Concept("HGNC:2", "PTGS2", ("COX2",), "Gene", "hgnc", orthologs=("MGI:2",)),
        Concept("HGNC:3", "COX3", (), "Gene", "hgnc"),
        Concept("HGNC:4", "OTHER", ("COX3",), "Gene", "hgnc", orthologs=("MGI:4",)),
        Concept("MGI:2", "Ptgs2", ("Cox2", "Cox-2"), "Gene", "mgi"),
        Concept("MGI:4", "Other", ("Cox3", "Cox-3"), "Gene", "mgi"),
    ]
    entries = merge_concepts(genes, "Gene")
    index = NameIndex.compile(entries, "Gene")
    ids = {key: [index.ids[number] for number, _ in index.find(key)] for key in ("cox 2", "cox 3")}
    assert ids["cox 2"] == ["HGNC:2", "HGNC:1", "MGI:2"]
    assert ids["cox 3"] == ["HGNC:3", "HGNC:4", "MGI:4"], "its own symbol comes first"


def test_an_index_of_nothing_finds_nothing(tmp_path: Path) -> None:
    NameIndex.compile([], "Disease").write(tmp_path / "Disease.names")
    index = NameIndex.open(tmp_path / "Disease.names")
    assert index.find("asthma") == [] and index.similar.find("asthma", limit=3) == []


def test_arrays_must_be_the_expected_ones(tmp_path: Path) -> None:
    path = tmp_path / "arrays"
    write_arrays(path, {"a": np.arange(3, dtype=np.uint8), "b": np.arange(2, dtype=np.uint64)})
    arrays = open_arrays(path, {"a": "U8", "b": "U64"})
    assert arrays["a"].tolist() == [0, 1, 2] and arrays["b"].tolist() == [0, 1]
    for expected in ({"a": "U8"}, {"a": "U8", "c": "U64"}, {"a": "U16", "b": "U64"}):
        with pytest.raises(InputError, match="damaged"):
            open_arrays(path, expected)
