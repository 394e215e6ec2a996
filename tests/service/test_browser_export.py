"""The page that needs no service: its tokenizer, its answers, and what is written for it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import openmed_ner
from commands import call_main
from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.bundle.manifest import MODEL, TOKENIZER
from openmed_ner.errors import InputError, RunError
from openmed_ner.inference.backends.onnx import OnnxBackend
from openmed_ner.inference.tagger import embedded_bundle
from openmed_ner.service.browser.runtime import find_runtime
from openmed_ner.service.browser.site import POLICY, write_site
from openmed_ner.service.browser.tagging import LocalService, load_tagger
from openmed_ner.service.browser.wordpiece import WordPieceTokenizer, describe_characters
from openmed_ner.storage import sha256
from openmed_ner.tagging import SubwordTokenizer
from openmed_ner.tagging.batching import INPUTS, LongArray
from openmed_ner.tagging.heads import FloatArray

TEXT = "Cisplatin caused nephrotoxicity 😀 in 𝒜 patients; a café au lait naevus was seen."
CODES = (*range(0x1200), *range(0x1E00, 0x2200), *range(0x4E00, 0x4E80), *range(0x1F600, 0x1F610))
"""Some thousand characters of many kinds."""


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return open_bundle(embedded_bundle())


@pytest.fixture(scope="module")
def tokenizers(bundle: Bundle) -> tuple[SubwordTokenizer, SubwordTokenizer]:
    """The library's tokenizer and ours."""
    content = bundle.read(TOKENIZER).decode()
    table = json.loads(json.dumps(describe_characters(content, CODES)))
    return SubwordTokenizer.from_json(content), SubwordTokenizer(WordPieceTokenizer(content, table))


@pytest.fixture(scope="module")
def service(bundle: Bundle) -> LocalService:
    """The service of the page, with the model computed here."""
    backend = OnnxBackend(bundle.read(MODEL))

    def compute(inputs: Mapping[str, LongArray]) -> FloatArray:
        return backend.run(*(inputs.get(name, np.ones_like(inputs["ids"])) for name in INPUTS))

    table = describe_characters(bundle.read(TOKENIZER).decode(), CODES)
    names = backend._inputs
    return LocalService(load_tagger(bundle, table, compute, names), sha256=bundle.sha256)


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """What npm would install, with nothing in the files."""
    folder = tmp_path / "runtime"
    names = {
        "pyodide": ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip"),
        "onnxruntime-web/dist": (
            "ort.wasm.min.mjs",
            "ort-wasm-simd-threaded.mjs",
            "ort-wasm-simd-threaded.wasm",
        ),
    }
    for package, files in names.items():
        (folder / "node_modules" / package).mkdir(parents=True)
        for name in files:
            (folder / "node_modules" / package / name).write_bytes(b"")
    for package in ("pyodide", "onnxruntime-web"):
        (folder / "node_modules" / package / "package.json").write_text('{"version": "1.2.3"}')
    (folder / "numpy-9.whl").write_bytes(b"numpy")
    numpy = {"version": "9", "file_name": "numpy-9.whl", "sha256": sha256(b"numpy")}
    lock = folder / "node_modules/pyodide/pyodide-lock.json"
    lock.write_text(json.dumps({"packages": {"numpy": numpy}}))
    return folder


@given(
    st.lists(st.text(st.sampled_from([*map(chr, CODES)]), min_size=1, max_size=12), min_size=1, max_size=30)
)
def test_the_tokenizer_cuts_words_as_the_library_does(
    tokenizers: tuple[SubwordTokenizer, SubwordTokenizer], words: list[str]
) -> None:
    library, ours = tokenizers
    text = " ".join(words)
    for expected, found in zip(library.iter_encodings(text), ours.iter_encodings(text), strict=True):
        np.testing.assert_array_equal(found.ids, expected.ids)
        np.testing.assert_array_equal(found.lengths, expected.lengths)


def test_the_tokenizer_cuts_every_character_as_the_library_does(
    tokenizers: tuple[SubwordTokenizer, SubwordTokenizer],
) -> None:
    library, ours = tokenizers
    for word in ("a{}b", "{}", "Nephr\N{LATIN SMALL LETTER O WITH DIAERESIS}{}tic", "x" * 101 + "{}"):
        words = [word.format(chr(code)) for code in CODES]
        assert list(ours._cut_anew(words)) == list(library._cut_anew(words))


def test_the_tokenizer_has_the_special_subwords_of_the_library(
    tokenizers: tuple[SubwordTokenizer, SubwordTokenizer],
) -> None:
    library, ours = tokenizers
    for name in ("prefix", "suffix", "unknown", "padding", "mask", "specials", "vocabulary", "n_subwords"):
        assert getattr(ours, name) == getattr(library, name)


@pytest.mark.slow
def test_the_table_has_all_characters(bundle: Bundle) -> None:
    content = bundle.read(TOKENIZER).decode()
    library = SubwordTokenizer.from_json(content)
    ours = SubwordTokenizer(WordPieceTokenizer(content, describe_characters(content)))
    codes = (*range(0xD800), *range(0xE000, 0x30000, 7), *range(0xE0000, 0x110000, 997))
    words = [f"a{chr(code)}b" for code in codes]
    assert list(ours._cut_anew(words)) == list(library._cut_anew(words))


def test_only_tokenizers_of_bert_are_described() -> None:
    with pytest.raises(InputError, match="the model is BPE, and a page reads WordPiece only"):
        describe_characters('{"model": {"type": "BPE"}}')


def test_the_page_needs_no_package_but_numpy() -> None:
    missing = ("bioc", "fastapi", "huggingface_hub", "lxml", "onnxruntime", "pydantic", "rich", "starlette")
    missing += ("tokenizers", "typer", "yaml", "_multiprocessing", "lzma", "sqlite3", "ssl")
    code = f"import sys; sys.modules |= dict.fromkeys({missing}); import openmed_ner.service.browser.tagging"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_texts_are_tagged_as_by_the_tagger(service: LocalService) -> None:
    tagger = openmed_ner.load(threads=1)
    for fields, options in (({}, {}), ({"layers": True}, {"layers": True}), ({"types": ["Disease"]},) * 2):
        status, media_type, body = service.answer("tag", {"text": TEXT, **fields})
        assert (status, media_type) == (200, "application/json")
        (document,) = json.loads(body)["documents"]
        found = [(span["start"], span["end"], span["label"], span["score"]) for span in document["spans"]]
        expected = tagger(TEXT, **options).spans
        assert found == [
            (span.start, span.end, span.label, pytest.approx(span.score, abs=1e-4)) for span in expected
        ]
        assert found


def test_files_are_read_with_the_fields_of_a_form(service: LocalService) -> None:
    content = json.dumps({"id": "a", "text": TEXT}).encode()
    fields = {"from": "auto", "types": "Disease,Chemical", "threshold": "0.5", "layers": "false"}
    status, _, body = service.answer("tag/file", fields, content, "notes.jsonl")
    assert status == 200
    (document,) = json.loads(body)["documents"]
    assert document["id"] == "a"
    assert {span["label"] for span in document["spans"]} == {"Chemical", "Disease"}


def test_other_formats_are_downloads(service: LocalService) -> None:
    status, media_type, body = service.answer("tag", {"text": TEXT, "output": "pubtator"})
    assert status == 200 and "text/plain" in media_type and b"|t|" in body


def test_refusals_have_the_shape_of_those_of_the_service(service: LocalService) -> None:
    for path, fields, reason in (
        ("tag", {"text": TEXT, "types": ["Nonsense"]}, "Nonsense"),
        ("tag/file", {"from": "jsonl"}, "upload"),
    ):
        status, _, body = service.answer(path, fields, b"{", "upload.jsonl")
        assert status == 422 and reason in json.loads(body)["error"]["message"]


def test_the_bundle_is_described(service: LocalService, bundle: Bundle) -> None:
    _, _, body = service.answer("bundles", {})
    (record,) = json.loads(body)["bundles"]
    assert (record["name"], record["sha256"]) == (bundle.manifest.name, bundle.sha256)


def test_a_failing_session_is_a_refusal(bundle: Bundle, service: LocalService) -> None:
    def fail(inputs: Mapping[str, LongArray]) -> FloatArray:
        raise ValueError("out of memory")

    with pytest.raises(RunError, match="out of memory"):
        load_tagger(bundle, {"removed": [], "spaced": [], "forms": {}, "signs": ""}, fail, INPUTS)


@pytest.fixture
def small_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Describe few characters, which is quick."""
    monkeypatch.setattr(
        "openmed_ner.service.browser.site.describe_characters",
        lambda content: describe_characters(content, range(0x80)),
    )


@pytest.mark.usefixtures("small_table")
def test_a_page_has_everything_that_it_loads(bundle: Bundle, runtime: Path, tmp_path: Path) -> None:
    site = write_site(bundle, tmp_path / "site", runtime)
    index = (site.folder / "index.html").read_text()
    assert POLICY in index and "docs" not in index and 'value="context"' not in index
    assert "postMessage" in (site.folder / "transport.js").read_text()
    assert open_bundle(site.folder / "bundle").sha256 == bundle.sha256
    assert {path.name for path in (site.folder / "runtime").iterdir()} >= {"numpy-9.whl", "pyodide.asm.mjs"}
    with ZipFile(site.folder / "openmed_ner.zip") as package:
        names = package.namelist()
    assert "openmed_ner/service/browser/tagging.py" in names
    assert not [name for name in names if "/data/" in name or not name.startswith("openmed_ner/")]
    sizes = {name: path.stat().st_size for path in site.folder.rglob("*") if (name := path.name)}
    listed = json.loads((site.folder / "site.json").read_text())
    assert (
        sum(listed["sizes"].values())
        == sum(path.stat().st_size for path in site.folder.rglob("*") if path.is_file()) - sizes["site.json"]
    )
    with pytest.raises(RunError, match="exists"):
        write_site(bundle, tmp_path / "site", runtime)


def test_a_missing_part_of_the_runtime_is_named(runtime: Path) -> None:
    wheel = runtime / "numpy-9.whl"
    wheel.write_bytes(b"another")
    with pytest.raises(InputError, match="Pyodide's list says"):
        find_runtime(runtime)
    wheel.unlink()
    with pytest.raises(InputError, match=r"put it there from https://.*/v1\.2\.3/full/numpy-9\.whl"):
        find_runtime(runtime)
    (runtime / "node_modules/pyodide/pyodide.mjs").unlink()
    with pytest.raises(InputError, match=r"pyodide\.mjs is missing; run: npm install --prefix"):
        find_runtime(runtime)


def test_the_command_asks_for_the_runtime(tmp_path: Path) -> None:
    screen = io.BytesIO()
    words = ["openmed-ner", "bundles", "export", "--to", "web", "-o", str(tmp_path / "site")]
    assert call_main(words, b"", screen, screen) == 2
    assert "npm install --prefix" in screen.getvalue().decode().replace("\n", " ")
