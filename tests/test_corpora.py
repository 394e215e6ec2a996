from __future__ import annotations

import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from openmed_ner.alignment import encode_spans
from openmed_ner.corpora import CATALOG, SPLITS, find_corpus, load_split
from openmed_ner.corpora import catalog as catalog_module
from openmed_ner.corpora.archive import corpora_folder, read_member
from openmed_ner.errors import CorpusError, CorpusFormatError
from openmed_ner.text import Account, iter_tokens

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


def make_archive(folder: Path, name: str, members: dict[str, str]) -> Path:
    path = folder / name
    with tarfile.open(path, "w:xz") as tar:
        for member, content in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(content.encode())
            tar.addfile(info, io.BytesIO(content.encode()))
    return path


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an archive in the shape of BC5CDR's, and a catalog that knows it."""
    make_archive(tmp_path, "bc5cdr.tar.xz", {"x/train.txt": PUBTATOR})
    member = catalog_module.Member("x/train.txt", sha256(PUBTATOR))
    row = catalog_module.Corpus(
        "small",
        "Small",
        "bc5cdr.tar.xz",
        "pubtator",
        {"train": member},
        True,
        {"Disease": "Disease"},
        "",
        "",
        "",
    )
    monkeypatch.setattr("openmed_ner.corpora.catalog.CATALOG", {"small": row})
    monkeypatch.setenv("OPENMED_NER_CORPORA", str(tmp_path))
    return tmp_path


def test_a_split_keeps_its_own_labels_and_each_document_once(small: Path) -> None:
    split = load_split("small", "train")
    assert [document.id for document in split.documents] == ["1", "2"]
    first = split.documents[0]
    assert [(first.mention(span), span.label) for span in first.spans] == [("asthma", "Disease")]
    assert split.account == Account(1, 0, 0, {})


def test_mentions_of_a_repeated_document_are_accounted_for(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = catalog_module.CATALOG["small"]
    chemical = catalog_module.Corpus(
        *(getattr(row, name) for name in row.__slots__[:6]), {"Chemical": "Chemical"}, "", "", ""
    )
    monkeypatch.setattr("openmed_ner.corpora.catalog.CATALOG", {"small": chemical})
    account = load_split("small", "train").account
    assert (account.kept, account.lost, sum(account.reasons.values())) == (1, 1, 1)


def test_another_release_is_refused_with_both_hashes(small: Path) -> None:
    changed = PUBTATOR.replace("Nothing", "nothing")
    make_archive(small, "bc5cdr.tar.xz", {"x/train.txt": changed})
    with pytest.raises(CorpusError, match=f"{sha256(changed)}, expected {sha256(PUBTATOR)}"):
        load_split("small", "train")


def test_what_is_missing_is_named(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CorpusError, match="unknown corpus 'large'; known: small"):
        load_split("large", "train")
    with pytest.raises(CorpusError, match="no split 'test'; it has: train"):
        load_split("small", "test")
    with pytest.raises(CorpusError, match=r"bc5cdr\.tar\.xz is missing"):
        load_split("small", "train", folder=tmp_path / "x")
    make_archive(small, "bc5cdr.tar.xz", {"other.txt": ""})
    with pytest.raises(CorpusError, match=r"no member x/train\.txt"):
        load_split("small", "train")
    monkeypatch.delenv("OPENMED_NER_CORPORA")
    with pytest.raises(CorpusError, match="OPENMED_NER_CORPORA is not set"):
        corpora_folder()
    monkeypatch.setenv("OPENMED_NER_CORPORA", str(tmp_path / "nowhere"))
    with pytest.raises(CorpusError, match="not a folder"):
        corpora_folder()


@pytest.mark.parametrize("content", [b"", b"not an archive", b"\xfd7zXZ\x00damaged"])
def test_a_damaged_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.tar.xz"
    path.write_bytes(content)
    with pytest.raises(CorpusError, match="cannot be read"):
        read_member(path, "x", sha256="")


def test_a_member_is_read_by_name_and_never_unpacked(tmp_path: Path) -> None:
    path = make_archive(tmp_path, "a.tar.xz", {"../escape.txt": "x", "link": ""})
    before = set(tmp_path.parent.rglob("*"))
    assert read_member(path, "../escape.txt", sha256=sha256("x")) == "x"
    assert set(tmp_path.parent.rglob("*")) == before


def test_two_texts_under_one_id_are_refused(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twice = "1|t|One.\n1|a|\n\n1|t|Two.\n1|a|\n"
    make_archive(small, "bc5cdr.tar.xz", {"x/train.txt": twice})
    row = catalog_module.CATALOG["small"]
    monkeypatch.setitem(row.splits, "train", catalog_module.Member("x/train.txt", sha256(twice)))  # type: ignore[arg-type]
    with pytest.raises(CorpusError, match="document 1 is there twice"):
        load_split("small", "train")


def test_a_wrong_offset_is_named_with_file_and_line(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = PUBTATOR.replace("12\t18\tasthma", "13\t18\tasthma")
    make_archive(small, "bc5cdr.tar.xz", {"x/train.txt": wrong})
    row = catalog_module.CATALOG["small"]
    monkeypatch.setitem(row.splits, "train", catalog_module.Member("x/train.txt", sha256(wrong)))  # type: ignore[arg-type]
    with pytest.raises(CorpusFormatError, match=r"x/train\.txt, line 4.*'sthma'.*'asthma'"):
        load_split("small", "train")


def test_every_row_is_complete() -> None:
    for name, corpus in CATALOG.items():
        assert find_corpus(name) is corpus and corpus.name == name
        assert tuple(corpus.splits) == SPLITS
        assert corpus.types and corpus.licence and corpus.citation and corpus.home.startswith("https://")
        assert {len(member.sha256) for member in corpus.splits.values()} == {64}


archives = [
    pytest.mark.corpora,
    pytest.mark.skipif(not os.environ.get("OPENMED_NER_CORPORA"), reason="OPENMED_NER_CORPORA is not set"),
]
COUNTS = {
    # documents, mentions, and mentions that words cannot hold, per split
    "ncbi-disease": [(592, 5134, 2), (100, 787, 0), (100, 960, 0)],
    "bc5cdr-chemical": [(500, 5203, 0), (500, 5347, 10), (500, 5385, 5)],
    "bc5cdr-disease": [(500, 4182, 0), (500, 4244, 0), (500, 4424, 0)],
}


@pytest.mark.parametrize(("name", "split"), [(name, split) for name in COUNTS for split in SPLITS])
class TestReleases:
    pytestmark = archives

    def test_counts_are_those_published(self, name: str, split: str) -> None:
        loaded = load_split(name, split)
        n_documents, n_mentions, n_lost = COUNTS[name][SPLITS.index(split)]
        assert (len(loaded.documents), loaded.account.kept) == (n_documents, n_mentions)
        total = Account()
        for document in loaded.documents:
            total += encode_spans(document, list(iter_tokens(document.text)), loaded.corpus.types)[1]
        assert (total.kept, total.lost) == (n_mentions - n_lost, n_lost)
        assert total.total == n_mentions

    def test_the_repeated_abstract_is_the_only_loss(self, name: str, split: str) -> None:
        lost = load_split(name, split).account.lost
        assert lost == (11 if (name, split) == ("ncbi-disease", "train") else 0)


@pytest.mark.corpora
@pytest.mark.skipif(not os.environ.get("OPENMED_NER_CORPORA"), reason="OPENMED_NER_CORPORA is not set")
def test_no_training_document_stands_in_a_dev_or_test_split() -> None:
    train: set[str] = set()
    held_out: set[str] = set()
    for name in CATALOG:
        train |= {document.text for document in load_split(name, "train").documents}
        for split in ("dev", "test"):
            held_out |= {document.text for document in load_split(name, split).documents}
    assert not train & held_out
