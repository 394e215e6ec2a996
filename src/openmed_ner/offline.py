"""Network access: no telemetry, ever; with ``OPENMED_NER_OFFLINE=1``, no connection to another machine.

Some libraries report their use to their makers by default. :func:`disable_telemetry` turns that off, and runs
before these libraries are imported.

Connections are refused by an audit hook of the interpreter. It also applies to libraries, and cannot be
removed. It sees calls through Python's sockets only. Code in C or Rust may open its own sockets, so the
libraries with such code are switched offline by their own variables. A host name that is passed to
``connect`` is resolved by the system first, and the connection is refused afterwards. Only the system itself
can guarantee more, such as a container without a network. Listening is allowed, since a service only answers.
"""

from __future__ import annotations

import os
import socket
import sys
from ipaddress import IPv6Address, ip_address
from typing import Any

from openmed_ner.errors import OfflineError

ENVIRONMENT = "OPENMED_NER_OFFLINE"
VARIABLES = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_XET": "1",  # its transfers are in Rust, out of the hook's sight
    "TRANSFORMERS_OFFLINE": "1",
}
TELEMETRY = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "NNCF_CI": "1",  # NNCF has no other switch
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime starts an uploader, in C++, as soon as it is imported
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Variables that turn off the telemetry of libraries, and their values."""
_SENDING = ("socket.connect", "socket.sendto", "socket.sendmsg")
_ASKING = ("socket.getaddrinfo", "socket.gethostbyname")
_installed = False


def disable_telemetry() -> None:
    """Turn off the telemetry of every library this package imports, in this process and its children.

    Call it before those libraries are imported: ONNX Runtime and OpenVINO report while being imported.
    """
    os.environ.update(TELEMETRY)
    # OpenVINO has no switch, but works without its telemetry package if that cannot be imported.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def is_offline() -> bool:
    """Return true if ``OPENMED_NER_OFFLINE`` is 1."""
    return os.environ.get(ENVIRONMENT) == "1"


def require_network(purpose: str, *, instead: str) -> None:
    """Refuse a step that needs the network, or else disable telemetry for it.

    Args:
        purpose: name of the step, for the message.
        instead: the way out, for the message.

    Raises:
        OfflineError: ``OPENMED_NER_OFFLINE`` is 1.
    """
    if is_offline():
        raise OfflineError(f"{ENVIRONMENT}=1 forbids {purpose}; {instead}")
    disable_telemetry()


def refuse_network() -> None:
    """From now on, refuse calls from this process to any address outside this machine.

    Child processes inherit the libraries' variables, but not the hook. Call it before these libraries are
    imported.
    """
    global _installed
    disable_telemetry()
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
            f"{event} was called for {address!r}. Unset it to use the network"
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
    """Return true for this machine's name, and for an address, which is checked when it is called."""
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
