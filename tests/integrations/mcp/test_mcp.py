"""The MCP server, asked through the SDK's own client."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp", reason="the extra mcp is not installed")
pytest.importorskip("fastapi", reason="the extra serve is not installed")

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from openmed_ner.integrations.mcp import Limits, make_server
from openmed_ner.terminologies import build
from stub_service import MARKER, StubTagger

pytestmark = pytest.mark.usefixtures("no_terminologies")

TEXT = "No illness \U0001f600 after drug7."
TOOLS = {"tag", "link", "look_up", "coverage"}


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vocabulary")
    table = folder / "mine.csv"
    table.write_text(
        "id,name,names,parents,xrefs\nX:1,disorder,,,\nX:2,illness,illnesses|sickness,X:1,MESH:D002908\n"
    )
    build([], folder / "compiled", vocabularies={table: "Disease"})
    return folder / "compiled"


def call(server: Any, name: str, mode: str = "auto", **arguments: Any) -> Any:
    """Call a tool over the protocol, in memory; return its result."""

    async def ask() -> Any:
        async with Client(server, mode=mode) as client:
            return await client.call_tool(name, arguments)

    return asyncio.run(ask())


def ask(server: Any, name: str, **arguments: Any) -> dict[str, Any]:
    """The structured result of a call that succeeds."""
    result = call(server, name, **arguments)
    assert not result.is_error, result.content
    return dict(result.structured_content)


def refusal(server: Any, name: str, **arguments: Any) -> str:
    """The message of a call that is refused."""
    result = call(server, name, **arguments)
    assert result.is_error
    return str(result.content[0].text)


def make(vocabulary: Path | None = None, **options: Any) -> Any:
    return make_server(StubTagger(), terminologies=vocabulary, **options)  # type: ignore[arg-type]


def test_four_tools_are_offered_and_none_changes_anything() -> None:
    async def list_tools() -> Any:
        async with Client(make()) as client:
            return (await client.list_tools()).tools

    tools = {tool.name: tool for tool in asyncio.run(list_tools())}
    assert set(tools) == TOOLS
    for tool in tools.values():
        assert tool.annotations.read_only_hint and not tool.annotations.open_world_hint
        assert tool.description and tool.output_schema
        assert all("description" in value for value in tool.input_schema["properties"].values())


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_offsets_are_those_of_the_text_that_was_sent(mode: str) -> None:
    result = call(make(), "tag", mode, text=TEXT, add=["abbreviations"])
    tagged = result.structured_content
    assert [TEXT[entity["start"] : entity["end"]] for entity in tagged["entities"]] == ["drug7", "illness"]
    assert [entity["type"] for entity in tagged["entities"]] == ["Chemical", "Disease"]
    assert (tagged["complete"], tagged["omitted"], tagged["added"]) == (True, 0, ["abbreviations"])
    assert json.loads(result.content[0].text) == tagged  # for clients that read text only


def test_entities_have_identifiers(vocabulary: Path) -> None:
    steps = ["abbreviations", "identifiers"]
    tagged = ask(make(vocabulary), "tag", text=TEXT, types=["Disease"], add=steps)
    (entity,) = tagged["entities"]
    assert tagged["added"] == steps
    assert entity["identifiers"] == [{"id": "X:2", "name": "illness"}]
    assert entity["attributes"]["linked_by"] == "exact"


def test_entities_beyond_the_limit_are_counted() -> None:
    tagged = ask(make(), "tag", text="drug1 drug2 drug3", add=[], max_entities=2)
    assert len(tagged["entities"]) == 2 and tagged["omitted"] == 1


def test_mentions_are_linked_without_a_text(vocabulary: Path) -> None:
    mentions = [{"text": "Sickness", "type": "Disease"}, {"text": "a dog", "type": "Disease"}]
    first, second = ask(make(vocabulary), "link", mentions=mentions)["mentions"]
    assert first["identifiers"] == [{"id": "X:2", "name": "illness"}] and first["method"] == "exact"
    assert second["identifiers"] == [] and second["method"] is None


@pytest.mark.parametrize("identifier", ["X:2", "MESH:D002908", " X:2 "])
def test_an_identifier_tells_its_concept(vocabulary: Path, identifier: str) -> None:
    (concept,) = ask(make(vocabulary), "look_up", identifier=identifier)["concepts"]
    assert (concept["id"], concept["name"], concept["type"]) == ("X:2", "illness", "Disease")
    assert concept["other_ids"] == ["MESH:D002908"]
    assert concept["broader"] == [{"id": "X:1", "name": "disorder"}]


def test_coverage_names_types_terminologies_and_limits(vocabulary: Path) -> None:
    server = make(vocabulary, limits=Limits(characters=123), scores={"bc2gm": 0.774})
    coverage = ask(server, "coverage")
    assert {label["name"]: (label["default"], label["linked"]) for label in coverage["types"]} == {
        "Chemical": (True, False),
        "Disease": (True, True),
    }
    assert [source["title"] for source in coverage["terminologies"]] == ["mine.csv"]
    assert coverage["limits"]["characters"] == 123
    scores = {guideline["corpus"]: guideline["test_f1"] for guideline in coverage["guidelines"]}
    assert scores["bc2gm"] == 77.4 and scores["linnaeus"] is None
    assert ask(make(), "coverage")["terminologies"] == []


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("tag", {"text": "x" * 51}, "the text has 51 characters; the limit is 50. Send it in parts"),
        ("tag", {"text": "x", "max_entities": 0}, "max_entities 0: expected 1 to 2000"),
        ("tag", {"text": "x", "types": ["Drug"]}, "unknown name 'Drug'"),
        ("tag", {"text": "x", "add": ["identifiers"]}, "openmed-ner terminologies build"),
        ("tag", {"text": "x", "add": ["colour"]}, "'abbreviations', 'context' or 'identifiers'"),
        ("tag", {}, "Field required"),
        ("link", {"mentions": [{"text": "x", "type": "Disease"}]}, "openmed-ner terminologies build"),
        ("link", {"mentions": [{"text": "x", "type": "Disease"}] * 201}, "201 mentions; the limit is 200"),
        ("look_up", {"identifier": "X:1"}, "openmed-ner terminologies build"),
    ],
)
def test_a_refusal_says_what_to_do(name: str, arguments: dict[str, Any], message: str) -> None:
    assert message in refusal(make(limits=Limits(characters=50)), name, **arguments)


def test_what_no_terminology_has_is_refused(vocabulary: Path) -> None:
    server = make(vocabulary)
    assert "written as in MESH:D058186" in refusal(server, "look_up", identifier="D058186")
    mention = {"text": "p53", "type": "Protein"}
    assert "there are names of Disease, Cancer" in refusal(server, "link", mentions=[mention])


def test_a_failure_quotes_nothing(caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    message = refusal(make(), "tag", text=f"FAIL {MARKER}", add=[])
    assert "failed with RuntimeError" in message and MARKER not in message
    assert MARKER not in caplog.text + "".join(capfd.readouterr())


@pytest.mark.slow
def test_the_command_serves_over_its_standard_streams(tmp_path: Path) -> None:
    pytest.importorskip("negspacy", reason="the extra context is not installed")
    text = f"Cisplatin was given. No nephrotoxicity was seen. {MARKER}"
    arguments = ["-m", "openmed_ner", "mcp"]
    # The client leaves out PYTHONPATH unless it is told, which matters in a checkout that is not installed.
    command = StdioServerParameters(command=sys.executable, args=arguments, cwd=tmp_path, env={**os.environ})

    async def tag(errors: Any) -> Any:
        async with Client(stdio_client(command, errlog=errors)) as client:
            refused = await client.call_tool("tag", {"text": text, "types": ["disease"]})
            coverage = await client.call_tool("coverage", {})
            return refused, await client.call_tool("tag", {"text": text}), coverage

    log = tmp_path / "log"
    with log.open("w") as errors:
        refused, result, coverage = asyncio.run(tag(errors))
    assert "did you mean Disease?" in refused.content[0].text
    entities = result.structured_content["entities"]
    assert {entity["type"] for entity in entities} >= {"Chemical", "Disease"}
    assert all(text[entity["start"] : entity["end"]] == entity["text"] for entity in entities)
    assert {entity["text"] for entity in entities if entity["attributes"].get("negated")} == {
        "nephrotoxicity"
    }
    assert any(guideline["test_f1"] for guideline in coverage.structured_content["guidelines"])
    assert MARKER not in log.read_text()
