from __future__ import annotations

import base64
import hashlib
import io
import re
import socket
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from threading import Thread
from urllib.parse import unquote

import pytest

from openmed_ner.corpora import CATALOG, Corpus, SplitFiles
from openmed_ner.corpora.archive import MAX_FILE, ArchiveMember, digest, read_members
from openmed_ner.corpora.fetch import ORIGINS, Origin, fetch
from openmed_ner.errors import CorpusError, RunError

NOISE = base64.b85encode(Random(0).randbytes(80_000)).decode()
"""What no compression makes small, so that a download can stop in the middle."""
TEXTS = {
    "data/train.txt": "Aspirin causes asthma.\n",
    "data/b.ann": NOISE,
    "data/a.ann": "T1\tDisease 15 21\n",
}


# --- a world of our own: a server, a release, a row of the catalog


@dataclass
class Site:
    """A server of files that keeps account of what it was asked for and what it sent.

    Attributes:
        files: path to content.
        ranges: whether it knows the Range header; if ``None``, it answers 416 to any.
        stop_after: how many bytes of a body it sends before it closes the connection.
        framing: how it tells where a body ends: its length, chunks, or closing the connection.
    """

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool | None = True
    stop_after: int | None = None
    framing: str = "length"
    requests: list[tuple[str, str | None, int]] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        content, wanted = self.files.get(unquote(request.path)), request.headers["Range"]
        if content is None or not request.path.isascii() or set(request.path) & set('[]<>" '):
            self.requests.append((request.path, wanted, 0))
            return request.send_error(404)
        first = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.ranges else 0
        if first >= len(content) > 0 or (wanted and self.ranges is None):
            self.requests.append((request.path, wanted, 0))
            return request.send_error(416)
        body = content[first:]
        sent = body[: self.stop_after]
        request.send_response(206 if first else 200)
        if self.framing == "length":
            request.send_header("Content-Length", str(len(body)))
        elif self.framing == "chunked":
            request.send_header("Transfer-Encoding", "chunked")
            size = f"{len(body):x}\r\n".encode()
            sent = size + sent + (b"\r\n0\r\n\r\n" if len(sent) == len(body) else b"")
        request.end_headers()
        self.requests.append((request.path, wanted, len(sent)))
        request.wfile.write(sent)
        request.close_connection = True


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            site.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site.address = f"http://127.0.0.1:{server.server_port}/"
        thread = Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        yield site
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENMED_NER_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "*")


def make_tar(files: dict[str, str], mode: str = "w:gz", top: str = "release-5a266c/") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            entry = tarfile.TarInfo(top + name)
            entry.size = len(content.encode())
            tar.addfile(entry, io.BytesIO(content.encode()))
    return buffer.getvalue()


def make_zip(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def member(path: str, files: dict[str, str]) -> ArchiveMember:
    """A row's member that has these files, by their names in its folder."""
    return ArchiveMember(
        path, digest(ArchiveMember(path, ""), {name: text.encode() for name, text in files.items()})
    )


def corpus(*members: ArchiveMember) -> Corpus:
    return Corpus("tiny", "Tiny", {"train": SplitFiles("pubtator", members)}, (), {}, "", "", "")


TINY = corpus(
    member("tiny/raw/train.txt", {"train.txt": TEXTS["data/train.txt"]}),
    member("tiny/raw/*.ann", {"a.ann": TEXTS["data/a.ann"], "b.ann": NOISE}),
)
SINGLE = corpus(member("tiny/raw/b.ann", {"b.ann": NOISE}))
EXPECTED = [{"train.txt": TEXTS["data/train.txt"]}, {"a.ann": TEXTS["data/a.ann"], "b.ann": NOISE}]


def as_tar(site: Site) -> Origin:
    site.files["/release.tar.gz"] = make_tar({"README": "?", **TEXTS, "data/deeper/c.ann": "no"})
    return Origin("tiny/raw/", site.address + "release.tar.gz", "data/")


def as_zip(site: Site) -> Origin:
    site.files["/release.zip"] = make_zip({"README": "?", **TEXTS, "data/deeper/c.ann": "no"})
    return Origin("tiny/raw/", site.address + "release.zip", "data/")


def as_file(site: Site) -> Origin:
    site.files["/data/b.ann"] = NOISE.encode()
    return Origin("tiny/raw/", site.address + "data/")


def snapshot(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.rglob("*")}


# --- what is fetched


@pytest.mark.parametrize("publish", [as_tar, as_zip])
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_what_is_fetched_verifies_and_equals_the_source(
    site: Site, tmp_path: Path, publish: Callable[[Site], Origin], framing: str
) -> None:
    site.framing = framing
    origin = publish(site)
    assert fetch(TINY, tmp_path / "new", origins=[origin]) == [tmp_path / "new" / "tiny.tar.xz"]
    assert read_members(tmp_path / "new", TINY.members) == EXPECTED
    assert len(site.requests) == 1


def test_single_files_are_fetched_one_by_one(site: Site, tmp_path: Path) -> None:
    site.files = {"/x/data/1.txt": b"one", "/x/2.txt": b""}
    row = corpus(member("tiny/raw/data/1.txt", {"1.txt": "one"}), member("tiny/raw/2.txt", {"2.txt": ""}))
    fetch(row, tmp_path, origins=[Origin("tiny/raw/", site.address + "x/")])
    assert read_members(tmp_path, row.members) == [{"1.txt": "one"}, {"2.txt": ""}]


def test_what_a_file_name_holds_is_quoted(site: Site, tmp_path: Path) -> None:
    name = 'Tag_[__SENT__]_100% <a b> "é"?#.conll'
    site.files = {f"/x/{name}": b"one"}
    row = corpus(member(f"tiny/{name}", {name: "one"}))
    fetch(row, tmp_path, origins=[Origin("tiny/", site.address + "x/")])
    assert read_members(tmp_path, row.members) == [{name: "one"}]


@pytest.mark.parametrize("publish", [as_tar, as_zip])
def test_a_second_fetch_writes_and_asks_nothing(
    site: Site, tmp_path: Path, publish: Callable[[Site], Origin]
) -> None:
    origin = publish(site)
    fetch(TINY, tmp_path, origins=[origin])
    before = snapshot(tmp_path), len(site.requests)
    assert fetch(TINY, tmp_path, origins=[origin]) == []
    assert (snapshot(tmp_path), len(site.requests)) == before


def test_an_archive_keeps_the_files_of_other_corpora(site: Site, tmp_path: Path) -> None:
    others = {"tiny/other/x.txt": "other", "tiny/raw/old.txt": "old", "tiny/raw/b.ann": "an older release"}
    (tmp_path / "tiny.tar.xz").write_bytes(make_tar(others, "w:xz", top=""))
    fetch(TINY, tmp_path, origins=[as_tar(site)])
    assert read_members(tmp_path, TINY.members) == EXPECTED
    kept = [member("tiny/other/x.txt", {"x.txt": "other"}), member("tiny/raw/old.txt", {"old.txt": "old"})]
    assert read_members(tmp_path, kept) == [{"x.txt": "other"}, {"old.txt": "old"}]


def test_an_archive_does_not_depend_on_the_way_it_came(site: Site, tmp_path: Path) -> None:
    for name, origin in (("tar", as_tar(site)), ("zip", as_zip(site))):
        fetch(TINY, tmp_path / name, origins=[origin])
    fetch(TINY, tmp_path / "copy", source=tmp_path / "zip")
    contents = {(tmp_path / name / "tiny.tar.xz").read_bytes() for name in ("tar", "zip", "copy")}
    assert len(contents) == 1


def test_progress_reaches_the_size_of_the_file(site: Site, tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []
    fetch(SINGLE, tmp_path, origins=[as_file(site)], on_progress=lambda *each: seen.append(each))
    assert [size for _, size in seen] == sorted({size for _, size in seen})
    assert seen[-1] == (site.address + "data/b.ann", len(NOISE))


# --- what is interrupted goes on


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("publish", [as_tar, as_zip, as_file])
def test_an_interrupted_download_asks_for_the_rest_only(
    site: Site, tmp_path: Path, publish: Callable[[Site], Origin], framing: str
) -> None:
    site.framing, site.stop_after = framing, 70_000
    origin = publish(site)
    row = SINGLE if publish is as_file else TINY
    with pytest.raises(RunError, match="run the command again to resume"):
        fetch(row, tmp_path, origins=[origin])
    assert not list(tmp_path.glob("*.tar.xz"))
    (partial,) = (tmp_path / ".downloads").iterdir()
    size = partial.stat().st_size
    assert 0 < size <= 70_000

    site.framing, site.stop_after, site.requests = "length", None, []
    fetch(row, tmp_path, origins=[origin])
    (path,) = site.files
    assert site.requests == [(path, f"bytes={size}-", len(site.files[path]) - size)]
    read_members(tmp_path, row.members)


def test_it_goes_on_as_often_as_it_must(site: Site, tmp_path: Path) -> None:
    site.stop_after = 22_000
    origin = as_file(site)
    for _ in range(4):
        with pytest.raises(RunError):
            fetch(SINGLE, tmp_path, origins=[origin])
    fetch(SINGLE, tmp_path, origins=[origin])
    assert sum(sent for *_, sent in site.requests) == len(NOISE)


@pytest.mark.parametrize("ranges", [False, None], ids=["ignored", "416"])
def test_a_server_without_ranges_sends_all_again(site: Site, tmp_path: Path, ranges: bool | None) -> None:
    site.ranges, site.stop_after = ranges, 70_000
    origin = as_file(site)
    with pytest.raises(RunError):
        fetch(SINGLE, tmp_path, origins=[origin])
    site.stop_after = None
    fetch(SINGLE, tmp_path, origins=[origin])
    assert site.requests[1][1] == "bytes=70000-"
    assert site.requests[-1][2] == len(NOISE)
    assert read_members(tmp_path, SINGLE.members) == [{"b.ann": NOISE}]


def test_halves_of_two_releases_are_dropped_and_fetched_anew(site: Site, tmp_path: Path) -> None:
    site.stop_after = 70_000
    origin = as_file(site)
    site.files["/data/b.ann"] = NOISE[::-1].encode()
    with pytest.raises(RunError):
        fetch(SINGLE, tmp_path, origins=[origin])
    site.stop_after, site.files["/data/b.ann"] = None, NOISE.encode()
    with pytest.raises(CorpusError, match="not the known release"):
        fetch(SINGLE, tmp_path, origins=[origin])
    fetch(SINGLE, tmp_path, origins=[origin])
    assert read_members(tmp_path, SINGLE.members) == [{"b.ann": NOISE}]


def test_a_short_body_without_a_length_is_not_kept(site: Site, tmp_path: Path) -> None:
    site.framing, site.stop_after = "close", 70_000
    origin = as_tar(site)
    with pytest.raises(CorpusError, match="cannot be read as an archive"):
        fetch(TINY, tmp_path, origins=[origin])
    site.stop_after = None
    fetch(TINY, tmp_path, origins=[origin])
    assert read_members(tmp_path, TINY.members) == EXPECTED


# --- what is refused


@pytest.mark.parametrize("status", [404, 416])
def test_an_answer_without_a_file_is_told(site: Site, tmp_path: Path, status: int) -> None:
    if status == 416:
        site.files["/data/b.ann"] = b""
        site.answer = lambda request: request.send_error(416)  # type: ignore[method-assign, assignment]
    with pytest.raises(RunError, match=rf"/data/b\.ann: the server answered {status}"):
        fetch(SINGLE, tmp_path, origins=[Origin("tiny/raw/", site.address + "data/")])


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with pytest.raises(RunError, match=f"127.0.0.1:{port}/b.ann: the download failed"):
        fetch(SINGLE, tmp_path, origins=[Origin("tiny/raw/", f"http://127.0.0.1:{port}/")])


def test_a_server_that_does_not_speak_http_is_told(site: Site, tmp_path: Path) -> None:
    site.answer = lambda request: request.wfile.write(b"220 ftp\r\n\r\n")  # type: ignore[method-assign, assignment]
    with pytest.raises(RunError, match="the download failed"):
        fetch(SINGLE, tmp_path, origins=[Origin("tiny/raw/", site.address)])


@pytest.mark.parametrize("publish", [as_tar, as_zip, as_file])
def test_another_release_is_refused_with_both_hashes(
    site: Site, tmp_path: Path, publish: Callable[[Site], Origin]
) -> None:
    origin = publish(site)
    wrong = corpus(ArchiveMember("tiny/raw/b.ann", "0" * 64))
    found = hashlib.sha256(NOISE.encode()).hexdigest()
    with pytest.raises(CorpusError, match=f"{found}, expected {'0' * 64}"):
        fetch(wrong, tmp_path, origins=[origin])
    assert not list(tmp_path.glob("*.tar.xz*"))
    assert not list((tmp_path / ".downloads").iterdir())


def test_a_refused_release_leaves_the_archive_as_it_was(site: Site, tmp_path: Path) -> None:
    origin = as_tar(site)
    fetch(TINY, tmp_path, origins=[origin])
    before = (tmp_path / "tiny.tar.xz").read_bytes()
    with pytest.raises(CorpusError):
        fetch(corpus(ArchiveMember("tiny/raw/b.ann", "0" * 64)), tmp_path, origins=[origin])
    assert (tmp_path / "tiny.tar.xz").read_bytes() == before


def test_a_file_that_is_not_in_the_release_is_named(site: Site, tmp_path: Path) -> None:
    row = corpus(ArchiveMember("tiny/raw/deeper/*.txt", ""))
    with pytest.raises(CorpusError, match=re.escape("has no member tiny/raw/deeper/*.txt")):
        fetch(row, tmp_path, origins=[as_tar(site)])


def test_an_unknown_origin_is_told_before_anything_is_asked(site: Site, tmp_path: Path) -> None:
    row = corpus(*SINGLE.members, ArchiveMember("tiny/elsewhere/x.txt", ""))
    with pytest.raises(CorpusError, match=r"elsewhere/x\.txt: no download address .* --from FOLDER"):
        fetch(row, tmp_path, origins=[as_file(site)])
    assert not site.requests


def damage(content: bytes) -> list[bytes]:
    middle = bytearray(content)
    middle[len(middle) // 2 : len(middle) // 2 + 40] = bytes(40)
    return [b"", b"<html>not found</html>", content[: len(content) // 2], bytes(middle)]


@pytest.mark.parametrize("kind", range(4), ids=["empty", "another kind", "cut", "overwritten"])
@pytest.mark.parametrize("publish", [as_tar, as_zip])
def test_a_damaged_release_is_refused_and_not_kept(
    site: Site, tmp_path: Path, publish: Callable[[Site], Origin], kind: int
) -> None:
    origin = publish(site)
    (path,) = site.files
    site.files[path] = damage(site.files[path])[kind]
    with pytest.raises(CorpusError, match=rf"{re.escape(origin.url)}: "):
        fetch(TINY, tmp_path, origins=[origin])
    assert [path.name for path in tmp_path.rglob("*")] == [".downloads"]


# --- without the network


def test_a_folder_is_copied_without_a_socket(tmp_path: Path, no_socket: None) -> None:
    source = tmp_path / "source"
    source.mkdir()
    files = {name.replace("data/", "tiny/raw/"): text for name, text in TEXTS.items()}
    (source / "tiny.tar.xz").write_bytes(
        make_tar({**files, "tiny/else.txt": "not asked for"}, "w:xz", top="")
    )
    assert fetch(TINY, tmp_path, source=source, origins=[]) == [tmp_path / "tiny.tar.xz"]
    assert read_members(tmp_path, TINY.members) == EXPECTED
    with pytest.raises(CorpusError, match="no member"):
        read_members(tmp_path, [ArchiveMember("tiny/else.txt", "")])
    assert fetch(TINY, tmp_path, source=source, origins=[]) == []


@pytest.mark.parametrize("content", [None, "another"])
def test_a_folder_without_the_release_is_refused(tmp_path: Path, content: str | None) -> None:
    source = tmp_path / "source"
    source.mkdir()
    if content is not None:
        (source / "tiny.tar.xz").write_bytes(make_tar({"tiny/raw/b.ann": content}, "w:xz", top=""))
    with pytest.raises(CorpusError, match="expected" if content else "is missing"):
        fetch(SINGLE, tmp_path, source=source)
    assert list(tmp_path.iterdir()) == [source]


def test_offline_refuses_before_a_socket_is_opened(
    tmp_path: Path, no_socket: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENMED_NER_OFFLINE", "1")
    with pytest.raises(RunError, match="OPENMED_NER_OFFLINE=1 forbids downloads"):
        fetch(SINGLE, tmp_path, origins=[Origin("tiny/", "http://127.0.0.1:9/")])
    assert not list(tmp_path.iterdir())


def test_offline_accepts_what_is_there(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch(SINGLE, tmp_path, origins=[as_file(site)])
    monkeypatch.setenv("OPENMED_NER_OFFLINE", "1")
    assert fetch(SINGLE, tmp_path, origins=[]) == []


# --- what is hostile


def links() -> list[tarfile.TarInfo]:
    """Links that stand where the wanted file is expected, one of each kind."""
    entries = []
    for kind, target in ((tarfile.SYMTYPE, "/etc/passwd"), (tarfile.LNKTYPE, "top/README")):
        entry = tarfile.TarInfo("top/data/b.ann")
        entry.type, entry.linkname = kind, target
        entries.append(entry)
    return entries


def hostile_tar(*entries: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in ("../escape.txt", "/absolute.txt", "top/../../escape.txt", "top/data/../../../b.ann"):
            escape = tarfile.TarInfo(name)
            escape.size = 4
            tar.addfile(escape, io.BytesIO(b"evil"))
        for entry in entries:
            tar.addfile(entry)
    return buffer.getvalue()


def huge() -> tarfile.TarInfo:
    entry = tarfile.TarInfo("top/data/b.ann")
    entry.size = MAX_FILE + 1
    return entry


@pytest.mark.parametrize(
    "entries", [[], links()[:1], links()[1:], [huge()]], ids=["", "symbolic", "hard", "huge"]
)
def test_a_hostile_archive_writes_nothing(site: Site, tmp_path: Path, entries: list[tarfile.TarInfo]) -> None:
    folder = tmp_path / "one" / "two"
    site.files["/release.tar.gz"] = hostile_tar(*entries)
    origin = Origin("tiny/raw/", site.address + "release.tar.gz", "data/")
    with pytest.raises(
        CorpusError, match="larger than any" if entries and not entries[0].linkname else "no member"
    ):
        fetch(SINGLE, folder, origins=[origin])
    assert [path.name for path in tmp_path.rglob("*")] == ["one", "two", ".downloads"]


def test_hostile_names_beside_the_wanted_file_do_no_harm(site: Site, tmp_path: Path) -> None:
    wanted = tarfile.TarInfo("top/data/b.ann")
    wanted.size = len(NOISE)
    buffer = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(hostile_tar())) as hostile,
        tarfile.open(fileobj=buffer, mode="w:gz") as tar,
    ):
        for entry in hostile:
            entry.size = 0
            tar.addfile(entry)
        tar.addfile(wanted, io.BytesIO(NOISE.encode()))
    site.files["/release.tar.gz"] = buffer.getvalue()
    folder = tmp_path / "one" / "two"
    fetch(SINGLE, folder, origins=[Origin("tiny/raw/", site.address + "release.tar.gz", "data/")])
    with tarfile.open(folder / "tiny.tar.xz") as tar:
        assert tar.getnames() == ["tiny/raw/b.ann"]
    assert {path.parent for path in tmp_path.rglob("*") if path.is_file()} == {folder, folder / ".downloads"}


# --- the catalog


def test_every_file_of_the_catalog_is_published_somewhere() -> None:
    for row in CATALOG.values():
        for each in row.members:
            origins = [origin for origin in ORIGINS if each.path.startswith(origin.prefix)]
            assert len(origins) == 1, each.path
            assert origins[0].url.startswith("https://")
            assert "*" not in each.path or not origins[0].url.endswith("/"), each.path
