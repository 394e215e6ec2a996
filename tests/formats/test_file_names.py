"""Names of files on systems other than this one."""

from __future__ import annotations

import ntpath
import sys
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.formats import read_documents, write_documents
from openmed_ner.formats.file_names import decode_name, encode_name
from openmed_ner.text import Document

IDS = [
    "C:\\notes\\a.txt",
    "C:a",
    "\\\\server\\share\\a",
    "pubmed:12",
    "..",
    "a/b",
    "con",
    "NUL.tar",
    "Lpt1",
    "a. ",
    ".hidden",
]


def is_reserved(path: PureWindowsPath) -> bool:
    """Whether Windows keeps a name for a device."""
    return ntpath.isreserved(path) if sys.version_info >= (3, 13) else path.is_reserved()


@given(
    id=st.sampled_from(IDS)
    | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
    | st.tuples(st.sampled_from(["con", "AUX", "com1"]), st.sampled_from(["", ".", ".x", "x"])).map("".join)
)
def test_an_id_names_a_file_in_its_folder_on_every_system(id: str) -> None:
    name = f"{encode_name(id)}.txt"
    path = PureWindowsPath(name)
    assert path.parts == (name,) and not path.drive and not path.root and not is_reserved(path)
    assert PurePosixPath(name).parts == (name,)
    assert name.isascii() and not name.endswith((" ", ".")) and not name.startswith(".")
    assert decode_name(encode_name(id)) == id


@pytest.mark.parametrize("id", IDS)
def test_documents_with_such_ids_are_written_and_read(id: str, tmp_path: Path) -> None:
    write_documents([Document(id, "Aspirin.")], tmp_path / "brat", format="brat")
    assert [document.id for document in read_documents(tmp_path / "brat", format="brat")] == [id]


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="is_reserved has moved")
def test_the_test_would_notice() -> None:
    assert is_reserved(PureWindowsPath("con.txt")) and PureWindowsPath("C:a.txt").drive
