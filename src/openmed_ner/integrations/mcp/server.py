"""The server: tools under their names, marked as read-only, with a log that holds no text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations

from openmed_ner.bundle.record import version
from openmed_ner.inference.tagger import Tagger
from openmed_ner.integrations.mcp.tools import Limits, Tools

INSTRUCTIONS = (
    "Finds biomedical entities in English text, on this machine and without a network. Offsets count Unicode "
    "code points. Call coverage to learn the entity types and the limits."
)
_READ_ONLY = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)


def make_server(
    tagger: Tagger,
    *,
    terminologies: str | Path | None = None,
    limits: Limits | None = None,
    scores: Mapping[str, float] | None = None,
) -> MCPServer[None]:
    """Make a server of the four tools; ``run("stdio")`` serves until the client ends.

    Args:
        tagger: the model.
        terminologies: folder of compiled terminologies; that of the environment if ``None``.
        limits: largest sizes of a call.
        scores: F1 on the test split, 0 to 1, by corpus, for the tool ``coverage``.

    Raises:
        InputError: the folder is named and holds no compiled terminologies.
    """
    tools = Tools(tagger, terminologies=terminologies, limits=limits, scores=scores)
    # Below this level the SDK logs refused calls and failures with messages that may quote the request.
    server: MCPServer[None] = MCPServer(
        "openmed-ner",
        title="OpenMed NER",
        instructions=INSTRUCTIONS,
        version=version(),
        log_level="CRITICAL",
        subscriptions=False,
    )
    for function, title in (
        (tools.tag, "Tag a text"),
        (tools.link, "Link names to identifiers"),
        (tools.look_up, "Look up an identifier"),
        (tools.coverage, "Coverage and limits"),
    ):
        server.add_tool(function, title=title, annotations=_READ_ONLY, structured_output=True)
    return server
