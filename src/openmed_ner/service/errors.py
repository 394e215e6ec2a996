"""Why a request is not answered as asked: one exception, and the one shape in which clients see it.

``{"error": {"code": …, "message": …, "where": […]}}``. A message goes to the client who sent the
request and never to the log: it may quote what was sent.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

MAX_MESSAGE = 2000
STATUSES: dict[int, str] = {
    400: "The request is malformed.",
    401: "The access token is missing or wrong.",
    403: "This Host or Origin is not allowed.",
    404: "There is nothing here.",
    405: "This path knows other methods.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body is of a kind that is not read here.",
    422: "The body was read, and cannot be used.",
    429: "Too much is waiting; come back after the seconds that Retry-After names.",
    500: "The service has a fault.",
    503: "The service is not ready, is stopping, or the model failed on this request.",
    504: "The result was not ready in time.",
}
CLIENT_GONE = 499
"""What the log calls a request whose client left before it was answered; nobody receives it."""


class RefusedError(Exception):
    """A request that is not answered as asked.

    Attributes:
        status: of HTTP.
        code: a stable name of the reason.
        message: the reason for people, at most ``MAX_MESSAGE`` characters.
        where: the fields, texts or lines it speaks of.
        headers: of the response.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        where: Sequence[str] = (),
        retry_after: float | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message[:MAX_MESSAGE]
        self.where = tuple(where)
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(max(1, round(retry_after)))

    def to_json(self) -> dict[str, Any]:
        """The body of the response."""
        return {"error": {"code": self.code, "message": self.message, "where": list(self.where)}}

    def to_response(self) -> Response:
        """The response."""
        # In ASCII: a message may quote half of a surrogate pair, which UTF-8 cannot hold.
        return Response(json.dumps(self.to_json()), self.status, self.headers, "application/json")
