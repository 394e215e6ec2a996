"""Nothing is half written, and nothing is removed before its successor is complete."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256 as reference
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.errors import BundleError, InputError
from openmed_ner.storage import (
    atomic_file,
    atomic_folder,
    atomic_path,
    folder_lock,
    read_json,
    sha256,
    sha256_file,
    write_json,
)


class Interrupted(BaseException):
    pass


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_appears_when_it_is_complete(tmp_path: Path, durable: bool) -> None:
    target = tmp_path / "scores.json"
    target.write_text("old")
    with atomic_file(target, durable=durable) as file:
        file.write("new\r\n")
        file.flush()
        assert target.read_text() == "old"
    assert target.read_bytes() == b"new\r\n" and names(tmp_path) == [target.name]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, Interrupted])
def test_an_error_leaves_the_old_file_and_no_other(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "weights.bin"
    target.write_bytes(b"old")
    with pytest.raises(error), atomic_path(target) as partial:
        partial.write_bytes(b"half")
        raise error
    assert target.read_bytes() == b"old" and names(tmp_path) == [target.name]


def test_a_folder_is_replaced_by_its_complete_successor(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "bundle"
    for number in range(2):
        with atomic_folder(target) as folder:
            (folder / f"{number}.txt").write_text("x")
            assert target.exists() == bool(number), "the old folder stays until the new one is complete"
        assert names(target) == [f"{number}.txt"] and names(target.parent) == ["bundle"]


def test_an_error_leaves_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(Interrupted), atomic_folder(target) as folder:
        (folder / "new").touch()
        raise Interrupted
    assert names(target) == ["old"] and names(tmp_path) == ["bundle"]


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from openmed_ner.storage import atomic_folder\n"
        "with atomic_folder(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'half').touch()\n"
        "    os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", program, str(target)], check=False).returncode == 9
    assert not target.exists()
    with atomic_folder(target) as folder:
        assert not names(folder)
    assert names(tmp_path) == ["bundle"]


def test_a_folder_set_aside_by_a_killed_process_comes_back(tmp_path: Path) -> None:
    (tmp_path / ".bundle.replaced").mkdir()
    with pytest.raises(Interrupted), atomic_folder(tmp_path / "bundle"):
        raise Interrupted
    assert names(tmp_path) == ["bundle"]


@given(content=st.binary(max_size=1 << 10), copies=st.sampled_from([0, 1, 2000]))
def test_digests_are_those_of_hashlib(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, copies: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "content"
    path.write_bytes(content * copies)
    assert sha256_file(path) == sha256(content * copies) == reference(content * copies).hexdigest()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'"\xff"', "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[1]", "holds a list; expected an object"),
    ],
)
def test_what_is_no_object_is_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(content)
    for error in (InputError, BundleError):
        with pytest.raises(error, match=message) as raised:
            read_json(path, error=error)
        assert str(path) in str(raised.value)


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"name": "β", "values": [1, 2]})
    assert read_json(tmp_path / "x.json", max_bytes=100) == {"name": "β", "values": [1, 2]}
    assert (tmp_path / "x.json").read_text("utf-8") == json.dumps(
        {"name": "β", "values": [1, 2]}, indent=1, ensure_ascii=False
    ) + "\n"
    with pytest.raises(InputError, match="more than 5 bytes"):
        read_json(tmp_path / "x.json", max_bytes=5)


def test_a_folder_is_locked_by_one_process(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from openmed_ner.storage import folder_lock\n"
        "with folder_lock(Path(sys.argv[1])) as locked:\n"
        "    print(locked)\n"
    )

    def elsewhere() -> str:
        return subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
        ).stdout.strip()

    with folder_lock(tmp_path) as locked:
        assert locked and elsewhere() == "False"
    assert elsewhere() == "True"
