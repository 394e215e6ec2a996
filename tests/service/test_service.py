from __future__ import annotations

import asyncio
import http.client
import io
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

import openmed_ner
from asgi import tag_scope
from lexicons import build_diseases
from openmed_ner.bundle import open_bundle
from openmed_ner.cli.main import main
from openmed_ner.data import read_examples
from openmed_ner.errors import InputError, QueueFullError, TaggingFailedError
from openmed_ner.formats import FOLDER_WRITERS, READERS
from openmed_ner.inference.tagger import Tagger, embedded_bundle
from openmed_ner.service.batcher import BATCH, Batcher, PipeOptions
from openmed_ner.service.middleware import HEADERS
from openmed_ner.service.outputs import MEDIA_TYPES
from openmed_ner.service.settings import DOCUMENT_COST, TOKEN, ServiceSettings
from openmed_ner.terminologies import build
from openmed_ner.text import Document
from strategies import at_most
from stub_service import MARKER, SECRET, StubTagger, asgi, code, make_app


@pytest.fixture
def stub() -> Iterator[StubTagger]:
    tagger = StubTagger()
    yield tagger
    tagger.go.set()


@pytest.fixture
def client(stub: StubTagger) -> Iterator[TestClient]:
    with TestClient(make_app(stub)) as client:
        yield client


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    return openmed_ner.load(threads=1)


@pytest.fixture(scope="module")
def real(tagger: Tagger) -> Iterator[TestClient]:
    with TestClient(make_app(tagger)) as client:
        yield client


def spans(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(span["text"], span["label"]) for span in document["spans"]]


# --- What is answered


def test_a_clinic_note_is_told_in_the_answer(real: TestClient) -> None:
    note = "CC: cough\nHPI: 58 y/o M c/o cough, denies fever.\nMeds: lisinopril 20 mg daily\n"
    assert (
        real.post("/tag", json={"text": note}).json()["hint"].startswith("This text reads like a clinic note")
    )
    assert "hint" not in real.post("/tag", json={"text": "Aspirin reduced the risk of stroke."}).json()


def test_a_text_comes_back_with_its_entities_and_what_was_read(client: TestClient) -> None:
    answer = client.post("/tag", json={"text": "A drug\u00e9 for \U0001f600 illness", "id": "x"}).json()
    (document,) = answer["documents"]
    assert document["id"] == "x"
    assert spans(document) == [("drug\u00e9", "Chemical"), ("illness", "Disease")]
    assert document["coverage"] == {"characters": 21, "windows": 1, "complete": True}
    for span in document["spans"]:
        assert document["text"][span["start"] : span["end"]] == span["text"]
    assert answer["bundle"] == {"name": open_bundle(embedded_bundle()).manifest.name, "sha256": None}


def test_options_choose_heads_types_and_scores(client: TestClient) -> None:
    def mentions(**options: Any) -> list[str]:
        answer = client.post("/tag", json={"texts": ["drug ill"], **options}).json()
        return [span["text"] for span in answer["documents"][0]["spans"]]

    assert mentions() == ["drug", "ill"]
    assert mentions(corpora=["ills"]) == ["ill"] == mentions(types=["Disease"])
    assert mentions(threshold=0.5) == ["drug"]
    assert mentions(corpora=None, types=None) == ["drug", "ill"]


def test_a_request_may_turn_document_decoding_off(stub: StubTagger, client: TestClient) -> None:
    for options in ({}, {"document_decoding": False}):
        stub.document_decoding.clear()
        client.post("/tag", json={"text": "drug", **options})
        assert stub.document_decoding[-1] is not bool(options)
    client.post("/tag/file", files={"file": ("x.txt", b"drug")}, data={"document_decoding": "false"})
    assert stub.document_decoding[-1] is False


def test_attributes_are_added_on_request(real: TestClient) -> None:
    text = "Acute kidney injury (AKI) was not seen. No nephrotoxicity."
    body = {"text": text, "add": ["abbreviations", "context"], "corpora": ["ncbi-disease"]}
    (document,) = real.post("/tag", json=body).json()["documents"]
    attributes = {span["text"]: span.get("attributes") for span in document["spans"]}
    assert attributes["AKI"]["long_form"] == "Acute kidney injury"
    assert attributes["nephrotoxicity"] == {"negated": True}
    assert "attributes" in real.post("/tag", json={**body, "output": "csv"}).text.splitlines()[0]
    assert "attributes" not in real.post("/tag", json={"text": text, "output": "csv"}).text.splitlines()[0]
    form = {"add": "context", "corpora": "ncbi-disease"}
    (document,) = real.post("/tag/file", files={"file": ("a.txt", text)}, data=form).json()["documents"]
    assert {"negated": True} in [span.get("attributes") for span in document["spans"]]
    assert real.post("/tag", json={"text": text, "add": ["magic"]}).status_code == 422


def test_identifiers_come_from_the_cache_of_the_user(
    real: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENMED_NER_TERMINOLOGIES", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    body = {"text": "Asthma was seen.", "add": ["identifiers"], "types": ["Disease"]}
    assert "openmed-ner terminologies build" in real.post("/tag", json=body).text

    build_diseases(tmp_path, ["asthma"])
    (tmp_path / "openmed-ner").mkdir()
    (tmp_path / "compiled").rename(tmp_path / "openmed-ner/terminologies")
    (document,) = real.post("/tag", json=body).json()["documents"]
    assert document["spans"][0]["attributes"]["identifier"] == "MONDO:1"


def test_vocabularies_of_the_service_are_named_in_requests(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, row in (("mine", "X:1,ill,"), ("other", "Y:2,ill,Y:1\nY:1,substances,")):
        (tmp_path / f"{name}.csv").write_text(f"id,name,parents\n{row}\n", encoding="utf-8")
        build([], tmp_path / "stores" / name, vocabularies={tmp_path / f"{name}.csv": "Disease"})
    monkeypatch.setenv("OPENMED_NER_TERMINOLOGIES", str(tmp_path / "stores"))

    def ask(**options: Any) -> Any:
        return client.post("/tag", json={"text": "ill", **options}).json()

    def identifiers(**options: Any) -> list[str | None]:
        return [
            span.get("attributes", {}).get("identifier") for span in ask(**options)["documents"][0]["spans"]
        ]

    assert identifiers() == [None]
    assert identifiers(link=["mine"]) == ["X:1"]
    assert identifiers(add=["identifiers"], terminologies="other") == ["Y:2"]
    assert identifiers(link=["mine"], add=["identifiers"], terminologies="other") == ["X:1"]
    assert identifiers(match=["mine"], nested=True) == [None, "X:1"]
    assert identifiers(link=["other"], under=["Y:1"]) == ["Y:2"]
    assert identifiers(link=["other", "mine"], under=["X:1"]) == []
    form = {"link": "mine,other", "species": "10090"}
    answer = client.post("/tag/file", files={"file": ("a.txt", "ill")}, data=form).json()
    assert answer["documents"][0]["spans"][0]["attributes"]["identifier"] == "X:1"

    concepts = {"Y:1": {"name": "substances", "parents": []}, "Y:2": {"name": "ill", "parents": ["Y:1"]}}
    assert ask(link=["other"], concepts=True)["concepts"] == concepts
    assert ask(match=["other"], concepts=True)["concepts"] == concepts
    assert ask(concepts=True)["concepts"] == {} and "concepts" not in ask(link=["other"])

    for options, message in (
        ({"match": ["../mine.csv"]}, "match: this service has the vocabularies mine, other"),
        ({"link": ["mine"], "under": ["Z:secret"]}, "under: no terminology in use has one of the concepts"),
        ({"nested": True}, "nested is for match"),
        ({"concepts": True, "output": "csv"}, "are for the output json"),
        ({"species": 7955}, "no terminology has genes of species 7955"),
        ({"add": ["identifiers"]}, "name one with --terminologies"),
    ):
        error = ask(**options)["error"]
        assert message in error["message"] and "secret" not in error["message"]


def test_texts_keep_their_order_and_names(client: TestClient) -> None:
    answer = client.post("/tag", json={"texts": ["a", "", "drug"], "ids": ["z", "y", "x"]}).json()
    assert [document["id"] for document in answer["documents"]] == ["z", "y", "x"]
    answer = client.post("/tag", json={"texts": ["a", "b"]}).json()
    assert [document["id"] for document in answer["documents"]] == ["0", "1"]
    assert client.post("/tag", json={"texts": []}).json()["documents"] == []


def offline(path: Path, output: str, target: Path) -> Any:
    """Run ``openmed-ner tag``; return the bytes of its output, or of each file of a folder."""
    command = ["tag", str(path), "--to", output, "-o", str(target), "--threads", "1"]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", ["openmed-ner", *command])
        main()
    assert not ended.value.code
    if target.is_dir():
        return {file.name: file.read_bytes() for file in target.iterdir()}
    return target.read_bytes()


@pytest.mark.usefixtures("shared_embedded_model")
@pytest.mark.parametrize("output", sorted(set(MEDIA_TYPES) - {"json", "conll"}))
def test_every_format_is_what_the_command_line_writes(real: TestClient, tmp_path: Path, output: str) -> None:
    text = "Cisplatin <script>alert(1)</script> caused\tnephrotoxicity \U0001f600.\r\nNaïve ataxia & pain."
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "note.txt").write_bytes(text.encode())
    expected = offline(tmp_path / "in", output, tmp_path / "out")
    posted = real.post("/tag", json={"text": text, "id": "note.txt", "output": output})
    uploaded = real.post("/tag/file", files={"file": ("note.txt", text.encode())}, data={"output": output})
    for answer in (posted, uploaded):
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == MEDIA_TYPES[output]
        assert re.fullmatch(
            r'attachment; filename="entities\.[a-z.]+"', answer.headers["content-disposition"]
        )
        if output in FOLDER_WRITERS:
            with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
                assert {name: archive.read(name) for name in archive.namelist()} == expected
        else:
            assert answer.content == expected
    assert posted.content == uploaded.content, "the same documents give the same bytes"


def test_conll_takes_one_head_and_refuses_entities_that_overlap(real: TestClient, tmp_path: Path) -> None:
    text = "Cisplatin caused nephrotoxicity."
    chosen = real.post("/tag", json={"text": text, "output": "conll", "corpora": ["bc5cdr-disease"]})
    assert "nephrotoxicity\t17\t31\tB-Disease" in chosen.text
    refused = real.post("/tag", json={"text": text, "output": "conll", "layers": True})
    assert (refused.status_code, code(refused)) == (422, "unrepresentable")


def test_a_script_in_a_text_stays_text(real: TestClient) -> None:
    page = real.post("/tag", json={"text": "<script>x</script>", "id": "<b>", "output": "html"})
    assert "<script>x" not in page.text and "<b>" not in page.text
    assert "&lt;script&gt;x" in page.text


@pytest.mark.parametrize(
    ("name", "content", "source", "expected"),
    [
        ("a.txt", "one drug", "auto", [("a.txt", "one drug")]),
        ("A.JSONL", '{"id": 7, "text": "a"}\n{"text": "b"}\n', "auto", [("7", "a"), ("A.JSONL:2", "b")]),
        ("x", "id,text\n1,hello\n", "csv", [("1", "hello")]),
        ("x.pubtator", "9|t|T.\n9|a|A.\n", "auto", [("9", "T. A.")]),
        ("x.tsv", "drug\tO\nill\tO\n", "auto", [("x.tsv:1", "drug ill")]),
        ("../../etc/p.txt", "a", "auto", [("p.txt", "a")]),
    ],
)
def test_files_of_every_kind_are_read(
    client: TestClient, name: str, content: str, source: str, expected: list[tuple[str, str]]
) -> None:
    answer = client.post("/tag/file", files={"file": (name, content.encode())}, data={"from": source})
    assert answer.status_code == 200, answer.text
    assert [(document["id"], document["text"]) for document in answer.json()["documents"]] == expected


def test_a_file_that_breaks_its_format_is_refused_with_the_line(client: TestClient) -> None:
    file = {"file": ("x.jsonl", b'{"text": "a"}\nnonsense\n')}
    answer = client.post("/tag/file", files=file, data={"output": "csv"})
    assert (answer.status_code, code(answer)) == (422, "invalid_file")
    assert answer.json()["error"]["where"] == ["line 2"]
    alone = client.post("/tag/file", files={"file": ("x.jsonl", b"nonsense\n")})
    assert (code(alone), alone.json()["error"]["where"]) == ("invalid_file", ["line 1"])
    latin = client.post("/tag/file", files={"file": ("x.txt", b"a\nna\xefve\n")})
    assert (code(latin), latin.json()["error"]["where"]) == ("invalid_file", ["line 2"])


def test_bad_records_and_annotations_of_a_file_are_listed(client: TestClient) -> None:
    content = b'{"text": "a"}\nnonsense\n{"text": "b", "spans": [{"start": 0, "end": 9, "label": "x"}]}\n'
    answer = client.post("/tag/file", files={"file": ("x.jsonl", content)}).json()
    assert [document["text"] for document in answer["documents"]] == ["a", "b"]
    assert [problem[:16] for problem in answer["problems"]] == ["x.jsonl, line 2:", "x.jsonl, line 3:"]


def test_files_are_recognised_by_their_content(client: TestClient) -> None:
    answer = client.post("/tag/file", files={"file": ("x.txt", b"9|t|T.\n9|a|A.\n")})
    assert [document["id"] for document in answer.json()["documents"]] == ["9"]
    for name, content in (("x.pdf", b"%PDF-1.7"), ("x.log", b"drug"), ("x.xml", b"<PubmedArticleSet/>")):
        answer = client.post("/tag/file", files={"file": (name, content)})
        assert (answer.status_code, code(answer)) == (422, "unknown_format")
    answer = client.post("/tag/file", files={"file": ("x.log", b"drug")}, data={"from": "text"})
    assert answer.status_code == 200


def test_form_fields_mean_what_json_fields_mean(client: TestClient) -> None:
    answer = client.post(
        "/tag/file",
        files={"file": ("x.txt", b"drug ill")},
        data={"corpora": "drugs, ills", "types": "Disease", "threshold": "0.3"},
    )
    assert spans(answer.json()["documents"][0]) == [("ill", "Disease")]
    empty = {"corpora": "", "types": "", "from": "", "output": "", "threshold": ""}
    answer = client.post("/tag/file", files={"file": ("x.txt", b"drug ill")}, data=empty)
    assert len(answer.json()["documents"][0]["spans"]) == 2, "an empty field is one left out"
    for data in ({"threshold": "nan"}, {"threshold": "2"}, {"output": "pdf"}, {"colour": "red"}):
        assert client.post("/tag/file", files={"file": ("x.txt", b"")}, data=data).status_code == 422


def test_offsets_may_count_utf16_units_and_texts_stay_out(client: TestClient) -> None:
    text = "😀 drug, 𝒜 ill 😀"
    (plain,) = client.post("/tag", json={"text": text}).json()["documents"]
    body = {"text": text, "offsets": "utf16", "return_text": False}
    (document,) = client.post("/tag", json=body).json()["documents"]
    assert "text" not in document and len(document["spans"]) == len(plain["spans"]) == 2
    units = text.encode("utf-16-le")
    for span, original in zip(document["spans"], plain["spans"], strict=True):
        assert units[2 * span["start"] : 2 * span["end"]].decode("utf-16-le") == span["text"]
        assert span["start"] > original["start"]
    file = {"file": ("x.txt", text.encode())}
    form = client.post("/tag/file", files=file, data={"offsets": "utf16", "return_text": "false"}).json()
    assert form["documents"][0]["spans"] == document["spans"]
    refused = client.post("/tag", json={**body, "output": "csv"})
    assert (refused.status_code, "for the output json" in refused.json()["error"]["message"]) == (422, True)


@pytest.mark.parametrize("output", ["jsonl", "csv", "tsv"])
def test_a_file_may_have_the_mentions_without_their_text(client: TestClient, output: str) -> None:
    body = {"text": "One drug was given.", "output": output, "return_text": False}
    content = client.post("/tag", json=body).text
    assert "drug" in content and "given" not in content
    refused = client.post("/tag", json={**body, "output": "pubtator"}).json()["error"]["message"]
    assert "return_text is for the outputs json, jsonl, csv, tsv" in refused


@pytest.mark.parametrize(
    ("body", "message", "where"),
    [
        ({"text": "a", "types": "Chemical"}, 'types: expected a list, such as ["Chemical"]', ["types"]),
        ({"text": 5}, "text: expected a string", ["text"]),
        ({"texts": ["a", 5]}, "texts.1: expected a string", ["texts.1"]),
        ({"txt": "a"}, "txt: unknown field; did you mean text?", ["txt"]),
        ({"text": "a", "types": ["disease"]}, "unknown type 'disease'; did you mean Disease?", ["types"]),
        ({"text": "a", "corpora": ["bc2g"]}, "unknown corpus 'bc2g'; did you mean bc2gm?", ["corpora"]),
    ],
)
def test_a_refusal_names_the_field_once_and_what_was_expected(
    real: TestClient, body: dict[str, Any], message: str, where: list[str]
) -> None:
    error = real.post("/tag", json=body).json()["error"]
    assert (error["message"], error["where"]) == (message, where)


def test_the_model_says_what_it_is(real: TestClient, tagger: Tagger) -> None:
    (bundle,) = real.get("/bundles").json()["bundles"]
    assert [head["corpus"] for head in bundle["heads"]] == list(tagger.corpora)
    assert bundle["licence"] == "Apache-2.0" and bundle["types"] == list(tagger.types)
    assert {"abbreviations", "context"} <= set(bundle["attributes"])
    assert all(head["title"] for head in bundle["heads"])


def test_the_reference_needs_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/docs").text
    assert "POST /tag/file" in page and "Retry-After" in client.get("/openapi.json").text
    assert "Required. string" in page and "array of strings" in page
    assert "<script" not in page and "http://" not in page and "https://" not in page
    assert "POST /tag/file" not in client.get("/").text and client.get("/").status_code == 200


def test_the_page_offers_every_format(client: TestClient) -> None:
    inputs, downloads = (
        json.loads(line.partition(" = ")[2].rstrip(";"))
        for line in client.get("/formats.js").text.splitlines()
    )
    assert [download["name"] for download in downloads] == list(MEDIA_TYPES)
    assert {"text", "jsonl", "bioc-xml"} <= {row["name"] for row in inputs} <= set(READERS)
    assert all(row["title"] for row in (*inputs, *downloads))


def test_metrics_are_what_prometheus_reads(client: TestClient) -> None:
    client.post("/tag", json={"texts": ["drug ill", "drug"]})
    client.post(f"/{MARKER}", content=MARKER)
    answer = client.get("/metrics").text
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer)
        for sample in family.samples
    }
    assert samples["openmed_ner_documents_total",] == 2
    assert samples["openmed_ner_characters_total",] == 12
    assert samples["openmed_ner_entities_total", "Chemical"] == 2
    assert samples["openmed_ner_requests_total", "/tag", "200"] == 1
    assert samples["openmed_ner_requests_total", "other", "404"] == 1
    assert samples["openmed_ner_queue_characters",] == 0
    assert MARKER not in answer


# --- Batches


def run(tagger: Any, work: Callable[[Batcher], Any], *, limit: int = 1_000_000, on_batch: Any = None) -> Any:
    async def inside() -> Any:
        batcher = Batcher(tagger, limit=limit, **({"on_batch": on_batch} if on_batch else {}))
        async with batcher.running():
            result = await work(batcher)
        assert batcher.n_pending == 0, "everything that was taken was given back"
        return result

    return asyncio.run(inside())


words = st.sampled_from(["drug", "ill", "FAIL", "and", "x" * BATCH])
jobs = st.lists(
    st.tuples(
        st.lists(st.lists(words, max_size=3).map(" ".join), max_size=6),
        st.sampled_from([None, ("drugs",), ("ills",)]),
        st.sampled_from([0.0, 0.5]),
        st.integers(0, 3),
    ),
    max_size=8,
)


@given(jobs=jobs)
@at_most(25)
def test_results_do_not_depend_on_what_shares_a_batch(jobs: list[Any]) -> None:
    tagger = StubTagger()

    async def work(batcher: Batcher) -> list[Any]:
        async def one(texts: list[str], corpora: Any, threshold: float, delay: int) -> Any:
            for _ in range(delay):
                await asyncio.sleep(0)
            documents = [Document(str(number), text) for number, text in enumerate(texts)]
            return await batcher.tag(documents, PipeOptions(corpora=corpora, threshold=threshold))

        return await asyncio.gather(*(one(*job) for job in jobs), return_exceptions=True)

    for (texts, corpora, threshold, _), result in zip(jobs, run(tagger, work, limit=10_000_000), strict=True):
        failed = tuple(number for number, text in enumerate(texts) if "FAIL" in text)
        if failed:
            assert isinstance(result, TaggingFailedError) and result.indices == failed
        else:
            assert result == [
                next(tagger.pipe([Document(str(number), text)], corpora=corpora, threshold=threshold))
                for number, text in enumerate(texts)
            ]


def test_the_real_model_gives_the_same_alone_and_together(real: TestClient, tagger: Tagger) -> None:
    texts = [document.text for document in read_examples()]
    together = real.post("/tag", json={"texts": texts}).json()["documents"]
    for text, document in zip(texts, together, strict=True):
        alone = tagger(text)
        assert [(span["start"], span["end"], span["label"]) for span in document["spans"]] == [
            (span.start, span.end, span.label) for span in alone.spans
        ]
        for span, expected in zip(document["spans"], alone.spans, strict=True):
            assert span["score"] == pytest.approx(expected.score, abs=1e-3)


def test_requests_that_wait_share_a_batch(stub: StubTagger) -> None:
    async def work(batcher: Batcher) -> None:
        first = asyncio.create_task(batcher.tag([Document("first", "WAIT")], PipeOptions()))
        await asyncio.to_thread(stub.started.wait)
        requests = [
            asyncio.create_task(batcher.tag([Document(str(number), "x")], PipeOptions(threshold=number % 2)))
            for number in range(6)
        ]
        await asyncio.sleep(0)
        stub.go.set()
        await asyncio.gather(first, *requests)

    sizes: list[int] = []
    run(stub, work, on_batch=lambda documents, seconds: sizes.append(documents))
    assert stub.batches == [["first"], ["0", "2", "4"], ["1", "3", "5"]]
    assert sizes == [1, 3, 3]


def test_a_request_of_many_texts_lets_others_in_between(stub: StubTagger) -> None:
    async def work(batcher: Batcher) -> None:
        many = [Document(f"many{number}", "x" * 1000) for number in range(100)]
        everything = asyncio.create_task(batcher.tag(many, PipeOptions()))
        await asyncio.sleep(0)
        await batcher.tag([Document("small", "x")], PipeOptions())
        await everything

    run(stub, work)
    assert any("small" in batch for batch in stub.batches[:2])
    assert len(stub.batches) > 3


def test_a_long_text_does_not_hold_up_short_ones(stub: StubTagger) -> None:
    async def work(batcher: Batcher) -> None:
        long = asyncio.create_task(batcher.tag([Document("long", "WAIT " * BATCH)], PipeOptions()))
        await asyncio.to_thread(stub.started.wait)
        await asyncio.wait_for(batcher.tag([Document("short", "drug")], PipeOptions()), 5)
        assert not long.done()
        stub.go.set()
        await long

    run(stub, work)


def test_a_full_queue_says_when_to_come_back(stub: StubTagger) -> None:
    async def work(batcher: Batcher) -> None:
        first = asyncio.create_task(batcher.tag([Document("0", "WAIT")], PipeOptions()))
        await asyncio.to_thread(stub.started.wait)
        with pytest.raises(QueueFullError) as refused:
            await batcher.tag([Document("1", "x" * 900)], PipeOptions())
        assert refused.value.retry_after > 0
        stub.go.set()
        await first
        await batcher.tag([Document("1", "x" * 700)], PipeOptions())

    run(stub, work, limit=700 + DOCUMENT_COST)


def test_a_cancelled_request_gives_its_place_back(stub: StubTagger) -> None:
    async def work(batcher: Batcher) -> None:
        first = asyncio.create_task(batcher.tag([Document("0", "WAIT")], PipeOptions()))
        await asyncio.to_thread(stub.started.wait)
        n_pending = batcher.n_pending
        second = asyncio.create_task(batcher.tag([Document("1", "x"), Document("2", "y")], PipeOptions()))
        await asyncio.sleep(0)
        assert batcher.n_pending > n_pending
        second.cancel()
        await asyncio.wait([second])
        assert batcher.n_pending == n_pending
        stub.go.set()
        await first

    run(stub, work)
    assert stub.batches == [["0"]], "what nobody waits for is not tagged"


def test_leaving_finishes_what_was_taken(stub: StubTagger) -> None:
    async def work() -> list[list[Document]]:
        batcher = Batcher(stub, limit=10**6)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(batcher.running())
            tasks = [
                asyncio.create_task(batcher.tag([Document(str(number), "drug")], PipeOptions()))
                for number in range(20)
            ]
            await asyncio.sleep(0)
        return [await task for task in tasks]

    assert len(asyncio.run(work())) == 20


# --- Refusals


def test_a_failure_of_the_model_spoils_one_request_only(client: TestClient) -> None:
    answer = client.post("/tag", json={"texts": ["drug", f"FAIL {MARKER}"]})
    assert (answer.status_code, code(answer)) == (503, "tagging_failed")
    assert answer.json()["error"]["where"] == ["texts.1"] and "retry-after" in answer.headers
    assert MARKER not in answer.text
    assert client.post("/tag", json={"text": "drug"}).status_code == 200


def test_limits_have_their_statuses(stub: StubTagger) -> None:
    app = make_app(stub, max_body=5000, max_text=100, max_texts=3, max_queue=700)
    with TestClient(app) as client:
        for body, status, name in (
            ({"text": "x" * 5000}, 413, "body_too_large"),
            ({"text": "x" * 101}, 422, "text_too_long"),
            ({"texts": ["x"] * 4}, 422, "too_many_texts"),
            ({"texts": ["x" * 100] * 3}, 422, "too_many_texts"),
            ({"text": "x", "corpora": ["unknown"]}, 422, "unknown_name"),
            ({"text": "x", "texts": ["x"]}, 422, "invalid_request"),
            ({"texts": ["x"], "ids": []}, 422, "invalid_request"),
            ({"texts": ["x"], "id": "y"}, 422, "invalid_request"),
            ({"text": "x", "corpora": []}, 422, "invalid_request"),
            ({"text": "x", "thresh": 1}, 422, "invalid_request"),
        ):
            answer = client.post("/tag", json=body)
            assert (answer.status_code, code(answer)) == (status, name), answer.text
        lines = b'{"text": "x"}\n' * 4
        many = client.post("/tag/file", files={"file": ("x.jsonl", lines)})
        assert (many.status_code, code(many)) == (422, "too_many_texts")


def test_too_much_at_once_is_429_and_readiness_shows_it(stub: StubTagger) -> None:
    async def requests(client: httpx.AsyncClient) -> None:
        first = asyncio.create_task(client.post("/tag", json={"text": "WAIT" + "x" * 50}))
        await asyncio.to_thread(stub.started.wait)
        refused = await client.post("/tag", json={"text": "x" * 60})
        assert (refused.status_code, code(refused)) == (429, "queue_full")
        assert int(refused.headers["retry-after"]) >= 1
        assert (await client.get("/ready")).status_code == 503
        assert (await client.get("/health")).status_code == 200
        stub.go.set()
        assert (await first).status_code == 200
        assert (await client.get("/ready")).status_code == 200

    asyncio.run(asgi(make_app(stub, max_text=100, max_queue=300), requests))


def test_waiting_ends_with_504(stub: StubTagger) -> None:
    async def requests(client: httpx.AsyncClient) -> None:
        answer = await client.post("/tag", json={"text": "WAIT"})
        assert (answer.status_code, code(answer)) == (504, "timeout")
        stub.go.set()
        assert (await client.post("/tag", json={"text": "drug"})).status_code == 200

    asyncio.run(asgi(make_app(stub, timeout=0.2), requests))


def test_a_client_who_leaves_is_not_worked_for(stub: StubTagger, caplog: pytest.LogCaptureFixture) -> None:
    app = make_app(stub)
    sent: list[Any] = []

    async def leave() -> None:
        body = json.dumps({"text": "drug"}).encode()
        messages = [
            {"type": "http.request", "body": body, "more_body": False},
            {"type": "http.disconnect"},
        ]

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        scope = tag_scope()
        batcher = app.state.service.batcher
        async with batcher.running():
            first = asyncio.create_task(batcher.tag([Document("first", "WAIT")], PipeOptions()))
            await asyncio.to_thread(stub.started.wait)
            n_pending = batcher.n_pending
            await app(scope, receive, send)
            assert batcher.n_pending == n_pending
            stub.go.set()
            await first

    with caplog.at_level(logging.INFO):
        asyncio.run(leave())
    assert stub.batches == [["first"]]
    assert "POST /tag 499 " in caplog.text


def test_a_stopping_service_says_so(stub: StubTagger) -> None:
    app = make_app(stub)
    with TestClient(app) as client:
        app.state.service.batcher.close()
        for answer in (client.post("/tag", json={"text": "x"}), client.get("/ready")):
            assert (answer.status_code, code(answer)) == (503, "stopping")
            assert "retry-after" in answer.headers


# --- Settings and the command line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"host": "0.0.0.0"}, "access token"),
        ({"host": "::"}, "access token"),
        ({"host": "example.org"}, "access token"),
        ({"token": "short"}, "16 to 512"),
        ({"token": "with blanks in the middle"}, "16 to 512"),
        ({"origins": ("example.org",)}, "scheme and host"),
        ({"origins": ("https://example.org/path",)}, "scheme and host"),
        ({"origins": ("*",)}, "scheme and host"),
        ({"max_text": 10, "max_queue": 10}, "at least 210"),
        ({"timeout": 0.0}, "more than 0"),
        ({"timeout": float("nan")}, "more than 0"),
        ({"port": 70000}, "0 to 65535"),
    ],
)
def test_unsafe_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ServiceSettings(**options)


def test_loopback_needs_no_token_and_a_token_is_never_shown() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.8.8.8"):
        assert ServiceSettings(host=host).is_local
    assert SECRET not in repr(ServiceSettings(host="0.0.0.0", token=SECRET))


def test_the_command_line_refuses_what_cannot_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def refused(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["openmed-ner", "serve", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    monkeypatch.setenv(TOKEN, "")
    assert refused("--host", "0.0.0.0") == 2 and TOKEN in capsys.readouterr().err
    monkeypatch.setenv(TOKEN, "short")
    assert refused() == 2 and "short" not in capsys.readouterr().err.replace("shorter", "")
    assert refused("--token-file", str(tmp_path / "none")) == 2
    monkeypatch.delenv(TOKEN)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        assert refused("--port", port) == 1 and f"port {port}" in capsys.readouterr().err


@pytest.mark.slow
def test_sigterm_under_load_loses_no_accepted_request() -> None:
    """Clients count whole answers, the server's log counts what it accepted, and both agree."""
    texts = [document.text for document in read_examples()]
    code = "from openmed_ner.cli.main import main; main()"
    server = subprocess.Popen(
        [sys.executable, "-c", code, "serve", "--port", "0", "--threads", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != TOKEN},
    )
    assert server.stdout is not None
    port = int(server.stdout.readline().strip().rpartition(":")[2])
    answers: list[int] = []
    stop = threading.Event()

    def ask(number: int) -> None:
        while not stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            body = json.dumps({"text": texts[number % len(texts)]})
            try:
                connection.request("POST", "/tag", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                content = json.loads(response.read())
            except (OSError, http.client.HTTPException):
                return  # refused before it was accepted: the log must not know of it
            finally:
                connection.close()
            assert response.status in (200, 503)
            if response.status == 200:
                assert content["documents"][0]["coverage"]["complete"]
            answers.append(response.status)

    clients = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for client in clients:
        client.start()
    while len(answers) < 6:
        time.sleep(0.02)
    server.send_signal(signal.SIGTERM)
    _, log = server.communicate(timeout=60)
    stop.set()
    for client in clients:
        client.join(60)
    assert server.returncode == 0, log
    assert len(re.findall("POST /tag 200 ", log)) == answers.count(200) > 6
    assert "fault" not in log and "Traceback" not in log and "POST /tag 499 " not in log
    assert re.search(r"stopped: ([0-9]+) requests accepted, \1 answered", log)
    assert not any(text[:40] in log for text in texts)


def test_headers_stand_on_every_answer(client: TestClient) -> None:
    for answer in (
        client.get("/"),
        client.get("/nothing"),
        client.put("/tag"),
        client.post("/tag", content="x"),
        client.post("/tag", json={"text": "drug"}),
        client.get("/health", headers={"Host": "evil.example"}),
    ):
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
        assert not any(name.startswith("access-control") for name in answer.headers)
