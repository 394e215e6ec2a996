"""Publishing and fetching, against a small hub on this machine that speaks to the hub's own library."""

from __future__ import annotations

import base64
import hashlib
import json
import resource
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import close_session
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.bundle import BackboneReference, Bundle, Manifest, open_bundle, seal
from openmed_ner.bundle.files import MANIFEST
from openmed_ner.bundle.manifest import MAX_JSON
from openmed_ner.cli.main import main
from openmed_ner.errors import BundleError, InputError, RunError
from openmed_ner.publish import Reference, fetch_bundle, plan_push, push, resolve
from openmed_ner.publish import download as fetching
from openmed_ner.tagging import Head

# The hub's library uploads a file in a way that its own HTTP library advises against.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

NAME = "someone/tiny"
TOKEN = "hf_this-is-the-secret"
MODEL = b"\x12\x80\xe0\x12" + bytes(range(256)) * 1200
"""A graph of one long text, by the encoding of ONNX: several blocks, so a download can stop between two."""
CARD = (
    "---\nlicense: apache-2.0\nbase_model: some/encoder\npipeline_tag: token-classification\n---\n\n# Tiny\n"
)
SCORE = {"precision": 0.9, "recall": 0.9, "f1": 0.9, "ci95": [0.8, 1.0]}
Files = dict[str, bytes]


def make_bundle(
    folder: Path, *, card: str = CARD, licence: str = "Apache-2.0", scored: bool = True, text: str = "{}"
) -> Bundle:
    """A bundle as far as its files go; there is no model in it."""
    folder.mkdir(parents=True)
    (folder / "README.md").write_text(card, encoding="utf-8")
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    (folder / "model.onnx").write_bytes(MODEL)
    if scored:
        rows = [
            {"corpus": name, "split": "test", "protocol": "mention", "micro": SCORE}
            for name in ("ncbi-disease", "ours")
        ]
        (folder / "scores.json").write_text(json.dumps({"results": rows}), encoding="utf-8")
    backbone = BackboneReference("tiny", "some/encoder", "0" * 40, "0" * 64, "MIT")
    heads = (Head("ncbi-disease", ("Disease",)), Head("ours", ("Gene",)))
    return seal(folder, Manifest("tiny", "runtime", "0.1.0", heads, 80, 16, backbone, licence=licence))


@dataclass
class Hub:
    """A stand-in for the hub: commits, large files in a store of their own, and faults on demand."""

    address: str = ""
    commits: dict[str, Files] = field(default_factory=dict)
    head: str | None = None
    private: bool | None = None
    large: Files = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    tokens: dict[str, str | None] = field(default_factory=dict)
    refuse: dict[str, int] = field(default_factory=dict)
    stop_after: int | None = None
    ranges: bool = True

    def commit(self, files: Files) -> str:
        """Replace all files."""
        self.head = hashlib.sha1(repr((self.head, sorted(files.items()))).encode()).hexdigest()
        self.commits[self.head] = files
        return self.head

    def publish(self, bundle: Bundle, **changed: bytes) -> Reference:
        """Commit the files of a bundle, some of them with wrong content."""
        names = [MANIFEST, *bundle.manifest.files]
        files = {name: (bundle.folder / name).read_bytes() for name in names}
        return Reference(NAME, self.commit({**files, **{k.replace("_", "."): v for k, v in changed.items()}}))

    @property
    def request_lines(self) -> list[str]:
        return [f"{method} {path}" for method, path in self.requests]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path, _, _ = handler.path.partition("?")
        self.requests.append((handler.command, path))
        host = str(handler.headers["Host"]).partition(":")[0]
        self.tokens[host] = handler.headers["Authorization"] or self.tokens.get(host)
        body = handler.rfile.read(int(handler.headers["Content-Length"] or 0))
        status = next((code for part, code in self.refuse.items() if part in path), None)
        if status:
            return self.say(handler, status, {"error": "no"})
        if path.startswith(f"/{NAME}/resolve/"):
            return self.send(handler, *path.removeprefix(f"/{NAME}/resolve/").split("/", 1))
        if path.startswith("/cdn/"):
            return self.send_bytes(handler, self.large[path.removeprefix("/cdn/")])
        if handler.command == "PUT":
            self.large[path.rpartition("/")[2]] = body
            return self.say(handler, 200, {})
        if path.startswith(f"/api/models/{NAME}") and handler.command == "GET":
            return self.describe(handler, path)
        return self.take(handler, path, body)

    def take(self, handler: BaseHTTPRequestHandler, path: str, body: bytes) -> None:
        """Handle the requests of ``create_repo`` and ``create_commit`` of the hub's library."""
        if path == "/api/repos/create":
            record = json.loads(body)
            self.private = record.get("private", record.get("visibility") == "private")
            self.commit({".gitattributes": b"*.onnx filter=lfs\n"})
            return self.say(handler, 200, {"url": f"{self.address}/{NAME}"})
        if path == "/api/validate-yaml":
            return self.say(handler, 200, {"errors": [], "warnings": []})
        if path == f"/api/models/{NAME}/preupload/main":
            modes = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(".onnx") else "regular",
                    "shouldIgnore": False,
                    "oid": None,
                }
                for file in json.loads(body)["files"]
            ]
            return self.say(handler, 200, {"files": modes})
        if path == f"/{NAME}.git/info/lfs/objects/batch":
            objects = json.loads(body)["objects"]
            upload = {
                file["oid"]: {"upload": {"href": f"{self.address}/lfs/{file['oid']}"}}
                for file in objects
                if file["oid"] not in self.large
            }
            rows = [
                {**file, **({"actions": upload[file["oid"]]} if file["oid"] in upload else {})}
                for file in objects
            ]
            return self.say(handler, 200, {"objects": rows})
        if path == f"/api/models/{NAME}/commit/main":
            return self.change(handler, [json.loads(line) for line in body.splitlines()])
        return self.say(handler, 404, {"error": path})

    def change(self, handler: BaseHTTPRequestHandler, lines: list[dict[str, Any]]) -> None:
        if lines[0]["value"].get("parentCommit") != self.head:
            return self.say(handler, 412, {"error": "the branch has moved"})
        files = dict(self.commits[self.head or ""])
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "deletedFile":
                del files[value["path"]]
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.large[value["oid"]]
            else:
                files[value["path"]] = base64.b64decode(value["content"])
        commit = self.commit(files)
        return self.say(
            handler, 200, {"commitUrl": f"{self.address}/{NAME}/commit/{commit}", "commitOid": commit}
        )

    def describe(self, handler: BaseHTTPRequestHandler, path: str) -> None:
        revision = path.rpartition("/revision/")[2] if "/revision/" in path else "main"
        commit = self.head if revision == "main" else revision
        if commit not in self.commits:
            return self.say(handler, 404, {"error": "no"}, {"X-Error-Code": "RepoNotFound"})
        siblings = [{"rfilename": name} for name in self.commits[commit]]
        return self.say(
            handler, 200, {"id": NAME, "sha": commit, "siblings": siblings, "private": True, "tags": []}
        )

    def send(self, handler: BaseHTTPRequestHandler, revision: str, name: str) -> None:
        content = self.commits.get(revision, {}).get(name)
        if content is None:
            return self.say(handler, 404, {"error": "no"})
        if not name.endswith(".onnx"):
            return self.send_bytes(handler, content)
        oid = hashlib.sha256(content).hexdigest()
        self.large[oid] = content
        elsewhere = self.address.replace("127.0.0.1", "localhost")
        return self.say(handler, 302, {}, {"Location": f"{elsewhere}/cdn/{oid}"})

    def send_bytes(self, handler: BaseHTTPRequestHandler, content: bytes) -> None:
        start = int((handler.headers["Range"] or "bytes=0-")[6:-1]) if self.ranges else 0
        rest = content[start:]
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(rest)))
        handler.end_headers()
        handler.wfile.write(rest[: self.stop_after])
        handler.close_connection = True

    def say(self, handler: BaseHTTPRequestHandler, status: int, record: object, headers: Any = ()) -> None:
        content = json.dumps(record).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        for key, value in dict(headers).items():
            handler.send_header(key, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            hub.answer(self)

        do_POST = do_PUT = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        template = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.delenv("OPENMED_NER_OFFLINE", raising=False)
        thread = Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        yield hub
        close_session()
        server.shutdown()
        thread.join()


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "made/tiny")


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Run the command line; returns its exit status and output."""

    def run(*words: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["openmed-ner", "bundles", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        assert TOKEN not in printed.out + printed.err
        return int(end.value.code or 0), printed.out + printed.err

    return run


def content_of(folder: Path) -> Files:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


# --- the plan


def test_a_plan_says_everything_and_asks_nobody(
    bundle: Bundle, no_socket: None, run: Callable[..., tuple[int, str]]
) -> None:
    status, printed = run("push", bundle.folder, NAME)
    assert status == 0
    for name, file in bundle.manifest.files.items():
        assert f"{file.sha256}  {file.size:>10}  {name}" in printed
    assert f"{bundle.sha256}" in printed and "branch main; private if it is new" in printed
    assert "corpus ncbi-disease: United States Government work" in printed
    assert "corpus ours: stated by its owner" in printed and "backbone tiny: MIT" in printed
    assert "nothing was sent" in printed


def test_a_plan_can_be_read_by_a_program(bundle: Bundle, run: Callable[..., tuple[int, str]]) -> None:
    plan = json.loads(run("push", bundle.folder, f"{NAME}@next", "--public", "--json")[1])
    assert (plan["repository"], plan["branch"], plan["private"]) == (NAME, "next", False)
    assert plan["sha256"] == bundle.sha256 and set(plan["files"]) == {MANIFEST, *bundle.manifest.files}
    assert plan["problems"] == [] and plan["commit"] is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"scored": False}, "no test score of ncbi-disease, ours"),
        ({"card": "# Tiny\n"}, "no license, base_model, pipeline_tag in its metadata"),
        ({"licence": "unknown"}, "the licence of the weights is 'unknown'"),
    ],
)
def test_what_speaks_against_publishing_is_said_and_refused(
    tmp_path: Path, run: Callable[..., tuple[int, str]], changed: dict[str, Any], message: str
) -> None:
    flawed = make_bundle(tmp_path / "made", **changed)
    for options in ([], ["--yes"]):
        status, printed = run("push", flawed.folder, NAME, *options)
        assert status == 2 and message in printed


def test_an_unscored_bundle_is_published_on_request_only(hub: Hub, tmp_path: Path) -> None:
    unscored = make_bundle(tmp_path / "made", scored=False)
    with pytest.raises(InputError, match="evaluate --attach"):
        push(plan_push(unscored.folder, Reference(NAME)))
    push(plan_push(unscored.folder, Reference(NAME), unscored=True))
    assert hub.head


def test_a_changed_bundle_gets_no_plan(bundle: Bundle) -> None:
    (bundle.folder / "model.onnx").write_bytes(MODEL[::-1])
    with pytest.raises(BundleError, match="SHA-256"):
        plan_push(bundle.folder, Reference(NAME))


def test_a_commit_cannot_be_published_to(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="name a branch"):
        plan_push(bundle.folder, Reference(NAME, "0" * 40))


# --- pushing


def test_what_is_published_is_one_commit_and_fetched_the_same(
    hub: Hub, bundle: Bundle, tmp_path: Path, run: Callable[..., tuple[int, str]]
) -> None:
    status, printed = run("push", bundle.folder, NAME, "--yes")
    assert status == 0 and hub.private is True
    assert len(hub.commits) == 2  # the hub's own first one, and ours
    line = next(line for line in printed.splitlines() if line.startswith("openmed-ner bundles fetch "))
    words = line.split()[3:]
    words[-1] = str(tmp_path / words[-1])
    status, printed = run("fetch", *words)
    assert (status, printed) == (
        0,
        f"{words[-1]}: tiny, 4 files match the manifest\nsha256 {bundle.sha256}\n",
    )
    assert content_of(tmp_path / "tiny") == content_of(bundle.folder)
    assert open_bundle(tmp_path / "tiny").sha256 == bundle.sha256


def test_the_token_is_shown_to_the_hub_and_to_nobody_else(hub: Hub, bundle: Bundle, tmp_path: Path) -> None:
    fetch_bundle(hub.publish(bundle), tmp_path / "new")
    assert hub.tokens == {"127.0.0.1": f"Bearer {TOKEN}", "localhost": None}


def test_a_new_version_takes_the_place_of_the_old_one(hub: Hub, bundle: Bundle, tmp_path: Path) -> None:
    push(plan_push(bundle.folder, Reference(NAME)))
    other = make_bundle(tmp_path / "other", scored=False, text='{"new": 1}')
    newest = push(plan_push(other.folder, Reference(NAME), unscored=True))
    assert hub.commits[newest.revision] == {
        ".gitattributes": b"*.onnx filter=lfs\n",
        **content_of(other.folder),
    }


def test_publishing_again_changes_nothing_in_what_is_there(hub: Hub, bundle: Bundle) -> None:
    first = push(plan_push(bundle.folder, Reference(NAME)))
    second = push(plan_push(bundle.folder, Reference(NAME)))
    assert hub.commits[first.revision] == hub.commits[second.revision]


def test_an_interrupted_upload_leaves_the_repository_as_it_was_and_goes_on(hub: Hub, bundle: Bundle) -> None:
    before = hub.commit({".gitattributes": b""})
    hub.refuse = {"/commit/": 500}
    with pytest.raises(
        RunError, match=r"someone/tiny has all of the bundle or nothing of it: the hub answered 500"
    ):
        push(plan_push(bundle.folder, Reference(NAME)))
    assert hub.head == before and len(hub.large) == 1
    hub.refuse = {}
    hub.requests.clear()
    push(plan_push(bundle.folder, Reference(NAME)))
    assert not [line for line in hub.request_lines if line.startswith("PUT")]  # the large file had arrived
    assert hub.head != before


@pytest.mark.parametrize(
    ("part", "status"),
    [("/preupload/", 403), ("/objects/batch", 403), ("/lfs/", 403), ("/validate-yaml", 400)],
)
def test_wherever_an_upload_stops_the_repository_stays_as_it_was(
    hub: Hub, bundle: Bundle, part: str, status: int
) -> None:
    before = hub.commit({".gitattributes": b""})
    hub.refuse = {part: status}
    with pytest.raises(
        RunError,
        match=r"someone/tiny has all of the bundle or nothing of it: (.*answered 403|Invalid metadata)",
    ):
        push(plan_push(bundle.folder, Reference(NAME)))
    assert hub.head == before and len(hub.commits) == 1


def test_a_repository_of_something_else_is_left_alone(hub: Hub, bundle: Bundle) -> None:
    hub.commit({".gitattributes": b"", "README.md": b"", "thesis.pdf": b"%PDF"})
    with pytest.raises(InputError, match=r"holds no bundle but thesis\.pdf"):
        push(plan_push(bundle.folder, Reference(NAME)))
    assert len(hub.commits) == 1 and not hub.large


def test_a_file_that_changes_after_the_plan_is_not_sent(hub: Hub, bundle: Bundle) -> None:
    plan = plan_push(bundle.folder, Reference(NAME))
    (bundle.folder / "model.onnx").write_bytes(MODEL[::-1])
    with pytest.raises(BundleError, match="has changed since it was checked"):
        push(plan)
    assert not hub.large


def test_who_publishes_at_the_same_time_loses_nothing(
    hub: Hub, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.commit({".gitattributes": b""})
    take = hub.take

    def meanwhile(handler: BaseHTTPRequestHandler, path: str, body: bytes) -> None:
        if "/commit/" in path:
            hub.commit({MANIFEST: b"{}"})
        take(handler, path, body)

    monkeypatch.setattr(hub, "take", meanwhile)
    with pytest.raises(RunError, match="answered 412: someone else has published"):
        push(plan_push(bundle.folder, Reference(NAME)))
    assert hub.commits[hub.head or ""] == {MANIFEST: b"{}"}


def test_without_a_token_nothing_is_asked(
    bundle: Bundle, no_socket: None, monkeypatch: pytest.MonkeyPatch, run: Callable[..., tuple[int, str]]
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    status, printed = run("push", bundle.folder, NAME, "--yes")
    assert status == 2 and "set HF_TOKEN, or log in" in printed


@pytest.mark.parametrize(
    ("code", "message"), [(401, "access token was not accepted"), (403, "may not do that")]
)
def test_a_refusal_says_what_to_do(
    hub: Hub, bundle: Bundle, run: Callable[..., tuple[int, str]], code: int, message: str
) -> None:
    hub.refuse = {"/": code}
    for words in (("push", bundle.folder, NAME, "--yes"), ("fetch", f"{NAME}@{'a' * 40}", "-o", "new")):
        status, printed = run(*words)
        assert status == 1 and message in printed


def test_a_token_is_never_taken_from_the_command_line(
    bundle: Bundle, run: Callable[..., tuple[int, str]]
) -> None:
    assert run("push", bundle.folder, NAME, "--token", "x")[0] == 2


# --- fetching


@pytest.mark.parametrize("name", [NAME, "someone/else"])
def test_a_commit_that_the_hub_does_not_know_is_told(
    hub: Hub, bundle: Bundle, tmp_path: Path, name: str
) -> None:
    hub.publish(bundle)
    with pytest.raises(RunError, match=r"answered 404: no such repository, branch, commit or file"):
        fetch_bundle(Reference(name, "f" * 40), tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


@given(st.from_regex(r"[A-Za-z0-9][\w-]{0,9}/[A-Za-z0-9][\w-]{0,9}@[0-9a-f]{40}", fullmatch=True))
def test_a_reference_is_read_as_it_is_written(text: str) -> None:
    if text.isascii():
        assert str(Reference.parse(text)) == text and Reference.parse(text).is_pinned


@pytest.mark.parametrize("text", ["tiny", "a/b/c", "../x", "a/..", "a b/c", "/x", "a/", "https://a/b"])
def test_what_names_no_repository_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected owner/name"):
        Reference.parse(text)


@pytest.mark.parametrize("revision", ["main", "v1.0", "a" * 39, "A" * 40])
def test_only_a_full_commit_hash_is_fetched(no_socket: None, tmp_path: Path, revision: str) -> None:
    with pytest.raises(InputError, match="not a full commit hash"):
        fetch_bundle(Reference(NAME, revision), tmp_path / "new")


def test_a_branch_is_resolved_to_what_it_names_now(
    hub: Hub, bundle: Bundle, run: Callable[..., tuple[int, str]]
) -> None:
    expected = hub.publish(bundle)
    assert resolve(Reference(NAME)) == expected
    assert run("fetch", NAME, "--resolve") == (0, f"{expected}\n")
    assert not [line for line in hub.request_lines if "/resolve/" in line]


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_goes_on(hub: Hub, bundle: Bundle, tmp_path: Path, ranges: bool) -> None:
    reference = hub.publish(bundle)
    hub.stop_after, hub.ranges = len(MODEL) // 3, ranges
    tries = 0
    while True:
        tries += 1
        try:
            fetch_bundle(reference, tmp_path / "new", sha256=bundle.sha256)
            break
        except RunError as error:
            assert "run the command again to go on" in str(error)
            assert not (tmp_path / "new").exists()
        if not ranges:
            hub.stop_after = None
    assert tries == (3 if ranges else 2) + (len(MODEL) % 3 > 0 and ranges)
    assert content_of(tmp_path / "new") == content_of(bundle.folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "new"]


def test_another_digest_keeps_nothing(hub: Hub, bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=f"{bundle.sha256}, expected {'0' * 64}"):
        fetch_bundle(hub.publish(bundle), tmp_path / "new", sha256="0" * 64)
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    assert len(hub.requests) == 1


@pytest.mark.parametrize("wrong", [MODEL[::-1], MODEL[:-1], MODEL + b"?", b""])
def test_a_file_that_is_not_what_the_manifest_says_is_not_kept(
    hub: Hub, bundle: Bundle, tmp_path: Path, wrong: bytes
) -> None:
    reference = hub.publish(bundle, model_onnx=wrong)
    if wrong == MODEL + b"?":  # never more than the manifest says is read
        assert fetch_bundle(reference, tmp_path / "new").read("model.onnx") == MODEL
        return
    with pytest.raises(BundleError, match=r"model.onnx: \d+ bytes with SHA-256"):
        fetch_bundle(reference, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.rglob(".*.partial/model.onnx*"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../evil.json", "does not lie inside"),
        ("/evil.json", "does not lie inside"),
        ("model.pkl", r"model\.pkl is .*; allowed: \.json"),
    ],
)
def test_a_hostile_manifest_is_refused_before_any_file_is_asked_for(
    hub: Hub, bundle: Bundle, tmp_path: Path, name: str, message: str
) -> None:
    record = json.loads((bundle.folder / MANIFEST).read_text())
    record["files"][name] = {"size": 1, "sha256": "0" * 64}
    with pytest.raises(BundleError, match=message):
        fetch_bundle(hub.publish(bundle, manifest_json=json.dumps(record).encode()), tmp_path / "new")
    assert len(hub.requests) == 1 and [path.name for path in tmp_path.iterdir()] == ["made"]


@pytest.mark.parametrize(
    ("manifest", "message"),
    [(b" " * (MAX_JSON + 1), "too many for a manifest"), (b"<html>", "not valid JSON"), (b"[]", "object")],
)
def test_what_is_no_manifest_is_refused(
    hub: Hub, bundle: Bundle, tmp_path: Path, manifest: bytes, message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        fetch_bundle(hub.publish(bundle, manifest_json=manifest), tmp_path / "new")


def test_what_the_disk_cannot_hold_is_not_begun(
    hub: Hub, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_free", lambda folder: 1000)
    with pytest.raises(RunError, match=r"0\.0 MB free; 0\.3 MB are needed"):
        fetch_bundle(hub.publish(bundle), tmp_path / "new")
    assert len(hub.requests) == 1


def test_a_disk_that_fills_up_is_told_and_the_download_goes_on(
    hub: Hub, bundle: Bundle, tmp_path: Path
) -> None:
    reference = hub.publish(bundle)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(MODEL) // 2, limits[1]))
    try:
        with pytest.raises(RunError, match=r"File too large; run the command again"):
            fetch_bundle(reference, tmp_path / "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (tmp_path / "new").exists()
    assert fetch_bundle(reference, tmp_path / "new").sha256 == bundle.sha256


def test_offline_nothing_is_asked(
    bundle: Bundle, tmp_path: Path, no_socket: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENMED_NER_OFFLINE", "1")
    with pytest.raises(RunError, match="OPENMED_NER_OFFLINE=1 forbids downloads"):
        fetch_bundle(Reference(NAME, "a" * 40), tmp_path / "new")
    with pytest.raises(RunError, match="forbids asking the hub"):
        resolve(Reference(NAME))
    with pytest.raises(RunError, match="forbids uploads"):
        push(plan_push(bundle.folder, Reference(NAME)))


def test_a_folder_that_holds_the_bundle_is_left_alone_and_another_is_refused(
    hub: Hub, bundle: Bundle, tmp_path: Path
) -> None:
    reference = hub.publish(bundle)
    fetch_bundle(reference, tmp_path / "new")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "new").iterdir()}
    hub.requests.clear()
    fetch_bundle(reference, tmp_path / "new")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "new").iterdir()} == before
    assert len(hub.requests) == 1
    with pytest.raises(InputError, match="exists and holds something else"):
        fetch_bundle(reference, tmp_path / "made")
