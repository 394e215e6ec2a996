"""What the service listens to and the limits it keeps, checked before anything is loaded.

The defaults suit one machine: loopback only, and never more work accepted than two cores finish within
the time limit. Every limit has its price: a request beyond it is refused, not cut.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from openmed_ner.errors import InputError

TOKEN = "OPENMED_NER_TOKEN"
"""Environment variable of the access token: a command line can be seen by every user of a machine."""
DOCUMENT_COST = 200
"""Characters that a document counts for beyond its own, so that many empty ones fill the queue too."""
_TOKEN = re.compile("[!-~]{16,512}")
_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """How the service is run.

    Attributes:
        host: address or name to listen on.
        port: TCP port; 0 lets the system choose.
        token: what a client must send as ``Authorization: Bearer``; none is asked for if ``None``.
        origins: web origins whose pages may call this service (CORS), such as ``https://example.org``.
        hosts: further names that clients may call this service by.
        max_body: most bytes of a request's body.
        max_text: most characters of one text.
        max_texts: most texts of one request.
        max_queue: most characters that wait or are being tagged, over all requests.
        timeout: seconds a request may wait for its result, and a stopping server for its requests.
        body_timeout: seconds a client may take to send its headers, and to send its body.
        threads: processor threads for the model; all if ``None``.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    token: str | None = field(default=None, repr=False)
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    max_body: int = 10_000_000
    max_text: int = 1_000_000
    max_texts: int = 1000
    max_queue: int = 2_000_000
    timeout: float = 120.0
    body_timeout: float = 30.0
    threads: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_body", "max_text", "max_texts", "max_queue", "timeout", "body_timeout"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} is {getattr(self, name)}; expected more than 0")
        if not 0 <= self.port < 1 << 16:
            raise InputError(f"port {self.port}: expected 0 to 65535")
        if self.max_queue < self.max_text + DOCUMENT_COST:
            raise InputError(
                f"the queue holds {self.max_queue} characters, and a text may have {self.max_text}: "
                f"let the queue hold at least {self.max_text + DOCUMENT_COST}, or allow shorter texts only"
            )
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise InputError(
                "the access token needs 16 to 512 printable ASCII characters without blanks; make one with: "
                'python -c "import secrets; print(secrets.token_urlsafe())"'
            )
        if not self.is_local and self.token is None:
            raise InputError(
                f"{self.host} can be reached from other machines, and no access token is set. Set one in the "
                f"environment ({TOKEN}) or with --token-file, or listen on 127.0.0.1"
            )
        for origin in self.origins:
            _require_origin(origin)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def allowed_hosts(self) -> frozenset[str] | None:
        """Names that a request's Host header may give, without port; any if ``None``.

        A web page that points its own name at 127.0.0.1 (DNS rebinding) can call a service here, but not
        under one of these names. Elsewhere the token keeps it out.
        """
        named = {host.lower() for host in self.hosts}
        if self.is_local:
            return frozenset({*named, *_LOCAL_NAMES, self.host.lower()})
        return frozenset(named) or None


def read_token(environment: Mapping[str, str]) -> str | None:
    """The token that the environment gives, if any."""
    return environment.get(TOKEN, "").strip() or None


def _require_origin(origin: str) -> None:
    try:
        parts = urlsplit(origin)
        whole = parts.scheme in ("http", "https") and f"{parts.scheme}://{parts.netloc}" == origin
    except ValueError:
        whole = False
    if not whole or not parts.hostname:
        raise InputError(f"origin {origin!r}: expected scheme and host only, such as https://example.org")
