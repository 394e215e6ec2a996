"""From an adapter bundle to one that runs without torch: merge, ONNX, quantise, prove parity."""
