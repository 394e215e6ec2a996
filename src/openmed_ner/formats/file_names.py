"""File names of documents: their ids, percent-encoded, on every system.

Only letters, digits and ``_.-~`` stay as they are, so an id with a slash, a drive letter or a colon names a
file in its folder. Names that Windows keeps for devices, such as ``con``, have their first letter encoded.
So have names that begin with a full stop, since hidden files are not read.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"{device}{number}" for device in ("com", "lpt") for number in range(10))}
)


def encode_name(id: str) -> str:
    """Encode an id as a file name without suffix; the inverse of :func:`decode_name`."""
    name = quote(id, safe="")
    # What follows the first full stop counts for nothing: nul.tar is the device as well.
    is_device = name.partition(".")[0].lower() in _DEVICES
    return f"%{ord(name[0]):02X}{name[1:]}" if is_device or name.startswith(".") else name


def decode_name(name: str) -> str:
    """Decode the id from a file name without suffix; a name that is not percent-encoded is the id itself."""
    try:
        return unquote(name, errors="strict")
    except UnicodeDecodeError:
        return name
