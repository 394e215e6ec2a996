"""``openmed-ner serve``: the HTTP service and its page."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated

import typer

from openmed_ner.bundle.suite import bundle_digest
from openmed_ner.cli.options import Backend, BundlePath, Threads
from openmed_ner.errors import InputError, require_extra
from openmed_ner.inference.tagger import Tagger, embedded_bundle
from openmed_ner.service.settings import ServiceSettings, read_token

NETWORK = "Network"
LIMITS = "Limits"
"""Titles of the groups that help shows options in."""
_MAX_TOKEN = 1000


def serve(
    bundle: BundlePath = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Address to listen on; any but loopback needs a token.",
            rich_help_panel=NETWORK,
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, metavar="N", help="Port; 0 selects a free one.", rich_help_panel=NETWORK
        ),
    ] = 8765,
    backend: Backend = None,
    threads: Threads = None,
    max_body: Annotated[
        int, typer.Option(min=1, metavar="N", help="Most bytes of a request.", rich_help_panel=LIMITS)
    ] = 10_000_000,
    max_text: Annotated[
        int, typer.Option(min=1, metavar="N", help="Most characters of a text.", rich_help_panel=LIMITS)
    ] = 1_000_000,
    queue: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Most characters that wait or are being tagged.", rich_help_panel=LIMITS
        ),
    ] = 2_000_000,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1,
            metavar="N",
            help="Most seconds that a request waits.",
            rich_help_panel=LIMITS,
        ),
    ] = 120.0,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="File with the access token (default: OPENMED_NER_TOKEN).",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="Web origin whose pages may send requests (CORS); repeatable.",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Further host name of this service; repeatable.", rich_help_panel=NETWORK
        ),
    ] = None,
) -> None:
    """Serve an HTTP API and a web page.

    POST /tag tags texts, and / is a page for people. The service listens on this machine only, unless --host
    says otherwise. SIGTERM or Ctrl-C stops it after the accepted requests are answered. The log, on standard
    error, contains no part of any text.

    Example:
        openmed-ner serve --port 8080
    """
    settings = ServiceSettings(
        host=host,
        port=port,
        token=_read_token_file(token_file) if token_file else read_token(os.environ),
        origins=tuple(allow_origin or ()),
        hosts=tuple(allow_host or ()),
        max_body=max_body,
        max_text=max_text,
        max_queue=queue,
        timeout=timeout,
        threads=threads,
    )
    service = require_extra("openmed_ner.service.app", "serve")
    server = require_extra("openmed_ner.service.server", "serve")

    listener = server.listen(settings)  # first: a port in use is reported before a model is loaded
    folder = bundle or embedded_bundle()
    tagger = Tagger.load(folder, backend=backend, threads=threads)
    handler = logging.StreamHandler()
    middleware = require_extra("openmed_ner.service.middleware", "serve")
    handler.setFormatter(middleware.LogFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    app = service.create_app(tagger, settings, sha256=bundle_digest(folder))
    server.serve(app, settings, listener, on_start=lambda url: typer.echo(f"OpenMed NER is at {url}"))


def _read_token_file(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(_MAX_TOKEN).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the token in {path}: {error}") from error
