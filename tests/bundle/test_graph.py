"""Graphs with tensors in other files are refused, wherever the tensor hides."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.bundle.graph import check_graph, check_window
from openmed_ner.errors import BundleError


def varint(value: int) -> bytes:
    content = b""
    while value > 127:
        content += bytes([value & 127 | 128])
        value >>= 7
    return content + bytes([value])


def field(number: int, content: bytes, key_bits: int = 0) -> bytes:
    return varint(number << 3 | 2 | key_bits) + varint(len(content)) + content


PLAIN = field(8, b"weight") + field(9, b"\0\1" * 300)
ENTRY = field(1, b"location") + field(2, b"ext.bin")
EXTERNAL = [PLAIN + field(13, ENTRY), PLAIN + varint(14 << 3) + b"\1"]
PLACES: dict[str, Callable[[bytes], bytes]] = {
    "initializer": lambda tensor: field(7, field(5, tensor)),
    "sparse values": lambda tensor: field(7, field(15, field(1, tensor))),
    "sparse indices": lambda tensor: field(7, field(15, field(2, tensor))),
    "constant": lambda tensor: field(7, field(1, field(5, field(5, tensor)))),
    "constants": lambda tensor: field(7, field(1, field(5, field(10, tensor)))),
    "branch": lambda tensor: field(7, field(1, field(5, field(6, field(5, tensor))))),
    "branches": lambda tensor: field(7, field(1, field(5, field(11, field(5, tensor))))),
    "function": lambda tensor: field(25, field(7, field(5, field(5, tensor)))),
    "default of a function": lambda tensor: field(25, field(11, field(5, tensor))),
    "training": lambda tensor: field(20, field(1, field(5, tensor))),
    "second graph": lambda tensor: field(7, b"") + field(7, field(5, PLAIN) + field(5, tensor)),
}


@pytest.mark.parametrize("external", EXTERNAL)
@pytest.mark.parametrize("place", PLACES)
def test_external_data_is_found_anywhere(place: str, external: bytes) -> None:
    check_graph(PLACES[place](PLAIN), "model.onnx")
    with pytest.raises(BundleError, match=r"model\.onnx keeps tensors in another file"):
        check_graph(PLACES[place](external), "model.onnx")


@pytest.mark.parametrize("content", [b"\xff" * 20, b"\x3a\x05ab", b"\x03", b"\0\0", b"\x38", b"abcdORTM...."])
def test_what_is_no_graph_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError, match=r"model\.onnx cannot be loaded"):
        check_graph(content, "model.onnx")


@given(content=st.binary(max_size=60))
def test_any_bytes_pass_or_are_refused(content: bytes) -> None:
    with suppress(BundleError):
        check_graph(field(7, content), "model.onnx")


def test_a_deep_graph_does_not_exhaust_the_stack() -> None:
    content = field(5, PLAIN)
    for _ in range(400):
        content = field(1, field(5, field(6, content)))
    check_graph(field(7, content), "model.onnx")


@pytest.mark.parametrize("bit", [32, 33, 34, 35, 62])
def test_a_key_that_a_runtime_would_cut_short_is_refused(bit: int) -> None:
    """Runtimes keep 32 bits of a key, and would find external data where a longer key says otherwise."""
    hidden = PLAIN + field(13, ENTRY, 1 << bit) + varint(14 << 3 | 1 << bit) + b"\1"
    for content in (field(7, field(5, hidden)), field(7, field(5, EXTERNAL[0]), 1 << bit)):
        with pytest.raises(BundleError, match="damaged"):
            check_graph(content, "model.onnx")


def number(field_number: int, value: int) -> bytes:
    return varint(field_number << 3) + varint(value)


@pytest.mark.parametrize(
    "name", [b"encoder.position_embeddings.weight", b"a.position_embeddings.weight_int8"]
)
@pytest.mark.parametrize("packed", [False, True])
def test_windows_longer_than_the_table_of_positions_are_refused(name: bytes, packed: bool) -> None:
    sizes = field(1, varint(512) + varint(8)) if packed else number(1, 512) + number(1, 8)
    graph = field(5, PLAIN) + field(5, sizes + field(8, name))
    content = field(7, field(5, number(1, 7) + field(8, b"other.weight"))) + field(7, graph)
    check_window(content, "model.onnx", 512)
    with pytest.raises(BundleError, match=r"model\.onnx has 512 positions, but windows of 513 subwords"):
        check_window(content, "model.onnx", 513)


def test_an_encoder_without_a_table_of_positions_reads_any_window() -> None:
    check_window(field(7, field(5, PLAIN)), "model.onnx", 8192)


def test_the_embedded_model_has_512_positions() -> None:
    content = (files("openmed_ner") / "data" / "model" / "model.onnx").read_bytes()
    check_window(content, "model.onnx", 512)
    with pytest.raises(BundleError, match="512 positions, but windows of 513"):
        check_window(content, "model.onnx", 513)


@given(content=st.binary(max_size=60))
def test_any_table_passes_or_is_refused(content: bytes) -> None:
    with suppress(BundleError):
        check_window(field(7, field(5, field(8, b"position_embeddings.weight") + content)), "model.onnx", 512)
