from __future__ import annotations

import json
import shutil
import sys
import threading
import tracemalloc
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmed_ner.bundle import Bundle, seal
from openmed_ner.bundle.manifest import RUNTIMES, Precision
from openmed_ner.corpora import Corpus, Split
from openmed_ner.errors import BundleError, InputError, MissingExtraError, RunError
from openmed_ner.evaluation.answers import Gold, evaluate
from openmed_ner.evaluation.cross import cross
from openmed_ner.inference.backends import Backend, layout
from openmed_ner.inference.backends.onnx import OnnxBackend
from openmed_ner.inference.backends.openvino import OpenVinoBackend
from openmed_ner.inference.tagger import Tagger
from openmed_ner.model.bundles import load_model, merge_adapter
from openmed_ner.tagging import prediction
from openmed_ner.text import Account, Document, Span
from openmed_ner.training.export import static
from openmed_ner.training.export.onnx import export_onnx
from openmed_ner.training.export.quantise import name_heads, quantise
from openmed_ner.training.export.runtime import export_runtime
from tiny import CORPORA, DOCUMENTS, only


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
    texts = [document.text for document in DOCUMENTS] + [" ".join(each.text for each in DOCUMENTS * 4)]
    for ours, theirs in zip(tagger.pipe(texts), reference.pipe(texts), strict=True):
        assert keys(ours) == keys(theirs)
        for one, other in zip(ours.spans, theirs.spans, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-4)
        assert ours.meta["coverage"] == theirs.meta["coverage"]


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


def test_int8_weights_stay_close_and_do_not_depend_on_the_batch(adapter_bundle: Bundle) -> None:
    content = export_onnx(merge_adapter(load_model(adapter_bundle)))
    small = quantise(content)
    kinds = {node.op_type for node in onnx.load_from_string(small).graph.node}
    assert "MatMulNBits" in kinds
    exact, rounded = OnnxBackend(content), OnnxBackend(small, threads=1)
    ids = np.random.default_rng(0).integers(4, 40, (6, 32))
    mask = np.ones_like(ids)
    expected, found = exact.run(ids, mask), rounded.run(ids, mask)
    assert np.abs(found - expected).std() < 0.1 * expected.std()
    for row in range(len(ids)):
        alone = rounded.run(ids[row : row + 1], mask[row : row + 1])
        np.testing.assert_allclose(alone[0], found[row], rtol=1e-4, atol=1e-4)


def test_the_graph_carries_nothing_of_the_machine_it_was_made_on(runtime_bundle: Bundle) -> None:
    content = runtime_bundle.read("model.onnx")
    for mark in (b".py", b"site-packages", str(Path(__file__).parents[2]).encode()):
        assert mark not in content


@settings(max_examples=25)
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


@settings(max_examples=60)
@given(text=st.text(st.characters(exclude_categories=("Cs",)), max_size=300))
def test_any_text_is_read_to_its_last_character(tagger: Tagger, text: str) -> None:
    document = tagger(text)
    assert document.text == text
    assert document.meta["coverage"]["complete"]
    assert all(span.end <= len(text) and document.mention(span).strip() for span in document.spans)


@pytest.mark.parametrize(
    "text", ["a" * 50_000, "糖" * 50_000, "é" * 20_000, "-" * 50_000, "👩\u200d⚕️" * 5_000]
)
def test_text_without_a_space_is_read_completely(tagger: Tagger, text: str) -> None:
    assert tagger(text).meta["coverage"]["complete"]


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
    for heads in (runtime_bundle.manifest.heads[:1], (*runtime_bundle.manifest.heads, CORPORA[0].head)):
        seal(copy, replace(runtime_bundle.manifest, heads=heads))
        with pytest.raises(BundleError, match="the model has 6 outputs"):
            Tagger.load(copy)
    model = onnx.load_from_string(runtime_bundle.read("model.onnx"))
    model.graph.output[0].name = "other"
    for node in model.graph.node:
        node.output[:] = ["other" if name == "logits" else name for name in node.output]
    with pytest.raises(BundleError, match="ids, mask to other; expected ids, mask to logits"):
        OnnxBackend(model.SerializeToString())


def test_a_model_that_does_not_fit_its_tokenizer_fails_with_a_message(tagger: Tagger) -> None:
    with pytest.raises(RunError, match="ONNX Runtime failed"):
        tagger._parts[0].run(np.array([[10_000]]), np.array([[1]]))


def test_the_parity_certificate_compares_on_the_given_texts(runtime_bundle: Bundle) -> None:
    parity = runtime_bundle.read_json("parity.json")
    assert parity["documents"] == len(DOCUMENTS)
    assert parity["span_agreement"] == 1.0
    assert parity["documents_per_second_reference"] > 0 < parity["documents_per_second_exported"]
    assert parity["host"]["cores"] > 0
    assert parity["corpora"]["diseases"] == {"f1_reference": 1.0, "f1_exported": 1.0, "f1_difference": 0.0}


def test_export_refuses_to_overwrite_and_to_export_twice(
    adapter_bundle: Bundle, runtime_bundle: Bundle, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="exists already"):
        export_runtime(adapter_bundle, tmp_path, precision="fp32", gold={}, texts="")
    with pytest.raises(BundleError, match="runtime bundle already"):
        export_runtime(runtime_bundle, tmp_path / "new", precision="fp32", gold={}, texts="")


def test_evaluation_counts_mentions_and_reads_a_text_once(
    tagger: Tagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_read = 0
    pipe = Tagger.pipe

    def counting(self: Tagger, texts: Iterable[Document], **options: Any) -> Iterator[Document]:
        nonlocal n_read
        for document in pipe(self, texts, **options):
            n_read += 1
            yield document

    monkeypatch.setattr(Tagger, "pipe", counting)
    golds = [Gold(each.head.corpus, "dev", each.dev, training=each.dev[:2]) for each in CORPORA]
    results = list(evaluate(tagger, golds))
    assert n_read == len(DOCUMENTS)
    for gold, result in zip(golds, results, strict=True):
        assert result["micro"]["f1"] == 1.0 and result["micro"]["ci95"] == [1.0, 1.0]
        assert result["micro"]["tp"] == sum(len(document.spans) for document in gold.documents)
        assert result["seen"]["tp"] + result["unseen"]["tp"] == result["micro"]["tp"]
        assert result["seen"]["tp"] > 0 < result["unseen"]["tp"]
        assert result["coverage_complete"]
        assert json.loads(json.dumps(result)) == result


def test_evaluation_refuses_labels_that_the_head_does_not_know(tagger: Tagger) -> None:
    with pytest.raises(InputError, match=r"document '0'.*no label 'Chemical'"):
        list(evaluate(tagger, [Gold("diseases", "dev", DOCUMENTS)]))
    with pytest.raises(InputError, match="no documents"):
        list(evaluate(tagger, [Gold("diseases", "dev", [])]))


def test_heads_are_scored_on_every_corpus_of_their_types_without_what_they_were_trained_on(
    runtime_bundle: Bundle,
) -> None:
    seen = "Cisplatin caused severe nephrotoxicity in most of the rats that had been given too much of it."
    gold = [*only("Disease"), Document("seen", seen, (Span(24, 38, "Disease"),))]
    row = Corpus(
        "other", "Other", {}, (), {"DISO": "Disease", "PRGE": "Gene"}, "free", "none", "https://x.org"
    )
    alien = replace(row, name="alien", labels={"PRGE": "Gene"})
    splits = [Split(each, "test", tuple(gold), Account()) for each in (row, alien)]
    training = [Document("0", seen.replace(" ", "  ").upper())]
    (result,) = cross(Tagger.load(runtime_bundle), splits, training)
    assert (result["head"], result["corpus"], result["types"]) == ("diseases", "other", ["Disease"])
    assert (result["documents"], result["left_out"]) == (len(gold) - 1, 1)
    assert result["micro"]["tp"] == sum(len(each.spans) for each in only("Disease"))
    assert result["micro"]["fp"] == result["micro"]["fn"] == 0


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


@pytest.mark.usefixtures("no_socket")
def test_static_int8_fixes_its_scales_on_samples_and_keeps_the_heads(
    adapter_bundle: Bundle,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Some processors round differently to bfloat16, which moves the few spans that random weights find.
    monkeypatch.setattr("openmed_ner.inference.backends.openvino.PRECISION", "f32")
    gold = {corpus.head.corpus: corpus.dev for corpus in CORPORA}
    bundle = export_runtime(
        adapter_bundle,
        tmp_path / "b",
        precision="int8-static",
        backend="openvino",
        gold=gold,
        texts="eight",
        calibration=DOCUMENTS,
        name="static",
    )
    assert capfd.readouterr() == ("", "")
    assert (bundle.manifest.name, bundle.manifest.precision) == ("static", "int8-static")
    assert bundle.read_json("parity.json")["span_agreement"] > 0.9
    proto = onnx.load_from_string(bundle.read("model.onnx"))
    stored = {each.name: each.data_type for each in proto.graph.initializer}
    makers = {output: node for node in proto.graph.node for output in node.output}
    products = [node for node in proto.graph.node if node.op_type == "MatMul"]
    eight = [node for node in products if makers[node.input[0]].op_type == "DequantizeLinear"]
    heads = name_heads(proto)
    assert len(heads) == len(CORPORA) and not {node.name for node in eight} & set(heads)
    assert len(eight) >= 6 * 2  # of each layer: query, key, value, output, and two of the feed-forward net
    assert onnx.TensorProto.INT8 in stored.values()


def test_static_int8_needs_samples_and_nncf(
    adapter_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how: dict[str, Any] = {"precision": "int8-static", "gold": {}, "texts": ""}
    with pytest.raises(InputError, match="no text to calibrate on"):
        export_runtime(adapter_bundle, tmp_path / "b", **how, calibration=[Document("empty", " ")])
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(MissingExtraError, match=r"openmed-ner\[quantise\]"):
        export_runtime(adapter_bundle, tmp_path / "b", **how, calibration=DOCUMENTS)
    assert list(tmp_path.iterdir()) == []


def test_calibration_windows_are_spread_over_all_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static, "N_WINDOWS", 4)
    assert static.spread(range(10)) == [0, 2, 5, 7]
    assert static.spread([1, 2]) == [1, 2]
    assert static.spread([]) == []


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


def test_the_number_of_workers_is_found_out_where_that_is_asked_for(
    runtime_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [layout.candidates(threads) for threads in (1, 2, 6, 12)] == [
        [1],
        [1, 2],
        [1, 2, 6],
        [1, 2, 4, 12],
    ]
    seen = []

    def time(model: Backend, workers: int, batches: int, window: int) -> float:
        seen.append((workers, batches, window, measure(model, workers, batches, window) > 0))
        return {1: 0.3, 2: 0.2, 4: 0.2}[workers]

    measure = layout._time
    monkeypatch.setattr(layout, "_time", time)
    tagger = Tagger.load(runtime_bundle, threads=4, workers="auto")
    assert seen == [(workers, 4, runtime_bundle.manifest.window, True) for workers in (1, 2, 4)]
    assert tagger._reader.workers == 2


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
