"""Shared parts of the benchmarks."""

from __future__ import annotations

import argparse
import re
import resource
import statistics
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.data import read_examples
from openmed_ner.formats import read_documents
from openmed_ner.inference.tagger import embedded_bundle


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser whose help shows the description of a benchmark as it is written."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def parse_bundles(description: str | None) -> list[Bundle]:
    """The bundles that a command line names, or else the embedded one."""
    parser = make_parser(description)
    parser.add_argument(
        "bundles", nargs="*", type=Path, help="folders of bundles (default: the embedded one)"
    )
    return [open_bundle(folder) for folder in parser.parse_args().bundles or [embedded_bundle()]]


def peak_megabytes() -> float:
    """Peak resident memory of this process.

    Read from the kernel's status file where there is one: ``getrusage`` starts from the peak of the process
    that this one was forked from.
    """
    status = Path("/proc/self/status")
    if status.exists() and (match := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(match[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def load_texts(data: Path | None) -> list[str]:
    """The texts of a file, or else the example abstracts, two by two."""
    if data is not None:
        return [document.text for document in read_documents(data)]
    texts = [document.text for document in read_examples()]
    return [f"{one}\n{other}" for one in texts for other in texts if one != other]


def multiply_rate_int8(threads: int, *, size: int = 1024) -> float:
    """Median rate of a product of 8-bit integers by ONNX Runtime, in 10^12 operations per second."""
    import onnx  # not above: most engines are measured without it

    from openmed_ner.offline import disable_telemetry

    disable_telemetry()
    import onnxruntime

    rng = np.random.default_rng(0)
    constants = {
        "weights": rng.integers(-127, 128, (size, size)).astype(np.int8),
        "scale": np.ones(1, dtype=np.float32),
        "scales": np.ones(size, dtype=np.float32),
        "zero": np.zeros(1, dtype=np.uint8),
    }
    names = ["rows", "weights", "scale", "scales", "zero"]
    node = onnx.helper.make_node("MatMulIntegerToFloat", names, ["product"], domain="com.microsoft")
    graph = onnx.helper.make_graph(
        [node],
        "product",
        [onnx.helper.make_tensor_value_info("rows", onnx.TensorProto.UINT8, (size, size))],
        [onnx.helper.make_tensor_value_info("product", onnx.TensorProto.FLOAT, (size, size))],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    versions = [onnx.helper.make_opsetid("", 20), onnx.helper.make_opsetid("com.microsoft", 1)]
    model = onnx.helper.make_model(graph, opset_imports=versions, ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)

    rows = rng.integers(0, 256, (size, size)).astype(np.uint8)
    seconds = []
    for _ in range(20):
        begin = time.perf_counter()
        session.run(None, {"rows": rows})
        seconds.append(time.perf_counter() - begin)
    # the first five products warm up
    return 2.0 * size**3 / statistics.median(seconds[5:]) / 1e12


def count_flops(bundle: Bundle) -> float:
    """Floating-point operations of a model per subword, in full windows."""
    from openmed_ner.model.backbones import BACKBONES  # not above: most engines are measured without torch

    manifest = bundle.manifest
    shape = BACKBONES[manifest.backbone.name].shape
    return replace(shape, layers=len(manifest.encoder_layers) or shape.layers).flops(manifest.window)
