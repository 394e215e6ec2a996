"""The page in a headless Chromium, driven by Playwright, on a real server with the embedded model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any
from zipfile import ZipFile

import pytest
from hypothesis import given
from hypothesis import strategies as st

import openmed_ner
from chromium import start_chromium
from openmed_ner.formats import read_documents
from openmed_ner.text.html import iter_pieces
from strategies import at_most

uvicorn = pytest.importorskip("uvicorn", reason="needs the service: pip install 'openmed-ner[serve]'")
pytestmark = [pytest.mark.browser, pytest.mark.slow]

TEXT = "Cisplatin caused nephrotoxicity 😀 in 𝒜 patients with ovarian cancer. Metformin treats diabetes."
OpenPage = Callable[..., Any]

NESTED = {
    "id": "nested",
    "text": "Familial breast cancer syndrome, left and right ventricle disease.",
    "spans": [
        {"start": 0, "end": 31, "label": "Disease", "score": 0.6, "corpus": "wide"},
        {"start": 9, "end": 22, "label": "Disease", "score": 0.9, "corpus": "narrow"},
        {"start": 9, "end": 22, "label": "Disease", "score": 0.8, "corpus": "other"},
        {"start": 9, "end": 15, "label": "Anatomy", "score": 0.4, "corpus": "organs"},
        {
            "start": 33,
            "end": 57,
            "fragments": [[33, 37], [48, 57]],
            "label": "Anatomy",
            "score": 0.7,
            "corpus": "organs",
            "attributes": {"negated": True, "long_form": "left ventricle"},
        },
    ],
    "coverage": {"characters": 66, "windows": 1, "complete": True},
}


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """The address of the service, tagging with the embedded model."""
    from openmed_ner.service.app import create_app
    from openmed_ner.service.server import listen
    from openmed_ner.service.settings import ServiceSettings

    settings = ServiceSettings(port=0, threads=1)
    app = create_app(openmed_ner.load(threads=1), settings)
    server = uvicorn.Server(uvicorn.Config(app, lifespan="on", ws="none", log_config=None))
    with listen(settings) as listener:
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield "http://{}:{}/".format(*listener.getsockname())
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")  # while it runs, this thread has an event loop, which other tests need
def browser() -> Iterator[Any]:
    with start_chromium() as browser:
        yield browser


@pytest.fixture
def open_page(browser: Any, service: str) -> Iterator[OpenPage]:
    """Opens pages. Afterwards: no console error, no outside request, nothing in the address or in storage."""
    pages: list[Any] = []
    problems: list[str] = []

    def open_(*, refusals: bool = False, **context: Any) -> Any:
        page = browser.new_context(**context).new_page()
        page.set_default_timeout(20_000)
        pages.append(page)

        def hear(message: Any) -> None:
            expected = refusals and "Failed to load resource" in message.text
            if message.type in ("error", "warning") and not expected:
                problems.append(message.text)

        page.on("console", hear)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: None if _is_ours(request.url) else problems.append(request.url))
        page.goto(service)
        return page

    def _is_ours(url: str) -> bool:
        return url.startswith((service, f"blob:{service}", "data:image/svg"))

    yield open_
    for page in pages:
        assert page.url == service
        assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
        page.context.close()
    assert problems == []


def tag(page: Any, text: str) -> None:
    page.get_by_label("Your text").fill(text)
    page.get_by_role("button", name="Tag").click()
    page.locator("#status", has_text="found").wait_for()


def answer(page: Any, *documents: dict[str, Any], **fields: Any) -> None:
    """Have the next texts answered with these documents and fields, whatever they are."""
    body = json.dumps({"documents": documents, "bundle": {"name": "canned", "sha256": ""}, **fields})
    page.route("**/tag", lambda route: route.fulfill(content_type="application/json", body=body))


def shown_mentions(page: Any) -> list[str]:
    """The table's mentions, all read at one moment, after what the page has yet to draw."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    texts: list[str] = page.locator("tbody td:only-child, tbody td:first-child button").all_inner_texts()
    return texts


def test_typed_text_is_tagged_as_by_the_tagger(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_label("Your text").press_sequentially("Aspirin caused gastric ulcer.")
    page.keyboard.press("Control+Enter")
    page.locator("#status", has_text="found").wait_for()
    document = openmed_ner.load(threads=1)("Aspirin caused gastric ulcer.")
    assert set(shown_mentions(page)) == {document.mention(span) for span in document.spans}
    assert page.locator("#coverage").inner_text() == "Read completely: 29 characters in 1 window"
    assert page.locator("#main").get_attribute("aria-busy") == "false"


def test_a_clinic_note_is_told_above_its_text(open_page: OpenPage) -> None:
    page = open_page()
    tag(page, "CC: cough\nHPI: 58 y/o M c/o cough, denies fever.\nMeds: lisinopril 20 mg daily\n")
    assert "reads like a clinic note" in page.locator("#hint").inner_text()
    tag(page, "Aspirin caused gastric ulcer.")
    assert page.locator("#hint").is_hidden()


def test_every_guideline_can_be_shown_and_downloaded(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page()
    tag(page, "Aspirin caused gastric ulcer.")
    page.get_by_label("Every guideline in a layer of its own").check()
    page.locator("#status", has_text="found").wait_for()
    layers = openmed_ner.load(threads=1)("Aspirin caused gastric ulcer.", layers=True).spans
    guidelines = {span.corpus for span in layers}
    page.locator("#guidelines > summary").click()
    page.locator("#corpora label", has_text=max(guidelines)).wait_for()
    page.get_by_text("Download").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON lines", exact=True).click()
    download.value.save_as(tmp_path / "entities.jsonl")
    (document,) = read_documents(tmp_path / "entities.jsonl")
    assert {span.corpus for span in document.spans} == guidelines


def test_offsets_hold_beyond_the_basic_plane(open_page: OpenPage) -> None:
    page = open_page()
    tag(page, TEXT)
    assert {"ovarian cancer", "Metformin", "diabetes"} <= set(shown_mentions(page))
    assert page.locator("#text").evaluate("element => element.textContent") == TEXT
    assert "Metformin" in page.locator("#text .piece").all_inner_texts()


def test_markup_in_a_text_stays_text(open_page: OpenPage) -> None:
    page = open_page()
    text = '<script>alert(1)</script><img src=x onerror="alert(2)"> <b>aspirin</b> &amp; \u202ediabetes'
    page.on("dialog", lambda dialog: pytest.fail("the text ran"))
    tag(page, text)
    assert page.locator("#text").evaluate("element => element.textContent") == text
    assert page.locator("#text :is(script, img, b), #table :is(script, img, b)").count() == 0


def test_a_document_whose_name_and_labels_are_markup_stays_text(open_page: OpenPage) -> None:
    page = open_page()
    evil = "<img src=x onerror=alert(1)>"
    span = {"start": 0, "end": 7, "label": evil, "score": 0.5, "corpus": evil, "attributes": {evil: evil}}
    answer(page, {"id": evil, "text": "aspirin", "spans": [span]}, {"id": "2", "text": "", "spans": []})
    tag(page, "x")
    page.locator(".piece").hover()
    assert evil in page.locator("#popover").inner_text()
    assert page.locator("main img, #popover img").count() == 0


def test_what_a_bundle_can_find_is_listed_even_if_told_after_the_result(open_page: OpenPage) -> None:
    page = open_page()
    waiting: list[Any] = []
    page.route("**/bundles", lambda route: waiting.append(route))
    page.reload()
    answer(page, NESTED)
    tag(page, "x")
    page.get_by_role("checkbox", name="Anatomy", exact=False).first.uncheck()
    assert page.locator("#labels").inner_text().split() == ["Anatomy", "2", "Disease", "2"]
    waiting.pop().continue_()
    page.locator("#labels", has_text="Chemical").wait_for()
    assert not page.locator("#labels").get_by_role("checkbox", name="Anatomy").is_checked()
    assert shown_mentions(page) == ["Familial breast cancer syndrome", "breast cancer"]


def test_filters_count_what_they_would_show(open_page: OpenPage) -> None:
    page = open_page()
    answer(page, NESTED)
    tag(page, "x")
    assert page.locator("#shown").inner_text() == "4 of 4 entities shown"
    page.locator("#labels", has_text="Chemical").wait_for()
    words = page.locator("#labels").inner_text().split()
    counts = dict(zip(words[::2], words[1::2], strict=True))
    assert {label: count for label, count in counts.items() if count != "0"} == {
        "Anatomy": "2",
        "Disease": "2",
    }
    assert counts["Chemical"] == "0"
    page.locator("#guidelines > summary").click()
    page.locator("#labels").get_by_role("checkbox", name="Anatomy").uncheck()
    assert shown_mentions(page) == ["Familial breast cancer syndrome", "breast cancer"]
    page.get_by_role("checkbox", name="wide").uncheck()
    assert shown_mentions(page) == ["breast cancer"]
    page.get_by_role("checkbox", name="narrow").uncheck()
    assert shown_mentions(page) == ["breast cancer"]
    assert [cell.strip() for cell in page.locator("tbody tr").inner_text().split("\t")] == [
        "breast cancer",
        "Disease",
        "1",
        "0.80",
        "other",
    ]
    page.get_by_role("slider").fill("0.85")
    page.get_by_text("No entities to show.").wait_for()
    assert page.locator("#threshold-value").inner_text() == "0.85"
    assert page.locator("#text [role=button]").count() == 0


def test_the_slider_filters_live_and_by_keyboard(open_page: OpenPage) -> None:
    page = open_page()
    answer(page, NESTED)
    tag(page, "x")
    page.get_by_role("slider").focus()
    page.keyboard.press("End")
    page.locator("#shown", has_text="0 of 4").wait_for()
    page.keyboard.press("Home")
    page.locator("#shown", has_text="4 of 4").wait_for()
    assert len(shown_mentions(page)) == 4


def test_mentions_are_counted_and_chosen_by_the_concepts_above(open_page: OpenPage) -> None:
    def place(start: int, identifier: str) -> dict[str, Any]:
        attributes = {"identifier": identifier}
        span = {"start": start, "end": start + 1, "label": "Disease", "score": 0.5, "corpus": "c"}
        return {**span, "attributes": attributes}

    first = [place(0, "X:2"), place(1, "X:3|Y:1"), place(2, "X:2"), place(3, "unknown")]
    concepts = {
        "X:1": {"name": "tumour", "parents": ["X:2"]},
        "X:2": {"name": "lung tumour", "parents": ["X:1"]},  # a cycle
        "X:3": {"name": "kidney tumour", "parents": ["X:1"]},
        "Y:1": {"name": "fever", "parents": []},
    }
    page = open_page()
    answer(page, NESTED)
    tag(page, "x")
    assert page.locator("#concepts").is_hidden()
    page.unroute("**/tag")
    documents = (
        {"id": "1", "text": "abcd", "spans": first},
        {"id": "2", "text": "e", "spans": [place(0, "X:3")]},
    )
    answer(page, *documents, concepts=concepts)
    tag(page, "x")
    choice = page.get_by_label("Concept, or below it")
    assert choice.locator("option").all_inner_texts() == [
        "all",
        "lung tumour (X:2): 4 in 2 documents",
        "tumour (X:1): 4 in 2 documents",
        "kidney tumour (X:3): 2 in 2 documents",
        "fever (Y:1): 1",
    ]
    choice.select_option("X:3")
    page.locator("#shown", has_text="1 of 4").wait_for()
    assert shown_mentions(page) == ["b"]
    page.get_by_text("Download").click()
    with page.expect_request(lambda request: "under" in (request.post_data or "")) as request:
        page.get_by_role("button", name="CSV", exact=True).click()
    assert json.loads(request.value.post_data)["under"] == ["X:3"]


def test_overlapping_layers_are_stacked_and_all_explained(open_page: OpenPage) -> None:
    page = open_page()
    answer(page, NESTED)
    tag(page, "x")
    breast = page.locator(".piece", has_text="breast")
    images = breast.evaluate("element => getComputedStyle(element).backgroundImage")
    assert images.count("gradient(") == 5  # four layers and the tint of the strongest
    heights = breast.evaluate("element => getComputedStyle(element).backgroundPositionY").split(", ")
    assert len(set(heights[:4])) == 4
    chip = breast.evaluate("element => getComputedStyle(element, '::after').color")
    assert chip == page.locator("#labels .chip", has_text="Anatomy").evaluate(
        "e => getComputedStyle(e).color"
    )
    breast.hover()
    card = page.locator("#popover").inner_text()
    for part in (
        "Familial breast cancer syndrome",
        "wide",
        "0.60",
        "narrow",
        "0.90",
        "other",
        "0.80",
        "organs",
    ):
        assert part in card
    assert page.locator(".piece.lit").all_inner_texts() == ["Familial ", "breast", " cancer", " syndrome"]


def test_a_discontinuous_mention_is_marked_in_its_fragments_only(open_page: OpenPage) -> None:
    page = open_page()
    answer(page, NESTED)
    tag(page, "x")
    page.locator(".piece", has_text="ventricle").hover()
    assert page.locator(".piece.lit").all_inner_texts() == ["left", "ventricle"]
    card = page.locator("#popover").inner_text()
    assert "left … ventricle" in card and "negated" in card and "long_form: left ventricle" in card


def test_arrow_keys_walk_from_mention_to_mention(open_page: OpenPage) -> None:
    page = open_page()
    answer(page, NESTED)
    tag(page, "x")
    assert page.locator("#text [tabindex='0']").count() == 1
    page.locator("#text [tabindex='0']").focus()
    visited = []
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "Home", "End", "ArrowLeft"):
        visited.append(page.evaluate("document.activeElement.textContent"))
        page.keyboard.press(key)
    visited.append(page.evaluate("document.activeElement.textContent"))
    assert visited == ["Familial ", "breast", "left", "left", "Familial ", "left", "breast"]
    assert page.evaluate("document.activeElement.getAttribute('aria-describedby')") == "popover"
    page.keyboard.press("Escape")
    assert page.locator("#popover").is_hidden()


def test_table_and_text_point_at_each_other(open_page: OpenPage) -> None:
    page = open_page()
    answer(page, NESTED)
    tag(page, "x")
    page.locator(".piece", has_text="left").hover()
    assert page.locator("tr.lit td:first-child button").all_inner_texts() == ["left … ventricle"]
    page.get_by_role("row", name="breast cancer Disease").hover()
    assert page.locator(".piece.lit").all_inner_texts() == ["breast", " cancer"]
    page.get_by_role("button", name="breast cancer", exact=True).press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "breast"
    assert page.locator("#popover").is_visible()


def test_the_table_sorts_and_searches(open_page: OpenPage) -> None:
    page = open_page()
    answer(page, NESTED)
    tag(page, "x")
    page.get_by_role("button", name="Mention").click()
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
    assert shown_mentions(page) == [
        "breast",
        "breast cancer",
        "Familial breast cancer syndrome",
        "left … ventricle",
    ]
    page.get_by_role("button", name="Best").click()
    assert page.locator("th[aria-sort]").inner_text().startswith("Best")
    assert shown_mentions(page)[0] == "breast cancer"
    page.get_by_label("Find in the table").fill("CANCER")
    assert shown_mentions(page) == ["breast cancer", "Familial breast cancer syndrome"]


DROP = """([name, content]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([content], name));
  for (const type of ["dragover", "drop"]) document.getElementById("source").dispatchEvent(
    new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


def test_a_dropped_file_of_several_documents(open_page: OpenPage) -> None:
    page = open_page()
    texts = ["Aspirin was given.", "😀 Cisplatin was given.", "We thank them."]
    page.evaluate(DROP, ["notes.jsonl", "\n".join(json.dumps({"text": text}) for text in texts)])
    page.locator("#status", has_text="in 3 documents").wait_for()
    assert shown_mentions(page) == ["Aspirin"]
    page.get_by_role("button", name="Next document").click()
    assert shown_mentions(page) == ["Cisplatin"]
    page.get_by_label("Document", exact=True).select_option(index=2)
    assert shown_mentions(page) == ["No entities to show."]
    assert page.get_by_role("button", name="Next document").is_disabled()
    with page.expect_download() as download:
        page.get_by_text("Download").click()
        page.get_by_role("button", name="JSON lines").click()
    saved = read_documents(Path(download.value.path()), format="jsonl")
    assert [document.text for document in saved] == texts


def test_a_chosen_file(open_page: OpenPage) -> None:
    page = open_page()
    content = b"Aspirin was given."
    page.get_by_label("Choose a file…").set_input_files(
        {"name": "a.txt", "mimeType": "text/plain", "buffer": content}
    )
    page.locator("#status", has_text="1 entity found.").wait_for()


FORMATS = {
    "JSON": "json",
    "JSON lines": "jsonl",
    "CSV": "csv",
    "CSV with tabs": "tsv",
    "CoNLL": "conll",
    "PubTator": "pubtator",
    "BioC XML": "bioc-xml",
    "BioC JSON": "bioc-json",
    "HTML to read": "html",
    "brat (zip)": "brat",
    "Label Studio": "label-studio",
    "doccano": "doccano",
    "Prodigy": "prodigy",
    "WebAnno TSV (zip)": "webanno",
    "UIMA XMI (zip)": "xmi",
}


def test_every_format_downloads_with_the_filters(open_page: OpenPage, tmp_path: Path) -> None:
    for number, (title, name) in enumerate(FORMATS.items()):
        if number % 8 == 0:  # a headless Chromium refuses a page its eleventh download
            page = open_page()
            show_chemicals(page)
            assert page.locator("#formats button").all_inner_texts() == list(FORMATS)
        with page.expect_download() as download:
            page.get_by_role("button", name=title, exact=True).click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        assert path.name.startswith("entities.")
        assert read_mentions(path, name) == ["Aspirin"]
        page.locator("#status", has_text="is ready").wait_for()


def show_chemicals(page: Any) -> None:
    """Tag a chemical and a disease, hide all but the chemical, and open the list of downloads."""
    tag(page, "Aspirin caused gastric ulcer.")
    page.locator("#labels").get_by_role("checkbox", name="Disease").uncheck()
    page.locator("#guidelines > summary").click()
    for box in page.locator("#corpora label").filter(has_not_text="bc5cdr").get_by_role("checkbox").all():
        box.uncheck()
    page.get_by_text("Download").click()


def test_a_busy_browser_has_time_to_begin_a_download(open_page: OpenPage) -> None:
    page = open_page()
    page.evaluate("() => { URL.revokeObjectURL = () => { window.revoked = true; }; }")
    tag(page, "Aspirin caused gastric ulcer.")
    page.clock.install(time=0)
    page.clock.pause_at(10_000)
    page.get_by_text("Download").click()
    with page.expect_download():
        page.get_by_role("button", name="JSON lines", exact=True).click()
    page.clock.fast_forward(30_000)
    assert not page.evaluate("window.revoked")
    page.clock.fast_forward(60_000)
    assert page.evaluate("window.revoked")


def read_mentions(path: Path, name: str) -> list[str]:
    if name in ("brat", "webanno", "xmi"):
        with ZipFile(path) as archive:
            archive.extractall(path.parent / name)
        path = path.parent / name
        path = path if name == "brat" else next(path.iterdir())
    elif name == "json":
        path.write_text(json.dumps(json.loads(path.read_text())["documents"][0]))
        name = "jsonl"
    elif name == "html":
        return ["Aspirin"] if path.read_text().count("<mark") == 2 else []  # in the text, in the legend
    return [
        document.mention(span) for document in read_documents(path, format=name) for span in document.spans
    ]


def refuse(page: Any, status: int, headers: dict[str, str] | None = None, **error: Any) -> None:
    body = json.dumps({"error": {"code": "x", "message": "no", **error}})
    page.route(
        "**/tag",
        lambda route: route.fulfill(
            status=status, headers={"Content-Type": "application/json", **(headers or {})}, body=body
        ),
    )


def try_to_tag(page: Any) -> None:
    page.get_by_label("Your text").fill("Aspirin.")
    page.get_by_role("button", name="Tag").click()


def test_a_refusal_says_what_to_do(open_page: OpenPage) -> None:
    page = open_page(refusals=True)
    refuse(page, 422, message="threshold: too large", where=["threshold"])
    try_to_tag(page)
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert alert.inner_text().splitlines()[0] == "threshold: too large"
    assert "Correct the text" in alert.inner_text()
    page.unroute("**/tag")
    page.get_by_role("button", name="Try again").click()
    page.locator("#status", has_text="1 entity found.").wait_for()
    assert alert.is_hidden()


def test_a_busy_service_is_tried_again_after_its_time(open_page: OpenPage) -> None:
    page = open_page(refusals=True)
    refuse(page, 429, {"Retry-After": "1"}, message="the queue is full")
    try_to_tag(page)
    button = page.get_by_role("button", name="Try again in 1 s")
    button.wait_for()
    assert button.is_disabled()
    page.get_by_role("button", name="Try again", exact=True).wait_for()
    assert page.locator("#retry").is_enabled()


def test_a_service_that_is_gone(open_page: OpenPage) -> None:
    page = open_page(refusals=True)
    page.route("**/tag", lambda route: route.abort("connectionrefused"))
    try_to_tag(page)
    page.get_by_role("alert").wait_for()
    assert "does not answer" in page.get_by_role("alert").inner_text()


def test_the_token_is_asked_for_and_kept_in_memory(open_page: OpenPage) -> None:
    page = open_page(refusals=True)
    seen: list[str | None] = []

    def guard(route: Any) -> None:
        seen.append(route.request.headers.get("authorization"))
        if seen[-1] == "Bearer secret":
            route.continue_()
        else:
            route.fulfill(status=401, content_type="application/json", body="{}")

    page.route("**/tag", guard)
    try_to_tag(page)
    page.get_by_role("textbox", name="Token").fill("secret")
    page.keyboard.press("Enter")
    page.locator("#status", has_text="found").wait_for()
    tag(page, "Aspirin again.")
    assert seen == [None, "Bearer secret", "Bearer secret"]


def test_work_can_be_cancelled(open_page: OpenPage) -> None:
    page = open_page(refusals=True)
    page.route("**/tag", lambda route: None)  # never answered
    try_to_tag(page)
    assert page.locator("#main").get_attribute("aria-busy") == "true"
    page.get_by_role("button", name="Cancel").click()
    page.locator("#status", has_text="Cancelled.").wait_for()
    assert page.get_by_role("button", name="Tag").is_enabled()


def test_an_empty_text_and_an_empty_result(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_role("button", name="Tag").click()
    assert "no text yet" in page.get_by_role("alert").inner_text()
    tag(page, "We thank them.")
    assert page.locator("#status").inner_text() == "No entities found."
    page.get_by_role("button", name="Clear").click()
    assert page.locator("#result").is_hidden()
    assert page.get_by_label("Your text").input_value() == ""


PLACES = """() => [...document.querySelectorAll("#form :is(button, input), #panel .buttons button")]
  .map((element) => [element.id, ...["x", "y"].map((side) => element.getBoundingClientRect()[side])])"""


@pytest.mark.parametrize("width", [1280, 390])
def test_no_control_moves_before_during_and_after_a_request(open_page: OpenPage, width: int) -> None:
    page = open_page(viewport={"width": width, "height": 2000})
    page.locator("#labels .box").first.wait_for(state="attached")
    places = page.evaluate(PLACES)
    assert len(places) > 5
    waiting: list[Any] = []
    page.route("**/tag", lambda route: waiting.append(route))
    page.get_by_label("Your text").fill("Aspirin.")
    page.get_by_role("button", name="Tag").click()
    page.get_by_role("button", name="Cancel").wait_for()
    visible = len(places) if width > 1000 else -3  # on a phone, filters follow the text
    assert page.evaluate(PLACES)[:visible] == places[:visible]
    waiting.pop().continue_()
    page.locator("#status", has_text="found").wait_for()
    page.evaluate("scrollTo(0, 0)")
    assert page.evaluate(PLACES)[:visible] == places[:visible]


def test_what_was_cleared_comes_back(open_page: OpenPage) -> None:
    page = open_page()
    tag(page, "Aspirin caused gastric ulcer.")
    found = shown_mentions(page)
    page.get_by_role("button", name="Clear").click()
    assert page.locator("#status").inner_text() == "Cleared."
    page.get_by_role("button", name="Undo").click()
    assert page.get_by_label("Your text").input_value() == "Aspirin caused gastric ulcer."
    assert shown_mentions(page) == found
    assert page.get_by_role("button", name="Undo").is_hidden()


def test_main_types_stand_first_and_one_click_chooses(open_page: OpenPage) -> None:
    page = open_page()
    answer(page, NESTED)
    tag(page, "x")
    page.locator("#labels", has_text="Chemical").wait_for()
    main = [*openmed_ner.load(threads=1).main_types]
    assert page.locator("#labels .chip").all_inner_texts() == main
    assert (
        page.locator("#more-labels .box").count() > 0 and page.locator("#rest").get_attribute("open") is None
    )
    page.locator("#labels .box", has_text="Anatomy").hover()
    page.get_by_role("button", name="Only Anatomy").click()
    assert set(shown_mentions(page)) == {"breast", "left … ventricle"}
    page.get_by_role("button", name="None").click()
    assert shown_mentions(page) == ["No entities to show."]
    page.get_by_role("button", name="Main types").click()
    assert len(shown_mentions(page)) == 4


def test_negation_is_asked_for_and_stands_in_text_and_table(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_label("Negation, history and family").check()
    tag(page, "She has asthma but no diabetes.")
    piece = page.locator(".piece", has_text="diabetes")
    assert piece.get_attribute("data-chip") == "Disease negated"
    assert "line-through" in piece.evaluate("element => getComputedStyle(element).textDecoration")
    assert page.locator("td:first-child", has_text="diabetes").inner_text().split() == ["diabetes", "negated"]
    assert page.locator("td:first-child", has_text="asthma").inner_text().split() == ["asthma"]
    assert page.locator("#identifiers").is_hidden()  # this service has no terminologies


def test_a_context_of_some_mentions_only_is_counted(open_page: OpenPage) -> None:
    page = open_page()
    spans = [
        {
            "start": 0,
            "end": 5,
            "label": "Disease",
            "score": 0.9,
            "corpus": "a",
            "attributes": {"negated": True},
        },
        {
            "start": 6,
            "end": 11,
            "label": "Disease",
            "score": 0.9,
            "corpus": "a",
            "attributes": {"identifier": "X:1"},
        },
    ]
    answer(page, {"id": "1", "text": "fever fever", "spans": spans})
    tag(page, "x")
    assert page.locator("td small").inner_text() == "negated (1 of 2), X:1 (1 of 2)"


def test_the_result_of_another_text_does_not_stay_below_a_refusal(open_page: OpenPage) -> None:
    page = open_page(refusals=True)
    tag(page, "Aspirin caused gastric ulcer.")
    refuse(page, 422, message="x.jsonl, line 1: no", where=["line 1"])
    try_to_tag(page)
    page.get_by_role("alert").wait_for()
    assert page.get_by_role("alert").inner_text().count("line 1") == 1
    assert page.locator("#result").is_hidden()


def test_a_phone_shows_the_result_and_leads_to_the_table(open_page: OpenPage) -> None:
    page = open_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    answer(page, NESTED)
    tag(page, "x")
    top = "element => element.getBoundingClientRect().top"
    assert -1 < page.locator("#result").evaluate(top) < 422
    assert page.locator("kbd").is_hidden()
    page.get_by_role("button", name="Table of entities").click()
    assert page.locator("#table-title").evaluate(top) < 844  # on the screen; the page may end below it
    assert (
        page.locator("th").last.is_hidden() and page.locator("#table").evaluate("e => e.offsetWidth") <= 390
    )


def test_the_page_names_the_file_and_links_to_the_reference(open_page: OpenPage) -> None:
    page = open_page()
    page.evaluate(DROP, ["notes.txt", "Aspirin was given."])
    page.locator("#result-title", has_text="notes.txt").wait_for()
    assert page.get_by_role("link", name="REST API").get_attribute("href") == "docs"


MEASURE_SHOWING = """() => new Promise((resolve) => {
  const line = document.getElementById("status");
  new MutationObserver(() => {
    if (!line.textContent.includes("found")) return;
    const arrived = performance.getEntriesByType("resource").at(-1).responseEnd;
    requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - arrived)));
  }).observe(line, { childList: true });
  document.getElementById("tag").click();
})"""


def test_a_text_of_200_kb_is_shown_and_filtered_fluently(open_page: OpenPage) -> None:
    page = open_page()
    answer(page, make_long(200_000))
    page.get_by_label("Your text").fill("x")
    showing = page.evaluate(MEASURE_SHOWING)
    n_pieces = page.locator(".piece").count()
    filtering = [page.evaluate(MEASURE_FILTERING, value) for value in (0.3, 0.6, 0.95, 0)]
    print(f"{n_pieces} pieces shown in {showing:.0f} ms, filtered in {max(filtering):.0f} ms")
    assert n_pieces > 5000
    assert showing < 10_000 and max(filtering) < 2_000  # far off, for a machine that does other things


def make_long(n_characters: int) -> dict[str, Any]:
    sentence = "Cisplatin caused severe acute kidney injury in women with ovarian cancer. 😀\n"
    n_sentences = n_characters // len(sentence)
    spans = []
    for number in range(n_sentences):
        for start, end, label, corpus in (
            (0, 9, "Chemical", "chemicals"),
            (17, 43, "Disease", "wide"),
            (24, 43, "Disease", "narrow"),
            (58, 72, "Disease", "wide"),
            (58, 72, "Disease", "narrow"),
        ):
            base, score = number * len(sentence), (len(spans) % 100) / 100
            spans.append(
                {"start": base + start, "end": base + end, "label": label, "score": score, "corpus": corpus}
            )
    return {"id": "long", "text": sentence * n_sentences, "spans": spans}


MEASURE_FILTERING = """async (value) => {
  const slider = document.getElementById("threshold");
  await new Promise(requestAnimationFrame);
  const began = performance.now();
  slider.value = value;
  slider.dispatchEvent(new Event("input"));
  await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  return performance.now() - began;
}"""

CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const paint = (...colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (channels) => channels.slice(0, 3).map((value) => value / 255)
    .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
  const backgrounds = (element) => element
    ? [...backgrounds(element.parentElement), getComputedStyle(element).backgroundColor] : [];
  const ratio = (element, tinted, pseudo) => {
    const one = light(paint(getComputedStyle(element, pseudo).color));
    const other = light(paint(...backgrounds(tinted)));
    return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  };
  const ratios = [];
  const kinds = "h1, h2, p, label, legend, button, summary, td, output, .chip, .count";
  for (const element of document.querySelectorAll(kinds)) {
    if (element.checkVisibility()) ratios.push([element.textContent.trim(), ratio(element, element)]);
  }
  for (const element of document.querySelectorAll("[data-chip]")) {
    const tinted = document.querySelector(`.chip.${element.classList[1]}`);
    ratios.push([element.dataset.chip, ratio(element, tinted, "::after")]);
    ratios.push([element.textContent, ratio(element, tinted)]);
  }
  return ratios;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_aa_for_every_type(open_page: OpenPage, scheme: str) -> None:
    page = open_page(color_scheme=scheme)
    labels = ["Disease", "Chemical", "Gene", "Species", "CellLine", "Anatomy", "Seventh", "Eighth"]
    spans = [
        {"start": place, "end": place + 1, "label": label, "score": 0.5, "corpus": "any"}
        for place, label in enumerate(labels)
    ]
    answer(page, {"id": "colours", "text": "abcdefgh", "spans": spans})
    tag(page, "x")
    ratios = page.evaluate(CONTRAST)
    assert len(ratios) > 60
    assert [(name, round(ratio, 2)) for name, ratio in ratios if ratio < 4.5] == []


def test_the_scheme_follows_the_system_and_the_switch(open_page: OpenPage) -> None:
    page = open_page(color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(20, 24, 26)"
    page.get_by_label("Theme").select_option("light")
    assert page.evaluate(background) == "rgb(245, 246, 244)"
    page.get_by_label("Theme").select_option("")
    assert page.evaluate(background) == "rgb(20, 24, 26)"


@pytest.mark.parametrize("width", [320, 375, 768, 1280])
def test_no_width_scrolls_sideways(open_page: OpenPage, width: int) -> None:
    page = open_page(viewport={"width": width, "height": 700})
    word = "Un" + "breakable" * 40
    text = f"{word} {NESTED['text']}"
    span = {"start": 0, "end": len(word), "label": "Chemical", "score": 0.5, "corpus": "long-" * 20}
    answer(page, {"id": "i" * 300, "text": text, "spans": [span]}, NESTED)
    tag(page, "x")
    page.get_by_text("Download").click()
    page.locator(".piece").first.hover()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_print_shows_text_and_table_without_controls(open_page: OpenPage) -> None:
    page = open_page()
    words = [f"disease-{number:03}" for number in range(150)]
    spans = [
        {"start": 12 * number, "end": 12 * number + 11, "label": "Disease", "score": 0.5, "corpus": "any"}
        for number in range(150)
    ]
    answer(page, {"id": "many", "text": " ".join(words), "spans": spans})
    tag(page, "x")
    assert shown_mentions(page) == words[:100]
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("tbody tr").count() == 150
    page.emulate_media(media="print")
    for selector in ("#form", "#threshold", "#download", "#search", "#status", "#theme"):
        assert page.locator(selector).is_hidden()
    for part in (page.locator(".piece").last, page.locator("#table"), page.locator("#labels .chip").first):
        assert part.is_visible()


UNNAMED = """() => [...document.querySelectorAll("button, input, select, textarea, summary, [role=button]")]
  .filter((element) => element.checkVisibility())
  .filter((element) => !(element.labels?.length || element.ariaLabel || element.textContent.trim()))
  .map((element) => element.outerHTML)"""


def test_a_screen_reader_finds_every_part_by_name(open_page: OpenPage) -> None:
    page = open_page()
    answer(page, NESTED)
    tag(page, "x")
    assert page.evaluate(UNNAMED) == []
    tree = page.locator("body").aria_snapshot()
    for part in (
        'heading "OpenMed NER" [level=1]',
        'textbox "Your text"',
        "status: 4 entities found.",
        'slider "Confidence at least"',
        'checkbox "Disease 2" [checked]',
        'group "Text with its entities"',
        'table "Entities"',
        'complementary "Filters and entities"',
        'searchbox "Find in the table"',
        'button "Choose a file…"',
    ):
        assert part in tree


@given(st.text(max_size=40))
@at_most(50)
def test_code_points_become_units(module_page: Any, text: str) -> None:
    units = module_page.evaluate(
        """async (text) => {
          const { unitsOf } = await import("/offsets.js");
          return Array.from({ length: [...text].length + 1 }, (_, position) => unitsOf(text)(position));
        }""",
        text,
    )
    assert units == [len(text[:position].encode("utf-16-le")) // 2 for position in range(len(text) + 1)]


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(1, 9)), max_size=8))
@at_most(50)
def test_pieces_are_those_of_python(module_page: Any, places: list[tuple[int, int]]) -> None:
    text = "abcdefghijklmnopqrst"
    ranges = [
        (start, min(start + length, len(text)), number) for number, (start, length) in enumerate(places)
    ]
    pieces = module_page.evaluate(
        """async ([length, ranges]) => {
          const { cutPieces } = await import("/offsets.js");
          const named = ranges.map(([start, end, value]) => ({ start, end, value }));
          return cutPieces(length, named).map(({ start, end, values }) => [start, end, values]);
        }""",
        [len(text), ranges],
    )
    expected = [(piece, values) for piece, values in iter_pieces(text, ranges)]
    assert [(text[start:end], values) for start, end, values in pieces] == expected


@pytest.fixture(scope="module")
def module_page(browser: Any, service: str) -> Iterator[Any]:
    page = browser.new_page()
    page.goto(service)
    yield page
    page.close()
