"""The one training loop and what it stands on: history, log, precision, processes, energy."""
