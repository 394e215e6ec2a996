"""The HTTP server: uvicorn with its log off and its limits on.

On SIGTERM or Ctrl-C new requests are refused, idle connections are closed, accepted requests are answered,
and the process ends with status 0. uvicorn waits for ever for a client that never finishes its headers; such
connections are closed here.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from openmed_ner.errors import RunError
from openmed_ner.service.endpoints import Service
from openmed_ner.service.settings import ServiceSettings

_MAX_HEADERS = 16_384
"""Maximum number of bytes of a request's headers."""
_MAX_CONNECTIONS = 512
_KEEP_ALIVE = 15
"""Seconds that an idle connection stays open."""


def listen(settings: ServiceSettings) -> socket.socket:
    """Open the socket; clients that connect before :func:`serve` wait.

    Raises:
        RunError: the address is in use or does not exist.
    """
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((settings.host, settings.port), family=family, backlog=_MAX_CONNECTIONS)
    except OSError as error:
        raise RunError(
            f"cannot listen on {settings.host}, port {settings.port}: {error.strerror or error}. "
            "Choose another address with --host and --port"
        ) from error


def serve(
    app: FastAPI, settings: ServiceSettings, listener: socket.socket, *, on_start: Callable[[str], None]
) -> None:
    """Serve an application until SIGTERM or SIGINT, in the main thread.

    Args:
        app: application made by :func:`openmed_ner.service.app.create_app`.
        settings: settings that it was made with.
        listener: socket made by :func:`listen`.
        on_start: callback for the URL, once the service answers.
    """
    server = make_server(app, settings, on_start=lambda: on_start(_url(listener)))
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises a signal again once it has stopped; this handler ends the process with status 0.
        signal.signal(number, server.handle_exit)
    server.run(sockets=[listener])


def make_server(app: FastAPI, settings: ServiceSettings, *, on_start: Callable[[], None]) -> uvicorn.Server:
    """Create a server, to be run over a socket made by :func:`listen`.

    Args:
        app: application made by :func:`openmed_ner.service.app.create_app`.
        settings: settings that it was made with.
        on_start: callback, called once the service answers.
    """
    config = uvicorn.Config(
        app,
        http=_make_protocol(settings.body_timeout),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_MAX_CONNECTIONS,
        h11_max_incomplete_event_size=_MAX_HEADERS,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=round(settings.timeout) + 1,
    )
    return _Server(config, app.state.service, on_start)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, service: Service, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._service, self._on_start = service, on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.batcher.close()
        await super().shutdown(sockets)


def _make_protocol(timeout: float) -> type[H11Protocol]:
    """Extend uvicorn's protocol by a time limit for headers, and for a body that nobody reads.

    Malformed, pipelined and dropped requests end a connection without an exception.

    Args:
        timeout: seconds for a request's headers, and for the rest of a body after an early response.
    """

    class TimedProtocol(H11Protocol):
        _clock: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._set_clock(running=True)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            # Between two requests uvicorn's keep-alive limit counts, until the first byte of the next one.
            if self.conn.their_state is h11.IDLE and self._clock is None:
                self._set_clock(running=True)
            elif self.conn.their_state is not h11.IDLE and self._is_answering():
                self._set_clock(running=False)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self.conn.their_state is h11.SEND_BODY:  # refused early: the rest is read and dropped
                self._set_clock(running=True)

        def send_400_response(self, msg: str) -> None:
            # What is malformed may follow a request that is still being answered.
            if self._is_answering():
                self.cycle.disconnected = True
                self.cycle.message_event.set()
            if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                super().send_400_response(msg)
            else:
                self.transport.close()

        def shutdown(self) -> None:
            if self._is_answering():
                self.cycle.keep_alive = False
            else:  # uvicorn announces the end first, which some states of a connection do not allow
                self.transport.close()

        def timeout_keep_alive_handler(self) -> None:
            self.transport.close()

        def _is_answering(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def connection_lost(self, exc: Exception | None) -> None:
            self._set_clock(running=False)
            super().connection_lost(exc)

        def _set_clock(self, *, running: bool) -> None:
            if self._clock is not None:
                self._clock.cancel()
            self._clock = self.loop.call_later(timeout, self.transport.abort) if running else None

    return TimedProtocol


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
