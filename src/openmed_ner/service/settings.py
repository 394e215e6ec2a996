"""Settings of the service: address, access and limits, checked before anything is loaded.

The defaults suit one machine: loopback only, and never more work accepted than two cores finish within the
time limit. A request beyond a limit is refused, not cut.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from openmed_ner.errors import InputError

TOKEN = "OPENMED_NER_TOKEN"
"""Environment variable of the access token; a command line would show it to every user of the machine."""
DOCUMENT_COST = 200
"""Characters that a document counts for beyond its own, so that many empty documents fill the queue too."""
_TOKEN = re.compile("[!-~]{16,512}")
_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Address, access and limits of the service.

    Attributes:
        host: address or name to listen on.
        port: TCP port; 0 lets the system choose.
        token: access token, sent as ``Authorization: Bearer``; ``None`` if no token is needed.
        origins: web origins whose pages may call the service (CORS), such as ``https://example.org``.
        hosts: further host names that clients may use.
        max_body: maximum number of bytes of a request's body.
        max_text: maximum number of characters of a text.
        max_texts: maximum number of texts of a request.
        max_queue: maximum number of characters that wait or are being tagged, over all requests.
        timeout: seconds that a request may wait for its result, and a stopping server for its requests.
        body_timeout: seconds that a client may take to send its headers, and to send its body.
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
        self._check_limits()
        self._check_access()

    def _check_limits(self) -> None:
        for name in ("max_body", "max_text", "max_texts", "max_queue", "timeout", "body_timeout"):
            if not getattr(self, name) > 0:  # true for NaN, too
                raise InputError(f"{name} is {getattr(self, name)}; expected more than 0")
        if not 0 <= self.port < 1 << 16:
            raise InputError(f"port {self.port}: expected 0 to 65535")
        if self.max_queue < self.max_text + DOCUMENT_COST:
            raise InputError(
                f"the queue holds {self.max_queue} characters, and a text may have {self.max_text}; "
                f"raise the queue to at least {self.max_text + DOCUMENT_COST}, or lower the limit of texts"
            )

    def _check_access(self) -> None:
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise InputError(
                "expected an access token of 16 to 512 printable ASCII characters without blanks; "
                'create one with: python -c "import secrets; print(secrets.token_urlsafe())"'
            )
        if not self.is_local and self.token is None:
            raise InputError(
                f"{self.host} is reachable from other machines, and no access token is set. Set one in the "
                f"environment ({TOKEN}) or with --token-file, or listen on 127.0.0.1"
            )
        for origin in self.origins:
            _require_origin(origin)

    @property
    def is_local(self) -> bool:
        """True if only this machine can connect."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def allowed_hosts(self) -> frozenset[str] | None:
        """Host names that a request may use, without port; any if ``None``.

        A web page that points its own name at 127.0.0.1 (DNS rebinding) can reach a local service, but not
        under one of these names. Elsewhere the token keeps it out.
        """
        names = {host.lower() for host in self.hosts}
        if self.is_local:
            return frozenset({*names, *_LOCAL_NAMES, self.host.lower()})
        return frozenset(names) or None


def read_token(environment: Mapping[str, str]) -> str | None:
    """Return the access token of the environment, if any."""
    return environment.get(TOKEN, "").strip() or None


def _require_origin(origin: str) -> None:
    try:
        parts = urlsplit(origin)
        valid = parts.scheme in ("http", "https") and f"{parts.scheme}://{parts.netloc}" == origin
    except ValueError:
        valid = False
    if not valid or not parts.hostname:
        raise InputError(f"origin {origin!r}: expected scheme and host only, such as https://example.org")
