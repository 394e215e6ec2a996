"""The outermost layer: a log line and a count per request, security headers, and a log line per fault.

A line holds method, route, status, milliseconds, documents and characters. Queries, bodies and the messages
of exceptions are left out, since any of them may contain text of a patient. A fault is logged by its type
and its places in the code.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openmed_ner.errors import RefusedError
from openmed_ner.service.errors import CLIENT_GONE, to_response
from openmed_ner.service.metrics import Metrics

DOCUMENTS, CHARACTERS = "n_documents", "n_characters"
"""Keys of a request's state that are logged."""
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_levels: list[int] = []
"""Levels of the readers' logger before each application that is running."""
logger = logging.getLogger(__name__)


class Observer:
    """Logs and counts every request, and adds headers to every response."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, routes: frozenset[str]) -> None:
        """Wrap an application.

        Args:
            app: the application.
            metrics: counters of requests.
            routes: paths of the application; all others are logged as ``other``.
        """
        self._app, self._metrics, self._routes = app, metrics, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        begin = time.perf_counter()
        status = CLIENT_GONE

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        state = scope.setdefault("state", {})
        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:  # within its body
            pass
        except Exception as error:
            logger.error("fault: %s", describe(error))
            if status == CLIENT_GONE:  # no response has started
                refusal = RefusedError(500, "fault", "internal error; see the log of the service")
                await to_response(refusal)(scope, receive, send_with_headers)
        finally:
            self._record(scope, state, status, time.perf_counter() - begin)

    def _record(self, scope: Scope, state: Mapping[str, Any], status: int, seconds: float) -> None:
        route = scope["path"] if scope["path"] in self._routes else "other"
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.add_request(route, status, seconds)
        counts = [state.get(DOCUMENTS, 0), state.get(CHARACTERS, 0)]
        logger.info(
            "%s %s %d %.0f ms %d documents %d characters", method, route, status, 1e3 * seconds, *counts
        )


@contextmanager
def quiet_readers() -> Iterator[None]:
    """Silence the loggers of file readers: they name files and columns, which may hold text."""
    readers = logging.getLogger("openmed_ner.formats")
    _levels.append(readers.level)
    readers.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        # Applications of one process may end in any order: only the last one restores the level.
        level = _levels.pop()
        if not _levels:
            readers.setLevel(level)


class LogFormatter(logging.Formatter):
    """Writes exceptions of libraries by type and place too, without a traceback and without their message."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name is that of logging
        """Write an exception."""
        return describe(ei[1]) if ei[1] is not None else "unknown"


def describe(error: BaseException) -> str:
    """Write type and places of an exception, without its message."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    places = ", ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames)
    return f"{type(error).__name__} at {places}"
