"""Uploads made to take memory or time: reading is bounded, and a file waits for no larger one."""

from __future__ import annotations

import asyncio
import threading
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress

import bioc.biocxml.decoder  # noqa: F401 - its import is no part of what is measured
import pytest

from openmed_ner.errors import RefusedError
from openmed_ner.service import uploads
from openmed_ner.service.batcher import DOCUMENT_COST, Batcher, PipeOptions, cost
from openmed_ner.service.schemas import FileRequest
from openmed_ner.service.settings import ServiceSettings
from openmed_ner.service.uploads import MEMORY_FACTOR, FileContent, Upload, UploadReader, read_upload
from openmed_ner.text import Document
from stub_service import StubTagger

BODY = 60_000
SETTINGS = ServiceSettings(max_body=BODY)
PASSAGE = '{"offset":0,"infons":{},"text":"","sentences":[],"annotations":[],"relations":[]}'
COLLECTION = '{{"documents":[{{"id":"1","infons":{{}},"passages":[{}],"annotations":[],"relations":[]}}]}}'
TITLE = f"1|t|{'a ' * 5000}\n"


def repeat(row: str, head: str = "", tail: str = "") -> str:
    """Repeat a row until a file has ``BODY`` characters."""
    return head + row * ((BODY - len(head) - len(tail)) // len(row)) + tail


HOSTILE = {
    "ids": ("a.csv", repeat("1,\n", "id,text\n1,aspirin\n")),
    "rows": ("a.csv", repeat("1,,0,1,X\n", "id,text,start,end,label\n1,aspirin\n")),
    "quote": ("a.csv", repeat('1,"\n', "id,text\n1,aspirin\n")),
    "cells": ("a.csv", f"id,text{',' * (BODY // 2)}\n1,a{',' * (BODY // 2)}\n"),
    "passages": ("a.json", COLLECTION.format(repeat(PASSAGE + ",", tail=PASSAGE))),
    "empty documents": ("a.json", repeat("{},", '{"documents":[', "{}]}")),
    "objects": ("a.json", repeat('{"a":{}},', '{"documents":[{"id":"1","infons":{"x":[', "{}]}}]}")),
    "keys": ("a.jsonl", '{"text":"a",' + ",".join(f'"{number}":{number}' for number in range(5500)) + "}"),
    "XML": ("a.xml", repeat("<relation/>", "<collection><document><id>1</id>", "</document></collection>")),
    "mentions": ("a.pubtator", repeat("1\t0\t1\ta\tX\n", TITLE)),
    "bad mentions": ("a.pubtator", repeat("1\t0\t9999\ta\tX\n", TITLE)),
    "relations": ("a.pubtator", repeat("1\tA\tB\tC\n", TITLE)),
    "fields": ("a.pubtator", repeat("\t", f"{TITLE}1\t0\t1\ta\tX")),
    "triples": ("a.jsonl", repeat('[0,1,"X"],', '{"text":"a","label":[', '[0,1,"X"]]}')),
    "words": ("a.conll", repeat("a O\n")),
    "code units": ("a.tsv", repeat("x", "#FORMAT=WebAnno TSV 3.3\n\n\n#Text=😀", "\n1-1\t0-2\t😀\t\n")),
}


@pytest.mark.parametrize(("name", "content"), HOSTILE.values(), ids=HOSTILE.keys())
def test_reading_is_bounded_by_a_multiple_of_the_limit(name: str, content: str) -> None:
    upload = Upload(name, content.encode(), FileRequest())
    with suppress(RefusedError):
        read_upload(Upload(name, b"id,text\n1,a\n", FileRequest()), SETTINGS)  # imports are not measured
    tracemalloc.start()
    with suppress(RefusedError):
        read_upload(upload, SETTINGS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MEMORY_FACTOR * BODY


def test_spans_of_an_upload_are_not_kept() -> None:
    upload = Upload(
        "a.jsonl", b'{"text": "a", "spans": [{"start": 0, "end": 1, "label": "X"}]}', FileRequest()
    )
    (document,) = read_upload(upload, SETTINGS).documents
    assert document.spans == ()


def test_a_file_of_many_small_parts_is_refused() -> None:
    for name in ("objects", "XML", "relations"):
        with pytest.raises(RefusedError) as refused:
            read_upload(Upload(HOSTILE[name][0], HOSTILE[name][1].encode(), FileRequest()), SETTINGS)
        assert (refused.value.status, refused.value.code) == (422, "too_many_records")


def test_reading_ends_at_the_deadline() -> None:
    with pytest.raises(RefusedError) as refused:
        read_upload(Upload("a.txt", b"asthma", FileRequest()), SETTINGS, time.monotonic() - 1)
    assert (refused.value.status, refused.value.code) == (504, "timeout")


def test_a_small_file_does_not_wait_for_a_large_one(monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()

    def read(upload: Upload, settings: ServiceSettings, deadline: float | None = None) -> FileContent:
        assert len(upload.content) == 1 or go.wait(20)
        return FileContent([], [upload.name])

    monkeypatch.setattr(uploads, "read_upload", read)

    async def work() -> None:
        reader = UploadReader(SETTINGS)
        large = [
            asyncio.create_task(reader.read(Upload(str(number), b"x" * 200_000, FileRequest()), 0.0))
            for number in range(3)
        ]
        small = await asyncio.wait_for(reader.read(Upload("small", b"x", FileRequest()), 0.0), 20)
        assert small.problems == ["small"] and not any(task.done() for task in large)
        go.set()
        assert [content.problems for content in await asyncio.gather(*large)] == [["0"], ["1"], ["2"]]

    asyncio.run(work())


def queue(stub: StubTagger, work: Callable[[Batcher], object]) -> None:
    async def run() -> None:
        batcher = Batcher(stub, limit=10**7)
        async with batcher.running():
            first = asyncio.create_task(batcher.tag([Document("first", "WAIT")], PipeOptions()))
            await asyncio.to_thread(stub.started.wait)
            tasks = work(batcher)
            await asyncio.sleep(0)
            stub.go.set()
            await asyncio.gather(first, *tasks)  # type: ignore[misc]

    asyncio.run(run())


def test_a_short_text_overtakes_longer_ones_of_earlier_requests() -> None:
    stub = StubTagger()

    def work(batcher: Batcher) -> list[asyncio.Task[list[Document]]]:
        texts = [("long", "x" * 20_000)] * 20 + [("short", "x")]
        return [asyncio.create_task(batcher.tag([Document(*text)], PipeOptions())) for text in texts]

    queue(stub, work)
    assert stub.batches[:2] == [["first"], ["short", "long", "long"]]


def test_requests_share_the_time_whatever_their_texts() -> None:
    stub = StubTagger()

    def work(batcher: Batcher) -> list[asyncio.Task[list[Document]]]:
        many = [Document(f"many{number}", "x" * 1800) for number in range(60)]
        few = [Document(f"few{number}", "x" * 19_800) for number in range(6)]
        return [asyncio.create_task(batcher.tag(texts, PipeOptions())) for texts in (many, few)]

    queue(stub, work)
    order = [name for batch in stub.batches for name in batch]
    for number in range(6):  # ten texts of one request take as long as one of the other
        n_before = sum(name.startswith("many") for name in order[: order.index(f"few{number}")])
        assert n_before == 10 * (number + 1)


def test_the_size_of_a_text_follows_from_its_words() -> None:
    prose = "Cisplatin caused nephrotoxicity in three of forty patients. " * 10
    assert cost(Document("1", prose)) == len(prose) + DOCUMENT_COST
    for dense in ("a " * 300, "." * 600, "病" * 600):
        assert cost(Document("1", dense)) > 2 * len(dense)
    assert cost(Document("1", " " * 600)) == 600 + DOCUMENT_COST
    structured = Document("1", "a", meta={"structure": {"relations": [{"infons": {"a": 1}}] * 100}})
    assert cost(structured) > cost(Document("1", "a")) + 400


def test_tagging_ends_once_nobody_waits_for_it(caplog: pytest.LogCaptureFixture) -> None:
    stub = StubTagger()

    async def run() -> None:
        batcher = Batcher(stub, limit=10**7)
        async with batcher.running():
            task = asyncio.create_task(batcher.tag([Document("0", "WAIT"), Document("1", "")], PipeOptions()))
            await asyncio.to_thread(stub.started.wait)
            task.cancel()
        assert batcher.n_pending == 0

    asyncio.run(asyncio.wait_for(run(), 20))
    assert stub.batches == [["0", "1"]]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
