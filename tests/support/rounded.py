"""What must hold for the graph of a quantised model."""

from __future__ import annotations

import numpy as np

from openmed_ner.inference.backends.onnx import OnnxBackend


def check_rounded(content: bytes, quantised: bytes) -> None:
    """Compare logits of a graph in fp32 and of its quantised version, in a batch and row by row."""
    exact, rounded = OnnxBackend(content), OnnxBackend(quantised)
    ids = np.random.default_rng(0).integers(4, 40, (6, 32))
    mask = np.ones_like(ids)
    expected, logits = exact.run(ids, mask), rounded.run(ids, mask)
    assert np.abs(logits - expected).std() < 0.1 * expected.std()
    for row in range(len(ids)):
        alone = rounded.run(ids[row : row + 1], mask[row : row + 1])
        np.testing.assert_allclose(alone[0], logits[row], rtol=1e-4, atol=1e-4)
