"""Exported bundles: their graph, their certificate, int8 and static int8."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest

from openmed_ner.bundle import Bundle
from openmed_ner.bundle.manifest import RUNTIMES
from openmed_ner.errors import BundleError, InputError, MissingExtraError, RunError
from openmed_ner.model.bundles import load_model, make_reader, merge_adapter
from openmed_ner.text import Document
from openmed_ner.training.export import bundles, calibration
from openmed_ner.training.export.onnx import export_onnx
from openmed_ner.training.export.quantise import name_heads, quantise
from openmed_ner.training.export.runtime import export_runtime
from rounded import check_rounded
from sentences import DOCUMENTS
from tiny import CORPORA

CPU_INFO = Path("/proc/cpuinfo")
HAS_VNNI = not CPU_INFO.exists() or "vnni" in CPU_INFO.read_text(encoding="utf-8")


@pytest.mark.slow
def test_int8_weights_stay_close_and_do_not_depend_on_the_batch(adapter_bundle: Bundle) -> None:
    content = export_onnx(merge_adapter(load_model(adapter_bundle)))
    small = quantise(content)
    kinds = {node.op_type for node in onnx.load_from_string(small).graph.node}
    assert "MatMulNBits" in kinds
    check_rounded(content, small)


def test_the_graph_carries_nothing_of_the_machine_it_was_made_on(runtime_bundle: Bundle) -> None:
    content = runtime_bundle.read("model.onnx")
    for mark in (b".py", b"site-packages", str(Path(__file__).parents[2]).encode()):
        assert mark not in content


def test_the_parity_certificate_compares_on_the_given_texts(runtime_bundle: Bundle) -> None:
    parity = runtime_bundle.read_json("parity.json")
    assert parity["documents"] == len(DOCUMENTS)
    assert parity["span_agreement"] == 1.0
    assert parity["documents_per_second_reference"] > 0 < parity["documents_per_second_exported"]
    assert parity["host"]["cores"] > 0
    assert parity["corpora"]["diseases"] == {"f1_reference": 1.0, "f1_exported": 1.0, "f1_difference": 0.0}


def test_a_few_documents_of_each_dev_split_can_do(
    adapter_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Any]] = []
    heads = [head.corpus for head in adapter_bundle.manifest.heads]
    monkeypatch.setenv("OPENMED_NER_CORPORA", str(tmp_path))
    monkeypatch.setattr(bundles, "CATALOG", dict.fromkeys(heads))
    monkeypatch.setattr(bundles, "load_split", lambda name, split: SimpleNamespace(documents=DOCUMENTS))
    monkeypatch.setattr(bundles, "export_runtime", lambda *arguments, **options: seen.append(options))
    for limit in (3, 3, 100, None):
        bundles.export_bundle(adapter_bundle, tmp_path / "new", dev_documents=limit)
    few, again, many, every = (options["gold"] for options in seen)
    assert few == again and {len(documents) for documents in few.values()} == {3}
    assert many == every == {name: list(DOCUMENTS) for name in heads}
    splits = f"dev splits of {', '.join(heads)}"
    assert [options["texts"] for options in seen[::3]] == [
        f"at most 3 documents of each of the {splits}",
        splits,
    ]


def test_windows_can_be_shorter_than_the_model_s(
    adapter_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "export_runtime", lambda source, target, **options: source)
    longest, shortest = adapter_bundle.manifest.window, 2 * adapter_bundle.manifest.overlap + 2
    for window, expected in ((None, longest), (longest, longest), (shortest, shortest)):
        source = bundles.export_bundle(adapter_bundle, tmp_path / "new", window=window)
        assert make_reader(source).window == source.manifest.window == expected
    for window in (shortest - 1, longest + 1):
        with pytest.raises(InputError, match=f"window {window}: expected {shortest} to {longest}"):
            bundles.export_bundle(adapter_bundle, tmp_path / "new", window=window)


def test_export_refuses_to_overwrite_and_to_export_twice(
    adapter_bundle: Bundle, runtime_bundle: Bundle, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="already exists"):
        export_runtime(adapter_bundle, tmp_path, precision="fp32", gold={}, texts="")
    with pytest.raises(BundleError, match="runtime bundle already"):
        export_runtime(runtime_bundle, tmp_path / "new", precision="fp32", gold={}, texts="")


@pytest.mark.slow
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
    # Without VNNI, 8-bit products saturate in 16 bits, which costs one of the seven spans here.
    assert bundle.read_json("parity.json")["span_agreement"] > (0.9 if HAS_VNNI else 0.8)
    proto = onnx.load_from_string(bundle.read("model.onnx"))
    types = {initializer.name: initializer.data_type for initializer in proto.graph.initializer}
    producers = {output: node for node in proto.graph.node for output in node.output}
    products = [node for node in proto.graph.node if node.op_type == "MatMul"]
    eight = [node for node in products if producers[node.input[0]].op_type == "DequantizeLinear"]
    heads = name_heads(proto)
    assert len(heads) == len(CORPORA) and not {node.name for node in eight} & set(heads)
    assert len(eight) >= 6 * 2  # of each layer: query, key, value, output, and two of the feed-forward net
    assert onnx.TensorProto.INT8 in types.values()


@pytest.mark.slow
def test_static_int8_needs_samples_and_for_openvino_nncf(
    adapter_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"precision": "int8-static", "gold": {}, "texts": ""}
    for backend in RUNTIMES:
        with pytest.raises(InputError, match="no text to calibrate on"):
            export_runtime(
                adapter_bundle,
                tmp_path / "b",
                **options,
                backend=backend,
                calibration=[Document("empty", " ")],
            )
    options["backend"] = "openvino"
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(MissingExtraError, match=r"openmed-ner\[quantise\]"):
        export_runtime(adapter_bundle, tmp_path / "b", **options, calibration=DOCUMENTS)
    assert list(tmp_path.iterdir()) == []


def test_calibration_windows_are_spread_over_all_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "N_WINDOWS", 4)
    assert calibration.spread(range(10)) == [0, 2, 5, 7]
    assert calibration.spread([1, 2]) == [1, 2]
    assert calibration.spread([]) == []
