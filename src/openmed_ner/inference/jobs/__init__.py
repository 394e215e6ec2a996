"""Tagging files: their documents, the parts of the output, and the receipt of a run."""
