"""The exported page in a headless Chromium: the same spans as from Python, without any server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import openmed_ner
from chromium import start_chromium
from openmed_ner.bundle import open_bundle
from openmed_ner.formats.utf16 import CodeUnits
from openmed_ner.inference.tagger import embedded_bundle
from openmed_ner.service.browser.site import write_site

RUNTIME = "OPENMED_NER_WEB_RUNTIME"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        RUNTIME not in os.environ,
        reason=f"needs Pyodide, its numpy and onnxruntime-web in the folder {RUNTIME}: see docs/web.md",
    ),
]
SIGNS = (
    "Cisplatin \U0001f600 caused nephrotoxicity in \U0001d49c patients.\r\nAnémie (cafe\u0301-au-lait spots) "
    "in \U0001f469\u200d\u2695\ufe0f Parkinson\u2019s disease; IL-2\u00ad-induced fever\t\u200bin mice. "
    "\u0627\u0644\u0633\u0643\u0631\u064a diabetes."
)
"""Emoji, letters of two code units, combining marks, invisible characters and other scripts."""
TOLERANCE = 0.05
"""Most that scores may differ: other kernels round activations differently."""
DIFFERENT = 0.01
"""Largest share of spans that only one side may find for this reason."""
ASK = """async ([text, options]) => {
  const { requestTags } = await import("./service.js");
  const { readDocument } = await import("./mentions.js");
  const response = await requestTags({ text }, options, new AbortController().signal);
  const [record] = (await response.json()).documents;
  const { mentions } = readDocument(record);
  const layers = mentions.flatMap(({ start, end, label, layers }) =>
    layers.map(({ corpus, score }) => [start, end, label, corpus, score, text.slice(start, end)]));
  return layers;
}"""


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the page, whose files Python's own server sends."""
    folder = tmp_path_factory.mktemp("web") / "site"
    write_site(open_bundle(embedded_bundle()), folder, Path(os.environ[RUNTIME]))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def problems() -> list[str]:
    """Messages of the browser's console, errors, and requests to other addresses."""
    return []


@pytest.fixture(scope="module")
def page(address: str, problems: list[str]) -> Iterator[Any]:
    """The page when all is loaded, and the network switched off."""
    with start_chromium() as browser:
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(1_500_000)
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((address, f"blob:{address}", "data:image/svg"))
                else problems.append(request.url)
            ),
        )
        page.goto(address)
        page.locator("#loaded", has_text="Loaded").wait_for()
        context.set_offline(True)
        yield page


@pytest.mark.parametrize("layers", [False, True])
def test_the_page_finds_the_spans_that_python_finds(page: Any, layers: bool) -> None:
    tagger = openmed_ner.load(threads=1)
    texts = [*(document.text for document in openmed_ner.read_examples()), SIGNS]
    n_spans, different = 0, []
    for text, document in zip(texts, tagger.pipe(texts, layers=layers), strict=True):
        to_units = CodeUnits(text).to_units
        expected = {
            (to_units(span.start), to_units(span.end), span.label, span.corpus): span
            for span in document.spans
        }
        found = {
            tuple(place): (score, mention)
            for *place, score, mention in page.evaluate(ASK, [text, {"layers": True} if layers else {}])
        }
        for place in expected.keys() & found.keys():
            score, mention = found[place]
            assert mention == document.mention(expected[place])
            assert score == pytest.approx(expected[place].score, abs=TOLERANCE)
        n_spans += len(expected)
        different += expected.keys() ^ found.keys()
    assert len(different) <= DIFFERENT * n_spans, different


def test_typed_text_is_marked_on_the_page(page: Any) -> None:
    page.get_by_label("Your text").fill("Aspirin caused gastric ulcer 😀 in rats.")
    page.get_by_role("button", name="Tag").click()
    page.locator("#status", has_text="found").wait_for()
    assert "gastric ulcer" in page.locator("#text").inner_text()
    assert page.locator("tbody tr").count() >= 2


def test_a_file_is_tagged_and_downloaded_in_another_format(page: Any) -> None:
    content = b'{"id": "a", "text": "Metformin treats diabetes."}\n'
    page.get_by_label("Choose a file").set_input_files(
        {"name": "notes.jsonl", "mimeType": "application/json", "buffer": content}
    )
    page.locator("#status", has_text="found").wait_for()
    page.get_by_text("Download", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="PubTator").click()
    assert "a|t|" in Path(download.value.path()).read_text("utf-8")


def test_a_refusal_is_shown_with_its_reason(page: Any) -> None:
    page.get_by_label("Choose a file").set_input_files(
        {"name": "notes.jsonl", "mimeType": "application/json", "buffer": b'{"id": "a"}\n'}
    )
    page.locator("#alert", has_text="text").wait_for()


def test_nothing_is_stored_and_no_other_address_asked(page: Any, problems: list[str]) -> None:
    assert problems == []
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]


def test_neither_page_nor_worker_may_ask_another_address(
    page: Any, address: str, problems: list[str]
) -> None:
    page.context.set_offline(False)
    other = address.replace("127.0.0.1", "localhost")
    code = "url => fetch(url, { mode: 'no-cors' }).then(() => 'sent', () => 'refused')"
    worker = page.workers[0]
    assert worker.evaluate(code, f"{address}site.json") == "sent"
    assert worker.evaluate(code, f"{other}site.json") == "refused"
    assert page.evaluate(code, f"{other}site.json") == "refused"
