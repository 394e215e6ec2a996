from __future__ import annotations

import asyncio
import gzip
import json
import logging
import socket
import struct
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.python.asgi import shutdown_lifespans
from starlette.testclient import TestClient

from asgi import tag_scope
from openmed_ner.service.app import create_app
from openmed_ner.service.middleware import LogFormatter
from openmed_ner.service.security import BodyLimits
from openmed_ner.service.server import listen, make_server
from openmed_ner.service.settings import ServiceSettings
from strategies import at_most
from stub_service import MARKER, SECRET, StubTagger, asgi, code, make_app

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
APP = make_app(StubTagger())
SCHEMA = schemathesis.openapi.from_dict(APP.openapi())  # from_asgi would start the application
SCHEMA.app = APP
UPLOAD = "/tag/file"
TIMEOUT = 60.0
"""Seconds for one request, on a machine that has other work."""


@pytest.fixture(scope="module", autouse=True)
def end_application() -> Iterator[None]:
    """End what schemathesis starts; its plugin for pytest would, but costs every worker a second."""
    yield
    shutdown_lifespans()


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(make_app(StubTagger(), timeout=5.0)) as client:
        yield client


def post(client: TestClient, body: bytes, content_type: str = "application/json") -> Any:
    return client.post("/tag", content=body, headers={"Content-Type": content_type})


# --- What schemathesis makes of the OpenAPI document


@pytest.mark.fuzz
@given(case=SCHEMA.as_strategy(GenerationMode.POSITIVE))
def test_what_the_document_allows_is_answered_as_it_says(case: Any) -> None:
    case.call_and_validate(checks=CHECKS, timeout=TIMEOUT)


@pytest.mark.fuzz
@given(case=SCHEMA.include(method="POST").exclude(path=UPLOAD).as_strategy(GenerationMode.NEGATIVE))
def test_what_the_document_forbids_is_refused_as_it_says(case: Any) -> None:
    case.call_and_validate(checks=CHECKS, timeout=TIMEOUT)


# schemathesis makes no forbidden form with a file in it.
OPTIONS = sorted(
    SCHEMA.raw_schema["paths"][UPLOAD]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"][
        "properties"
    ]
)
ODD_VALUES = [
    "",
    "true",
    "TRUE",
    "NaN",
    "-1",
    "1e999",
    "9" * 5000,
    "[]",
    "null",
    "json",
    "auto",
    "a,,b",
    "\0",
]
ODD_NAMES = [
    "a.txt",
    "a.xml",
    "a.json",
    "a.pubtator",
    "a.csv",
    "../../a.txt",
    'a".txt',
    "a\r\nX: 1",
    "",
    "a\0.txt",
]
fields = st.tuples(
    st.sampled_from([*OPTIONS, "text", "__proto__", ""]) | st.text(max_size=8),
    st.none(),
    (st.sampled_from(ODD_VALUES) | st.text(max_size=12)).map(lambda text: text.encode("utf-8", "replace")),
)
files = st.tuples(
    st.sampled_from(["file", "File", "other"]),
    st.sampled_from(ODD_NAMES) | st.text(max_size=8),
    st.binary(max_size=60)
    | st.sampled_from([b"aspirin", b"1|t|a\n1|a|b", b'{"text": "a"}', b"text\na", b"<a/>"]),
)


def form(parts: list[tuple[str, str | None, bytes]]) -> bytes:
    """A form whose names are written as they are, so that a quote or a line end in one breaks it."""
    content = b""
    for name, file_name, value in parts:
        head = f'form-data; name="{name}"' + ("" if file_name is None else f'; filename="{file_name}"')
        content += (
            b"--x\r\nContent-Disposition: " + head.encode("utf-8", "replace") + b"\r\n\r\n" + value + b"\r\n"
        )
    return content + b"--x--\r\n"


@pytest.mark.fuzz
@given(
    parts=st.lists(fields | files, max_size=5),
    noise=st.none() | st.tuples(st.integers(0, 300), st.binary(max_size=4)),
)
def test_any_form_is_answered_as_the_document_says(
    client: TestClient, parts: list[tuple[str, str | None, bytes]], noise: tuple[int, bytes] | None
) -> None:
    body = form(parts)
    if noise is not None:
        place, inserted = noise
        body = body[:place] + inserted + body[place + len(inserted) :]
    answer = client.post(UPLOAD, content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status_code in (200, 415, 422), answer.text
    SCHEMA[UPLOAD]["POST"].validate_response(answer)


# --- Bodies


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b'{"text": "a"} {}',
        b'{"text": "\xff\xfe"}',
        b'{"text": "\xed\xa0\x80"}',
        b'{"text": "\\ud800"}',
        b'{"text": "a", "id": "\\udfff"}',
        b'{"text": 1}',
        b'{"text": ["a"]}',
        b'{"texts": "a"}',
        b'{"texts": {"0": "a"}}',
        b'{"text": "a", "threshold": NaN}',
        b'{"text": "a", "threshold": Infinity}',
        b'{"text": "a", "threshold": 1e999}',
        b'{"text": "a", "threshold": true}',
        b'{"text": "a", "threshold": "0.5"}',
        b'{"text": "a", "output": "exe"}',
        b'{"text": "a", "output": ["json"]}',
        b'{"text": "a", "__proto__": {}}',
        b'{"text": "a", "threshold": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"texts": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"texts": [' + b"1," * 100_000 + b"1]}",
        b'{"text": "a"' + b',"b":1' * 100_001 + b"}",
        gzip.compress(b'{"text": "a"}', mtime=0),
        '{"text": "a"}'.encode("utf-16"),
        b"\xef\xbb\xbf{",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_a_body_that_is_no_request_is_422(client: TestClient, body: bytes) -> None:
    answer = post(client, body)
    assert answer.status_code == 422, answer.text
    assert code(answer) in ("invalid_json", "invalid_request")


@given(
    kind=st.sampled_from(["/tag", "/tag/file", "x.xml", "x.json", "x.pubtator", "x.conll", "x.csv"]),
    body=st.binary(max_size=200) | st.recursive(st.none() | st.text(), st.lists).map(str).map(str.encode),
)
def test_bytes_of_any_kind_are_refused_in_good_order(client: TestClient, kind: str, body: bytes) -> None:
    if kind == "/tag":
        answer = post(client, body)
    elif kind == "/tag/file":
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        answer = client.post(kind, content=b"--x" + body, headers=headers)
    else:
        answer = client.post("/tag/file", files={"file": (kind, body)})
    assert answer.status_code in (200, 415, 422), answer.text


def test_only_json_is_json(client: TestClient) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""):
        answer = post(client, b'{"text": "a"}', kind)
        assert (answer.status_code, code(answer)) == (415, "unsupported_media_type")
    assert post(client, b'{"text": "a"}', "Application/JSON; charset=utf-8").status_code == 200


def test_a_refusal_does_not_repeat_what_was_sent(client: TestClient) -> None:
    for body in (
        {"text": [MARKER]},
        {"text": "a", MARKER: 1},
        {"text": "a", "output": MARKER},
        {"text": "a", "threshold": MARKER},
        {"texts": ["a"], "ids": [MARKER, MARKER]},
    ):
        answer = post(client, json.dumps(body).encode())
        assert answer.status_code == 422 and MARKER not in answer.text


def test_a_body_is_counted_whatever_it_announces() -> None:
    async def upload(app: Any, chunks: int, declared: bytes | None) -> tuple[int, int]:
        sent: list[Any] = []
        read = 0

        async def receive() -> Any:
            nonlocal read
            read += 1
            return {"type": "http.request", "body": b"x" * 1000, "more_body": read < chunks}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = tag_scope(*([(b"content-length", declared)] if declared else []))
        await app(scope, receive, send)
        return sent[0]["status"], read

    app = make_app(StubTagger(), max_body=5000)
    assert asyncio.run(upload(app, 10**9, None)) == (413, 6)
    assert asyncio.run(upload(app, 10**9, b"9" * 30)) == (413, 0)
    assert asyncio.run(upload(app, 10**9, b"100")) == (413, 6)


def test_large_bodies_at_once_are_bounded_together() -> None:
    async def inner(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await asyncio.sleep(0.05)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def one(limits: BodyLimits) -> int:
        async def receive() -> Any:
            return {"type": "http.request", "body": b"x" * 100, "more_body": False}

        async def send(message: Any) -> None:
            pass

        try:
            await limits({"type": "http", "headers": []}, receive, send)
        except Exception as error:
            return int(getattr(error, "status", 0))
        return 200

    async def work() -> list[int]:
        limits = BodyLimits(inner, max_body=100, timeout=5)
        first = await asyncio.gather(*(one(limits) for _ in range(10)))
        return [*first, await one(limits)]

    assert asyncio.run(work()) == [200] * 8 + [429] * 2 + [200]


def test_a_body_that_does_not_come_is_given_up() -> None:
    async def requests(client: Any) -> None:
        async def slowly() -> Any:
            yield b'{"text": '
            await asyncio.sleep(5)

        answer = await client.post("/tag", content=slowly(), headers={"Content-Type": "application/json"})
        assert (answer.status_code, code(answer)) == (408, "slow_body")
        assert answer.headers["connection"] == "close"

    asyncio.run(asgi(make_app(StubTagger(), body_timeout=0.1), requests))


# --- Files

LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE c [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><collection><document><id>&c;</id></document></collection>"""


@pytest.mark.parametrize(
    ("name", "content", "status", "reason"),
    [
        ("a.txt.gz", gzip.compress(b"a" * 10**6, mtime=0), 415, "compressed"),
        ("a.txt", gzip.compress(b"a", mtime=0), 415, "compressed"),
        ("a.zip", b"PK\x03\x04...", 415, "compressed"),
        ("a.xml", LAUGHS, 422, "invalid_file"),
        ("a.xml", b"<a>" * 10_000, 422, "invalid_file"),
        ("a.json", b"[" * 100_000, 422, "invalid_file"),
        ("a.jsonl", b'{"text": "\\ud800"}', 422, "invalid_file"),
        ("a.conll", b"-DOCSTART-\tx\t-\tO\n\na\t999999999\t1000000000\tO\n", 422, "text_too_long"),
        ("a.csv", b"id,text\n1,\xff", 422, "invalid_file"),
        ("a.jsonl", b'{"text": "a"}\n' * 2000, 422, "too_many_texts"),
        ("a.txt", b"a" * 1_000_001, 422, "text_too_long"),
    ],
)
def test_a_hostile_file_is_refused(
    client: TestClient, name: str, content: bytes, status: int, reason: str
) -> None:
    answer = client.post("/tag/file", files={"file": (name, content)})
    assert (answer.status_code, code(answer)) == (status, reason), answer.text[:300]
    assert len(answer.content) < 5000


def test_gaps_between_tokens_do_not_fill_the_memory(client: TestClient) -> None:
    rows = "".join(f"a\t{place}\t{place + 1}\tO\n" for place in range(0, 200_000_000, 9_000))
    tracemalloc.start()
    answer = client.post("/tag/file", files={"file": ("a.conll", f"-DOCSTART-\tx\t-\tO\n\n{rows}".encode())})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert code(answer) == "text_too_long" and peak < 50_000_000


@pytest.mark.parametrize(
    "form",
    [
        b"",
        b"--x--\r\n",
        b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\ntext\r\n--x--\r\n',
        b'--x\r\nContent-Disposition: form-data; filename="a"\r\n\r\ntext\r\n--x--\r\n',
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\ntext',
        b'--x\r\nContent-Disposition: form-data; name="from"\r\n\r\n' + b"y" * 20_000 + b"\r\n--x--\r\n",
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\na\r\n' * 2 + b"--x--\r\n",
        b'--x\r\nContent-Disposition: form-data; name="z"\r\n\r\na\r\n' * 50 + b"--x--\r\n",
    ],
    ids=lambda form: repr(form[-40:]),
)
def test_a_broken_form_is_refused(client: TestClient, form: bytes) -> None:
    answer = client.post(
        "/tag/file", content=form, headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert (answer.status_code, code(answer)) == (422, "invalid_form")


@pytest.mark.parametrize("kind", ["", "multipart/form-data", "multipart/mixed; boundary=x", "text/plain"])
def test_only_forms_are_forms(client: TestClient, kind: str) -> None:
    answer = client.post("/tag/file", content=b"--x--\r\n", headers={"Content-Type": kind})
    assert answer.status_code == 415


def test_the_client_does_not_choose_how_names_are_decoded(client: TestClient) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="\\ud800.txt"\r\n\r\na\r\n--x--\r\n'
    kind = "multipart/form-data; charset=unicode_escape; boundary=x"
    answer = client.post("/tag/file", content=form, headers={"Content-Type": kind})
    assert answer.status_code == 200
    assert answer.json()["documents"][0]["id"].isascii()


# --- Who may ask


def test_a_name_that_is_not_ours_is_refused() -> None:
    with TestClient(make_app(StubTagger(), hosts=("Ner.Example",)), base_url="http://localhost") as client:
        for host in (
            "localhost",
            "LOCALHOST:8765",
            "127.0.0.1:1",
            "[::1]:8765",
            "ner.example",
            "ner.example:80",
        ):
            assert client.get("/health", headers={"Host": host}).status_code == 200, host
        for host in (
            "evil.example",
            "localhost.evil.example",
            "evil.example:127",
            "a@localhost",
            "[::2]",
            "",
        ):
            answer = client.get("/health", headers={"Host": host})
            assert (answer.status_code, code(answer)) == (403, "host_refused"), host


def test_foreign_pages_may_not_ask_and_named_ones_may() -> None:
    body = {"text": "drug"}
    allowed = "https://lab.example"
    with TestClient(make_app(StubTagger()), base_url="http://localhost") as client:
        for origin, status in ((allowed, 403), ("null", 403), ("http://localhost", 200)):
            answer = client.post("/tag", json=body, headers={"Origin": origin})
            assert answer.status_code == status
            assert "access-control-allow-origin" not in answer.headers
    with TestClient(make_app(StubTagger(), origins=(allowed,), token=SECRET)) as client:
        ask = {"Origin": allowed, "Access-Control-Request-Method": "POST"}
        assert client.options("/tag", headers=ask).headers["access-control-allow-origin"] == allowed
        refused = client.post("/tag", json=body, headers={"Origin": allowed})
        assert refused.status_code == 401, "a page must be able to read that it needs a token"
        assert refused.headers["access-control-allow-origin"] == allowed
        assert client.post("/tag", json=body, headers={"Origin": "https://evil.example"}).status_code == 403


def test_without_the_token_nothing_is_tagged_or_told() -> None:
    with TestClient(make_app(StubTagger(), host="0.0.0.0", token=SECRET, hosts=())) as client:
        wrong = ("", SECRET, f"Basic {SECRET}", "Bearer", f"Bearer {SECRET}x", "Bearer \xff\xfe", "Bearer  ")
        for path, method in (
            ("/tag", "POST"),
            ("/tag/file", "POST"),
            ("/bundles", "GET"),
            ("/ready", "GET"),
            ("/metrics", "GET"),
            ("/nothing", "GET"),
        ):
            for header in wrong:
                answer = client.request(method, path, headers={"Authorization": header.encode("latin-1")})  # type: ignore[dict-item]
                assert (answer.status_code, code(answer)) == (401, "token_needed"), (path, header)
                assert answer.headers["www-authenticate"] == "Bearer"
            authorized = client.request(method, path, headers={"Authorization": f"Bearer {SECRET}"})
            assert authorized.status_code != 401
        for path in ("/health", "/", "/docs", "/openapi.json"):
            assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/../pyproject.toml", "/page/index.html", "/..%2f__init__.py", "/__init__.py", "/%00", "//etc/passwd"],
)
def test_only_the_files_of_the_page_are_served(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


# --- The log


def test_nothing_of_a_text_is_logged(caplog: pytest.LogCaptureFixture, client: TestClient) -> None:
    with caplog.at_level(logging.DEBUG):
        for body in (
            {"text": MARKER},
            {"text": f"FAIL {MARKER}"},
            {"texts": [f"FAIL {MARKER}", MARKER], "ids": [MARKER, "b"]},
            {"text": MARKER, MARKER: MARKER},
            {"text": MARKER, "corpora": [MARKER]},
            {"text": MARKER, "output": "conll", "id": f"{MARKER}\n"},
        ):
            client.post(f"/tag?q={MARKER}", json=body, headers={"User-Agent": MARKER})
        for name, content in (
            (f"{MARKER}.txt", MARKER),
            ("x.jsonl", f"{MARKER} is no JSON"),
            ("x.csv", f"text,{MARKER}\n{MARKER},1"),
            ("x.pubtator", f"{MARKER}|t|a\n{MARKER}\tnonsense"),
            ("x.conll", f"{MARKER} {MARKER}\n"),
            ("x.conll", f"{MARKER} I-{MARKER}\n"),
            ("x.xml", f"<{MARKER}>"),
            ("x.json", f'{{"{MARKER}": 1}}'),
        ):
            client.post("/tag/file", files={"file": (name, content.encode())})
        client.get(f"/{MARKER}")
        client.request(MARKER.replace("-", ""), "/tag")
    records = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert len(records) >= 16
    for record in records:
        assert MARKER not in record.getMessage() and MARKER.replace("-", "") not in record.getMessage()
        assert record.exc_info is None
    assert any("tagging failed" in record.getMessage() for record in records)


def test_a_fault_is_logged_by_its_place_alone(caplog: pytest.LogCaptureFixture) -> None:
    app = make_app(StubTagger())

    @app.get("/fault")
    async def fault() -> None:
        raise ValueError(MARKER)

    with TestClient(app) as client, caplog.at_level(logging.INFO):
        answer = client.get("/fault")
    assert (answer.status_code, code(answer)) == (500, "fault")
    assert MARKER not in answer.text and MARKER not in caplog.text
    assert "ValueError at" in caplog.text and "test_hostile_requests.py" in caplog.text
    assert answer.headers["x-content-type-options"] == "nosniff"


# --- The socket


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    settings = ServiceSettings(port=0, body_timeout=0.6, max_body=100_000)
    listener, started = listen(settings), threading.Event()
    server = make_server(create_app(StubTagger(), settings), settings, on_start=started.set)
    thread = threading.Thread(target=server.run, args=([listener],))
    number = int(listener.getsockname()[1])
    thread.start()
    assert started.wait(20)
    yield number
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


def talk(port: int, *pieces: bytes) -> bytes:
    """Send pieces, and read until the server closes the connection; it must not take long."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for piece in pieces:
            connection.sendall(piece)
        answer = b""
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except ConnectionResetError:
            pass
        return answer


HEAD = b"POST /tag HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"


REQUEST = HEAD.replace(b"Connection: close\r\n", b"") + b'Content-Length: 16\r\n\r\n{"text": "drug"}'
CHUNKED = HEAD.replace(b"Connection: close\r\n", b"") + b"Transfer-Encoding: chunked\r\n\r\n"
PIECES = [
    REQUEST,
    REQUEST[:-5],
    REQUEST + b"x",
    CHUNKED + b"5\r\nabcde\r\n",
    CHUNKED + b"zz\r\n",
    CHUNKED + b"0\r\n\r\n",
    HEAD + b"Content-Length: 100001\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"POST /tag HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
    b"HEAD /tag HTTP/1.0\r\n\r\n",
    b"\x16\x03\x01\x02\x00\r\n\r\n",
    b"\r\n",
    b"",
]


@at_most(25)
@given(
    pieces=st.lists(st.sampled_from(PIECES), min_size=1, max_size=4),
    cut=st.integers(0, 400),
    end=st.sampled_from(["wait", "close", "reset"]),
)
def test_no_client_causes_a_traceback_or_a_fault(port: int, pieces: list[bytes], cut: int, end: str) -> None:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    content = b"".join(pieces)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            with suppress(OSError):
                connection.sendall(content[:cut])
                connection.sendall(content[cut:])
            if end == "wait":
                connection.settimeout(0.05)
                with suppress(OSError):
                    connection.recv(65536)
            elif end == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert b" 200 " in talk(port, HEAD + b'Content-Length: 16\r\n\r\n{"text": "drug"}')
    finally:
        logging.getLogger().removeHandler(handler)
    bad = [record for record in records if record.exc_info or record.levelno >= logging.ERROR]
    assert [record.getMessage() for record in bad] == []


def test_a_client_that_goes_within_its_body_is_no_fault(port: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for request in (REQUEST[:-5], HEAD + b"Content-Length: 99\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(request)
                time.sleep(0.1)
        talk(port, HEAD + b'Content-Length: 16\r\n\r\n{"text": "drug"}')
    lines = [record.getMessage() for record in caplog.records if "POST /tag" in record.getMessage()]
    assert [line.split()[2] for line in lines] == ["499", "499", "200"]


def test_exceptions_are_logged_by_type_and_place() -> None:
    try:
        raise ValueError(MARKER)
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 1, "fault", (), sys.exc_info())
    line = LogFormatter("%(message)s").format(record)
    assert MARKER not in line and "Traceback" not in line
    assert line.startswith("fault\nValueError at test_hostile_requests.py:")


def test_slow_clients_are_let_go(port: int) -> None:
    assert talk(port) == b"", "a client that says nothing"
    assert talk(port, b"GET / HTTP/1.1\r\nHost: loc") == b"", "a client that never ends its headers"
    assert b" 408 " in talk(port, HEAD + b"Content-Length: 100\r\n\r\n", b'{"text": ')


def test_a_refused_upload_does_not_drip_for_ever(port: int) -> None:
    head = HEAD.replace(b"Connection: close\r\n", b"Content-Length: 100001\r\n\r\n")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head)
        assert b" 413 " in connection.recv(65536)
        with pytest.raises(OSError):
            for _ in range(100):
                connection.sendall(b"x")
                time.sleep(0.05)


def test_malformed_http_is_refused(port: int) -> None:
    assert b" 400 " in talk(port, b"\x16\x03\x01\x02\x00\x01\r\n\r\n")
    assert b" 400 " in talk(port, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    assert b" 400 " in talk(port, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 20_000)
    assert b" 413 " in talk(port, HEAD + b"Content-Length: 100001\r\n\r\n")
    assert b" 200 " in talk(port, HEAD + b"Content-Length: 16\r\n\r\n", b'{"text": "drug"}')
    chunked = b"%x\r\n%s\r\n" % (99, b"x" * 99) * 1100
    assert b" 413 " in talk(port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunked)
