"""Checks of ONNX graphs before any runtime sees them: no tensor may lie in another file, windows must fit.

A graph may keep tensors in files that it names. A runtime reads them from the current folder, which no
digest of the bundle covers. The check walks through the encoding of the graph (protocol buffers) and skips
the tensors' values, so it needs neither the package ``onnx``, which only training installs, nor much time.
Field numbers are those of ``onnx.proto`` (ONNX 1.20), which never change.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from openmed_ner.errors import BundleError

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_CONTINUES, _SEVEN_BITS, _MAX_SHIFT = 0x80, 0x7F, 63
_MAX_KEY = 0xFFFFFFFF
"""Largest key of a field. Runtimes drop the bits above, and would read another field than this check."""
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""Messages that may hold tensors, by the message and the field that they are in."""
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
"""Fields of a tensor: the file that holds its values, and a number above 0 if one does."""
_GRAPH, _INITIALIZER, _DIMENSIONS, _NAME = 7, 5, 1, 8
"""Fields of a model, of its graph, and of a tensor."""
_POSITIONS = (b"position_embeddings.weight", b"position_embeddings.weight_int8")
"""Ends of the names of tables with a row per position."""
_ORT = b"ORTM"
"""Mark, from byte 4, of ONNX Runtime's own format, which the check cannot read."""


class _Field(NamedTuple):
    number: int
    kind: int
    start: int
    end: int
    value: int


def check_graph(content: bytes, source: object) -> None:
    """Refuse a graph with tensors in other files.

    Args:
        content: the content of ``model.onnx``.
        source: its name in messages.

    Raises:
        BundleError: the graph has such tensors, or is damaged.
    """
    if content[4:8] == _ORT:
        raise BundleError(f"{source} cannot be loaded: it is in ONNX Runtime's own format; expected ONNX")

    pending = [("model", 0, len(content))]
    while pending:
        message, start, end = pending.pop()
        for field in _iter_fields(content, start, end, source):
            if message == "tensor" and (
                field.number == _EXTERNAL_DATA or (field.number == _DATA_LOCATION and field.value)
            ):
                raise BundleError(
                    f"{source} keeps tensors in another file, which no digest covers. "
                    "Export the model again, with all its weights in one file"
                )
            child = _CHILDREN[message].get(field.number)
            if child and field.kind == _LENGTH:
                pending.append((child, field.start, field.end))


def check_window(content: bytes, source: object, window: int) -> None:
    """Refuse windows that are longer than the encoder's table of positions, if it has one.

    Args:
        content: the content of ``model.onnx``, which :func:`check_graph` accepts.
        source: its name in messages.
        window: most subwords that are read at once.

    Raises:
        BundleError: the table has fewer rows than a window has subwords, or the graph is damaged.
    """
    model = _Field(0, _LENGTH, 0, len(content), 0)
    for graph in _find(content, model, _GRAPH, source):
        for tensor in _find(content, graph, _INITIALIZER, source):
            names = _find(content, tensor, _NAME, source)
            if any(content[name.start : name.end].endswith(_POSITIONS) for name in names):
                n_positions = _first_dimension(content, tensor, source)
                if window > n_positions:
                    raise BundleError(
                        f"{source} has {n_positions} positions, but windows of {window} subwords. "
                        "Set the window of the bundle to what its model reads, or export the model again"
                    )


def _first_dimension(content: bytes, tensor: _Field, source: object) -> int:
    """Return the length of a tensor; 0 if it has none."""
    for field in _iter_fields(content, tensor.start, tensor.end, source):
        if field.number == _DIMENSIONS:
            packed = field.kind == _LENGTH and field.end > field.start
            return _read_varint(content, field.start, field.end, source)[0] if packed else field.value
    return 0


def _find(content: bytes, message: _Field, number: int, source: object) -> Iterator[_Field]:
    """Yield the fields of a message that have some number."""
    return (
        field for field in _iter_fields(content, message.start, message.end, source) if field.number == number
    )


def _iter_fields(content: bytes, start: int, end: int, source: object) -> Iterator[_Field]:
    """Yield the fields of a message.

    Raises:
        BundleError: the message is damaged.
    """
    place = start
    while place < end:
        key = content[place]
        if key < _CONTINUES:  # nearly all are one byte
            place += 1
        else:
            key, place = _read_varint(content, place, end, source)
        number, kind, value = key >> 3, key & 7, 0
        first = place
        if kind == _VARINT:
            value, place = _read_varint(content, place, end, source)
        elif kind == _LENGTH:
            length, first = _read_varint(content, place, end, source)
            place = first + length
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            place += 8 if kind == _EIGHT_BYTES else 4
        else:
            raise _damaged(source)
        if place > end or not number or key > _MAX_KEY:
            raise _damaged(source)
        yield _Field(number, kind, first, place, value)


def _read_varint(content: bytes, place: int, end: int, source: object) -> tuple[int, int]:
    """Read a number of variable length; return it and the place after it."""
    value = 0
    for shift in range(0, _MAX_SHIFT + 1, 7):
        if place >= end:
            raise _damaged(source)
        byte = content[place]
        place += 1
        value |= (byte & _SEVEN_BITS) << shift
        if byte < _CONTINUES:
            return value, place
    raise _damaged(source)


def _damaged(source: object) -> BundleError:
    return BundleError(f"{source} cannot be loaded: it is not an ONNX graph, or a damaged one")
