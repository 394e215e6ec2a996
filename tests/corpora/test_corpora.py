from __future__ import annotations

import gc
import hashlib
import io
import json
import os
import sys
import tarfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.cli import main as command
from openmed_ner.corpora import (
    CATALOG,
    SPLITS,
    ArchiveMember,
    Corpus,
    Split,
    SplitFiles,
    corpora_folder,
    find_corpus,
    load_alternatives,
    load_split,
)
from openmed_ner.corpora.archive import digest, read_members
from openmed_ner.corpora.corpus import Correction, Fold
from openmed_ner.corpora.overlap import find_overlaps
from openmed_ner.corpora.releases import LAYOUTS
from openmed_ner.errors import CorpusError, CorpusFormatError, UnrepresentableError
from openmed_ner.formats import READERS, WRITERS
from openmed_ner.formats.brat import read_brat, write_brat
from openmed_ner.tagging import encode_spans
from openmed_ner.text import Account, Document, iter_tokens
from openmed_ner.training.config import Recipe
from openmed_ner.training.corpora import load_corpora
from openmed_ner.training.study.sources import Sources

PUBTATOR = """1|t|Aspirin and asthma.
1|a|Asthma after aspirin.
1\t0\t7\tAspirin\tChemical\tD001241
1\t12\t18\tasthma\tDisease\tD001249
1\tCID\tD001241\tD001249

2|t|Nothing here.
2|a|At all.

1|t|Aspirin and asthma.
1|a|Asthma after aspirin.
1\t0\t7\tAspirin\tChemical\tD001241
"""


def make_archive(folder: Path, name: str, members: Mapping[str, str | bytes]) -> Path:
    path = folder / name
    with tarfile.open(path, "w:xz") as tar:
        for member, content in members.items():
            content = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(member)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def row(content: str = PUBTATOR, label: str = "Disease", **changes: object) -> Corpus:
    member = ArchiveMember("small/train.txt", sha256(content))
    corpus = Corpus(
        name="small",
        title="Small",
        splits={"train": SplitFiles("pubtator", (member,))},
        official=("train",),
        labels={label: label},
        licence="free",
        citation="none",
        home="https://example.org",
    )
    return replace(corpus, **changes)  # type: ignore[arg-type]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one archive, and a catalog that knows it."""
    make_archive(tmp_path, "small.tar.xz", {"small/train.txt": PUBTATOR})
    monkeypatch.setattr("openmed_ner.corpora.catalog.CATALOG", {"small": row()})
    monkeypatch.setattr("openmed_ner.cli.corpora.CATALOG", {"small": row()})
    monkeypatch.setenv("OPENMED_NER_CORPORA", str(tmp_path))
    return tmp_path


def know(monkeypatch: pytest.MonkeyPatch, corpus: Corpus) -> None:
    monkeypatch.setattr("openmed_ner.corpora.catalog.CATALOG", {corpus.name: corpus})


# --- splits


def test_a_split_keeps_its_own_labels_and_each_document_once(small: Path) -> None:
    split = load_split("small", "train")
    assert [document.id for document in split.documents] == ["1", "2"]
    first = split.documents[0]
    assert [(first.mention(span), span.label) for span in first.spans] == [("asthma", "Disease")]
    assert split.account == Account(1, 0, 0, {})


def test_mentions_of_a_repeated_document_are_accounted_for(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(monkeypatch, row(label="Chemical"))
    account = load_split("small", "train").account
    assert (account.kept, account.lost, sum(account.reasons.values())) == (1, 1, 1)


def test_another_release_is_refused_with_both_hashes(small: Path) -> None:
    changed = PUBTATOR.replace("Nothing", "nothing")
    make_archive(small, "small.tar.xz", {"small/train.txt": changed})
    with pytest.raises(CorpusError, match=f"{sha256(changed)}, expected {sha256(PUBTATOR)}"):
        load_split("small", "train")


def test_what_is_missing_is_named(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CorpusError, match="unknown corpus 'large'; known: small"):
        load_split("large", "train")
    with pytest.raises(CorpusError, match="no split 'test'; it has: train"):
        load_split("small", "test")
    with pytest.raises(CorpusError, match=r"small\.tar\.xz is missing"):
        load_split("small", "train", folder=tmp_path / "x")
    make_archive(small, "small.tar.xz", {"small/other.txt": ""})
    with pytest.raises(CorpusError, match=r"no member small/train\.txt"):
        load_split("small", "train")
    monkeypatch.delenv("OPENMED_NER_CORPORA")
    with pytest.raises(CorpusError, match="OPENMED_NER_CORPORA is not set"):
        corpora_folder()
    monkeypatch.setenv("OPENMED_NER_CORPORA", str(tmp_path / "nowhere"))
    with pytest.raises(CorpusError, match="not a folder"):
        corpora_folder()


def test_garbage_is_collected_again_after_a_split_was_read(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collects: list[bool] = []

    def read(folder: Path, members: Sequence[ArchiveMember]) -> object:
        collects.append(gc.isenabled())
        return read_members(folder, members)

    monkeypatch.setattr("openmed_ner.corpora.split.read_members", read)
    load_split("small", "train")
    assert collects == [False] and gc.isenabled()
    with pytest.raises(CorpusError, match="no split"):
        load_split("small", "test")
    assert gc.isenabled()


def test_two_texts_under_one_id_are_refused(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twice = "1|t|One.\n1|a|\n\n1|t|Two.\n1|a|\n"
    make_archive(small, "small.tar.xz", {"small/train.txt": twice})
    know(monkeypatch, row(twice))
    with pytest.raises(CorpusError, match="duplicate document 1"):
        load_split("small", "train")


def test_a_wrong_offset_is_named_with_file_and_line(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = PUBTATOR.replace("12\t18\tasthma", "13\t18\tasthma")
    make_archive(small, "small.tar.xz", {"small/train.txt": wrong})
    know(monkeypatch, row(wrong))
    with pytest.raises(CorpusFormatError, match=r"train\.txt, line 4.*'sthma'.*'asthma'"):
        load_split("small", "train")
    line = "1\t13\t18\tasthma\tDisease\tD001249"
    correction = Correction("small/train.txt", line, line.replace("13", "12"), "one too far")
    know(monkeypatch, row(wrong, corrections=(correction,)))
    assert load_split("small", "train").account.kept == 1
    know(monkeypatch, row(wrong, corrections=(replace(correction, line="absent"),)))
    with pytest.raises(CorpusError, match="'absent' exactly once"):
        load_split("small", "train")


# --- shares of a file

IDS = st.lists(st.integers(0, 10**8), min_size=1, max_size=40, unique=True)


@given(ids=IDS, by=st.sampled_from(["document", "article", "place"]))
def test_folds_divide_the_documents_of_a_file(
    ids: list[int], by: Literal["document", "article", "place"]
) -> None:
    documents = [Document(f"{number:012}", "x") for number in ids]
    parts = [Fold((number,), by).select(documents) for number in range(10)]
    assert sorted(document.id for part in parts for document in part) == sorted(d.id for d in documents)
    if by == "document":
        sizes = [len(part) for part in parts]
        assert max(sizes) - min(sizes) <= 1 and sizes == sorted(sizes, reverse=True)
    if by == "article":
        articles = [{document.id[:-4] for document in part} for part in parts]
        assert sum(map(len, articles)) == len(set().union(*articles))
    if by == "place":
        assert [document for part in parts for document in part] == documents


# --- archives


@pytest.mark.parametrize("content", [b"", b"not an archive", b"\xfd7zXZ\x00damaged"])
def test_a_damaged_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tar.xz").write_bytes(content)
    with pytest.raises(CorpusError, match="cannot be read"):
        read_members(tmp_path, [ArchiveMember("a/x", "")])


@given(place=st.floats(0, 0.999), value=st.integers(1, 255))
def test_a_byte_gone_wrong_is_refused_or_does_no_harm(
    tmp_path_factory: pytest.TempPathFactory, place: float, value: int
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    path = make_archive(folder, "small.tar.xz", {"small/train.txt": PUBTATOR})
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= value
    path.write_bytes(bytes(content))
    with suppress(CorpusError):
        assert read_members(folder, row().members) == [{"train.txt": PUBTATOR}]


def test_a_member_is_read_by_name_and_never_unpacked(tmp_path: Path) -> None:
    make_archive(tmp_path, "a.tar.xz", {"a/../../escape.txt": "x", "/etc/absolute": "y", "a/link": ""})
    before = set(tmp_path.parent.rglob("*"))
    assert read_members(tmp_path, [ArchiveMember("a/../../escape.txt", sha256("x"))]) == [{"escape.txt": "x"}]
    assert set(tmp_path.parent.rglob("*")) == before


def test_a_pattern_reads_the_files_of_one_folder(tmp_path: Path) -> None:
    files = {
        "a/t/2.txt": "two",
        "a/t/1.txt": "one",
        "a/t/1.ann": "",
        "a/t/deep/3.txt": "three",
        "a/4.txt": "",
    }
    make_archive(tmp_path, "a.tar.xz", files)
    member = ArchiveMember("a/t/*.txt", "")
    known = ArchiveMember(member.path, digest(member, {"1.txt": b"one", "2.txt": b"two"}))
    assert read_members(tmp_path, [known]) == [{"1.txt": "one", "2.txt": "two"}]
    for change in ({"a/t/1.txt": "other"}, {"a/t/5.txt": ""}):
        make_archive(tmp_path, "a.tar.xz", {**files, **change})
        with pytest.raises(CorpusError, match="not the known release"):
            read_members(tmp_path, [known])


def test_what_is_not_utf8_is_refused(tmp_path: Path) -> None:
    make_archive(tmp_path, "a.tar.xz", {"a/x": b"\xe9"})
    with pytest.raises(CorpusError, match="a/x: not UTF-8"):
        read_members(tmp_path, [ArchiveMember("a/x", hashlib.sha256(b"\xe9").hexdigest())])


def test_links_in_an_archive_are_not_followed(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.xz", "w:xz") as tar:
        link = tarfile.TarInfo("a/x")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(CorpusError, match="no member a/x"):
        read_members(tmp_path, [ArchiveMember("a/x", "")])


def test_a_file_larger_than_any_corpus_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openmed_ner.corpora.archive.MAX_FILE", 10)
    make_archive(tmp_path, "a.tar.xz", {"a/x": "y" * 11})
    with pytest.raises(CorpusError, match="larger than any known corpus"):
        read_members(tmp_path, [ArchiveMember("a/x", "")])


# --- layouts: what each release's files mean, on texts of our own

TEXT = "Aspirin helps.\nTumor cells"
ANN = "T1\tChemical 0 7\tAspirin\nT2\tCell 15 26\tTumor cells\nR1\tAffects Arg1:T1 Arg2:T2\n"
TOKENS = "-DOCSTART-\tO\n\nAspirin\tB-X\nhelps\tO\n.\tO\n\nTumor\tO\ncells\tO\n"
OTHER = ("Other text.", "")
FLAIR = "Aspirin O +\nhelps O -\n. O +\n\nTumor B-CellLine +\ncells I-CellLine +\n"


def mentions(documents: Sequence[Document]) -> dict[str, list[tuple[str, str]]]:
    return {
        document.id: [(document.mention(span), span.label) for span in document.spans]
        for document in documents
    }


def read(layout: str, *parts: Mapping[str, str]) -> dict[str, list[tuple[str, str]]]:
    return mentions(list(LAYOUTS[layout](parts)))


def test_brat_pairs_texts_and_annotations_by_name() -> None:
    parts = {"d.txt": TEXT, "e.txt": OTHER[0]}, {"d.ann": ANN, "e.ann": OTHER[1]}
    assert read("brat", *parts) == {"d": [("Aspirin", "Chemical"), ("Tumor cells", "Cell")], "e": []}
    with pytest.raises(CorpusError, match="e: a text without annotations"):
        read("brat", parts[0], {"d.ann": ANN})


def test_a_split_can_be_told_by_the_tokens_of_its_documents() -> None:
    parts = {"d.txt": TEXT, "e.txt": OTHER[0]}, {"d.ann": ANN, "e.ann": OTHER[1]}, {"dev.tsv": TOKENS}
    assert read("brat-only", *parts).keys() == {"d"}
    assert read("brat-except", *parts).keys() == {"e"}


def test_a_mention_is_read_where_its_text_is_if_its_offsets_have_drifted() -> None:
    drifted = PUBTATOR.replace("1\t12\t18\tasthma", "1\t15\t21\tasthma")
    expected = {"1": [("Aspirin", "Chemical"), ("asthma", "Disease")], "2": []}
    assert read("pubtator-drifted", {"x.txt": drifted.rpartition("\n1|t|")[0]}) == expected


def test_of_captions_without_a_mention_every_fifth_is_read() -> None:
    captions = "".join(f"{number}|t|Caption.\n\n" for number in range(12))
    mention = "99|t|HeLa cells\n99\t0\t4\tHeLa\tCellLine\t\n"
    assert list(read("captions", {"x.txt": captions + mention})) == ["0", "5", "10", "99"]


def test_bc2gm_offsets_skip_white_space() -> None:
    sentences = {"train.in": "P1 In  p53 mutants.\nP2 None\n"}
    assert read("bc2gm", sentences, {"GENE.eval": "P1|2 4|p53\n"}) == {"P1": [("p53", "GENE")], "P2": []}


def test_linnaeus_takes_the_texts_its_split_names() -> None:
    table = "#species id\tdocument\tstart\tend\ttext\tcode\nspecies:1\ta\t0\t5\tYeast\t\n"
    texts = {"a.txt": "Yeast.", "b.txt": "Mice"}
    assert read("linnaeus", texts, {"tags.tsv": table}, {"train.txt": "a\n"}) == {"a": [("Yeast", "species")]}
    with pytest.raises(CorpusError, match="does not exist: c"):
        read("linnaeus", texts, {"tags.tsv": table}, {"train.txt": "c\n"})


def test_s800_names_documents_by_their_pubmed_number_and_ends_inside() -> None:
    texts = {"species001.txt": "Yeast.", "species002.txt": "Mice"}
    table, numbers = (
        {"S800.tsv": "4932\tspecies001:77\t0\t4\tYeast\n"},
        "species001\tPMID:77\nspecies002\tPMID:78\n",
    )
    found = read("s800", texts, table, {"train.txt": "77\n"}, {"pubmedid.tsv": numbers})
    assert found == {"77": [("Yeast", "species")]}


def test_chemprot_counts_over_title_and_abstract_and_chemdner_in_each() -> None:
    abstracts = {"abstracts.tsv": "9\tAspirin acts\tOn pain, aspirin\n"}
    chemprot = {"entities.tsv": "9\tT1\tCHEMICAL\t22\t29\taspirin\n"}
    assert read("chemprot", abstracts, chemprot) == {"9": [("aspirin", "CHEMICAL")]}
    chemdner = {"a.tsv": "9\tT\t0\t7\tAspirin\tTRIVIAL\n9\tA\t9\t16\taspirin\tTRIVIAL\n"}
    assert read("chemdner", abstracts, chemdner) == {"9": [("Aspirin", "TRIVIAL"), ("aspirin", "TRIVIAL")]}


def test_flair_says_where_white_space_was() -> None:
    documents = list(LAYOUTS["flair"]([{"x.conll": FLAIR}]))
    assert [document.text for document in documents] == ["Aspirin helps.", "Tumor cells"]


def test_gellus_is_put_back_on_the_documents_it_was_cut_from() -> None:
    texts, names = {"d.txt": TEXT, "e.txt": OTHER[0]}, {"train.list": "d\n"}
    assert read("gellus", texts, names, {"x.conll": FLAIR}) == {"d": [("Tumor cells", "CellLine")]}
    assert read("gellus", texts, {"dev.list": "e\n"}, {"x.conll": FLAIR}) == {}
    with pytest.raises(CorpusError, match="no document consists of this sentence"):
        read("gellus", {"e.txt": OTHER[0]}, names, {"x.conll": FLAIR})


# --- the catalog


def test_every_row_is_complete() -> None:
    for name, corpus in CATALOG.items():
        assert find_corpus(name) is corpus and corpus.name == name
        assert tuple(corpus.splits) == SPLITS or not corpus.complete
        assert all(guard in CATALOG and guard != name for guard in corpus.guards)
        assert set(corpus.official) <= set(corpus.splits)
        assert corpus.note or corpus.official == SPLITS
        assert corpus.types and corpus.licence and corpus.citation
        assert corpus.home.startswith(("https://", "http://"))
        assert {files.layout for files in corpus.splits.values()} <= LAYOUTS.keys()
        assert {len(member.sha256) for member in corpus.members} == {64}


def test_partial_corpora_are_marked() -> None:
    partial = {name for name, corpus in CATALOG.items() if not corpus.complete}
    assert partial == {"fsu", "bc4chemd", "tmvar3", "bioid", "maccrobat"}


# --- the command


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["openmed-ner", "corpora", *arguments])
    with pytest.raises(SystemExit) as stop:
        command.main()
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


def test_the_command_lists_verifies_counts_and_compares(
    small: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def say(*arguments: str) -> object:
        status, out, _ = run(capsys, monkeypatch, *arguments, "--json")
        assert status == 0
        return json.loads(out)

    ((listed),) = say("list")  # type: ignore[misc]
    assert listed["name"] == "small" and listed["here"] and listed["official"] == ["train"]
    assert say("verify") == [{"name": "small", "members": 1}]
    ((counted),) = say("stats", "small")  # type: ignore[misc]
    assert counted["documents"] == 2 and counted["mentions"] == {"Disease": 1} and counted["words"] == 14
    assert say("overlap") == []
    for verb in ("list", "verify", "stats", "overlap"):
        assert run(capsys, monkeypatch, verb)[0] == 0


def test_the_command_refuses_what_is_not_the_release(
    small: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = PUBTATOR.replace("Nothing", "nothing")
    make_archive(small, "small.tar.xz", {"small/train.txt": changed})
    status, _, err = run(capsys, monkeypatch, "verify")
    assert status == 2 and sha256(changed) in err and sha256(PUBTATOR) in err
    status, _, err = run(capsys, monkeypatch, "stats", "large")
    assert status == 2 and "unknown corpus 'large'" in err


def test_the_command_fetches_from_a_folder(
    small: Path,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = tmp_path_factory.mktemp("there")
    arguments = ("fetch", "--from", str(small), "-o", str(there), "--json")
    status, out, _ = run(capsys, monkeypatch, *arguments)
    assert status == 0 and json.loads(out)[0]["written"] == [str(there / "small.tar.xz")]
    assert load_split("small", "train", folder=there) == load_split("small", "train")
    monkeypatch.setenv("OPENMED_NER_OFFLINE", "1")
    status, _, err = run(capsys, monkeypatch, "fetch", "-o", str(there / "new"))
    assert status == 1 and "OPENMED_NER_OFFLINE" in err


# --- training without what it will be scored on


def test_training_leaves_out_what_stands_in_a_held_out_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leak = "Aspirin relieved the pain of every single patient who had asked for it"
    texts = {
        "train": [leak, "Ibuprofen did not relieve the pain of any patient"],
        "dev": ["x"],
        "test": [leak],
    }
    contents = {
        split: "".join(f"{split}{number}|t|{text}.\n\n" for number, text in enumerate(found))
        for split, found in texts.items()
    }
    make_archive(tmp_path, "small.tar.xz", {f"small/{split}.txt": text for split, text in contents.items()})
    splits = {
        split: SplitFiles("pubtator", (ArchiveMember(f"small/{split}.txt", sha256(text)),))
        for split, text in contents.items()
    }
    know(monkeypatch, row(splits=splits))
    monkeypatch.setenv("OPENMED_NER_CORPORA", str(tmp_path))
    (corpus,) = load_corpora(Recipe(corpora=("small",)))
    assert [document.id for document in corpus.train] == ["train1"] and corpus.left_out == ("train0",)
    (corpus,) = load_corpora(Recipe(corpora=("small",), leave_out="nothing"))
    assert len(corpus.train) == 2 and corpus.left_out == ()


def test_training_leaves_out_what_stands_in_a_corpus_that_guards_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leak = "Aspirin relieved the pain of every single patient who had asked for it"
    contents = {
        "small": f"1|t|{leak}.\n1\t0\t7\tAspirin\tDisease\n\n2|t|Nothing to see in this other abstract.\n",
        "scored": f"9|t|{leak}.\n",
    }
    splits = {"small": "train", "scored": "test"}
    rows = {}
    for name, text in contents.items():
        make_archive(tmp_path, f"{name}.tar.xz", {f"{name}/x.txt": text})
        files = SplitFiles("pubtator", (ArchiveMember(f"{name}/x.txt", sha256(text)),))
        rows[name] = row(name=name, splits={splits[name]: files})
    rows["small"] = replace(rows["small"], guards=("scored",))
    monkeypatch.setattr("openmed_ner.corpora.catalog.CATALOG", rows)
    monkeypatch.setenv("OPENMED_NER_CORPORA", str(tmp_path))
    recipe = Recipe(corpora=("small",))
    for corpora in (load_corpora(recipe), Sources().annotated(recipe)):
        assert [document.id for document in corpora[0].train] == ["2"] and corpora[0].left_out == ("1",)


# --- the real releases

archives = [
    pytest.mark.corpora,
    pytest.mark.skipif(not os.environ.get("OPENMED_NER_CORPORA"), reason="OPENMED_NER_CORPORA is not set"),
]


@cache
def release(name: str, split: str) -> Split:
    return load_split(name, split)


COUNTS = {
    # documents, mentions, and mentions that one tag per word cannot hold, per split
    "ncbi-disease": [(592, 5134, 2), (100, 787, 0), (100, 960, 0)],
    "bc5cdr-chemical": [(500, 5203, 0), (500, 5347, 10), (500, 5385, 5)],
    "bc5cdr-disease": [(500, 4182, 0), (500, 4244, 0), (500, 4424, 0)],
    "bc4chemd": [(8684, 8366, 0)],
    "chemprot": [(1020, 13017, 52), (612, 8004, 23), (800, 10810, 32)],
    "bc2gm": [(12500, 15204, 7), (2500, 3061, 0), (5000, 6331, 6)],
    "jnlpba": [(1800, 46750, 19), (200, 4551, 0), (404, 8662, 11)],
    "linnaeus": [(50, 2119, 5), (17, 708, 0), (33, 1432, 1)],
    "species-800": [(560, 2557, 4), (80, 384, 0), (160, 767, 1)],
    "anatem": [(606, 6946, 38), (202, 2139, 11), (404, 4616, 29)],
    "bionlp13-cg": [(300, 10935, 178), (100, 3634, 35), (200, 6955, 126)],
    "cll": [(120, 234, 0), (21, 30, 0), (60, 77, 0)],
    "gellus": [(606, 341, 0), (202, 130, 0), (404, 179, 0)],
    "chemprot-gene": [(1020, 12735, 58), (612, 7563, 25), (800, 10018, 37)],
    "fsu": [(3207, 6050, 0), (357, 563, 0), (10447, 19387, 0)],
    "nlm-gene": [(405, 12435, 155), (45, 1353, 9), (100, 3048, 35)],
    "gnormplus": [(388, 5142, 3), (44, 651, 1), (262, 4849, 9)],
    "biored": [(450, 15096, 67), (50, 1788, 3), (100, 3535, 12)],
    "tmvar3": [(307, 7094, 27), (35, 863, 37)],
    "bioid": [(4085, 3759, 0), (445, 378, 0)],
    "maccrobat": [(119, 14364, 198), (18, 2076, 25), (34, 3910, 142)],
}
HAIR_SPACES = ("28422883", "28353569")
"""Documents of MACCROBAT with a mention that begins or ends with a hair space."""
JNLPBA_TRAIN = {"Protein": 27803, "DNA": 8481, "CellType": 6192, "CellLine": 3430, "RNA": 844}


@pytest.mark.parametrize("name", CATALOG)
class TestReleases:
    pytestmark = archives

    def test_counts_are_those_published_or_explained_on_the_corpora_page(self, name: str) -> None:
        for split, expected in zip(CATALOG[name].splits, COUNTS[name], strict=True):
            loaded = release(name, split)
            total = Account()
            for document in loaded.documents:
                total += encode_spans(document, list(iter_tokens(document.text)), loaded.corpus.types)[1]
            found = (len(loaded.documents), loaded.account.kept, total.lost)
            assert (split, *found) == (split, *expected)
            assert total.total == loaded.account.kept

    def test_a_repeated_abstract_is_the_only_loss_in_reading(self, name: str) -> None:
        lost = {split: release(name, split).account.lost for split in CATALOG[name].splits}
        assert {split: count for split, count in lost.items() if count} == (
            {"train": 11} if name == "ncbi-disease" else {}
        )

    def test_no_mention_begins_or_ends_with_white_space(self, name: str) -> None:
        for split in CATALOG[name].splits:
            for document in release(name, split).documents:
                if document.id not in HAIR_SPACES:
                    assert all(
                        document.mention(span) == document.mention(span).strip() for span in document.spans
                    )


@pytest.mark.corpora
@pytest.mark.skipif(not os.environ.get("OPENMED_NER_CORPORA"), reason="OPENMED_NER_CORPORA is not set")
class TestLeaks:
    def test_the_types_of_jnlpba_are_those_published(self) -> None:
        documents = release("jnlpba", "train").documents
        assert Counter(span.label for document in documents for span in document.spans) == JNLPBA_TRAIN

    def test_bc2gm_s_alternatives_stand_beside_its_gold_mentions(self) -> None:
        gold, alternatives = release("bc2gm", "test").documents, load_alternatives("bc2gm", "test")
        assert alternatives and [each.text for each in alternatives] == [each.text for each in gold]
        assert sum(len(each.spans) for each in alternatives) == 5068
        assert load_alternatives("jnlpba", "test") is None

    def test_gellus_has_the_documents_of_anatem_split_by_split(self) -> None:
        for split in SPLITS:
            one, other = (
                {d.id: d.text for d in release(name, split).documents} for name in ("gellus", "anatem")
            )
            assert one == other

    def test_the_known_leaks_are_found_and_no_more_between_train_and_test(self) -> None:
        names = [name for name, corpus in CATALOG.items() if corpus.complete]
        sets = {
            f"{name}/{split}": release(name, split).documents for name in names for split in ("train", "test")
        }
        leaks = {
            (each.first, each.second): each.documents
            for each in find_overlaps(sets)
            if each.first.endswith("/train") and each.second.endswith("/test") and each.documents
        }
        assert leaks == {
            ("jnlpba/train", "jnlpba/test"): 10,
            ("jnlpba/train", "bc2gm/test"): 16,
            ("bc2gm/train", "bc2gm/test"): 11,
            ("bc2gm/train", "jnlpba/test"): 7,
            ("bc2gm/train", "bc5cdr-chemical/test"): 1,
            ("bc2gm/train", "bc5cdr-disease/test"): 1,
            ("bionlp13-cg/train", "anatem/test"): 3,
            ("bionlp13-cg/train", "gellus/test"): 3,
            ("ncbi-disease/train", "biored/test"): 1,
            ("bc5cdr-chemical/train", "biored/test"): 10,
            ("bc5cdr-disease/train", "biored/test"): 10,
            ("chemprot/train", "biored/test"): 1,
            ("chemprot-gene/train", "biored/test"): 1,
            ("bc2gm/train", "gnormplus/test"): 5,
            ("nlm-gene/train", "biored/test"): 18,
            ("gnormplus/train", "bc2gm/test"): 3,
            ("gnormplus/train", "biored/test"): 5,
            ("biored/train", "ncbi-disease/test"): 1,
            ("biored/train", "bc5cdr-chemical/test"): 59,
            ("biored/train", "bc5cdr-disease/test"): 59,
            ("biored/train", "chemprot/test"): 1,
            ("biored/train", "chemprot-gene/test"): 1,
            ("biored/train", "nlm-gene/test"): 18,
            ("biored/train", "gnormplus/test"): 3,
        }

    def test_training_on_everything_leaves_nothing_of_a_held_out_split(self) -> None:
        names = ["jnlpba", "bc2gm", "anatem", "bionlp13-cg"]
        corpora = load_corpora(Recipe(corpora=tuple(names)))
        held = [d for name in names for split in ("dev", "test") for d in release(name, split).documents]
        sets = {"train": [d for corpus in corpora for d in corpus.train], "held": held}
        assert not [
            e for e in find_overlaps(sets) if (e.first, e.second) == ("train", "held") and e.documents
        ]
        assert {corpus.head.corpus: len(corpus.left_out) for corpus in corpora}["bionlp13-cg"] == 3


ROUND_TRIPS = ("jsonl", "csv", "conll", "pubtator", "bioc-xml", "bioc-json")


@pytest.mark.parametrize("name", CATALOG)
class TestRoundTrips:
    pytestmark = archives

    @pytest.mark.parametrize("format", ROUND_TRIPS)
    def test_what_a_format_can_hold_reads_back_identical(self, name: str, format: str) -> None:
        refused: Counter[str] = Counter()
        documents = release(name, scored_split(name)).documents[:500]
        for document in documents:
            file = io.StringIO(newline="\n")
            try:
                WRITERS[format]([document], file)
            except UnrepresentableError as error:
                refused[next((reason for reason in REASONS if reason in str(error)), str(error))] += 1
                continue
            file.seek(0)
            (found,) = READERS[format](file, source=name)
            assert in_order(found) == in_order(document)
        assert refused.keys() <= set(REASONS) and (format in ("conll", "pubtator") or not refused)

    def test_brat_holds_every_document(self, name: str, tmp_path: Path) -> None:
        documents = [
            replace(document, id=str(number))
            for number, document in enumerate(release(name, scored_split(name)).documents[:500])
        ]
        write_brat(documents, tmp_path / "brat")
        found = {document.id: in_order(document) for document in read_brat(tmp_path / "brat")}
        assert found == {document.id: in_order(document) for document in documents}


REASONS = ("white space", "is discontinuous", "does not begin and end with a word", "overlap", "line breaks")
"""Why CoNLL or PubTator may refuse a corpus document."""


def scored_split(name: str) -> str:
    return "dev" if "dev" in CATALOG[name].splits else "test"


def in_order(document: Document) -> tuple[object, ...]:
    return document.id, document.text, sorted(span.key for span in document.spans)


def test_the_sizes_that_plans_use_are_those_that_were_counted() -> None:
    splits = json.loads((Path(__file__).parents[2] / "results/corpora.json").read_text())["splits"]
    counted = {(row["corpus"], row["split"]): row["words"] for row in splits}
    for corpus in CATALOG.values():
        assert corpus.words == tuple(counted.get((corpus.name, split), 0) for split in SPLITS)
    assert {name for name, _ in counted} == set(CATALOG)
