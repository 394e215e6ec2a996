from __future__ import annotations

import copy
import pickle
import shutil
import sys
import threading
import tracemalloc
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from definitions import HEAD, MENTIONS, TEXT, decide
from openmed_ner.bundle import Bundle, seal
from openmed_ner.bundle.manifest import RUNTIMES, Precision
from openmed_ner.data import read_examples
from openmed_ner.errors import BundleError, InputError, MissingExtraError, RunError
from openmed_ner.inference.backends import Workers
from openmed_ner.inference.backends.onnx import OnnxBackend
from openmed_ner.inference.backends.openvino import OpenVinoBackend
from openmed_ner.inference.tagger import Tagger
from openmed_ner.model.bundles import load_model
from openmed_ner.tagging import prediction
from openmed_ner.text import Document
from openmed_ner.training.export.runtime import export_runtime
from sentences import DOCUMENTS
from strategies import at_most
from tiny import CORPORA


@pytest.fixture(scope="module")
def tagger(runtime_bundle: Bundle) -> Tagger:
    return Tagger.load(runtime_bundle, threads=1)


def keys(document: Document) -> list[tuple[int, int, str]]:
    return [span.key for span in document.spans]


def test_the_model_finds_what_it_learnt(tagger: Tagger) -> None:
    for document in DOCUMENTS:
        assert keys(tagger(document.text)) == keys(document)


def test_onnx_and_torch_give_the_same_spans(tagger: Tagger, adapter_bundle: Bundle) -> None:
    reference = Tagger.load(adapter_bundle)
    texts = [document.text for document in DOCUMENTS] + [" ".join(entry.text for entry in DOCUMENTS * 4)]
    for actual, expected in zip(tagger.pipe(texts), reference.pipe(texts), strict=True):
        assert keys(actual) == keys(expected)
        for one, other in zip(actual.spans, expected.spans, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-4)
        assert actual.meta["coverage"] == expected.meta["coverage"]


def test_a_pickle_or_a_copy_loads_the_bundle_again(runtime_bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(runtime_bundle.folder, folder)
    tagger = Tagger.load(folder, threads=1, document_decoding=False)
    content = pickle.dumps(tagger)
    assert len(content) < 1_000
    for copied in (pickle.loads(content), copy.deepcopy(tagger)):
        assert copied(TEXT) == tagger(TEXT)
        assert copied.manifest == tagger.manifest

    seal(folder, replace(tagger.manifest, name="other"))
    with pytest.raises(BundleError, match="bundle of a pickled tagger"):
        pickle.loads(content)
    with pytest.raises(InputError, match="cannot be pickled"):
        pickle.dumps(Tagger(tagger.manifest, tagger.tokenizer, []))


@pytest.mark.parametrize("shape", [(1, 2), (1, 7), (3, 16), (2, 64)])
def test_the_graph_takes_any_shape(adapter_bundle: Bundle, tagger: Tagger, shape: tuple[int, int]) -> None:
    model = load_model(adapter_bundle)
    ids = np.random.default_rng(0).integers(4, 40, shape)
    mask = np.ones_like(ids)
    mask[0, shape[1] // 2 + 1 :] = 0
    visible = mask.astype(bool)
    np.testing.assert_allclose(
        tagger._parts[0].run(ids, mask)[visible], model.run(ids, mask)[visible], rtol=1e-4, atol=1e-4
    )


@at_most(25)
@given(order=st.permutations(range(len(DOCUMENTS))), repeat=st.integers(1, 4))
def test_documents_are_tagged_alike_in_any_company(tagger: Tagger, order: list[int], repeat: int) -> None:
    texts = [DOCUMENTS[index].text for index in order] * repeat
    for text, document in zip(texts, tagger.pipe(texts), strict=True):
        assert document.text == text
        assert keys(document) == keys(tagger(text))


def test_one_head_requested_equals_all_heads_requested(tagger: Tagger) -> None:
    texts = [document.text for document in DOCUMENTS]
    for corpus in tagger.corpora:
        n_found = 0
        for alone, everything in zip(tagger.pipe(texts, corpora=[corpus]), tagger.pipe(texts), strict=True):
            assert alone.spans == tuple(span for span in everything.spans if span.corpus == corpus)
            n_found += len(alone.spans)
        assert n_found


def test_types_and_threshold_only_leave_out(tagger: Tagger) -> None:
    text = DOCUMENTS[0].text
    everything = tagger(text).spans
    assert {span.label for span in tagger(text, types=["Disease"]).spans} == {"Disease"}
    scores = sorted(span.score or 0.0 for span in everything)
    middle = scores[len(scores) // 2]
    assert tagger(text, threshold=middle).spans == tuple(s for s in everything if (s.score or 0) >= middle)
    assert tagger(text, threshold=1.0).spans == tuple(s for s in everything if s.score == 1.0)


def test_by_default_each_main_type_has_one_layer() -> None:
    tagger = Tagger.load()
    assert "Organ" in tagger.types and "Organ" not in tagger.main_types and "Anatomy" in tagger.main_types
    (default,), (named,), (layers,) = (
        list(tagger.pipe(read_examples()[:1], **options))
        for options in ({}, {"types": tagger.main_types}, {"layers": True})
    )
    assert default.spans == named.spans and default.spans != layers.spans
    assert set(default.spans) <= set(layers.spans)
    for label in tagger.main_types:
        layer = [span for span in default.spans if span.label == label]
        assert all(one.end <= other.start for one, other in pairwise(layer))

    everything = tagger(layers.text, corpora=tagger.corpora)
    assert everything.spans == layers.spans
    genes = [span for span in layers.spans if span.label == "Gene"]
    assert list(tagger(layers.text, types=["Gene"], layers=True).spans) == genes


@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        ("pain\nhypertension\nheart failure", ["hypertension", "heart failure"]),
        ("aspirin\nmetformin\nlisinopril", ["aspirin", "metformin", "lisinopril"]),
        ("He has chronic obstructive\npulmonary disease.", ["chronic obstructive\npulmonary disease"]),
        ("chronic\nobstructive pulmonary\ndisease", ["chronic\nobstructive pulmonary\ndisease"]),
    ],
)
@pytest.mark.usefixtures("shared_embedded_model")
def test_mentions_end_with_items_and_not_with_wrapped_lines(text: str, mentions: list[str]) -> None:
    document = Tagger.load(threads=1)(text)
    found = {document.mention(span) for span in document.spans}
    assert found >= set(mentions) and all("\n" not in name or name in mentions for name in found)


def test_the_document_decides_only_if_the_bundle_and_the_call_say_so() -> None:
    tagger = Tagger.load(threads=1)
    deciding = decide(tagger, "definitions")

    def mentions(tagger: Tagger, **options: bool) -> list[str]:
        document = tagger(TEXT, corpora=[HEAD], **options)
        assert document == next(tagger.pipe([TEXT], corpora=[HEAD], **options))
        return [document.mention(span) for span in document.spans]

    assert mentions(decide(tagger, "off")) == MENTIONS
    assert mentions(deciding) == MENTIONS[1:]
    assert mentions(deciding, document_decoding=False) == MENTIONS
    # Of several heads, each decides by its own spans.
    alone = deciding(TEXT, corpora=[HEAD]).spans
    assert alone == tuple(span for span in deciding(TEXT, layers=True).spans if span.corpus == HEAD)


def test_what_the_bundle_does_not_know_is_named(tagger: Tagger) -> None:
    with pytest.raises(InputError, match="unknown corpus 'gellus'; this bundle knows: diseases, chemicals"):
        tagger("x", corpora=["gellus"])
    with pytest.raises(InputError, match="unknown type 'Gene'"):
        tagger("x", types=["Gene"])
    with pytest.raises(InputError, match="between 0 and 1"):
        tagger("x", threshold=1.5)


@pytest.mark.parametrize("text", ["", " ", "\n\t\r\n", "\u00a0\u2003"])
def test_blank_text_is_read_completely(tagger: Tagger, text: str) -> None:
    document = tagger(text)
    assert document.spans == ()
    assert document.meta["coverage"] == {"characters": len(text), "windows": 0, "complete": True}


@at_most(60)
@given(text=st.text(st.characters(exclude_categories=("Cs",)), max_size=300))
def test_any_text_is_read_to_its_last_character(tagger: Tagger, text: str) -> None:
    document = tagger(text)
    assert document.text == text
    assert document.meta["coverage"]["complete"]
    assert all(span.end <= len(text) and document.mention(span).strip() for span in document.spans)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ["a" * 20_000, "糖" * 20_000, "é" * 8_000, "-" * 20_000, "👩\u200d⚕️" * 2_000]
)
def test_text_without_a_space_is_read_completely(tagger: Tagger, text: str) -> None:
    assert tagger(text).meta["coverage"]["complete"]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_document(tagger: Tagger) -> None:
    sentence = "Patients received a drug and no effect was seen in rats. "

    def peak(n_sentences: int) -> int:
        text = sentence * n_sentences
        tracemalloc.start()
        try:
            document = tagger(text)
            assert document.meta["coverage"]["complete"]
            what_was_found = 400 * len(document.spans)  # bytes, which have to be kept
            return tracemalloc.get_traced_memory()[1] - what_was_found
        finally:
            tracemalloc.stop()

    peak(100)
    short, long = peak(1_000), peak(10_000)
    assert long < 1.2 * short + 2 * len(sentence) * 9_000


def test_a_stream_is_not_collected_before_it_is_tagged(tagger: Tagger) -> None:
    n_read = 0

    def read() -> object:
        nonlocal n_read
        for document in DOCUMENTS * 1_000:
            n_read += 1
            yield document.text

    next(tagger.pipe(read()))  # type: ignore[arg-type]
    assert n_read < 500


def test_a_model_that_does_not_fit_its_heads_is_refused(runtime_bundle: Bundle, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(runtime_bundle.folder, tmp_path / "copy"))
    for heads in (
        runtime_bundle.manifest.heads[:1],
        (*runtime_bundle.manifest.heads, replace(CORPORA[0].head, corpus="third")),
    ):
        seal(copy, replace(runtime_bundle.manifest, heads=heads, merges={}, document_decoding={}))
        with pytest.raises(BundleError, match="the model has 6 outputs"):
            Tagger.load(copy)
    model = onnx.load_from_string(runtime_bundle.read("model.onnx"))
    model.graph.output[0].name = "other"
    for node in model.graph.node:
        node.output[:] = ["other" if name == "logits" else name for name in node.output]
    with pytest.raises(BundleError, match="ids, mask to other; expected ids to logits, perhaps"):
        OnnxBackend(model.SerializeToString())


def test_a_model_that_does_not_fit_its_tokenizer_fails_with_a_message(tagger: Tagger) -> None:
    with pytest.raises(RunError, match="ONNX Runtime failed"):
        tagger._parts[0].run(np.array([[10_000]]), np.array([[1]]))


@pytest.mark.slow
@pytest.mark.parametrize("backend", RUNTIMES)
@pytest.mark.parametrize("precision", get_args(Precision))
def test_workers_threads_batches_and_order_change_nothing(
    adapter_bundle: Bundle, tmp_path: Path, precision: Precision, backend: str
) -> None:
    """To the last bit of every score, for windows of every width up to the widest."""
    bundle = export_runtime(
        adapter_bundle,
        tmp_path / "b",
        precision=precision,
        backend=backend,
        gold={},
        texts="",
        calibration=DOCUMENTS,
    )
    words = " ".join(document.text for document in DOCUMENTS * 3).split()
    texts = [" ".join(words[: 1 + 7 * number]) for number in range(20)]
    reference = list(Tagger.load(bundle, threads=1).pipe(texts))
    assert any(document.meta["coverage"]["windows"] > 1 for document in reference)
    for threads, workers, buffer, budget in (
        (2, 1, 128, 2048),
        (2, 2, 5, 300),
        (3, None, 1, 10),
        (4, 2, 9, 1),
    ):
        tagger = Tagger.load(bundle, threads=threads, workers=workers)
        tagger._reader = replace(tagger._reader, budget=budget)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(prediction, "BUFFER", buffer)
            backwards = list(tagger.pipe(texts[::-1]))
        assert [document.spans for document in backwards[::-1]] == [document.spans for document in reference]
        assert list(tagger.pipe(texts)) == reference


@pytest.mark.slow
def test_a_bundle_is_computed_by_what_it_was_certified_with(adapter_bundle: Bundle, tmp_path: Path) -> None:
    gold = {corpus.head.corpus: corpus.dev for corpus in CORPORA}
    bundle = export_runtime(
        adapter_bundle, tmp_path / "b", precision="int8", backend="openvino", gold=gold, texts="eight"
    )
    parity = bundle.read_json("parity.json")
    assert parity["backend"] == "openvino" and parity["span_agreement"] > 0.9
    assert isinstance(Tagger.load(bundle)._parts[0].backend, OpenVinoBackend)
    chosen = Tagger.load(bundle, backend="onnxruntime")
    assert isinstance(chosen._parts[0].backend, OnnxBackend)
    assert keys(chosen(DOCUMENTS[0].text)) == keys(DOCUMENTS[0])


def test_a_backend_that_cannot_be_is_refused(
    runtime_bundle: Bundle, adapter_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="unknown backend 'tpu'; known: onnxruntime, openvino"):
        Tagger.load(runtime_bundle, backend="tpu")
    with pytest.raises(InputError, match="computes runtime bundles; make one with"):
        Tagger.load(adapter_bundle, backend="openvino")
    with pytest.raises(BundleError, match=r"model\.onnx cannot be loaded"):
        OpenVinoBackend(b"no graph")
    with pytest.raises(RunError, match="OpenVINO failed on a batch of"):
        OpenVinoBackend(runtime_bundle.read("model.onnx")).run(*[np.ones((1, 10_000), dtype=np.int64)] * 2)
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "openmed_ner.inference.backends.openvino")
    with pytest.raises(MissingExtraError, match=r"openmed-ner\[openvino\]"):
        Tagger.load(runtime_bundle, backend="openvino")


@pytest.mark.parametrize("workers", [None, "auto"])
def test_every_thread_computes_a_batch_unless_another_number_is_asked_for(
    runtime_bundle: Bundle, workers: Workers
) -> None:
    assert Tagger.load(runtime_bundle, threads=3, workers=workers)._reader.workers == 3
    assert Tagger.load(runtime_bundle, threads=3, workers=2)._reader.workers == 2


def test_more_workers_than_threads_are_refused(runtime_bundle: Bundle) -> None:
    with pytest.raises(InputError, match="3 workers on 2 threads: expected at least one thread for each"):
        Tagger.load(runtime_bundle, threads=2, workers=3)


def test_an_abandoned_stream_leaves_no_threads(tagger: Tagger) -> None:
    before = threading.active_count()
    stream = tagger.pipe(["Cisplatin caused nephrotoxicity."] * 1000)
    next(stream)
    stream.close()
    assert threading.active_count() == before


def test_what_goes_wrong_in_a_worker_is_raised_in_turn(runtime_bundle: Bundle) -> None:
    tagger = Tagger.load(runtime_bundle, threads=2)

    def fail(ids: object, mask: object) -> None:
        raise RunError("out of memory")

    tagger._parts[0].backend.run = fail  # type: ignore[assignment,method-assign]
    with pytest.raises(RunError, match="out of memory"):
        list(tagger.pipe(["Cisplatin."] * 300))


def test_the_old_name_of_the_tokenizer_works_and_warns_once(tagger: Tagger) -> None:
    with pytest.warns(DeprecationWarning, match=r"Tagger\.encoder is now Tagger\.tokenizer") as warned:
        assert tagger.encoder is tagger.tokenizer
    assert len(warned) == 1
