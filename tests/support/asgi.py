"""Requests as an application receives them, for what no client would send."""

from __future__ import annotations

from typing import Any


def tag_scope(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    """The scope of ``POST /tag`` with a JSON body, and some more headers."""
    return {
        "type": "http",
        "method": "POST",
        "path": "/tag",
        "raw_path": b"/tag",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json"), *headers],
        "http_version": "1.1",
        "scheme": "http",
    }
