"""No way out of this machine: with ``OPENMED_NER_OFFLINE=1`` the process refuses to call any other.

The refusal is an audit hook of the interpreter, so it also holds for libraries, and cannot be taken back.
It sees what goes through Python's sockets. Code in C or Rust that opens its own is not seen: the libraries
here that have such code are told to stay offline by their own variables. Nor is a name that is handed to
``connect`` unresolved: the system looks it up first, and the connection is refused after. Only the system
itself can promise more (a container without a network). Listening is allowed: a service answers, and calls
nobody.
"""

from __future__ import annotations

import os
import socket
import sys
from ipaddress import IPv6Address, ip_address
from typing import Any

from openmed_ner.errors import RunError

ENVIRONMENT = "OPENMED_NER_OFFLINE"
VARIABLES = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",  # its transfers are in Rust, out of the hook's sight
    "TRANSFORMERS_OFFLINE": "1",
}
_SENDING = ("socket.connect", "socket.sendto", "socket.sendmsg")
_ASKING = ("socket.getaddrinfo", "socket.gethostbyname")
_installed = False


class OfflineError(RunError, ConnectionError):
    """Something tried to call another machine.

    It is a ``ConnectionError`` too, so a library that can do without a network does.
    """


def is_offline() -> bool:
    """Whether ``OPENMED_NER_OFFLINE`` is 1."""
    return os.environ.get(ENVIRONMENT) == "1"


def require_network(purpose: str, *, instead: str) -> None:
    """Refuse a step that needs the network before it begins.

    Raises:
        OfflineError: ``OPENMED_NER_OFFLINE`` is 1.
    """
    if is_offline():
        raise OfflineError(f"{ENVIRONMENT}=1 forbids {purpose}; {instead}")


def refuse_network() -> None:
    """Refuse, from now on and in the whole process, to call any address but this machine's own.

    Child processes inherit the libraries' variables, not the hook. Call it before those are imported.
    """
    global _installed
    os.environ.update(VARIABLES)
    if not _installed:
        sys.addaudithook(_refuse)
        _installed = True


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _SENDING:
        connection, address = arguments
        allowed = address is None or _stays_here(connection.family, address)
    elif event in _ASKING:
        address = arguments[0]
        allowed = _needs_no_name_server(address)
    elif event == "socket.gethostbyaddr":
        address = arguments[0]
        allowed = _is_loopback(address)
    else:
        return
    if not allowed:
        raise OfflineError(
            f"{ENVIRONMENT}=1 allows connections within this machine only; "
            f"something asked for {address!r} ({event}). Unset it to use the network"
        )


def _stays_here(family: int, address: object) -> bool:
    if family == getattr(socket, "AF_UNIX", None):
        return True
    inet = family in (socket.AF_INET, socket.AF_INET6)
    return inet and isinstance(address, tuple) and _is_loopback(address[0])


def _is_loopback(host: object) -> bool:
    name = _text(host)
    if name == "localhost":
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _needs_no_name_server(host: object) -> bool:
    """Whether a name is one of this machine, or no name but an address; an address is judged when called."""
    name = _text(host)
    if name in ("", "localhost"):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _text(host: object) -> str:
    if isinstance(host, bytes | bytearray):
        return host.decode("ascii", "replace")
    return host if isinstance(host, str) else ""
