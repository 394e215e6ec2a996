"""``openmed-ner mcp``: the tools for assistants, over standard input and output."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openmed_ner.bundle import open_bundle
from openmed_ner.bundle.files import MANIFEST
from openmed_ner.bundle.registry import RegistryEntry
from openmed_ner.cli.options import Backend, BundlePath, Terminologies, Threads
from openmed_ner.errors import require_extra
from openmed_ner.inference.tagger import Tagger, embedded_bundle
from openmed_ner.offline import refuse_network

LIMITS = "Limits"
"""Title of the group that help shows options in."""


def mcp(
    bundle: BundlePath = None,
    terminologies: Terminologies = None,
    backend: Backend = None,
    threads: Threads = None,
    max_text: Annotated[
        int, typer.Option(min=1, metavar="N", help="Most characters of a text.", rich_help_panel=LIMITS)
    ] = 100_000,
) -> None:
    """Offer tagging and linking to assistants (Model Context Protocol).

    The client starts this command and speaks to it over standard input and output. There are four read-only
    tools: tag, link, look_up and coverage. No connection is opened, and no part of a text is kept or logged.

    Example:
        openmed-ner mcp --terminologies compiled
    """
    integration = require_extra("openmed_ner.integrations.mcp", "mcp")
    refuse_network()

    folder = bundle or embedded_bundle()
    tagger = Tagger.load(folder, backend=backend, threads=threads)
    server = integration.make_server(
        tagger,
        terminologies=terminologies,
        limits=integration.Limits(characters=max_text),
        scores=_read_scores(folder),
    )
    server.run("stdio")


def _read_scores(folder: Path) -> dict[str, float]:
    """F1 on the test split by corpus; empty for a suite."""
    if not (folder / MANIFEST).is_file():
        return {}
    entry = RegistryEntry.of(open_bundle(folder), str(folder))
    return {corpus: score.f1 for corpus, score in entry.scores.items()}
