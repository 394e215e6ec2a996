"""A file of named arrays that is mapped into memory: opening reads the header, and a look-up reads a page.

The layout is that of safetensors: the length of a header, the header as JSON, and the bytes of the arrays. It
holds numbers only, so opening a foreign file cannot run code. The package ``safetensors`` belongs to the
extra for training, and its reader copies an array before a row can be looked at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmed_ner.errors import InputError

Arrays = Mapping[str, NDArray[Any]]
_DTYPES = {"U8": "<u1", "U16": "<u2", "U32": "<u4", "U64": "<u8", "F32": "<f4"}
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}
_ALIGNMENT = 8
_MAX_HEADER = 1 << 20


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write arrays of unsigned numbers or of floats of 32 bits; equal arrays make equal files."""
    header: dict[str, Any] = {}
    offset = 0
    # The widest numbers first, so that every array begins at a multiple of its width.
    ordered = sorted(arrays.items(), key=lambda item: (-item[1].itemsize, item[0]))
    for name, array in ordered:
        end = offset + array.nbytes
        header[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [offset, end],
        }
        offset = end

    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, array in ordered:
            file.write(np.ascontiguousarray(array).data)


def open_arrays(path: Path, expected: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    """Map a file of arrays into memory.

    Args:
        path: file that :func:`write_arrays` wrote.
        expected: names of its arrays, each with its type, such as ``U32``; all have one dimension.

    Raises:
        InputError: the file is missing, damaged, or has other arrays.
    """
    try:
        # As a plain array: every slice of a map costs more than what is read of it.
        content = np.memmap(path, dtype=np.uint8, mode="r").view(np.ndarray)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be opened: {error}. Build the terminologies again") from error
    try:
        return _split(content, expected)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged: {error}. Build the terminologies again") from error


def _split(content: NDArray[np.uint8], expected: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    length = int.from_bytes(content[:8].tobytes(), "little")
    start = 8 + length
    if length > min(_MAX_HEADER, len(content)) or start % _ALIGNMENT:
        raise ValueError(f"its header has {length} bytes")
    header = json.loads(content[8:start].tobytes())
    if not isinstance(header, dict) or header.keys() != expected.keys():
        raise ValueError(f"it does not hold the arrays {', '.join(expected)}")

    arrays = {}
    for name, kind in expected.items():
        entry = header[name]
        first, last = entry["data_offsets"]
        dtype = np.dtype(_DTYPES[kind])
        size = prod(entry["shape"]) * dtype.itemsize
        if entry["dtype"] != kind or len(entry["shape"]) != 1:
            raise ValueError(f"the array {name!r} has another type or shape")
        if not 0 <= first <= last <= len(content) - start or last - first != size or first % dtype.itemsize:
            raise ValueError(f"the array {name!r} lies outside of the file")
        arrays[name] = content[start + first : start + last].view(dtype)
    return arrays
