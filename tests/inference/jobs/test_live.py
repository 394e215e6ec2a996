"""Results leave when the input pauses, and the input is read as any other."""

from __future__ import annotations

import os
import select
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.inference.jobs.live import BLOCK, LiveText, tag_what_has_arrived
from openmed_ner.text import Document


@given(pieces=st.lists(st.sampled_from(["a", "\n", "é\n", "\r\n", "b" * 50]), max_size=12))
def test_lines_are_those_of_the_text(pieces: list[str]) -> None:
    text = "".join(pieces)
    for call in (lambda file: "".join(file), lambda file: file.read()):
        reading, writing = os.pipe()
        os.write(writing, text.encode())
        os.close(writing)
        assert call(LiveText(reading, errors="strict")) == text
        os.close(reading)


def test_a_text_tells_whether_a_line_is_there() -> None:
    reading, writing = os.pipe()
    file = LiveText(reading, errors="surrogateescape")
    assert file.waits
    os.write(writing, b"one\ntw")
    assert not file.waits and file.readline() == "one\n"
    assert file.waits
    os.write(writing, b"o\n\xff\n")
    assert not file.waits and file.readline() == "two\n"
    assert not file.waits and file.readline() == "\udcff\n"
    os.write(writing, b"rest")
    os.close(writing)
    assert not file.waits and file.readline() == "rest"
    assert not file.waits and file.readline() == ""
    os.close(reading)


def test_a_long_line_arrives_whole() -> None:
    reading, writing = os.pipe()
    file, line, place = LiveText(reading, errors="strict"), b"x" * 300_000 + b"\n", 0
    os.set_blocking(writing, False)
    while place < len(line):
        if select.select([], [writing], [], 0)[1]:
            place += os.write(writing, line[place:])
        assert file.waits == (place < len(line))
    assert file.readline() == line.decode()


@pytest.mark.parametrize("size", [1, 3, BLOCK + 5])
def test_results_leave_before_the_next_document_is_awaited(size: int) -> None:
    events: list[str] = []
    left = 0

    def arrive() -> Iterator[Document]:
        nonlocal left
        for number in range(3 * size):
            left = size - 1 - number % size
            events.append("read")
            yield Document(str(number), "text")

    def tag(documents: Iterable[Document]) -> Iterator[Document]:
        yield from list(documents)

    tagged = tag_what_has_arrived(tag, lambda: left == 0)(arrive())
    ids = []
    for document in tagged:
        events.append("result")
        ids.append(document.id)
    assert ids == [str(number) for number in range(3 * size)]
    block = min(size, BLOCK)
    assert events[: 2 * block] == ["read"] * block + ["result"] * block


def test_a_limited_read_returns_lines_and_waits_for_none_that_has_yet_to_arrive() -> None:
    reading, writing = os.pipe()
    file = LiveText(reading, errors="strict")
    os.write(writing, b"a\nb\n")
    assert file.read(100) == "a\nb\n"
    os.write(writing, b"c\nd\ne")
    assert file.read(1) == "c\n"
    os.close(writing)
    assert file.read(100) == "d\ne"
    assert file.read(100) == ""
    os.close(reading)
