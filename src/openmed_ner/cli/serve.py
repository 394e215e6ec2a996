"""``openmed-ner serve``: the HTTP service and its page."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated

import typer

from openmed_ner.cli.options import Backend, Threads
from openmed_ner.errors import InputError, MissingExtraError

_MAX_TOKEN = 1000


def serve(
    bundle: Annotated[
        Path | None, typer.Option(help="Folder of the bundle or suite to use; the embedded one by default.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but loopback needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8765,
    backend: Backend = None,
    threads: Threads = None,
    max_body: Annotated[int, typer.Option(min=1, help="Most bytes of a request.")] = 10_000_000,
    max_text: Annotated[int, typer.Option(min=1, help="Most characters of a text.")] = 1_000_000,
    queue: Annotated[int, typer.Option(min=1, help="Most characters waiting or in work.")] = 2_000_000,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds a request may wait for its result.")
    ] = 120.0,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the access token; or set OPENMED_NER_TOKEN.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="Web origin whose pages may ask (CORS); may be repeated.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Further name of this service; may be repeated.")
    ] = None,
) -> None:
    """Serve an HTTP API and a web page.

    Listens on this machine only, unless told otherwise. SIGTERM or Ctrl-C stops it after the requests it
    has accepted are answered. The log, on standard error, holds nothing of any text.
    """
    from openmed_ner.service.settings import ServiceSettings, read_token

    settings = ServiceSettings(
        host=host,
        port=port,
        token=_read_file(token_file) if token_file else read_token(os.environ),
        origins=tuple(allow_origin or ()),
        hosts=tuple(allow_host or ()),
        max_body=max_body,
        max_text=max_text,
        max_queue=queue,
        timeout=timeout,
        threads=threads,
    )
    try:
        from openmed_ner.service.app import create_app
        from openmed_ner.service.server import listen
        from openmed_ner.service.server import serve as run
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "serve") from error
    from openmed_ner.bundle.suite import bundle_digest
    from openmed_ner.inference.tagger import Tagger, embedded_bundle

    listener = listen(settings)  # first: a port that is taken should not cost the loading of a model
    folder = bundle or embedded_bundle()
    tagger = Tagger.load(folder, backend=backend, threads=threads)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    app = create_app(tagger, settings, sha256=bundle_digest(folder))
    run(app, settings, listener, on_start=lambda url: typer.echo(f"OpenMed NER is at {url}"))


def _read_file(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(_MAX_TOKEN).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the token cannot be read: {error}") from error
