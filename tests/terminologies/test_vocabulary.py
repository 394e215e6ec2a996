"""Tables of your own: what is read, and which line is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.terminologies.concept import Concept
from openmed_ner.terminologies.vocabulary import read_vocabulary


def read(path: Path, content: str | bytes, label: str | None = None) -> list[Concept]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_vocabulary(path, label))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_row_is_a_concept(tmp_path: Path, delimiter: str) -> None:
    rows = [
        ["\ufeffID", "Name", "names", "parents", "xrefs", "type", "note"],
        ["X:1", "renal  disease", "kidney disease|renal disease", "", "MESH:D1|OMIM:2", "Disease", "a"],
        [],
        ["X:2", '"CKD"', "", "X:1", "", "Disease", ""],
    ]
    content = "\r\n".join(delimiter.join(row) for row in rows) + "\r\n"
    assert read(tmp_path / "mine.csv", content) == [
        Concept("X:1", "renal disease", ("kidney disease",), "Disease", "own", (), ("MESH:D1", "OMIM:2")),
        Concept("X:2", "CKD", (), "Disease", "own", ("X:1",), ()),
    ]


def test_one_type_for_the_whole_table(tmp_path: Path) -> None:
    (concept,) = read(tmp_path / "mine.csv", "id,name\n1,aspirin\n", "Chemical")
    assert concept.type == "Chemical"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: expected one column 'id'"),
        ("id,label\n", "line 1: expected one column 'name'"),
        ("id,name\n1,a\n", "line 1: expected one column 'type'"),
        ("id,name,id,type\n", "line 1: expected one column 'id'"),
        ("id,name,type\n1,a,Disease\n1,b,Disease\n", "line 3: duplicate id '1', first in line 2"),
        ("id,name,type\n1,a,Disease,x\n", "line 2: 4 cells; expected 3"),
        ("id,name,type\n\n1,a,Illness\n", "line 3: the type 'Illness' is unknown"),
        ("id,name,type\n,a,Disease\n", "line 2: expected an id"),
        ("id,name,type\na|b,a,Disease\n", "line 2: expected an id"),
        ('id,name,type\n1,"a\n', "line 1"),
        (b"id,name,type\n1,na\xefve,Disease\n", "not UTF-8"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(CorpusFormatError, match=r"mine\.csv") as caught:
        read(tmp_path / "mine.csv", content)
    assert message in str(caught.value)


def test_a_missing_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be opened"):
        list(read_vocabulary(tmp_path / "none.csv"))
