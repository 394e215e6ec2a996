"""The container's files: what can be checked without a container engine. No image is built here."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from typer.main import get_command

from openmed_ner.cli.app import LazyGroup, app
from openmed_ner.service.settings import ServiceSettings
from pages import ROOT

LINES = [
    line
    for line in re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8")).splitlines()
    if line and not line.startswith("#")
]
INSTRUCTIONS = [(name, rest) for name, _, rest in (line.strip().partition(" ") for line in LINES)]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICE: dict[str, Any] = COMPOSE["services"]["openmed-ner"]
KNOWN = {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "EXPOSE", "HEALTHCHECK", "CMD", "ENTRYPOINT"}


def last(name: str) -> str:
    return [rest for instruction, rest in INSTRUCTIONS if instruction == name][-1]


def serve_options() -> dict[str, Any]:
    """Options of the container's command, as the command line parses them."""
    assert json.loads(last("ENTRYPOINT")) == ["openmed-ner"]
    name, *arguments = json.loads(last("CMD"))
    root = get_command(app)
    assert isinstance(root, LazyGroup)
    command, context = root.load(name), root.make_context("openmed-ner", [], resilient_parsing=True)
    return dict(command.make_context(name, arguments, parent=context).params)


def test_every_instruction_is_one_that_docker_knows() -> None:
    assert {name for name, _ in INSTRUCTIONS} <= KNOWN
    bases = [rest.split()[0] for name, rest in INSTRUCTIONS if name == "FROM"]
    assert all(re.fullmatch(r"[\w./-]+:(?!latest)[\w.-]+", base) for base in bases)


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for name, rest in INSTRUCTIONS:
        if name == "COPY" and not rest.startswith("--from"):
            *sources, _ = rest.split()
            assert set(sources) <= allowed and all((ROOT / source).exists() for source in sources)


def test_the_process_is_nobody_special_and_fetches_nothing() -> None:
    user, group = last("USER").split(":")
    assert user.isdigit() and group.isdigit() and int(user) > 999
    assert "OPENMED_NER_OFFLINE=1" in last("ENV") and "HOME=/tmp" in last("ENV")


def test_the_command_is_one_and_needs_a_token() -> None:
    options = serve_options()
    assert options["host"] == "0.0.0.0" and str(options["port"]) == last("EXPOSE")
    with pytest.raises(Exception, match="no access token is set"):
        ServiceSettings(host=options["host"])
    assert f":{options['port']}/health" in last("HEALTHCHECK")


def test_compose_takes_every_right_away_and_gives_the_token() -> None:
    assert SERVICE["read_only"] is True and SERVICE["tmpfs"] == ["/tmp"]
    assert SERVICE["cap_drop"] == ["ALL"] and SERVICE["security_opt"] == ["no-new-privileges:true"]
    (secret,) = SERVICE["secrets"]
    assert serve_options()["token_file"] == Path("/run/secrets") / secret
    assert COMPOSE["secrets"][secret] == {"file": "token.txt"}
    (port,) = SERVICE["ports"]
    assert port == f"127.0.0.1:{last('EXPOSE')}:{last('EXPOSE')}"
