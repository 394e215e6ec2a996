"""With OPENMED_NER_OFFLINE=1 nothing leaves the machine, whoever in the process tries."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from openmed_ner.bundle import Bundle
from openmed_ner.bundle.manifest import MODEL
from openmed_ner.errors import OfflineError
from openmed_ner.offline import (
    ENVIRONMENT,
    TELEMETRY,
    VARIABLES,
    disable_telemetry,
    is_offline,
    require_network,
)

NOBODY = "203.0.113.7"  # an address that is reserved for documentation: nobody answers there
COMMAND = [sys.executable, "-m", "openmed_ner"]


def run(*command: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, ENVIRONMENT: "1"},
    )


def attempts() -> str:
    """A program that tries every way out and in, and prints what became of each."""
    return f"""
import json, socket, urllib.request
from openmed_ner.errors import OfflineError
from openmed_ner.offline import refuse_network
refuse_network()
refuse_network()  # once more makes no difference
found = {{}}

def attempt(name, call):
    try:
        call()
        found[name] = "done"
    except Exception as error:
        inner = getattr(error, "reason", error)
        found[name] = "refused" if isinstance(inner, OfflineError) else type(inner).__name__

def udp():
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

def tcp(family=socket.AF_INET):
    made = socket.socket(family)
    made.settimeout(2)
    return made

server = socket.create_server(("127.0.0.1", 0))
port = server.getsockname()[1]
listener = socket.create_server(("0.0.0.0", 0))
attempt("loopback", lambda: socket.create_connection(("127.0.0.1", port), 2))
attempt("localhost", lambda: socket.create_connection(("localhost", port), 2))
attempt("mapped loopback", lambda: tcp(socket.AF_INET6).connect(("::ffff:127.0.0.1", port)))
attempt("unix", lambda: socket.socket(socket.AF_UNIX).connect("/nonexistent"))
pair = socket.socketpair()
attempt("pair", lambda: pair[0].send(b"x"))
attempt("udp to loopback", lambda: udp().sendto(b"x", ("127.0.0.1", port)))
attempt("name", lambda: socket.getaddrinfo("example.org", 443))
attempt("old name", lambda: socket.gethostbyname("example.org"))
attempt("reverse", lambda: socket.gethostbyaddr("{NOBODY}"))
attempt("tcp", lambda: tcp().connect(("{NOBODY}", 443)))
attempt("tcp no error", lambda: tcp().connect_ex(("{NOBODY}", 443)))
attempt("name in connect", lambda: tcp().connect(("example.org", 443)))
attempt("tcp6", lambda: tcp(socket.AF_INET6).connect(("2001:db8::1", 443)))
attempt("mapped", lambda: tcp(socket.AF_INET6).connect(("::ffff:{NOBODY}", 443)))
attempt("udp", lambda: udp().sendto(b"x", ("{NOBODY}", 53)))
attempt("message", lambda: udp().sendmsg([b"x"], [], 0, ("{NOBODY}", 53)))
attempt("private network", lambda: tcp().connect(("10.0.0.1", 80)))
attempt("url", lambda: urllib.request.urlopen("http://{NOBODY}/", timeout=2))
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def outcome() -> dict[str, str]:
    done = run(sys.executable, "-c", attempts())
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


WAYS_OUT = "name, old name, reverse, tcp, tcp no error, tcp6, mapped, udp, message, private network, url"


@pytest.mark.parametrize("way", WAYS_OUT.split(", "))
def test_every_way_out_is_refused(outcome: dict[str, str], way: str) -> None:
    assert outcome[way] == "refused"


@pytest.mark.parametrize("way", ["loopback", "localhost", "pair", "udp to loopback"])
def test_what_stays_on_the_machine_is_allowed(outcome: dict[str, str], way: str) -> None:
    assert outcome[way] == "done"


def test_a_name_given_to_connect_gets_no_connection(outcome: dict[str, str]) -> None:
    """The system looks it up before Python tells anybody; without a name server that is where it ends."""
    assert outcome["name in connect"] in ("refused", "gaierror")


def test_what_the_system_refuses_is_not_refused_by_us(outcome: dict[str, str]) -> None:
    assert outcome["unix"] == "FileNotFoundError" and outcome["mapped loopback"] != "refused"


def test_the_libraries_are_told() -> None:
    program = (
        "from openmed_ner.offline import refuse_network\n"
        "refuse_network()\n"
        "from huggingface_hub import constants\n"
        "print(constants.is_offline_mode(), constants.HF_HUB_DISABLE_XET, constants.HF_HUB_DISABLE_TELEMETRY)"
    )
    assert run(sys.executable, "-c", program).stdout.split() == ["True"] * 3
    assert all(value == "1" for value in VARIABLES.values())


TAG = "import openmed_ner\nassert openmed_ner.load(backend={backend!r})('Cisplatin').spans\n"
QUANTISE = (
    "from pathlib import Path\n"
    "from openmed_ner.training.export.quantise import quantise\n"
    "assert quantise(Path({model!r}).read_bytes())\n"
)
IMPORT_NNCF = "from openmed_ner.training.export.static import _quiet_nncf\nwith _quiet_nncf():\n    pass\n"
SERVE = (
    "import openmed_ner, time\n"
    "from openmed_ner.service.app import create_app\n"
    "from openmed_ner.service.settings import ServiceSettings\n"
    "from openmed_ner.inference.tagger import embedded_bundle\n"
    "create_app(openmed_ner.load(), ServiceSettings())\n"
)
TRACER = shutil.which("strace")
REMOTE = re.compile(r"AF_INET6?,(?! sin6?_port=htons\(\d+\), (sin_addr=inet_addr\(\"127\.|.*\"::1\"))")


def trace(program: str, home: Path) -> tuple[list[str], list[str]]:
    """Run a program with an empty home; return the files it left there and its calls to other machines."""
    home.mkdir()
    log = home.with_suffix(".trace")
    command = [sys.executable, "-W", "ignore", "-c", program]
    if TRACER:
        command = [
            TRACER,
            "-f",
            "-qq",
            "-e",
            "trace=connect,sendto,sendmsg,sendmmsg",
            "-o",
            str(log),
            *command,
        ]
    removed = {*TELEMETRY, "CI", "XDG_CACHE_HOME", ENVIRONMENT}
    environment = {key: value for key, value in os.environ.items() if key not in removed}
    done = subprocess.run(
        command,
        env={**environment, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    files = [path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()]
    calls = log.read_text().splitlines() if TRACER else []
    return sorted(files), [call for call in calls if REMOTE.search(call)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "program",
    [
        TAG.format(backend="onnxruntime"),
        TAG.format(backend="openvino"),
        SERVE,
        IMPORT_NNCF,
        "from openmed_ner.cli.main import main\nimport sys\nsys.argv[1:] = ['doctor']\nmain()",
    ],
    ids=["onnxruntime", "openvino", "service", "nncf", "doctor"],
)
def test_no_library_reports_its_use(program: str, tmp_path: Path) -> None:
    """ONNX Runtime 1.31 and OpenVINO 2025 report from native code or while being imported."""
    assert trace(program, tmp_path / "home") == ([], [])


@pytest.mark.slow
def test_quantising_reports_nothing(runtime_bundle: Bundle, tmp_path: Path) -> None:
    program = QUANTISE.format(model=str(runtime_bundle.folder / MODEL))
    assert trace(program, tmp_path / "home") == ([], [])


@pytest.mark.skipif(TRACER is None, reason="needs strace")
def test_the_tracer_would_notice(tmp_path: Path) -> None:
    program = (
        "import socket\n"
        "from pathlib import Path\n"
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('203.0.113.7', 53))\n"
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.1', 53))\n"
        "Path.home().joinpath('deviceid').write_text('x')\n"
    )
    files, calls = trace(program, tmp_path / "home")
    assert files == ["deviceid"] and len(calls) == 1 and NOBODY in calls[0]


def test_telemetry_is_off_once_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TELEMETRY:
        monkeypatch.delenv(name, raising=False)
    disable_telemetry()
    assert {name: os.environ[name] for name in TELEMETRY} == TELEMETRY
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("openvino_telemetry")


def test_the_libraries_see_a_machine_without_a_network() -> None:
    program = (
        "from openmed_ner.offline import refuse_network\n"
        "refuse_network()\n"
        "import httpx2\n"
        "try:\n"
        f"    httpx2.get('http://{NOBODY}/', timeout=2)\n"
        "except httpx2.ConnectError as error:\n"
        "    print(error)"
    )
    assert (
        f"{ENVIRONMENT}=1 allows connections within this machine only"
        in run(sys.executable, "-c", program).stdout
    )


def test_tagging_works_offline() -> None:
    done = run(*COMMAND, "tag", "--to", "jsonl", given="Cisplatin caused nephrotoxicity.")
    assert done.returncode == 0, done.stderr
    assert {span["text"] for span in json.loads(done.stdout)["spans"]} == {"Cisplatin", "nephrotoxicity"}


def test_the_command_line_switches_the_refusal_on() -> None:
    program = (
        "import socket, sys\n"
        "from openmed_ner.cli import doctor\n"
        "doctor.examine = lambda: socket.getaddrinfo('example.org', 443)\n"
        "from openmed_ner.cli.main import main\n"
        "main()"
    )
    done = run(sys.executable, "-c", program, "doctor")
    assert done.returncode == 1
    assert f"openmed-ner: {ENVIRONMENT}=1 allows connections" in done.stderr and "example.org" in done.stderr


def test_a_fetch_is_refused_before_it_begins(tmp_path: Path) -> None:
    done = run(*COMMAND, "bundles", "fetch", f"someone/tiny@{'a' * 40}", "-o", str(tmp_path / "new"))
    assert done.returncode == 1 and f"{ENVIRONMENT}=1 forbids downloads" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_service_answers_offline(tmp_path: Path) -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    environment = {**os.environ, ENVIRONMENT: "1"}
    command = [*COMMAND, "serve", "--port", "0"]
    with subprocess.Popen(command, text=True, cwd=tmp_path, env=environment, **pipes) as process:
        assert process.stdout
        address = process.stdout.readline().rpartition(" ")[2].strip()
        body = json.dumps({"texts": ["Cisplatin caused nephrotoxicity."]}).encode()
        request = urllib.request.Request(f"{address}/tag", body, {"Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as response:
            assert "nephrotoxicity" in response.read().decode()
        process.terminate()


def test_without_the_variable_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    require_network("downloads", instead="copy it")
    monkeypatch.setenv(ENVIRONMENT, "0")
    assert not is_offline()
    assert socket.getaddrinfo("127.0.0.1", 80)


def test_a_step_says_what_to_do_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, "1")
    with pytest.raises(OfflineError, match="forbids downloads; copy it") as refused:
        require_network("downloads", instead="copy it")
    assert refused.value.exit_status == 1 and isinstance(refused.value, OSError)
