"""Access and size checks before a request reaches the application.

Plain ASGI layers, each with one question. ``HostCheck``: is the service called by a known name, and not from
a foreign page? ``TokenCheck``: does the client know the token? ``BodyLimits``: does the body keep to its
limits of size and time? Bodies are counted as they arrive, since a client may declare a smaller length or
none. All bodies in memory together may be as large as ``_BODIES`` of the maximum size.
"""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openmed_ner.errors import RefusedError
from openmed_ner.service.errors import to_response

_BODIES = 8
"""Number of bodies of the maximum size that may be in memory at once."""
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]/@\s]+)(:[0-9]{1,5})?")


class _Check:
    """A layer that passes a request on, or refuses it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] == "http" and (refusal := self.refuse(scope, Headers(scope=scope))) is not None:
            await to_response(refusal)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def refuse(self, scope: Scope, headers: Headers) -> RefusedError | None:
        """Return the refusal of a request; ``None`` if it may pass."""
        raise NotImplementedError


class HostCheck(_Check):
    """Refuses unknown host names (DNS rebinding), and requests from foreign web pages."""

    def __init__(self, app: ASGIApp, *, hosts: frozenset[str] | None, origins: tuple[str, ...]) -> None:
        """Wrap an application.

        Args:
            app: the application.
            hosts: allowed host names, in lower case; any if ``None``.
            origins: foreign origins whose pages may call the application.
        """
        super().__init__(app)
        self._hosts, self._origins = hosts, origins

    def refuse(self, scope: Scope, headers: Headers) -> RefusedError | None:
        """Return the refusal of a request; ``None`` if it may pass."""
        host = headers.get("host", "")
        name = _HOST.fullmatch(host)
        if self._hosts is not None and (name is None or name[1].lower() not in self._hosts):
            return RefusedError(
                403, "host_refused", "this host name is not allowed; add it with --allow-host"
            )
        origin = headers.get("origin")
        allowed = (f"http://{host}", f"https://{host}", *self._origins)
        reads = scope["method"] in ("GET", "HEAD", "OPTIONS")
        if not reads and origin is not None and origin not in allowed:
            return RefusedError(
                403, "origin_refused", "pages of this origin are not allowed; add it with --allow-origin"
            )
        return None


class TokenCheck(_Check):
    """Refuses requests without the token, except for paths that reveal nothing."""

    def __init__(self, app: ASGIApp, *, token: str, is_open: Callable[[str], bool]) -> None:
        """Wrap an application.

        Args:
            app: the application.
            token: access token.
            is_open: function that returns true for a path that needs no token.
        """
        super().__init__(app)
        self._token, self._is_open = token.encode(), is_open

    def refuse(self, scope: Scope, headers: Headers) -> RefusedError | None:
        """Return the refusal of a request; ``None`` if it may pass."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        # In constant time, so that the time of a refusal tells nothing about the token.
        valid = hmac.compare_digest(token.strip().encode("latin-1", "replace"), self._token)
        if (valid and scheme.lower() == "bearer") or self._is_open(scope["path"]):
            return None
        return RefusedError(
            401,
            "token_needed",
            "send the access token as 'Authorization: Bearer …'",
            headers={"WWW-Authenticate": "Bearer"},
        )


class BodyLimits:
    """Limits the size and time of request bodies, and the time of sending responses."""

    def __init__(self, app: ASGIApp, *, max_body: int, timeout: float) -> None:
        """Wrap an application.

        Args:
            app: the application.
            max_body: maximum number of bytes of a body.
            timeout: seconds for a body to arrive, and for each chunk of a response to be sent.
        """
        self._app, self._max_body, self._timeout = app, max_body, timeout
        self._n_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        declared = Headers(scope=scope).get("content-length", "")
        if declared.isascii() and declared.isdigit() and int(declared[:20]) > self._max_body:
            await to_response(self._too_large())(scope, receive, send)
            return

        body = _Body(self, receive)
        try:
            await self._app(scope, body.receive, self._timed(send))
        finally:
            self._n_bytes -= body.size

    def count(self, body: _Body, size: int) -> None:
        """Count bytes that have arrived.

        Raises:
            RefusedError: this body, or all bodies together, are too large.
        """
        body.size += size
        self._n_bytes += size
        if body.size > self._max_body:
            raise self._too_large()
        if self._n_bytes > _BODIES * self._max_body:
            raise RefusedError(429, "busy", "too many large bodies at once", retry_after=self._timeout)

    @property
    def timeout(self) -> float:
        """Seconds for a body to arrive."""
        return self._timeout

    def _too_large(self) -> RefusedError:
        return RefusedError(413, "body_too_large", f"the body has more than {self._max_body} bytes")

    def _timed(self, send: Send) -> Send:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(self._timeout):
                await send(message)

        return send_in_time


class _Body:
    """The body of one request as it arrives."""

    def __init__(self, limits: BodyLimits, receive: Receive) -> None:
        self._limits, self._receive = limits, receive
        self._deadline = asyncio.get_running_loop().time() + limits.timeout
        self._complete = False
        self.size = 0

    async def receive(self) -> Message:
        """Receive the next message; there is a deadline until the body is complete."""
        if self._complete:  # what follows is the client's disconnection, which may take any time
            return await self._receive()
        message = await self._in_time(self._receive())
        self._limits.count(self, len(message.get("body", b"")))
        self._complete = not message.get("more_body", False)
        return message

    async def _in_time(self, message: Awaitable[Message]) -> Message:
        try:
            async with asyncio.timeout_at(self._deadline):
                return await message
        except TimeoutError as error:
            raise RefusedError(
                408, "slow_body", "the body did not arrive in time", headers={"Connection": "close"}
            ) from error
