"""Refusals of the service: the statuses it knows, and the one shape in which clients see them.

``{"error": {"code": …, "message": …, "where": […]}}``. The exception is
:class:`openmed_ner.errors.RefusedError`. Its message goes to the client who sent the request and never to
the log, for it may quote the request.
"""

from __future__ import annotations

import json

from starlette.responses import Response

from openmed_ner.errors import RefusedError

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


def to_response(refusal: RefusedError) -> Response:
    """Turn a refusal into a response."""
    error = {"code": refusal.code, "message": refusal.message, "where": list(refusal.where)}
    # In ASCII: a message may quote half of a surrogate pair, which UTF-8 cannot hold.
    return Response(json.dumps({"error": error}), refusal.status, refusal.headers, "application/json")
