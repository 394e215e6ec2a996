"""Who may ask, and how much: checks before a request reaches the application.

Plain ASGI layers, each with one question. ``HostCheck``: is the service called by its own name, from no
foreign page? ``TokenCheck``: does the client know the token? ``BodyLimits``: does the body keep to size
and time? Bodies are counted as they come, for a client may announce less or nothing; over all requests
together no more than ``_BODIES`` full ones are held.
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
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]/@\s]+)(:[0-9]{1,5})?")


class _Check:
    """A layer that lets a request pass, or refuses it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and (refusal := self.refuse(scope, Headers(scope=scope))) is not None:
            await to_response(refusal)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def refuse(self, scope: Scope, headers: Headers) -> RefusedError | None:
        """What stands against a request, if anything."""
        raise NotImplementedError


class HostCheck(_Check):
    """Refuses foreign names (DNS rebinding), and foreign pages that would use the visitor's browser."""

    def __init__(self, app: ASGIApp, *, hosts: frozenset[str] | None, origins: tuple[str, ...]) -> None:
        """Wrap an application.

        Args:
            app: the application.
            hosts: names it may be called by, in lower case; any if ``None``.
            origins: foreign origins whose pages may call it.
        """
        super().__init__(app)
        self._hosts, self._origins = hosts, origins

    def refuse(self, scope: Scope, headers: Headers) -> RefusedError | None:
        """What stands against a request, if anything."""
        host = headers.get("host", "")
        name = _HOST.fullmatch(host)
        if self._hosts is not None and (name is None or name[1].lower() not in self._hosts):
            return RefusedError(
                403, "host_refused", "this service is not called by that name; --allow-host adds one"
            )
        origin = headers.get("origin")
        own = (f"http://{host}", f"https://{host}", *self._origins)
        if scope["method"] not in ("GET", "HEAD", "OPTIONS") and origin is not None and origin not in own:
            return RefusedError(
                403, "origin_refused", "pages of that origin may not ask; --allow-origin adds one"
            )
        return None


class TokenCheck(_Check):
    """Refuses whoever does not know the token, but for paths that say nothing worth hiding."""

    def __init__(self, app: ASGIApp, *, token: str, is_open: Callable[[str], bool]) -> None:
        """Wrap an application.

        Args:
            app: the application.
            token: what clients must know.
            is_open: whether a path needs no token.
        """
        super().__init__(app)
        self._token, self._is_open = token.encode(), is_open

    def refuse(self, scope: Scope, headers: Headers) -> RefusedError | None:
        """What stands against a request, if anything."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        known = hmac.compare_digest(given.strip().encode("latin-1", "replace"), self._token)
        if (known and scheme.lower() == "bearer") or self._is_open(scope["path"]):
            return None
        return RefusedError(
            401,
            "token_needed",
            "send the access token as 'Authorization: Bearer …'",
            headers={"WWW-Authenticate": "Bearer"},
        )


class BodyLimits:
    """Counts and times the bodies of requests, and the sending of answers."""

    def __init__(self, app: ASGIApp, *, max_body: int, timeout: float) -> None:
        """Wrap an application.

        Args:
            app: the application.
            max_body: most bytes of a body.
            timeout: seconds for a body to arrive, and for each piece of an answer to leave.
        """
        self._app, self._max_body, self._timeout = app, max_body, timeout
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
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
            self._held -= body.size

    def count(self, body: _Body, size: int) -> None:
        """Add to what is held.

        Raises:
            RefusedError: this body, or all together, are too large.
        """
        body.size += size
        self._held += size
        if body.size > self._max_body:
            raise self._too_large()
        if self._held > _BODIES * self._max_body:
            raise RefusedError(429, "busy", "too many large bodies at once", retry_after=self._timeout)

    @property
    def timeout(self) -> float:
        """Seconds for a body to arrive."""
        return self._timeout

    def _too_large(self) -> RefusedError:
        return RefusedError(413, "body_too_large", f"at most {self._max_body} bytes are read here")

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
        """The next piece, in time; once the body is there, whatever comes may take as long as it likes."""
        if self._complete:
            return await self._receive()
        message = await self._in_time(self._receive())
        self._limits.count(self, len(message.get("body", b"")))
        self._complete = not message.get("more_body", False)
        return message

    async def _in_time(self, piece: Awaitable[Message]) -> Message:
        try:
            async with asyncio.timeout_at(self._deadline):
                return await piece
        except TimeoutError as error:
            raise RefusedError(
                408, "slow_body", "the body did not arrive in time", headers={"Connection": "close"}
            ) from error
