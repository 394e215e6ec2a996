"""No way out of this machine: no telemetry, ever; with ``OPENMED_NER_OFFLINE=1``, no connection at all.

Some of the libraries below report their use to their makers unless told otherwise. :func:`disable_telemetry`
tells them, and runs before each of them is imported.

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
    # OpenVINO has no switch. It does without its telemetry package where that cannot be imported.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def is_offline() -> bool:
    """Whether ``OPENMED_NER_OFFLINE`` is 1."""
    return os.environ.get(ENVIRONMENT) == "1"


def require_network(purpose: str, *, instead: str) -> None:
    """Refuse a step that needs the network before it begins; let it begin without telemetry otherwise.

    Raises:
        OfflineError: ``OPENMED_NER_OFFLINE`` is 1.
    """
    if is_offline():
        raise OfflineError(f"{ENVIRONMENT}=1 forbids {purpose}; {instead}")
    disable_telemetry()


def refuse_network() -> None:
    """Refuse, from now on and in the whole process, to call any address but this machine's own.

    Child processes inherit the libraries' variables, not the hook. Call it before those are imported.
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
