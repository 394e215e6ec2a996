"""Inference as on a GPU: bfloat16, batches of few shapes, and processes that read texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.bundle.manifest import MODEL
from openmed_ner.errors import InputError, RunError
from openmed_ner.inference.backends import load_runtime, onnx
from openmed_ner.inference.backends.torch import TorchBackend, load_torch_backends
from openmed_ner.inference.tagger import Tagger, embedded_bundle
from openmed_ner.model.bundles import load_model, make_reader
from openmed_ner.model.devices import find_device
from openmed_ner.tagging import predict
from openmed_ner.tagging.parallel import ReadingPool
from openmed_ner.text import Document
from sentences import DOCUMENTS


def find_mentions(documents: Sequence[Document]) -> list[list[Any]]:
    return [[span.key for span in document.spans] for document in documents]


def test_in_bfloat16_and_fixed_shapes_the_mentions_are_the_same(full_bundle: Bundle) -> None:
    reader = make_reader(full_bundle)
    model = load_model(full_bundle)
    backend = TorchBackend(model, dtype=torch.bfloat16, subwords=512)
    expected = list(predict(DOCUMENTS, run=model.run, reader=reader))
    tagged = list(predict(DOCUMENTS, run=backend.run, reader=reader))
    assert find_mentions(tagged) == find_mentions(expected)
    scores = [[span.score or 0.0 for document in documents for span in document.spans]
              for documents in (tagged, expected)]  # fmt: skip
    np.testing.assert_allclose(*scores, atol=0.02)


def test_a_window_does_not_depend_on_its_batch_in_fixed_shapes(full_bundle: Bundle) -> None:
    backend = TorchBackend(load_model(full_bundle), dtype=torch.bfloat16, subwords=512)
    ids = np.random.default_rng(0).integers(5, 60, (7, 48))
    together = backend.run(ids, np.ones_like(ids))
    for row in range(len(ids)):
        alone = backend.run(ids[row : row + 1], np.ones_like(ids[:1]))
        np.testing.assert_array_equal(alone[0], together[row])


def test_torch_computes_the_weights_of_a_runtime_bundle() -> None:
    """Those of the embedded bundle, whose activations ONNX Runtime rounds as well."""
    bundle = open_bundle(embedded_bundle())
    (backend,) = load_torch_backends([bundle], device="cpu")
    runtime = load_runtime(bundle.read(MODEL), "onnxruntime")
    ids = np.random.default_rng(0).integers(1000, 20_000, (2, 16))
    inputs = (ids, np.ones_like(ids))
    difference = backend.run(*inputs) - (expected := runtime.run(*inputs))
    assert np.abs(difference).mean() < 0.05 * expected.std()


def test_a_missing_gpu_is_reported(runtime_bundle: Bundle, full_bundle: Bundle) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    for bundle in (runtime_bundle, full_bundle):
        with pytest.raises(RunError, match="no CUDA device is visible"):
            Tagger.load(bundle, device="cuda")
    with pytest.raises(RunError, match="install onnxruntime-gpu"):
        Tagger.load(runtime_bundle, device="cuda", backend="onnxruntime")
    with pytest.raises(InputError, match="does not compute on CUDA"):
        Tagger.load(runtime_bundle, device="cuda", backend="openvino")
    with pytest.raises(InputError, match="unknown device 'tpu'"):
        find_device("tpu")


def test_onnx_runtime_uses_its_provider_for_gpus(
    runtime_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stub of the library that has the provider, and computes on the processor."""
    chosen: list[Any] = []
    session = onnxruntime.InferenceSession

    def start(model: bytes, options: Any, *, providers: list[str], disabled_optimizers: Any) -> Any:
        chosen.append((providers, disabled_optimizers))
        return session(model, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnx.onnxruntime, "get_available_providers", lambda: [onnx.CUDA])
    monkeypatch.setattr(onnx.onnxruntime, "InferenceSession", start)
    tagger = Tagger.load(runtime_bundle, device="cuda", backend="onnxruntime", threads=1)
    assert chosen == [([onnx.CUDA, "CPUExecutionProvider"], None)] and tagger.backend == "onnxruntime"
    for device in ("auto", "cpu"):
        Tagger.load(runtime_bundle, device=device, threads=1)
        assert chosen.pop() == (["CPUExecutionProvider"], onnx.SLOW_FUSIONS)


def test_processes_that_read_give_the_same_documents(runtime_bundle: Bundle) -> None:
    """With blank and long texts, names of a lexicon aside."""
    long = " ".join(document.text for document in DOCUMENTS * 3)
    texts = ["", *(document.text for document in DOCUMENTS), "  \n", long, long[:777]]
    plain = Tagger.load(runtime_bundle, threads=1)
    tagger = Tagger.load(runtime_bundle, threads=1, processes=2)
    try:
        assert list(tagger.pipe(texts)) == list(plain.pipe(texts))
        assert list(tagger.pipe(texts, layers=True)) == list(plain.pipe(texts, layers=True))
    finally:
        tagger.close()


def test_the_death_of_a_reading_process_is_explained(runtime_bundle: Bundle) -> None:
    reader = make_reader(runtime_bundle)
    with ReadingPool(reader, 1) as pool:
        lengths = [40, 80]
        windows = list(pool.cut([DOCUMENTS[0].text, "ab " * 200], lengths))
        assert [len(part) > 1 for part in windows] == [False, True]
        assert max(len(window.ids) for window in windows[1]) <= lengths[1] - 2
        (process,) = pool._pool._processes.values()
        process.kill()
        with pytest.raises(RunError, match="a process that reads texts has ended"):
            list(pool.cut(["text"] * 64, [40] * 64))
