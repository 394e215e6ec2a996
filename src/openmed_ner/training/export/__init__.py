"""From an adapter bundle to one that runs without torch: ONNX, quantised weights, proof of parity."""
