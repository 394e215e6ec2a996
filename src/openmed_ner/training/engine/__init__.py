"""The training loop and its parts: history, log, precision, weight average, processes, energy."""
