"""Refusals of the service: its HTTP statuses, and the one shape in which clients see them.

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
    404: "Not found.",
    405: "The path does not support this method.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The type of the body is not supported.",
    422: "The body was read, but it is not valid.",
    429: "Too many requests are waiting; retry after the seconds that Retry-After names.",
    500: "Internal error.",
    503: "The service is not ready, is stopping, or the model failed on this request.",
    504: "The result was not ready in time.",
}
CLIENT_GONE = 499
"""Status in the log if the client disconnected before the response; it is never sent."""


def to_response(refusal: RefusedError) -> Response:
    """Turn a refusal into a response."""
    error = {"code": refusal.code, "message": refusal.message, "where": list(refusal.places)}
    # In ASCII: a message may quote half of a surrogate pair, which UTF-8 cannot hold.
    return Response(json.dumps({"error": error}), refusal.status, refusal.headers, "application/json")
