"""Nothing is half written, and nothing is removed before its successor is complete."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from hashlib import sha256 as reference
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.errors import BundleError, InputError
from openmed_ner.storage import (
    atomic_file,
    atomic_folder,
    atomic_path,
    folder_lock,
    is_stream,
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


def make_device(path: Path, *, minor: int) -> None:
    """Make a node of the devices of memory: 3 is null, 7 is full."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, minor))
        path.open("wb").close()
    except PermissionError:
        pytest.skip("only root makes devices")


@pytest.mark.parametrize("write", [atomic_file, atomic_path])
def test_a_device_is_written_into_and_stays_a_device(tmp_path: Path, write: Any) -> None:
    for name, minor in (("null", 3), ("full", 7)):
        device = tmp_path / name
        make_device(device, minor=minor)
        before = device.stat()
        with suppress(OSError), write(device) as file:
            if isinstance(file, Path):
                file.write_text("new")
            else:
                file.write("new")
        with pytest.raises(ValueError, match="stopped"), write(device):
            raise ValueError("stopped")
        assert (device.stat().st_ino, device.stat().st_rdev) == (before.st_ino, before.st_rdev)
    assert sorted(names(tmp_path)) == ["full", "null"]
    with pytest.raises(OSError, match="No space"), atomic_file(tmp_path / "full") as file:
        file.write("new")


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe.name)
    for path in (pipe, link):
        received: list[str] = []
        reader = threading.Thread(target=lambda: received.append(pipe.read_text()))  # noqa: B023
        reader.start()
        with atomic_file(path, durable=True) as file:
            file.write("new\n")
        reader.join(10)
        assert received == ["new\n"] and pipe.is_fifo() and link.is_symlink()


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    for target in (tmp_path / "away/old.txt", tmp_path / "away/dangling.txt"):
        link = tmp_path / target.name
        link.symlink_to(target)
        if target.stem == "old":
            target.write_text("old")
        with atomic_file(link) as file:
            file.write("new")
        assert link.is_symlink() and target.read_text() == "new"

    (tmp_path / "bundle").symlink_to("away")
    with atomic_folder(tmp_path / "bundle") as folder:
        (folder / "new").touch()
    assert (tmp_path / "bundle").is_symlink() and names(tmp_path / "away") == ["new"]
    assert not [name for name in names(tmp_path) if name.startswith(".")]


def test_a_folder_does_not_replace_a_file(tmp_path: Path) -> None:
    target = tmp_path / "notes"
    target.write_text("mine")
    with pytest.raises(InputError, match="not a folder"), atomic_folder(target):
        pass
    assert target.read_text() == "mine" and names(tmp_path) == ["notes"]


def test_an_open_file_keeps_what_was_written_to_it_before(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("/dev/stdout")
    code = (
        "import sys\nfrom pathlib import Path\nfrom openmed_ner.storage import atomic_file, is_stream\n"
        "for name in sys.argv[1:]:\n    assert is_stream(Path(name))\n"
        "    with atomic_file(Path(name)) as file: file.write(name + ' ')"
    )
    places = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", str(tmp_path / "out")]
    log = tmp_path / "log"
    log.write_text("old ")
    with log.open("a") as file:
        subprocess.run([sys.executable, "-c", code, *places], stdout=file, check=True)
    assert log.read_text() == f"old {' '.join(places)} "
    assert not is_stream(log) and not is_stream(tmp_path) and not is_stream(tmp_path / "absent")


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


def test_one_run_at_a_time_writes_a_folder(tmp_path: Path) -> None:
    target = tmp_path / "terms"
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from openmed_ner.errors import InputError\n"
        "from openmed_ner.storage import atomic_folder\n"
        "try:\n"
        "    with atomic_folder(Path(sys.argv[1])) as folder:\n"
        "        (folder / 'second').touch()\n"
        "except InputError as error:\n"
        "    print(error)\n"
    )

    def elsewhere() -> str:
        return subprocess.run(
            [sys.executable, "-c", program, str(target)], capture_output=True, text=True, check=True
        ).stdout

    with atomic_folder(target) as folder:
        (folder / "first").touch()
        assert "another run is writing it" in elsewhere()
        with pytest.raises(InputError, match="another run is writing it"), atomic_folder(target):
            pass
        assert names(folder) == ["first"]
    assert names(target) == ["first"] and names(tmp_path) == ["terms"]
    assert elsewhere() == "" and names(target) == ["second"] and names(tmp_path) == ["terms"]


def test_folders_are_written_where_they_cannot_be_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(handle: int, operation: int) -> None:
        raise OSError(errno.EBADF, "not on this file system")

    monkeypatch.setattr("openmed_ner.storage.fcntl.flock", refuse)
    for _ in range(2):
        with atomic_folder(tmp_path / "bundle") as folder, folder_lock(tmp_path) as locked:
            (folder / "new").touch()
            assert locked
    assert names(tmp_path / "bundle") == ["new"]


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


def test_folders_are_written_where_the_system_has_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openmed_ner.storage.fcntl", None)
    with atomic_folder(tmp_path / "new") as partial:
        (partial / "file").write_text("content")
    assert (tmp_path / "new" / "file").read_text() == "content"
